//! Trainings on pictures of several shapes.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::Device;
use image::{Rgb, RgbImage};
use ip2p::io::{Checkpoint, Component};
use ip2p::models::vae::AutoencoderConfig;
use ip2p_data::Source;
use ip2p_testing::fixture;
use ip2p_train::pool::{Encoders, Pool, PoolOptions};
use ip2p_train::run::{EditRun, EditTraining};
use ip2p_train::source::{self, SourceOptions};

use crate::{run, weights};

/// A data set of pictures in three shapes, half of them square.
fn pictures(folder: &Path) -> Box<dyn Source> {
    let mut lines = Vec::new();
    for (at, (width, height)) in [(64, 64), (64, 64), (96, 40), (40, 96)]
        .into_iter()
        .enumerate()
    {
        for (name, blue) in [("in", 40), ("out", 200)] {
            let picture = RgbImage::from_fn(width, height, |x, y| {
                Rgb([
                    u8::try_from(x * 2).unwrap(),
                    u8::try_from(y * 2).unwrap(),
                    blue,
                ])
            });
            picture
                .save(folder.join(format!("{name}{at}.png")))
                .unwrap();
        }
        let line = serde_json::json!({
            "input": format!("in{at}.png"),
            "instruction": format!("edit {at}"),
            "output": format!("out{at}.png"),
        });
        lines.push(line.to_string());
    }
    fs::write(folder.join("pairs.jsonl"), lines.join("\n")).unwrap();
    let data = serde_json::json!([{"source": "folder", "path": folder, "split": "all"}]);
    let data: Vec<SourceOptions> = serde_json::from_value(data).unwrap();
    source::open(&data, 3).unwrap()
}

fn bucketed(output: &Path) -> EditRun {
    let mut run = run(output, 12, 8);
    (run.pool.size, run.pool.stride, run.batch) = (64, 3, 2);
    run.trainer.accumulate = 2;
    run
}

fn train(run: EditRun, source: &dyn Source, until: u64) -> EditTraining {
    let mut training = EditTraining::open(run, &Device::flex()).unwrap();
    training
        .train_until(until, source, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    training
}

#[test]
fn a_resumed_training_in_buckets_comes_to_the_same_weights() {
    let data = tempfile::tempdir().unwrap();
    let source = pictures(data.path());
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let uninterrupted = train(bucketed(whole.path()), source.as_ref(), 12);
    drop(train(bucketed(parts.path()), source.as_ref(), 7));
    let resumed = train(bucketed(parts.path()), source.as_ref(), 12);
    assert_eq!(weights(&uninterrupted), weights(&resumed));
}

#[test]
fn each_shape_has_batches_of_its_own_in_proportion_to_its_examples() {
    let data = tempfile::tempdir().unwrap();
    let source = pictures(data.path());
    let device = Device::flex();
    let checkpoint = Checkpoint::open(fixture("tiny-taesd")).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let config = AutoencoderConfig::from_json(checkpoint.config(Component::Vae)).unwrap();
    let vae = config.init(&device);
    let encoders = Encoders {
        vae: &vae,
        tokenizer: &tokenizer,
        text_encoder: None,
    };
    let options = PoolOptions {
        shard: 16,
        shards: 2,
        stride: 1000,
        size: 64,
        bucket_step: Some(16),
    };
    let buckets = options.buckets(8).unwrap();
    let mut pool = Pool::new(source.as_ref(), encoders, options, buckets, &device).unwrap();
    let mut shapes = BTreeSet::new();
    let mut squares = 0;
    for seed in 0..400 {
        let batch = pool.batch(0, 5, seed).unwrap();
        let [count, channels, height, width] = batch.latents.dims();
        assert_eq!(batch.image_latents.dims(), [count, channels, height, width]);
        assert_eq!(batch.mask.dims(), [count, 1, height, width]);
        assert_eq!(count, 5);
        squares += usize::from(height == width);
        shapes.insert((width, height));
    }
    assert_eq!(shapes.len(), 3, "{shapes:?}");
    // Half of the examples.
    assert!((160..240).contains(&squares), "{squares} of 400");
}

#[test]
fn a_step_that_the_networks_or_the_size_do_not_allow_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for step in [0, 3, 24] {
        let mut run = bucketed(folder.path());
        run.pool.bucket_step = Some(step);
        let error = EditTraining::open(run, &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("pool.bucket_step"), "{error}");
    }
}
