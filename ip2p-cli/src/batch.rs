//! `ip2p batch`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use ip2p::{EditOptions, Error, Model, Precision, Result};
use ip2p_batch::{Batch, Defaults, Event, Existing, Failure, Jobs, Made, Plan, Worker, write_page};
use serde::Serialize;

use crate::args::BatchArgs;
use crate::budget::{Budget, Kept};
use crate::device::{guarded, leave_panics_to_the_batch};
use crate::edit::{apply, device_name, load, stop_on_ctrl_c, take_some};
use crate::model::{ModelChoice, open_model};
use crate::progress::Progress;
use crate::{exit, memory, output};

/// How many pictures run together on a GPU, where nobody says.
const GPU_BATCH: usize = 4;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    folder: &'a Path,
    /// Null if nothing was ever made here.
    page: Option<PathBuf>,
    /// The pictures of this run, as the manifest has them.
    made: &'a [Made],
    /// How many were there already.
    already: usize,
    failed: &'a [Failure],
    device: &'a str,
    load_s: f64,
    total_s: f64,
    /// Null without a budget.
    memory: Option<Kept>,
    /// Null where the system does not tell.
    peak_memory_bytes: Option<u64>,
}

/// Runs the command.
pub(crate) fn run(args: &BatchArgs) -> Result<()> {
    let started = Instant::now();
    let stop = stop_on_ctrl_c();
    let (inputs, defaults) = jobs(args)?;
    let device = device_name(&args.shared);
    let devices: Vec<&str> = device.split(',').map(str::trim).collect();
    let on_cpu = devices.iter().all(|name| name.starts_with("flex"));
    let batch = Batch::new(Jobs::open(&inputs, &defaults)?, &args.output)
        .with_size(args.batch.unwrap_or(if on_cpu { 1 } else { GPU_BATCH }))
        .with_shard(args.shard.unwrap_or_default())
        .with_existing(if args.redo {
            Existing::Redo
        } else {
            Existing::Refuse
        });
    let model = open_model(
        &ModelChoice::of(&args.shared, None)?,
        args.report.quiet,
        &stop,
    )?;
    let precision = args.shared.precision.unwrap_or_default();
    let progress = Progress::new(args.report.quiet);
    let spinner = progress.spinner("reading");
    let plan = batch.plan(&model, precision);
    spinner.finish_and_clear();
    let plan = plan?;
    tell_plan(args, &plan);
    let budget = Budget {
        bytes: args.shared.max_memory,
        device: &device,
        precision,
        quiet: args.report.quiet,
    };
    // What a device is named twice for is done there at the same time.
    let times = |name: &&str| devices.iter().filter(|other| *other == name).count();
    let at_once = devices.iter().map(times).max().unwrap_or(1);
    let edits = plan
        .memory_edits()
        .map(|edit| edit.with_beside(2).with_at_once(at_once));
    let (model, kept) = budget.keep(model, &edits.collect::<Vec<_>>())?;

    let mut loading = Duration::ZERO;
    let done = if plan.to_make() == 0 {
        plan.without_work()
    } else {
        let started = Instant::now();
        let workers = workers(&model, &devices, precision, progress)?;
        loading = started.elapsed();
        leave_panics_to_the_batch();
        let bar = progress.pictures(plan.to_make());
        let done = plan.run(&workers, &mut |event| hear(args, &bar, &stop, &event));
        bar.finish_and_clear();
        done?
    };
    // Where no picture was ever made there is no folder.
    let page = if args.output.is_dir() {
        Some(write_page(&args.output)?)
    } else {
        None
    };
    let report = Report {
        folder: &args.output,
        page,
        made: &done.made,
        already: done.already,
        failed: &done.failures,
        device: &device,
        load_s: loading.as_secs_f64(),
        total_s: started.elapsed().as_secs_f64(),
        memory: kept.as_ref().map(Kept::of),
        peak_memory_bytes: memory::peak_bytes(),
    };
    finish(args, &report)
}

/// The devices with the model on each; one that is named twice does two things at a time with the same weights.
fn workers(
    model: &Model,
    devices: &[&str],
    precision: Precision,
    progress: Progress,
) -> Result<Vec<Worker>> {
    let mut workers: Vec<Worker> = Vec::new();
    for (index, &device) in devices.iter().enumerate() {
        let same = devices[..index].iter().position(|&name| name == device);
        let worker = if let Some(same) = same {
            workers[same].clone()
        } else {
            let load = || load(model.clone(), device, precision, progress);
            Worker::new(guarded(Some(device), load)?, device)
        };
        workers.push(worker);
    }
    Ok(workers)
}

