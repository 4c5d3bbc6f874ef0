//! Low-rank adaptations.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use half::f16;
use ip2p_testing::fixture;
use ip2p_train::parameters;
use ip2p_train::run::{EditRun, EditTraining};
use safetensors::tensor::{Dtype, SafeTensors};

use crate::{copy_checkpoint, numbers, run, train, weights};

/// Linear layers, and convolutions of one pixel and of nine.
const TARGETS: &str = r#"{"rank": 3, "alpha": 6, "target_modules": ["to_q", "to_out.0", "ff.net.0.proj", "proj_in", "conv_in"]}"#;

fn adapted(output: &Path) -> EditRun {
    let mut run = run(output, 12, 8);
    run.train_text_encoder = false;
    run.lora = Some(serde_json::from_str(TARGETS).unwrap());
    run
}

fn opened(run: &EditRun) -> EditTraining {
    EditTraining::open(run.clone(), &Device::flex()).unwrap()
}

/// The tensors of a file, shapes and numbers.
fn read(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let bytes = fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |dtype, data: &[u8]| -> Vec<f32> {
        if dtype == Dtype::F16 {
            let halves = data.as_chunks::<2>().0.iter();
            halves
                .map(|&half| f16::from_le_bytes(half).to_f32())
                .collect()
        } else {
            let floats = data.as_chunks::<4>().0.iter();
            floats.map(|&float| f32::from_le_bytes(float)).collect()
        }
    };
    tensors
        .iter()
        .map(|(name, view)| {
            let values = numbers(view.dtype(), view.data());
            (name.to_owned(), (view.shape().to_vec(), values))
        })
        .collect()
}

#[test]
fn only_the_factors_are_trained_and_written_to_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let before = parameters::values(opened(&adapted(folder.path())).networks());
    let after = parameters::values(train(adapted(folder.path()), 5).networks());
    for (name, value) in &before {
        let same = numbers(value) == numbers(&after[name]);
        assert_eq!(same, !name.contains(".lora."), "{name}");
    }
    let state = read(&folder.path().join("state.safetensors"));
    let factors = before.keys().filter(|name| name.contains(".lora.")).count();
    assert!(factors > 20, "{factors} factors");
    assert!(state.keys().all(|name| name.contains(".lora.")));
    assert_eq!(state.len(), 4 * factors);
}

#[test]
fn a_resumed_adaptation_comes_to_the_same_weights() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let uninterrupted = train(adapted(whole.path()), 12);
    drop(train(adapted(parts.path()), 7));
    let resumed = train(adapted(parts.path()), 12);
    assert_eq!(weights(&uninterrupted), weights(&resumed));
}

#[test]
fn an_adapted_text_encoder_learns_and_is_written_as_diffusers_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = adapted(folder.path());
    run.train_text_encoder = true;
    let before = parameters::values(opened(&run).networks());
    let after = parameters::values(train(run, 5).networks());
    for (name, value) in &before {
        let same = numbers(value) == numbers(&after[name]);
        assert_eq!(same, !name.contains(".lora."), "{name}");
    }

    let file = folder.path().join("pytorch_lora_weights.safetensors");
    let factors = read(&file);
    let layer = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj";
    let (a, _) = &factors[&format!("{layer}.lora_A.weight")];
    let (b, _) = &factors[&format!("{layer}.lora_B.weight")];
    assert_eq!((a[0], b[1]), (3, 3));
    let of_text = factors
        .keys()
        .filter(|key| key.starts_with("text_encoder."));
    // A and B of four matrices of each layer.
    assert_eq!(of_text.count() % 8, 0);
    let bytes = fs::read(&file).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    let settings: serde_json::Value =
        serde_json::from_str(&metadata["lora_adapter_metadata"]).unwrap();
    assert_eq!(settings["text_encoder.r"], 3);
    assert_eq!(settings["text_encoder.lora_alpha"], 6.0);

    // What is merged is not what it was. A checkpoint's keys may lack their prefix.
    let weights = |folder: &Path| -> BTreeMap<String, _> {
        let read = read(&folder.join("text_encoder/model.fp16.safetensors"));
        read.into_iter()
            .map(|(key, values)| (key.trim_start_matches("text_model.").to_owned(), values))
            .collect()
    };
    let base = weights(&fixture("tiny-taesd"));
    let merged = weights(&folder.path().join("model"));
    assert!(base.keys().eq(merged.keys()));
    let changed = base.iter().filter(|(key, values)| merged[*key] != **values);
    let changed: Vec<_> = changed.map(|(key, _)| key.as_str()).collect();
    assert!(!changed.is_empty());
    assert!(
        changed.iter().all(|key| key.ends_with("_proj.weight")),
        "{changed:?}"
    );
}

