//! `ip2p train`: training a model and measuring one.

mod shown;

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use indicatif::ProgressBar;
use ip2p::{Device, Editor, Error, Precision, Result, device_by_name};
use ip2p_data::photo::Photos;
use ip2p_data::scene::Scenes;
use ip2p_data::{Phrasing, Source, effect};
use ip2p_train::eval::{EvalOptions, evaluate, evaluate_where};
use ip2p_train::run::Run;
use ip2p_train::tokenizer;

use self::shown::Shown;
use crate::args::{EvalArgs, TrainArgs, TrainCommand};
use crate::edit::stop_on_ctrl_c;
use crate::exit::tell;
use crate::model;

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
        #[cfg(feature = "remote")]
        Some(TrainCommand::Lend { device, port }) => lend(device, *port),
        None => train(args),
    }
}

fn train(args: &TrainArgs) -> Result<()> {
    let path = args.run.as_ref().expect("clap asks for it");
    let run = Run::read(path)?;
    let devices = devices(&args.device)?;
    for note in run.notes()? {
        tell(&note);
    }
    let stop = stop_on_ctrl_c();
    let mut shown = Shown::new(args, run.steps());
    let trained = run.train(&devices, &mut |report| {
        if stop.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        shown.step(report)
    });
    drop(shown);
    if matches!(trained, Err(Error::Stopped)) {
        tell("its state is saved; the same command goes on");
    }
    let skipped = trained?;
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

fn devices(names: &[String]) -> Result<Vec<Device>> {
    names.iter().map(|name| device_by_name(name)).collect()
}

/// Lends devices until Ctrl-C.
#[cfg(feature = "remote")]
fn lend(names: &[String], port: u16) -> Result<()> {
    let devices = devices(names)?;
    tell(&format!("lending {} on port {port}", names.join(", ")));
    ip2p::lend(devices, port)
}

fn eval(args: &EvalArgs) -> Result<()> {
    let model = model::local(&args.model, Precision::F32, false, None)?;
    let editor = Editor::load(model, &device_by_name(&args.device)?)?;
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
        std::fs::write(path, &table).map_err(|error| Error::io(path, error))?;
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
