//! Trainings of the U-Net alone.

use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use ip2p::core::CheckpointProfile;
use ip2p::sched::NoiseSchedule;
use ip2p_testing::fixture;
use ip2p_train::edit::{EditBatch, EditDraws, EditLoss, Sentences};
use ip2p_train::parameters;
use ip2p_train::run::{EditRun, EditTraining};

use crate::{copy_checkpoint, numbers, run, train, weights};

fn frozen(output: &Path) -> EditRun {
    EditRun {
        train_text_encoder: false,
        ..run(output, 12, 8)
    }
}

#[test]
fn a_frozen_text_encoder_stays_and_is_not_in_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let before = EditTraining::open(frozen(folder.path()), &Device::flex()).unwrap();
    let before = parameters::values(before.networks());
    let after = train(frozen(folder.path()), 5);
    let after = parameters::values(after.networks());
    for (name, value) in &before {
        let same = numbers(value) == numbers(&after[name]);
        assert_eq!(same, name.starts_with("text_encoder"), "{name}");
    }

    let state = fs::read(folder.path().join("state.safetensors")).unwrap();
    let state = safetensors::SafeTensors::deserialize(&state).unwrap();
    let learnt = before
        .keys()
        .filter(|name| name.starts_with("unet."))
        .count();
    assert!(state.names().iter().all(|name| name.contains("/unet.")));
    // Values, their average, and AdamW's two means.
    assert_eq!(state.len(), 4 * learnt);
}

#[test]
fn a_resumed_training_with_cached_contexts_comes_to_the_same_weights() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let uninterrupted = train(frozen(whole.path()), 12);
    drop(train(frozen(parts.path()), 7));
    let resumed = train(frozen(parts.path()), 12);
    assert_eq!(weights(&uninterrupted), weights(&resumed));
}

#[test]
fn cached_contexts_give_the_loss_and_the_gradients_of_a_text_encoder_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let training = EditTraining::open(frozen(folder.path()), &Device::flex()).unwrap();
    let networks = training.networks();
    let device = Device::flex().autodiff();
    let ids = |first: i64, count: usize| {
        let ids: Vec<i64> = (first..).take(count * 77).map(|id| id % 600).collect();
        Tensor::<2, Int>::from_data(TensorData::new(ids, [count, 77]), &device)
    };
    let (each, empty) = (ids(5, 40), ids(91, 1));
    let encoded = |ids: &Tensor<2, Int>| networks.text_encoder.forward(ids.clone());
    let contexts = Sentences::Contexts {
        each: encoded(&each),
        empty: encoded(&empty),
    };

    let loss = EditLoss::default();
    let schedule = NoiseSchedule::new(&CheckpointProfile::default()).unwrap();
    let draws = EditDraws::new(&loss, &schedule, 40, 4 * 4 * 4, (7, 0));
    let dropped = draws.kept.iter().filter(|kept| !kept.text).count();
    assert!(
        (1..40).contains(&dropped),
        "{dropped} sentences are dropped"
    );
    let latents = Tensor::<4>::ones([40, 4, 4, 4], &device);
    let gradients = |sentences| {
        let batch = EditBatch {
            image_latents: latents.clone(),
            latents: latents.clone() * 0.5,
            mask: Tensor::ones([40, 1, 4, 4], &device),
            sentences,
        };
        let found = loss.loss(networks, &schedule, &batch, &draws);
        let gradients = parameters::gradients(networks, &mut found.backward());
        (found.into_scalar::<f32>(), gradients)
    };
    let (loss, expected) = gradients(Sentences::Ids { each, empty });
    let (cached, found) = gradients(contexts);
    assert_eq!(loss, cached);
    assert_eq!(expected.len(), found.len());
    for (name, gradient) in &expected {
        assert!(name.starts_with("unet."), "{name} is frozen");
        assert_eq!(numbers(gradient), numbers(&found[name]), "{name}");
    }
}

#[test]
fn a_frozen_text_encoder_without_weights_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("untrained");
    copy_checkpoint(&fixture("tiny-taesd"), &model);
    fs::remove_file(model.join("text_encoder/model.fp16.safetensors")).unwrap();
    let mut run = frozen(&folder.path().join("out"));
    run.model = model;
    let error = EditTraining::open(run.clone(), &Device::flex()).unwrap_err();
    assert!(error.to_string().contains("train_text_encoder"), "{error}");
    run.train_text_encoder = true;
    let training = EditTraining::open(run, &Device::flex()).unwrap();
    assert!(training.networks().num_params() > 0);
}

#[test]
fn a_state_with_more_weights_than_are_trained_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(train(run(folder.path(), 5, 8), 5));
    let error = EditTraining::open(frozen(folder.path()), &Device::flex()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("text_encoder.") && message.contains("is not now"),
        "{message}"
    );

    let folder = tempfile::tempdir().unwrap();
    drop(train(frozen(folder.path()), 5));
    let error = EditTraining::open(run(folder.path(), 12, 8), &Device::flex()).unwrap_err();
    assert!(error.to_string().contains("text_encoder."), "{error}");
}
