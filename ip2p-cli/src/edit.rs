//! `ip2p edit`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ip2p::{
    BranchExecution, EditOptions, EditRecord, EditRequest, Edited, Editor, Error, MemoryEdit,
    Model, OutputSize, PhotoFile, Precision, Result, Step, Timings, device_by_name,
};
use ip2p_batch::numbered;
use serde::Serialize;

use crate::args::{EditArgs, SharedArgs};
use crate::budget::{Budget, Kept};
use crate::chain::{self, Link};
use crate::model::{ModelChoice, open_model};
use crate::output::{self, default_output};
use crate::progress::Progress;
use crate::{exit, memory};

/// Takes fields of arguments that were given.
macro_rules! take {
    ($options:expr, $args:expr, $($field:ident),*) => {
        $( if let Some(value) = $args.$field.clone() { $options.$field = value; } )*
    };
}

/// Takes fields of arguments that were given into fields that are options as well.
macro_rules! take_some {
    ($options:expr, $args:expr, $($field:ident),*) => {
        $( if $args.$field.is_some() { $options.$field = $args.$field.clone(); } )*
    };
}
pub(crate) use take_some;

/// What to edit, with what: the command line, and beneath it the record of `--from`.
struct Job {
    input: PathBuf,
    /// The edits to make in turn, at least one.
    links: Vec<Link>,
    model: ModelChoice,
    precision: Precision,
    device: String,
    count: usize,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    outputs: Vec<Output<'a>>,
    device: &'a str,
    times: Times,
    /// Null without a budget.
    memory: Option<Kept>,
    /// Null where the system does not tell.
    peak_memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Output<'a> {
    file: &'a Path,
    /// Every setting of the edit, as the file itself holds it.
    settings: &'a EditRecord,
    warnings: Vec<String>,
}

/// Seconds.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "a number in JSON says its unit")]
struct Times {
    load_s: f64,
    text_s: f64,
    encode_s: f64,
    steps_s: Vec<f64>,
    decode_s: f64,
    write_s: f64,
    total_s: f64,
}

/// Runs the command.
pub(crate) fn run(args: &EditArgs) -> Result<()> {
    let started = Instant::now();
    let progress = Progress::new(args.report.quiet);
    let stop = stop_on_ctrl_c();
    let job = job(args)?;
    // What can be known to be wrong is said before gigabytes are loaded.
    let first = &job.links[0];
    job.links.iter().try_for_each(|link| link.options.check())?;
    let outputs = outputs(args, &job)?;
    let file = PhotoFile::open(&job.input)?;
    let photo = file.decode()?;
    let mask = args.mask.mask(&photo)?;
    let anywhere = mask.is_none() && !first.options.region.is_limited();
    args.show.check(!anywhere)?;
    let mut request = EditRequest::new(&photo, &first.instruction).with_variations(job.count);
    request.mask = mask.as_ref();
    let model = open_model(&job.model, args.report.quiet, &stop)?;
    for link in &job.links {
        request.instruction = &link.instruction;
        model.check(&request, &link.options)?;
    }
    if job.links.len() > 1 {
        chain::check(&model, &job.links)?;
    }
    let budget = Budget {
        bytes: args.shared.max_memory,
        device: &job.device,
        precision: job.precision,
        quiet: args.report.quiet,
    };
    // Edits in turn are those of a session, which holds the photo and the picture before.
    let beside = if job.links.len() > 1 { 2 } else { 0 };
    let edits = job.links.iter().map(|link| {
        MemoryEdit::new(photo.size(), &link.options)
            .with_count(job.count)
            .with_beside(beside)
            .with_mask(mask.is_some())
    });
    let (model, plan) = budget.keep(model, &edits.collect::<Vec<_>>())?;
    request.instruction = &first.instruction;
    let editor = load(model, &job.device, job.precision, progress)?;
    let load = started.elapsed();

    let (mut edited, timings) = if job.links.len() == 1 {
        edit(&editor, &request, &first.options, progress, &stop)?
    } else {
        let what = (mask.as_ref(), job.count);
        chain::edit(&editor, file, &job.links, what, progress, &stop)?
    };
    let writing = Instant::now();
    args.show.write(&photo, &edited)?;
    let mut report = Vec::new();
    for (edited, file) in edited.iter_mut().zip(&outputs) {
        edited.record.input = Some(job.input.to_string_lossy().into_owned());
        edited.record.device = Some(job.device.clone());
        let mut warnings = edited.warnings.clone();
        warnings.extend(edited.save(file)?);
        report.push(Output {
            file,
            settings: &edited.record,
            warnings,
        });
    }
    let times = times(load, &timings, writing.elapsed(), started.elapsed());
    print(
        args,
        &Report {
            outputs: report,
            device: &job.device,
            times,
            memory: plan.as_ref().map(Kept::of),
            peak_memory_bytes: memory::peak_bytes(),
        },
    )
}

