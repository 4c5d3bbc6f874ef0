//! Which files are taken for an autoencoder, and what becomes of the latents' scales.

use std::fs;

use burn::tensor::Device;
use ip2p_core::Precision;
use ip2p_testing::fixture;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use super::*;
use crate::OpenOptions;

fn with(vae: &Path) -> Result<Checkpoint> {
    let options = OpenOptions {
        vae: Some(vae.to_owned()),
        ..OpenOptions::default()
    };
    Checkpoint::open_with(fixture("tiny-ip2p"), &options)
}

fn single(name: &str) -> PathBuf {
    fixture(&format!("single/{name}.safetensors"))
}

/// Writes tensors of a file of weights under other names; none leaves one out.
fn renamed(from: &Path, to: &Path, name: impl Fn(&str) -> Vec<String>) {
    let bytes = fs::read(from).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let views = file.tensors().into_iter().flat_map(|(own, view)| {
        let copy = move |name| {
            let view = TensorView::new(view.dtype(), view.shape().to_vec(), view.data());
            (name, view.unwrap())
        };
        name(&own).into_iter().map(copy)
    });
    fs::write(to, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn numbers(checkpoint: &Checkpoint) -> BTreeMap<String, Vec<f32>> {
    let weights = checkpoint.weights(Component::Vae, Precision::F32).unwrap();
    let names = weights.by_canonical_name().unwrap();
    let read = |name: &String| weights.read(name, &Device::flex()).unwrap();
    names
        .keys()
        .map(|name| (name.clone(), read(name)))
        .collect()
}

#[test]
fn every_file_of_a_tiny_autoencoder_is_the_same_autoencoder() {
    let folder = tempfile::tempdir().unwrap();
    let diffusers = with(&single("taesd_diffusers")).unwrap();
    let config: Value = serde_json::from_str(diffusers.config(Component::Vae)).unwrap();
    assert_eq!(config["num_encoder_blocks"], json!([1, 1, 2, 1]));
    assert_eq!(config["num_decoder_blocks"], json!([2, 1, 1, 1]));
    assert_eq!(config["encoder_block_out_channels"], json!([4, 4, 4, 4]));
    assert_eq!(config["latent_channels"], 4);
    // As ComfyUI puts the halves together, and as a part of a checkpoint.
    let (comfy, part) = (folder.path().join("a"), folder.path().join("b"));
    renamed(&single("taesd_diffusers"), &comfy, |name| {
        let (half, rest) = name.split_once(".layers.").unwrap();
        let (number, rest) = rest.split_once('.').unwrap();
        let number: usize = number.parse().unwrap();
        let number = number + usize::from(half == "decoder");
        let mut names = vec![format!("taesd_{half}.{number}.{rest}")];
        if name == "encoder.layers.0.bias" {
            names.push("vae_scale".into());
        }
        names
    });
    renamed(&single("taesd_diffusers"), &part, |name| {
        vec![format!("first_stage_model.{name}")]
    });
    let expected = numbers(&diffusers);
    assert_eq!(expected.len(), 74);
    for file in [
        single("taesd_encoder"),
        single("taesd_decoder"),
        comfy,
        part,
    ] {
        let other = with(&file).unwrap();
        assert_eq!(
            other.config(Component::Vae),
            diffusers.config(Component::Vae)
        );
        assert!(numbers(&other) == expected, "{}", file.display());
    }
}

#[test]
fn the_u_net_sees_latents_of_the_scale_that_it_was_trained_with() {
    let found = |checkpoint: &Checkpoint| {
        let training = CheckpointProfile::default();
        let profile = checkpoint.profile(&training).unwrap();
        (profile.scaling_factor, profile.image_latents_scale)
    };
    let own = Checkpoint::open(fixture("tiny-ip2p")).unwrap();
    assert_eq!(found(&own), (0.18215, 1.0));
    let tiny = with(&single("taesd_decoder")).unwrap();
    assert_eq!(found(&tiny), (1.0, 1.0 / 0.18215));
    // And so it is from what is written of it.
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("x");
    tiny.save(&output, Precision::F32, &Device::flex(), &mut |_| ())
        .unwrap();
    let written = Checkpoint::open(&output).unwrap();
    assert_eq!(found(&written), (1.0, 1.0 / 0.18215));
    let summary = written.summary(Precision::F32, CheckpointProfile::default());
    assert_eq!(summary.unwrap().components[1].class.as_deref(), Some(TINY));
    let same = numbers(&written) == numbers(&tiny);
    assert!(same);
}

#[test]
fn what_is_no_autoencoder_for_the_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let refused = |file: &Path, words: &str| {
        let message = with(file).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    };
    fs::copy(single("taesd_encoder"), path("taesd_encoder.safetensors")).unwrap();
    refused(
        &path("taesd_encoder.safetensors"),
        "taesd_decoder.safetensors, is not there",
    );
    fs::copy(single("taesd_encoder"), path("half.safetensors")).unwrap();
    refused(
        &path("half.safetensors"),
        "name the halves taesd_encoder and",
    );
    fs::copy(single("quantized"), path("taesd_decoder.safetensors")).unwrap();
    refused(
        &path("taesd_encoder.safetensors"),
        "taesd_decoder.safetensors: is no half of a tiny autoencoder",
    );
    refused(
        &fixture("vae/taesd_weights.safetensors"),
        "is an autoencoder of 3 resolutions, where the model's has 4",
    );
    let bytes = fs::read(single("taesd_diffusers")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let wide = vec![0; 4 * 4 * 16 * 9];
    let views = file.tensors().into_iter().map(|(name, view)| {
        let (shape, data) = match &*name {
            "decoder.layers.0.weight" => (vec![4, 16, 3, 3], &wide[..]),
            _ => (view.shape().to_vec(), view.data()),
        };
        let view = TensorView::new(view.dtype(), shape, data).unwrap();
        (name, view)
    });
    let taef1 = path("taef1.safetensors");
    fs::write(&taef1, safetensors::serialize(views, None).unwrap()).unwrap();
    refused(&taef1, "of latents of 16 channels");
    let few = path("few.safetensors");
    renamed(&single("taesd_diffusers"), &few, |name| {
        let is_kept = !name.starts_with("encoder.");
        is_kept.then(|| name.to_owned()).into_iter().collect()
    });
    refused(&few, "of its encoder.layers.… some are missing");
    let twice = path("twice.safetensors");
    renamed(&single("taesd_diffusers"), &twice, |name| {
        vec![name.to_owned(), format!("first_stage_model.{name}")]
    });
    refused(&twice, "holds the same weight twice, as decoder.");
}
