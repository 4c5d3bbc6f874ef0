//! `ip2p train`: training a model and measuring one.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use ip2p::{Editor, Result, device_by_name};
use ip2p_data::photo::Photos;
use ip2p_data::scene::Scenes;
use ip2p_data::{Phrasing, Source, effect};
use ip2p_train::eval::{EvalOptions, evaluate, evaluate_where};
use ip2p_train::run::Run;
use ip2p_train::tokenizer;

use crate::args::{EvalArgs, TrainArgs, TrainCommand};
use crate::exit::tell;

/// Steps from one line of a log to the next, where there is no terminal.
const LINE_EVERY: u64 = 50;

/// How many broken records are named.
const SHOWN: usize = 20;

pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    match &args.command {
        Some(TrainCommand::Eval(args)) => eval(args),
        Some(TrainCommand::Tokenizer { folder, size }) => {
            tokenizer::learn(sentences().iter().map(String::as_str), *size, 77, folder)?;
            println!("{}", folder.display());
            Ok(())
        }
        None => train(args),
    }
}

fn train(args: &TrainArgs) -> Result<()> {
    let path = args.run.as_ref().expect("clap asks for it");
    let run = Run::read(path)?;
    let device = device_by_name(&args.device)?;
    for note in run.notes()? {
        tell(&note);
    }
    let bar = bar(run.steps(), args.quiet);
    // What is shown is the mean since it was last shown: the loss of one step jumps with its noise levels.
    let (mut sum, mut count) = (0.0, 0.0);
    let skipped = run.train(&device, &mut |report| {
        sum += report.loss;
        count += 1.0;
        bar.set_position(report.step + 1);
        if !(report.step + 1).is_multiple_of(LINE_EVERY) {
            return;
        }
        let line = format!(
            "loss {:.5}, gradient {:.2}, learning rate {:.1e}",
            sum / count,
            report.grad_norm,
            report.learning_rate
        );
        (sum, count) = (0.0, 0.0);
        if bar.is_hidden() && !args.quiet {
            tell(&format!(
                "step {} of {}: {line}",
                report.step + 1,
                run.steps()
            ));
        } else {
            bar.set_message(line);
        }
    })?;
    bar.finish();
    if !skipped.is_empty() {
        tell(&format!(
            "{} broken records or pictures were passed over:",
            skipped.len()
        ));
        for name in skipped.iter().take(SHOWN) {
            tell(&format!("  {name}"));
        }
    }
    println!("{}", run.output().join("model").display());
    Ok(())
}

fn bar(length: u64, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{bar:24} {pos} of {len}, {per_sec}, {eta} left  {msg}";
    let style = ProgressStyle::with_template(style).expect("the template is well-formed");
    let bar = ProgressBar::new(length).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn eval(args: &EvalArgs) -> Result<()> {
    let editor = Editor::load(&args.model, &device_by_name(&args.device)?)?;
    let mut options = EvalOptions::default();
    (options.scenes, options.photos, options.size) = (args.scenes, args.crops, args.size);
    let photos = args
        .photos
        .as_ref()
        .map(|folder| Photos::open(folder, options.seed))
        .transpose()?;
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new_spinner().with_message("edits")
    } else {
        ProgressBar::hidden()
    };
    let progress = &mut |done| bar.set_position(done as u64);
    let table = match args.region {
        Some(region) => evaluate_where(&editor, region, &options, progress)?.to_markdown(),
        None => evaluate(&editor, photos.as_ref(), &options, progress)?.to_markdown(),
    };
    bar.finish_and_clear();
    if let Some(path) = &args.output {
        std::fs::write(path, &table).map_err(|error| ip2p::Error::io(path, error))?;
    }
    print!("{table}");
    Ok(())
}

/// What the tiny model is told: of scenes and of effects, in the ways of training.
fn sentences() -> Vec<String> {
    const SCENES: u64 = 20_000;
    const EFFECTS: u64 = 4_000;
    let scenes = Scenes::new(1);
    let of_scenes = (0..SCENES).map(|index| scenes.example(index, 16).instruction);
    let mut rng = ip2p_data::rng(5, 0);
    let of_effects = (0..EFFECTS).map(|_| {
        let effect = effect::sample(&mut rng);
        effect::sentence(effect, Phrasing::Training, &mut rng)
    });
    of_scenes.chain(of_effects).collect()
}