/// Puts together what the command line says, what `--from` says, and the defaults.
fn job(args: &EditArgs) -> Result<Job> {
    let record = match &args.from {
        None => None,
        Some(image) => Some(EditRecord::read(image)?.ok_or_else(|| {
            Error::image(
                image,
                "holds no record of an edit; --from takes a picture that ip2p made",
            )
        })?),
    };
    let links = chain::links(args, record.as_ref())?;
    let from_record = |value: fn(&EditRecord) -> Option<String>| record.as_ref().and_then(value);
    let needed = |name, value: Option<String>| {
        value.ok_or_else(|| {
            Error::setting(name, "given: the picture of --from does not say", "nothing")
        })
    };
    let masked = (record.as_ref()).is_some_and(|record| record.mask_hash.is_some());
    if masked && !args.mask.is_given() {
        let expected = "the mask of the edit that is repeated, which its picture does not hold";
        return Err(Error::setting("mask", expected, "none"));
    }
    let path = |path: &PathBuf| path.to_string_lossy().into_owned();
    let input = args
        .input
        .as_ref()
        .map(path)
        .or_else(|| from_record(|record| record.input.clone()));
    let precision = args
        .shared
        .precision
        .or(record.as_ref().map(|record| record.precision))
        .unwrap_or_default();
    Ok(Job {
        input: needed("input", input)?.into(),
        links,
        model: ModelChoice::of(&args.shared, record.as_ref())?,
        precision,
        device: device_name(&args.shared),
        count: args.choice.count.unwrap_or(1),
    })
}

/// Where to compute.
pub(crate) fn device_name(args: &SharedArgs) -> String {
    let default = || (*ip2p::DEVICES.first().unwrap_or(&"flex")).to_owned();
    args.device.clone().unwrap_or_else(default)
}

/// The options of the record, or else the defaults, with those of the command line over them.
pub(crate) fn options(args: &EditArgs, record: Option<&EditRecord>) -> Result<EditOptions> {
    let mut options =
        record.map_or_else(|| Ok(EditOptions::default()), EditOptions::from_record)?;
    apply(&mut options, &args.shared);
    take_some!(options, args.choice, text_scale, image_scale);
    match args.choice.seed {
        Some(seed) => options.seed = seed,
        None if record.is_none() => options.seed = new_seed(),
        None => {}
    }
    Ok(options)
}

/// Puts what the command line says over the options.
pub(crate) fn apply(options: &mut EditOptions, args: &SharedArgs) {
    take!(
        options, args, schedule, noise, compat, detail, region, focus
    );
    take_some!(
        options,
        args,
        steps,
        sampler,
        size,
        negative,
        eta,
        fit,
        strength,
        guidance_rescale
    );
    take!(options, args.prompt, prompt_syntax);
    take_some!(options, args.prompt, long_prompt);
    args.short_cuts.apply(options);
    // A new list of sigmas says itself how many there are, whatever the record says.
    if args.schedule.is_some() && args.steps.is_none() && options.schedule.steps().is_some() {
        options.steps = None;
    }
    if args.guidance_rescale.is_none() && (args.region.is_some() || args.compat.is_some()) {
        forget_rescale(options);
    }
    if args.keep_model_size {
        options.output_size = OutputSize::Model;
    }
    if args.low_memory {
        options.branches = BranchExecution::OneByOne;
    }
}

