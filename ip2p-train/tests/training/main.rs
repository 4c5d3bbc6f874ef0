//! Trainings of a tiny network.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod buckets;
mod checkpointing;
mod frozen;
mod lora;
mod origin;
mod precision;
mod whole;
mod widened;

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use ip2p::Precision;
use ip2p_data::scene::Scenes;
use ip2p_testing::fixture;
use ip2p_train::parameters;
use ip2p_train::pool::PoolOptions;
use ip2p_train::run::{EditRun, EditTraining};
use ip2p_train::{LearningRate, TrainerOptions};

/// A training of the random network of the fixtures on very few examples.
fn run(output: &Path, steps: u64, examples: usize) -> EditRun {
    EditRun {
        model: fixture("tiny-taesd"),
        output: output.to_owned(),
        data: Vec::new(),
        batch: 4,
        seed: 3,
        train_text_encoder: true,
        lora: None,
        gradient_checkpointing: false,
        precision: Precision::F32,
        pool: PoolOptions {
            shard: examples / 2,
            shards: 2,
            stride: 4,
            size: 32,
            bucket_step: None,
        },
        loss: serde_json::from_str(r#"{"prediction": "v_prediction", "condition_dropout": 0.05}"#)
            .unwrap(),
        trainer: TrainerOptions {
            steps,
            learning_rate: LearningRate {
                peak: 2e-3,
                warm_up: 2,
                floor: 1.0,
            },
            adamw: serde_json::from_str("{}").unwrap(),
            max_grad_norm: Some(1.0),
            ema_decay: 0.9,
            accumulate: 1,
        },
        save_every: 5,
        samples: 0,
    }
}

fn numbers(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.to_data().try_into_vec::<f32>().unwrap()
}

/// The weights by name, and then their averages.
fn weights(training: &EditTraining) -> Vec<(String, Vec<f32>)> {
    let values = parameters::values(training.networks());
    let means = parameters::values(&training.averaged());
    let named = values.iter().chain(&means);
    named
        .map(|(name, value)| (name.clone(), numbers(value)))
        .collect()
}

/// Trains until `steps`; the run itself may be longer, as of one that was killed.
fn train(run: EditRun, until: u64) -> EditTraining {
    let mut training = EditTraining::open(run, &Device::flex()).unwrap();
    training
        .train_until(until, &Scenes::new(5), &mut |_| ControlFlow::Continue(()))
        .unwrap();
    training
}

/// Copies a checkpoint, to be changed.
fn copy_checkpoint(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_checkpoint(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
