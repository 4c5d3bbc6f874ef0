//! Trainings whose networks compute in half precision.

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::Device;
use ip2p::Precision;
use ip2p_data::scene::Scenes;
use ip2p_train::StepReport;
use ip2p_train::run::{EditRun, EditTraining};
use safetensors::SafeTensors;

use crate::{run, train, weights};

fn halved(output: &Path) -> EditRun {
    EditRun {
        precision: Precision::Bf16,
        train_text_encoder: true,
        ..run(output, 12, 8)
    }
}

fn reports(run: EditRun, steps: u64) -> Vec<StepReport> {
    let mut training = EditTraining::open(run, &Device::flex()).unwrap();
    let mut reports = Vec::new();
    training
        .train_until(steps, &Scenes::new(5), &mut |report| {
            reports.push(*report);
            ControlFlow::Continue(())
        })
        .unwrap();
    reports
}

#[test]
fn bf16_has_nearly_the_losses_and_gradients_of_f32_and_not_the_same() {
    let (half, full) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let half = reports(halved(half.path()), 5);
    let full = reports(run(full.path(), 12, 8), 5);
    for (half, full) in half.iter().zip(&full) {
        assert_ne!(half.loss, full.loss);
        // Eight bits of mantissa: some parts in a thousand of a sum of many.
        let near = |a: f64, b: f64, most: f64| (a - b).abs() <= most * b;
        assert!(near(half.loss, full.loss, 0.02), "{half:?} {full:?}");
        assert!(
            near(half.grad_norm, full.grad_norm, 0.1),
            "{half:?} {full:?}"
        );
    }
}

#[test]
fn the_weights_that_learn_stay_f32_and_a_resumed_training_comes_to_the_same() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let uninterrupted = train(halved(whole.path()), 12);
    drop(train(halved(parts.path()), 7));
    let resumed = train(halved(parts.path()), 12);
    assert_eq!(weights(&uninterrupted), weights(&resumed));
}

#[test]
fn low_rank_factors_learn_in_bf16() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = halved(folder.path());
    run.lora = Some(serde_json::from_str("{}").unwrap());
    drop(train(run, 5));
    let state = std::fs::read(folder.path().join("state.safetensors")).unwrap();
    let state = SafeTensors::deserialize(&state).unwrap();
    let moved = state.tensors().into_iter().filter(|(name, view)| {
        name.starts_with("value/") && view.data().iter().any(|&byte| byte != 0)
    });
    // Both factors of every pair: one began at zero.
    let values = state
        .names()
        .iter()
        .filter(|name| name.starts_with("value/"))
        .count();
    assert_eq!(moved.count(), values);
}

#[test]
fn f16_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = EditRun {
        precision: Precision::F16,
        ..halved(folder.path())
    };
    let error = EditTraining::open(run, &Device::flex()).unwrap_err();
    assert!(error.to_string().contains("bf16"), "{error}");
}
