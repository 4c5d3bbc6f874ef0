//! Checkpoints in one file, and from one layout to the other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ip2p_core::{CheckpointProfile, Error, Precision, Result};
use ip2p_io::{
    Checkpoint, Component, Lora, OpenOptions, SaveProgress, WeightFormat, WeightsChoice,
};
use ip2p_testing::{Golden, device, fixture};

fn tiny() -> Checkpoint {
    Checkpoint::open(fixture("tiny-ip2p")).unwrap()
}

fn options(weights: Option<WeightsChoice>) -> OpenOptions {
    OpenOptions {
        weights,
        config: Some(fixture("tiny-ip2p")),
        vae: None,
    }
}

fn save(checkpoint: &Checkpoint, output: &Path, precision: Precision) -> Result<SaveProgress> {
    let mut last = SaveProgress::default();
    checkpoint.save(output, precision, &device(), &mut |at| last = at)?;
    Ok(last)
}

/// Every number of every network, by canonical names.
fn numbers(checkpoint: &Checkpoint) -> BTreeMap<String, Vec<f32>> {
    let mut all = BTreeMap::new();
    for component in checkpoint.components() {
        let weights = checkpoint.weights(component, Precision::F32).unwrap();
        let training = CheckpointProfile::default();
        let profile = checkpoint.profile(&training).unwrap();
        let summary = checkpoint.summary(Precision::F32, profile).unwrap();
        let own = summary
            .components
            .into_iter()
            .find(|own| own.component == component)
            .unwrap();
        for tensor in own.tensors {
            let name = tensor.name.trim_start_matches("text_model.").to_owned();
            if !name.ends_with("position_ids") {
                all.insert(
                    format!("{component}.{name}"),
                    weights.read(&name, &device()).unwrap(),
                );
            }
        }
    }
    all
}

#[test]
fn the_original_layout_holds_two_sets_of_weights_and_the_averaged_ones_run() {
    let file = fixture("single/tiny.ckpt");
    for (asked, runs) in [
        (None, WeightsChoice::Ema),
        (Some(WeightsChoice::Ema), WeightsChoice::Ema),
        (Some(WeightsChoice::Raw), WeightsChoice::Raw),
    ] {
        let checkpoint = Checkpoint::open_with(&file, &options(asked)).unwrap();
        assert_eq!(checkpoint.weights_choice(), Some(runs));
        assert_eq!(checkpoint.folder(), Some(&*file));
        let mut golden = Golden::open("single/tiny-weights");
        for name in golden.names() {
            let (component, key) = match name.split_once('.').unwrap() {
                ("vae", key) => (Component::Vae, key),
                (_, key) => match key.strip_prefix(&format!("{}.", runs.name())) {
                    Some(key) => (Component::Unet, key),
                    None => continue,
                },
            };
            let weights = checkpoint.weights(component, Precision::F32).unwrap();
            golden.check_floats(&name, &weights.read(key, &device()).unwrap());
        }
        golden.finish();
        checkpoint.check_kind().unwrap();
        checkpoint.tokenizer().unwrap();
    }
}

#[test]
fn a_checkpoint_goes_to_a_file_and_back_to_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (file, back) = (
        folder.path().join("tiny.safetensors"),
        folder.path().join("back"),
    );
    let original = numbers(&tiny());
    let written = save(&tiny(), &file, Precision::F32).unwrap();
    assert_eq!(written.done_bytes, written.total_bytes);
    let counted: usize = original.values().map(Vec::len).sum();
    assert_eq!(written.total_bytes, 4 * counted as u64);

    // Its own metadata has the configs and the tokenizer.
    let single = Checkpoint::open(&file).unwrap();
    assert_eq!(numbers(&single), original);
    save(&single, &back, Precision::F32).unwrap();
    let again = Checkpoint::open(&back).unwrap();
    assert_eq!(numbers(&again), original);
    assert_eq!(
        again.config(Component::Unet),
        tiny().config(Component::Unet)
    );
    let tokenizer = |checkpoint: &Checkpoint| {
        checkpoint
            .tokenizer()
            .unwrap()
            .encode("make it snowy")
            .unwrap()
            .ids
    };
    assert_eq!(tokenizer(&again), tokenizer(&tiny()));
    let names: Vec<_> = fs::read_dir(&back)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 6, "{names:?}");
}

