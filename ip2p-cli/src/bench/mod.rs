//! `ip2p bench`: how long the parts of an edit take here, beside what they cost and what the device can do.

mod report;

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use ip2p::{
    Cost, Detail, EditCost, EditOptions, EditRequest, Editor, Error, MemoryEdit, OutputSize, Photo,
    Result, RgbPicture, Size, TargetSize, Timings, device_by_name, dtype,
};

use self::report::{Part, Report};
use crate::args::BenchArgs;
use crate::budget::{Budget, Kept};
use crate::edit::{apply, device_name, load, stop_on_ctrl_c, take_some, walk};
use crate::model::{ModelChoice, open_model};
use crate::output::{json, write};
use crate::progress::Progress;
use crate::{memory, threads};

/// What is asked for; what it says is of no matter for the time that it takes.
const SENTENCE: &str = "make it snowy";

/// Runs the command.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    let shared = &args.shared;
    let progress = Progress::new(args.report.quiet || args.report.json);
    let mut options = EditOptions::default()
        .with_output_size(OutputSize::Model)
        .with_detail(Detail::Model);
    apply(&mut options, shared);
    take_some!(options, args.choice, text_scale, image_scale);
    options.seed = args.choice.seed.unwrap_or_default();
    let stop = stop_on_ctrl_c();
    let model = open_model(&ModelChoice::of(shared, None)?, args.report.quiet, &stop)?;
    let asked = asked_size(&options, model.profile().longer_side);
    let photo = picture(asked)?;
    let count = args.choice.count.unwrap_or(1);
    let request = EditRequest::new(&photo, SENTENCE).with_variations(count);
    model.check(&request, &options)?;
    let name = model.profile().name.clone();

    let (device, precision) = (device_name(shared), shared.precision.unwrap_or_default());
    let budget = Budget {
        bytes: shared.max_memory,
        device: &device,
        precision,
        quiet: args.report.quiet,
    };
    let edit = MemoryEdit::new(photo.size(), &options).with_count(count);
    let (model, plan) = budget.keep(model, std::slice::from_ref(&edit))?;
    let estimate = model.memory(&edit, precision, &device_by_name(&device)?)?;
    let started = Instant::now();
    let editor = load(model, &device, precision, progress)?;
    let loading = started.elapsed();
    let (size, runs) = measure(&editor, &request, &options, args.runs, (progress, &stop))?;
    // Before the large product, whose matrices are none of an edit's.
    let peak_memory_bytes = memory::peak_bytes();
    let cost = editor.model().cost(size, count, &options)?;
    let peak = ip2p::kernels::measured_peak(&device_by_name(&device)?, dtype(precision))
        .map_err(|error| Error::other("measuring the device", error))?;
    let report = Report {
        model: name,
        device,
        precision: precision.name(),
        width: size.width,
        height: size.height,
        threads: threads::count(),
        peak_gflops: peak / 1e9,
        parts: parts(&cost, loading, &runs),
        memory: plan.as_ref().map(Kept::of),
        estimated_memory_bytes: estimate.total(),
        peak_memory_bytes,
    };
    if args.report.json {
        json(&report)
    } else {
        write(|out| report.print(out))
    }
}

/// The size that is asked for, which the picture has from the beginning.
fn asked_size(options: &EditOptions, longer_side: u32) -> Size {
    match options.size {
        Some(TargetSize::Exact(size)) => size,
        Some(TargetSize::Side(side)) => Size::new(side, side),
        _ => Size::new(longer_side, longer_side),
    }
}

/// A picture with slopes and edges, always the same.
fn picture(size: Size) -> Result<Photo> {
    let byte = |x: u32| u8::try_from(x % 256).expect("below 256");
    let pixels = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
    let rgb = pixels.flat_map(|(x, y)| [byte(x), byte(y), byte((x / 16 + y / 16) % 2 * 200)]);
    Ok(RgbPicture::new(size, rgb.collect())?.into())
}

/// The size that the model worked at, and the times of some edits, the first of which is not counted: it fills caches, and on
/// a GPU chooses the kernels.
fn measure(
    editor: &Editor,
    request: &EditRequest<'_>,
    options: &EditOptions,
    runs: u32,
    (progress, stop): (Progress, &AtomicBool),
) -> Result<(Size, Vec<(Duration, Timings)>)> {
    let bar = progress.steps("measuring");
    bar.set_length(u64::from(runs) + 1);
    let mut times = Vec::new();
    let mut size = request.photo.size();
    for run in 0..=runs {
        bar.tick();
        let started = Instant::now();
        let mut steps = editor.steps(request, options)?;
        let count = steps.steps();
        walk(&mut steps, count, Progress::new(true), stop)?;
        let (edited, timings) = steps.finish_timed()?;
        size = edited[0].model_size;
        if run > 0 {
            times.push((started.elapsed(), timings));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((size, times))
}

/// The rows of the table.
fn parts(cost: &EditCost, loading: Duration, runs: &[(Duration, Timings)]) -> Vec<Part> {
    let of = |time: fn(&Timings) -> Duration| -> Vec<_> {
        runs.iter().map(|(_, timings)| time(timings)).collect()
    };
    let steps: Vec<_> = (runs.iter().flat_map(|(_, timings)| &timings.steps))
        .copied()
        .collect();
    let whole: Vec<_> = runs.iter().map(|(whole, _)| *whole).collect();
    let all: Cost = cost.steps.iter().copied().sum();
    // Where guidance changes on the way, so do the steps: the median is set against their mean.
    let step = all / cost.steps.len().max(1) as u64;
    vec![
        Part::new("load", &[loading], None),
        Part::new("sentence", &of(|timings| timings.text), Some(cost.text)),
        Part::new("encode", &of(|timings| timings.encode), Some(cost.encode)),
        Part::new("step", &steps, Some(step)),
        Part::new("decode", &of(|timings| timings.decode), Some(cost.decode)),
        Part::new(
            "edit",
            &whole,
            Some(cost.text + cost.encode + all + cost.decode),
        ),
    ]
}
