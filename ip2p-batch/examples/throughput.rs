//! How near a batch comes to the bare compute of its edits: the same photos through `Editor::edit`, decoded beforehand and not
//! written, and through a batch, in turn.
//!
//! ```sh
//! cargo run --release -p ip2p-batch --example throughput -- ip2p-tiny/model examples/photo.jpg 12 5
//! ```
//!
//! The arguments are the model, a photo, how many copies of it make a batch, and how often both are measured.

use std::fs;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ip2p::{EditOptions, Editor, Model, Photo, Precision, device_by_name};
use ip2p_batch::{Batch, Defaults, Jobs, Worker};

const SENTENCE: &str = "make it snowy";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [model, photo, count, rounds] = arguments.as_slice() else {
        anyhow::bail!("give a model, a photo, how many copies and how many rounds");
    };
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("in"))?;
    for index in 0..count.parse::<u32>()? {
        let copy = fs::read(photo)?;
        fs::write(folder.path().join(format!("in/{index:03}.jpg")), copy)?;
    }
    let model = Model::open(model)?;
    let editor = model
        .clone()
        .load(&device_by_name("flex")?, Precision::F32, &mut |_| ())?;
    let worker = Worker::new(editor, "flex");
    let editor = model
        .clone()
        .load(&device_by_name("flex")?, Precision::F32, &mut |_| ())?;
    beside(&editor, photo, folder.path())?;

    let mut ratios = Vec::new();
    for round in 0..rounds.parse()? {
        let bare = bare(&editor, photo, count.parse()?)?;
        let input = folder.path().join("in").to_string_lossy().into_owned();
        let defaults = Defaults::default().with_instruction(SENTENCE);
        let jobs = Jobs::open(&[input], &defaults)?;
        let plan = Batch::new(jobs, folder.path().join(format!("out{round}")))
            .plan(&model, Precision::F32)?;
        let started = Instant::now();
        plan.run(std::slice::from_ref(&worker), &mut |_| {
            ControlFlow::Continue(())
        })?;
        let batch = started.elapsed();
        ratios.push(batch.as_secs_f64() / bare.as_secs_f64());
        println!(
            "bare {bare:.2?}, batch {batch:.2?}: {:.3}",
            ratios[ratios.len() - 1]
        );
    }
    ratios.sort_by(f64::total_cmp);
    let [least, median, most] = [0, ratios.len() / 2, ratios.len() - 1].map(|at| ratios[at]);
    println!("batch / bare: median {median:.3}, from {least:.3} to {most:.3}");
    Ok(())
}

/// The sum of the edits alone.
fn bare(editor: &Editor, photo: &str, count: u32) -> anyhow::Result<Duration> {
    let photo = Photo::open(photo)?;
    let started = Instant::now();
    for _ in 0..count {
        editor.edit(&photo, SENTENCE, &EditOptions::default())?;
    }
    Ok(started.elapsed())
}

/// What a batch does beside its edits, measured alone.
fn beside(editor: &Editor, photo: &str, folder: &std::path::Path) -> anyhow::Result<()> {
    let started = Instant::now();
    let decoded = Photo::open(photo)?;
    let read = started.elapsed();
    let edited = editor.edit(&decoded, SENTENCE, &EditOptions::default())?;
    let started = Instant::now();
    edited.save(folder.join("one.png"))?;
    println!(
        "one photo of {}: read in {read:.1?}, written in {:.1?}",
        decoded.size(),
        started.elapsed()
    );
    Ok(())
}