#[test]
fn halves_are_written_rounded_to_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let original = numbers(&tiny());
    for (precision, unit) in [
        (Precision::F16, 1.0 / 2048.0),
        (Precision::Bf16, 1.0 / 256.0),
    ] {
        let file = folder.path().join(format!("{precision}.safetensors"));
        let written = save(&tiny(), &file, precision).unwrap();
        let length = fs::metadata(&file).unwrap().len();
        assert!(length > written.total_bytes && length < written.total_bytes + 200_000);
        for (name, rounded) in numbers(&Checkpoint::open(&file).unwrap()) {
            for (a, b) in rounded.iter().zip(&original[&name]) {
                assert!(
                    (a - b).abs() <= unit * b.abs() + 6e-8,
                    "{name}: {b} became {a}"
                );
            }
        }
    }
}

#[test]
fn a_checkpoint_goes_to_gguf_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let original = numbers(&tiny());
    // The largest step of each format, as a part of the largest number of a tensor.
    for (format, step) in [
        (WeightFormat::F32, 0.0),
        (WeightFormat::F16, 1.0 / 2048.0),
        (WeightFormat::Bf16, 1.0 / 256.0),
        (WeightFormat::Q8_0, 0.6 / 127.0),
        (WeightFormat::Q4_0, 1.02 / 8.0),
    ] {
        let (file, back) = (
            folder.path().join(format!("{format}.gguf")),
            folder.path().join(format!("{format}")),
        );
        let mut last = SaveProgress::default();
        let done = tiny().save(&file, format, &device(), &mut |at| last = at);
        done.unwrap();
        assert_eq!(last.done_bytes, last.total_bytes);
        let single = Checkpoint::open(&file).unwrap();
        let found = numbers(&single);
        assert!(found.keys().eq(original.keys()));
        for (name, found) in &found {
            let own = &original[name];
            let most = own.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let differ = |(a, b): (&f32, &f32)| (a - b).abs() > step * most;
            assert!(!found.iter().zip(own).any(differ), "{format} {name}");
            let is_bias = name.rsplit('.').next() == Some("bias");
            let has_one_axis = is_bias || name.contains("norm");
            assert!(!has_one_axis || found == own, "{format} {name}");
        }
        save(&single, &back, Precision::F32).unwrap();
        let back = Checkpoint::open(&back).unwrap();
        assert_eq!(numbers(&back), found);
        assert_eq!(back.config(Component::Vae), tiny().config(Component::Vae));
        assert_eq!(
            back.tokenizer().unwrap().encode("make it").unwrap().ids,
            tiny().tokenizer().unwrap().encode("make it").unwrap().ids
        );
    }
    let summary = Checkpoint::open(folder.path().join("q8_0.gguf")).unwrap();
    let profile = summary.profile(&CheckpointProfile::default()).unwrap();
    let summary = summary.summary(Precision::F32, profile).unwrap();
    let unet = &summary.components[2];
    assert_eq!(
        unet.dtypes.keys().collect::<Vec<_>>(),
        ["F16", "F32", "Q8_0"]
    );
}

#[test]
fn what_is_added_is_written_with_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let adapted = || {
        let lora = Lora::open(fixture("lora/diffusers.safetensors"), 0.5).unwrap();
        tiny().with_lora(lora).unwrap()
    };
    let (file, output) = (folder.path().join("a.safetensors"), folder.path().join("b"));
    save(&adapted(), &file, Precision::F32).unwrap();
    save(&adapted(), &output, Precision::F32).unwrap();
    let expected = numbers(&adapted());
    assert_ne!(expected, numbers(&tiny()));
    assert_eq!(numbers(&Checkpoint::open(file).unwrap()), expected);
    assert_eq!(numbers(&Checkpoint::open(output).unwrap()), expected);
}

#[test]
fn a_transplant_adds_the_difference_of_two_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let style = folder.path().join("style.safetensors");
    let lora = Lora::open(fixture("lora/diffusers.safetensors"), 1.0).unwrap();
    save(&tiny().with_lora(lora).unwrap(), &style, Precision::F32).unwrap();
    let style = Checkpoint::open(&style).unwrap();
    let merged = |strength| numbers(&tiny().with_transplant(&style, &tiny(), strength).unwrap());
    let (base, custom) = (numbers(&tiny()), numbers(&style));
    assert_eq!(merged(0.0), base);
    for (name, merged) in merged(0.5) {
        for (i, number) in merged.iter().enumerate() {
            let expected = f32::midpoint(base[&name][i], custom[&name][i]);
            assert!((number - expected).abs() < 1e-6, "{name}");
        }
    }
    let prints = [0.5, 1.0].map(|strength| {
        let merged = tiny().with_transplant(&style, &tiny(), strength).unwrap();
        merged.fingerprint(Precision::F32).unwrap()
    });
    assert_ne!(prints[0], prints[1]);
    assert!(matches!(
        tiny().with_transplant(&style, &tiny(), f64::NAN),
        Err(Error::InvalidSetting { .. })
    ));
    let other = Checkpoint::open(fixture("tiny-taesd")).unwrap();
    let error = tiny().with_transplant(&other, &tiny(), 1.0).unwrap_err();
    assert!(matches!(error, Error::Weights { .. }), "{error}");
}