#[test]
fn the_first_factors_follow_from_the_seed_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = adapted(folder.path());
    let factors = |run: &EditRun| -> BTreeMap<String, Vec<f32>> {
        let values = parameters::trained(opened(run).networks());
        values
            .iter()
            .map(|(name, value)| (name.clone(), numbers(value)))
            .collect()
    };
    let first = factors(&run);
    assert_eq!(first, factors(&run));
    let other = EditRun { seed: 4, ..run };
    assert_ne!(first, factors(&other));
    // Of each pair one is zero, and the other is not.
    let pairs = first
        .iter()
        .filter_map(|(name, a)| Some((name.strip_suffix("lora.a")?, a)));
    for (name, a) in pairs {
        let b = &first[&format!("{name}lora.b")];
        let zero = |factor: &[f32]| factor.iter().all(|&x| x == 0.0);
        assert!(zero(a) != zero(b), "{name}");
    }
    // 1 / √fan_in, of eight channels and nine pixels.
    let widest = first["unet.conv_in.weight.lora.b"]
        .iter()
        .fold(0.0_f32, |most, x| most.max(x.abs()));
    assert!((0.9..1.0).contains(&(widest * 72_f32.sqrt())), "{widest}");
}

#[test]
fn the_written_checkpoint_is_the_first_with_the_written_factors_merged() {
    let folder = tempfile::tempdir().unwrap();
    drop(train(adapted(folder.path()), 5));
    let file = "unet/diffusion_pytorch_model.fp16.safetensors";
    let base = read(&fixture("tiny-taesd").join(file));
    let merged = read(&folder.path().join("model").join(file));
    let factors = read(&folder.path().join("pytorch_lora_weights.safetensors"));
    let rank = 3;
    let mut adapted = 0;
    assert!(base.keys().eq(merged.keys()));
    for (name, (shape, weight)) in &base {
        let layer = name.trim_end_matches(".weight");
        let factor = |factor: &str| factors.get(&format!("unet.{layer}.lora_{factor}.weight"));
        let mut expected = weight.clone();
        if let (Some((a_shape, a)), Some((b_shape, b))) = (factor("A"), factor("B")) {
            adapted += 1;
            assert_eq!((a_shape[0], &a_shape[1..]), (rank, &shape[1..]), "{name}");
            let ones = vec![1; shape.len() - 2];
            assert_eq!(*b_shape, [vec![shape[0], rank], ones].concat(), "{name}");
            let columns = weight.len() / shape[0];
            for (i, weight) in expected.iter_mut().enumerate() {
                let (row, column) = (i / columns, i % columns);
                let product = (0..rank).map(|k| b[row * rank + k] * a[k * columns + column]);
                // alpha / rank is 2.
                *weight += 2.0 * product.sum::<f32>();
            }
            assert_ne!(expected, *weight, "{name} has learnt");
        }
        for (expected, found) in expected.iter().zip(&merged[name].1) {
            let error = (expected - found).abs();
            assert!(
                error <= 1e-3 * expected.abs() + 1e-6,
                "{name}: {expected}, {found}"
            );
        }
    }
    assert_eq!(2 * adapted, factors.len(), "every factor is of a layer");
}

#[test]
fn the_file_of_factors_says_rank_and_alpha_as_peft_does() {
    let folder = tempfile::tempdir().unwrap();
    opened(&adapted(folder.path())).save().unwrap();
    let bytes = fs::read(folder.path().join("pytorch_lora_weights.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    let settings: serde_json::Value =
        serde_json::from_str(&metadata["lora_adapter_metadata"]).unwrap();
    assert_eq!(settings["unet.r"], 3);
    assert_eq!(settings["unet.lora_alpha"], 6.0);
    assert_eq!(metadata["format"], "pt");
}

#[test]
fn what_cannot_be_adapted_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |change: &dyn Fn(&mut EditRun), expected: &str| {
        let mut run = adapted(folder.path());
        change(&mut run);
        let error = EditTraining::open(run, &Device::flex()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let lora = |text: &str| Some(serde_json::from_str(text).unwrap());
    refused(
        &|run| {
            run.train_text_encoder = true;
            run.lora = lora(r#"{"text_encoder_target_modules": ["to_q"]}"#);
        },
        "lora.text_encoder_target_modules",
    );
    refused(&|run| run.lora = lora(r#"{"rank": 0}"#), "lora.rank");
    refused(&|run| run.lora = lora(r#"{"alpha": 0}"#), "lora.alpha");
    refused(
        &|run| run.lora = lora(r#"{"target_modules": ["to_q", "to_x"]}"#),
        "got to_x",
    );
    refused(
        &|run| run.lora = lora(r#"{"target_modules": ["norm1"]}"#),
        "got norm1",
    );

    let untrained = folder.path().join("untrained");
    copy_checkpoint(&fixture("tiny-taesd"), &untrained);
    fs::remove_file(untrained.join("unet/diffusion_pytorch_model.fp16.safetensors")).unwrap();
    refused(&|run| run.model = untrained.clone(), "has no weights");
}
