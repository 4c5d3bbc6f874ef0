//! States that another training goes on from, or may not.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use ip2p_testing::fixture;
use ip2p_train::run::{EditRun, EditTraining};

use crate::{copy_checkpoint, run, train};

const RANK: &str = r#"{"rank": 3, "alpha": 6}"#;

fn adapted(output: &Path, lora: &str) -> EditRun {
    let mut run = run(output, 12, 8);
    run.train_text_encoder = false;
    run.lora = Some(serde_json::from_str(lora).unwrap());
    run
}

fn refusal(run: EditRun) -> String {
    let error = EditTraining::open(run, &Device::flex()).unwrap_err();
    error.to_string()
}

#[test]
fn another_adaptation_is_refused_by_what_both_are() {
    let folder = tempfile::tempdir().unwrap();
    drop(train(adapted(folder.path(), RANK), 5));
    for (lora, then, now) in [
        (r#"{"rank": 4, "alpha": 6}"#, "rank 3", "rank 4"),
        // The shapes are the same: nothing else would tell.
        (r#"{"rank": 3, "alpha": 1}"#, "alpha 6", "alpha 1"),
        (
            r#"{"rank": 3, "alpha": 6, "target_modules": ["to_q"]}"#,
            "to_out.0",
            "target_modules to_q",
        ),
    ] {
        let error = refusal(adapted(folder.path(), lora));
        assert!(error.contains(then) && error.contains(now), "{error}");
    }
    let mut whole = adapted(folder.path(), RANK);
    whole.lora = None;
    let error = refusal(whole);
    assert!(
        error.contains("rank 3") && error.contains("lora none"),
        "{error}"
    );
}

#[test]
fn another_checkpoint_of_the_same_shape_is_refused_and_the_same_elsewhere_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    drop(train(adapted(&output, RANK), 5));

    let copy = folder.path().join("copied");
    copy_checkpoint(&fixture("tiny-taesd"), &copy);
    let mut elsewhere = adapted(&output, RANK);
    elsewhere.model.clone_from(&copy);
    let training = EditTraining::open(elsewhere.clone(), &Device::flex()).unwrap();
    assert_eq!(training.steps_done(), 5);

    let path = copy.join("unet/diffusion_pytorch_model.fp16.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap());
    bytes[8 + usize::try_from(header).unwrap()] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = refusal(elsewhere);
    assert!(
        error.contains("tiny-taesd") && error.contains("copied"),
        "{error}"
    );
}

#[test]
fn a_state_that_does_not_say_what_it_was_begun_with_is_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    drop(train(run(folder.path(), 12, 8), 5));
    let path = folder.path().join("state.safetensors");
    let bytes = fs::read(&path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let mut metadata = header.metadata().clone().unwrap();
    metadata.remove("origin").unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let without = safetensors::serialize(tensors.tensors(), Some(metadata)).unwrap();
    fs::write(&path, without).unwrap();
    let training = EditTraining::open(run(folder.path(), 12, 8), &Device::flex()).unwrap();
    assert_eq!(training.steps_done(), 5);
}
