//! From the first step to a checkpoint that edits.

use std::ops::ControlFlow;

use burn::tensor::Device;
use ip2p::core::PredictionType;
use ip2p::{EditOptions, Editor, Error, Photo};
use ip2p_data::scene::Scenes;
use ip2p_testing::fixture;
use ip2p_train::run::{EditRun, EditTraining};

use crate::{run, train, weights};

#[test]
fn a_resumed_training_comes_to_the_same_weights_as_one_that_was_never_stopped() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let uninterrupted = train(run(whole.path(), 12, 8), 12);
    // Killed after step 7: what was saved after step 5 is what there is.
    drop(train(run(parts.path(), 12, 8), 7));
    let resumed = EditTraining::open(run(parts.path(), 12, 8), &Device::flex()).unwrap();
    assert_eq!(resumed.steps_done(), 5);
    let resumed = train(run(parts.path(), 12, 8), 12);
    assert_eq!(weights(&uninterrupted), weights(&resumed));
}

#[test]
fn trainings_of_one_seed_come_to_the_same_weights_whatever_the_process_has_drawn() {
    let train = || {
        let folder = tempfile::tempdir().unwrap();
        let mut run = run(folder.path(), 3, 8);
        run.trainer.accumulate = 2;
        run.loss.mask_weight = 1.0;
        weights(&train(run, 3))
    };
    let first = train();
    assert!(first.iter().any(|(name, _)| name == "mask_head.bias"));
    assert_eq!(first, train());
}

#[test]
fn a_state_of_another_model_is_refused_by_the_names_of_both() {
    let folder = tempfile::tempdir().unwrap();
    drop(train(run(folder.path(), 5, 8), 5));
    let mut other = run(folder.path(), 5, 8);
    other.model = fixture("tiny-ip2p");
    other.loss.prediction = PredictionType::Epsilon;
    let error = EditTraining::open(other, &Device::flex()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("tiny-taesd") && error.contains("tiny-ip2p"),
        "{error}"
    );
}

#[test]
fn a_training_that_is_asked_to_stop_saves_its_state_and_goes_on_to_the_same_weights() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let uninterrupted = train(run(whole.path(), 8, 8), 8);
    let mut training = EditTraining::open(run(parts.path(), 8, 8), &Device::flex()).unwrap();
    let stopped = training.train(&Scenes::new(5), &mut |report| {
        if report.step == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
    let resumed = EditTraining::open(run(parts.path(), 8, 8), &Device::flex()).unwrap();
    assert_eq!(resumed.steps_done(), 3);
    assert_eq!(
        weights(&uninterrupted),
        weights(&train(run(parts.path(), 8, 8), 8))
    );
}

#[test]
fn what_was_trained_is_a_checkpoint_that_edits() {
    let folder = tempfile::tempdir().unwrap();
    drop(train(run(folder.path(), 5, 8), 5));
    let editor = Editor::load(folder.path().join("model"), &Device::flex()).unwrap();
    let photo = Photo::open(fixture("../../../examples/photo.jpg")).unwrap();
    let edited = editor
        .edit(&photo, "make it snowy", &EditOptions::default())
        .unwrap();
    assert_eq!(edited.photo.size(), photo.size());
}

#[test]
fn a_sheet_of_samples_is_drawn_with_each_saved_state() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run(folder.path(), 5, 8);
    run.samples = 3;
    run.data = serde_json::from_str(r#"[{"source": "scenes"}]"#).unwrap();
    drop(train(run, 5));
    let sheet = folder.path().join("samples/step-0000005.png");
    assert!(Photo::open(sheet).unwrap().size().width > 3 * 32);
}

#[test]
fn eight_pairs_are_learnt_by_heart() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run(folder.path(), 400, 8);
    run.pool.stride = 10_000;
    run.batch = 8;
    run.trainer.learning_rate.peak = 5e-3;
    run.save_every = 10_000;
    let mut training = EditTraining::open(run, &Device::flex()).unwrap();
    let mut losses = Vec::new();
    training
        .train_until(400, &Scenes::new(5), &mut |report| {
            losses.push(report.loss);
            ControlFlow::Continue(())
        })
        .unwrap();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&losses[..5]), mean(&losses[380..]));
    assert!(last < 0.25 * first, "{first} at first, {last} at last");
}

#[test]
fn a_checkpoint_of_stable_diffusion_xl_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = EditRun {
        model: fixture("tiny-sdxl"),
        ..run(folder.path(), 4, 8)
    };
    let error = EditTraining::open(run, &Device::flex())
        .unwrap_err()
        .to_string();
    let expected = "model must be a checkpoint of Stable Diffusion 1 or 2";
    assert!(error.starts_with(expected), "{error}");
}