/// What the command line says is to be done: where the photos are, and what holds for all of them.
fn jobs(args: &BatchArgs) -> Result<(Vec<String>, Defaults)> {
    let mut inputs = args.inputs.clone();
    let mut defaults = Defaults::default();
    if inputs.len() > 1 {
        let sentence = inputs.pop().expect("there are two or more");
        // A shell that has put names in the place of a pattern leaves the sentence's place to a photo.
        if Path::new(&sentence).exists() {
            let expected = "the last argument, and a sentence";
            return Err(Error::setting(
                "instruction",
                expected,
                format!("the file {sentence}"),
            ));
        }
        defaults = defaults.with_instruction(sentence);
    }
    let mut options = EditOptions::default();
    apply(&mut options, &args.shared);
    take_some!(options, args.choice, text_scale, image_scale);
    options.seed = args.choice.seed.unwrap_or_default();
    let count = args.choice.count.unwrap_or(1);
    Ok((inputs, defaults.with_options(options).with_count(count)))
}

/// Says what is known before anything is done.
fn tell_plan(args: &BatchArgs, plan: &Plan) {
    for failure in plan.failures() {
        tell_failure(failure);
    }
    if args.report.quiet {
        return;
    }
    let (already, to_make) = (plan.already(), plan.to_make());
    if already > 0 {
        exit::tell(&format!(
            "{already} pictures are there already, {to_make} are to be made"
        ));
    }
    if plan.replaced() > 0 {
        let replaced = plan.replaced();
        exit::tell(&format!(
            "{replaced} pictures that are there are made again"
        ));
    }
}

/// Failures are told even when quiet: they are why the exit code is not 0.
fn tell_failure(failure: &Failure) {
    exit::tell(&format!("error: {}: {}", failure.place, failure.reason));
}

/// One line about a device that is gone.
fn tell_lost(device: &str, reason: &str, left: usize) {
    let then = match left {
        0 => "no device is left".to_owned(),
        1 => "its photos go to the other device".to_owned(),
        left => format!("its photos go to the {left} others"),
    };
    exit::tell(&format!("error: device {device} is lost: {reason}; {then}"));
}

/// Shows what happens, and says whether to go on.
fn hear(
    args: &BatchArgs,
    bar: &ProgressBar,
    stop: &AtomicBool,
    event: &Event<'_>,
) -> ControlFlow<()> {
    match event {
        Event::Begin { .. } => bar.set_message("reading"),
        Event::Step { index, steps } => bar.set_message(format!("step {} of {steps}", index + 1)),
        Event::Made(made) => {
            bar.inc(1);
            bar.suspend(|| tell_made(args, made));
        }
        Event::Failed(failure) => {
            bar.inc(failure.outputs.len() as u64);
            bar.suspend(|| tell_failure(failure));
        }
        // Told even when quiet, as a failure is.
        Event::Lost {
            device,
            reason,
            left,
        } => bar.suspend(|| tell_lost(device, reason, *left)),
        _ => {}
    }
    if stop.load(Ordering::Relaxed) {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// A line for each picture, as soon as it is there.
fn tell_made(args: &BatchArgs, made: &Made) {
    if !args.report.quiet {
        for warning in &made.warnings {
            exit::tell(&format!("warning: {}: {warning}", made.output));
        }
    }
    if !args.report.json {
        let file = args.output.join(&made.output);
        // Whoever does not listen any more wants the pictures all the same.
        let _ =
            output::write(|out| writeln!(out, "{} (seed {})", file.display(), made.settings.seed));
    }
}

/// One JSON object or nothing, and an error if not all was done.
fn finish(args: &BatchArgs, report: &Report<'_>) -> Result<()> {
    if args.report.json {
        output::json(report)?;
    }
    let Some(first) = report.failed.first() else {
        return Ok(());
    };
    let jobs = report.failed.len();
    let pictures = report.made.len() + report.already;
    let what = format!(
        "{jobs} jobs could not be done, the first of them {}",
        first.place
    );
    let what = format!("{pictures} pictures are there; {what}");
    Err(Error::other(what, first.reason.clone()))
}