/// Leaves a rescaling to the checkpoint where there is none unless it is asked for: that of a record was for another picture.
pub(crate) fn forget_rescale(options: &mut EditOptions) {
    if !options.takes_rescale() {
        options.guidance_rescale = None;
    }
}

/// A seed that nobody chose: 32 bits, which every tool's seeds have.
pub(crate) fn new_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::time::SystemTime::now()) & u64::from(u32::MAX)
}

/// Where the pictures go, checked before any work is done.
fn outputs(args: &EditArgs, job: &Job) -> Result<Vec<PathBuf>> {
    let first = match &args.output {
        Some(path) => path.clone(),
        None => default_output(&job.input, "edited", job.count),
    };
    ip2p::check_output(&first)?;
    Ok(numbered(&first, job.count))
}

/// Loads the weights, with a bar.
pub(crate) fn load(
    model: Model,
    device: &str,
    precision: Precision,
    progress: Progress,
) -> Result<Editor> {
    let device = device_by_name(device)?;
    let bar = progress.bytes("loading");
    let editor = model.load(&device, precision, &mut |loaded| {
        bar.set_length(loaded.total_bytes);
        bar.set_position(loaded.done_bytes);
    });
    bar.finish_and_clear();
    editor
}

/// Walks the steps, with a bar, until done or stopped.
fn edit(
    editor: &Editor,
    request: &EditRequest<'_>,
    options: &EditOptions,
    progress: Progress,
    stop: &AtomicBool,
) -> Result<(Vec<Edited>, Timings)> {
    let spinner = progress.spinner("reading");
    let mut steps = editor.steps(request, options)?;
    spinner.finish_and_clear();
    let count = steps.steps();
    walk(&mut steps, count, progress, stop)?;
    let spinner = progress.spinner("decoding");
    let edited = steps.finish_timed();
    spinner.finish_and_clear();
    if stop.load(Ordering::Relaxed) {
        return Err(Error::Stopped);
    }
    edited
}

/// Walks the steps of an edit, with a bar.
pub(crate) fn walk(
    steps: &mut dyn Iterator<Item = Result<Step>>,
    count: usize,
    progress: Progress,
    stop: &AtomicBool,
) -> Result<()> {
    let bar = progress.steps("editing");
    bar.set_length(count as u64);
    bar.tick();
    for step in steps {
        step?;
        bar.inc(1);
        if stop.load(Ordering::Relaxed) {
            bar.abandon();
            return Err(Error::Stopped);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// A flag that the first Ctrl-C sets; the second ends the process at once.
pub(crate) fn stop_on_ctrl_c() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    // Without a handler Ctrl-C ends the process at once, which leaves nothing half-written either.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        exit::tell("stopping after this step; once more stops at once");
    });
    stop
}

fn times(load: Duration, timings: &Timings, write: Duration, total: Duration) -> Times {
    Times {
        load_s: load.as_secs_f64(),
        text_s: timings.text.as_secs_f64(),
        encode_s: timings.encode.as_secs_f64(),
        steps_s: timings.steps.iter().map(Duration::as_secs_f64).collect(),
        decode_s: timings.decode.as_secs_f64(),
        write_s: write.as_secs_f64(),
        total_s: total.as_secs_f64(),
    }
}

/// One JSON object, or a line for each picture; warnings go to standard error in any case.
fn print(args: &EditArgs, report: &Report<'_>) -> Result<()> {
    if !args.report.quiet {
        for warning in report.outputs.iter().flat_map(|output| &output.warnings) {
            exit::tell(&format!("warning: {warning}"));
        }
    }
    if args.report.json {
        return output::json(report);
    }
    // The seed is printed even when quiet: without it a picture cannot be made again.
    output::write(|out| {
        report.outputs.iter().try_for_each(|output| {
            // Of several turns the first seed is the one to give again.
            let first = output.settings.earlier.first().unwrap_or(output.settings);
            writeln!(out, "{} (seed {})", output.file.display(), first.seed)
        })
    })
}