#[test]
fn an_autoencoder_of_its_own_takes_the_place_of_the_models() {
    let vae = |file: PathBuf| {
        let options = OpenOptions {
            vae: Some(file),
            ..OpenOptions::default()
        };
        Checkpoint::open_with(fixture("tiny-ip2p"), &options).unwrap()
    };
    let name = "decoder.up_blocks.1.resnets.0.conv1.weight";
    let read = |checkpoint: &Checkpoint| {
        let weights = checkpoint.weights(Component::Vae, Precision::F32).unwrap();
        weights.read(name, &device())
    };
    // In diffusers' names, and in CompVis' with all else of a checkpoint around them.
    let own = vae(fixture("tiny-ip2p/vae/diffusion_pytorch_model.safetensors"));
    assert_eq!(read(&own).unwrap(), read(&tiny()).unwrap());
    let mut golden = Golden::open("single/tiny-weights");
    golden.check_floats(
        &format!("vae.{name}"),
        &read(&vae(fixture("single/tiny.ckpt"))).unwrap(),
    );
    golden.finish();
}

#[test]
fn what_is_asked_for_and_is_not_there_is_refused() {
    let refused = |path: PathBuf, options: OpenOptions, words: &str| {
        let message = Checkpoint::open_with(path, &options)
            .unwrap_err()
            .to_string();
        assert!(message.contains(words), "{message}");
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tiny.safetensors");
    save(&tiny(), &file, Precision::F16).unwrap();
    let ema = || options(Some(WeightsChoice::Ema));
    refused(
        file.clone(),
        ema(),
        "the file holds no averaged weights, got ema",
    );
    let without_config = OpenOptions {
        config: None,
        ..ema()
    };
    refused(fixture("tiny-ip2p"), without_config, "has no unet_ema/");
    refused(
        fixture("tiny-ip2p"),
        options(None),
        "config must be left out",
    );
    // Its networks are of no known size, and it was not written here.
    refused(
        fixture("single/tiny.ckpt"),
        OpenOptions::default(),
        "is of no known size",
    );
    for (name, words) in [
        (
            "lora/kohya",
            "is a file of low-rank adaptations; give it by --lora",
        ),
        (
            "tiny-ip2p/vae/diffusion_pytorch_model",
            "is an autoencoder alone; give it by --vae",
        ),
        (
            "tiny-ip2p/unet/diffusion_pytorch_model",
            "is a U-Net in diffusers' names",
        ),
        ("single/taesd_diffusers", "is a tiny autoencoder alone"),
        ("single/taesd_encoder", "is one half of a tiny autoencoder"),
        ("lora/loha-merged", "is something else"),
    ] {
        refused(
            fixture(&format!("{name}.safetensors")),
            OpenOptions::default(),
            words,
        );
    }
    for output in [file, fixture("tiny-ip2p")] {
        let error = save(&tiny(), &output, Precision::F32).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("output must be a file or folder that does not exist"),
            "{error}"
        );
    }
    // Its autoencoder is of another architecture, which such files have no names for.
    let tiny_taesd = Checkpoint::open(fixture("tiny-taesd")).unwrap();
    let error = save(
        &tiny_taesd,
        &folder.path().join("x.safetensors"),
        Precision::F32,
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("which has no name in single files"),
        "{error}"
    );
    save(&tiny_taesd, &folder.path().join("x"), Precision::F16).unwrap();
}

#[test]
fn the_formats_of_gguf_are_widened_as_ggml_does() {
    // A file of tensors, not of a network: the autoencoder's place takes any.
    let options = OpenOptions {
        vae: Some(fixture("single/formats.gguf")),
        ..OpenOptions::default()
    };
    let checkpoint = Checkpoint::open_with(fixture("tiny-ip2p"), &options).unwrap();
    let weights = checkpoint.weights(Component::Vae, Precision::F32).unwrap();
    let mut golden = Golden::open("single/formats");
    for name in golden.names() {
        assert_eq!(weights.shape(&name), Some(&*golden.shape(&name)), "{name}");
        golden.check_floats(&name, &weights.read(&name, &device()).unwrap());
    }
    golden.finish();
}
