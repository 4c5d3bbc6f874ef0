//! What a folder is, and what is missing from it.

use std::fs;

use half::f16;
use safetensors::Dtype;

use super::*;

#[test]
fn a_u_net_without_the_pictures_channels_is_refused_and_said_what_it_is() {
    for (channels, what) in [
        (4, "a text-to-image Stable Diffusion model"),
        (9, "an inpainting Stable Diffusion model"),
        (6, "a model of an unknown kind"),
    ] {
        let folder = Folder::new();
        folder.set("unet/config.json", "in_channels", channels.into());
        folder.save(UNET, &Tensors::small());
        let message = message(load(&folder, Component::Unet, Precision::F32));
        let words = format!("in_channels is {channels}, so this is {what}");
        assert!(message.contains(&words), "{message}");
        assert!(message.contains("timbrooks/instruct-pix2pix"), "{message}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for (file, words) in [
        ("model_index.json", "has no model_index.json"),
        ("unet", "the unet is missing: no unet/config.json"),
        ("vae/config.json", "the vae is missing: no vae/config.json"),
        ("text_encoder/config.json", "no text_encoder/config.json"),
        ("tokenizer", "the tokenizer is missing: no tokenizer/"),
        (
            "scheduler/scheduler_config.json",
            "no scheduler/scheduler_config.json",
        ),
    ] {
        let folder = Folder::new();
        folder.remove(file);
        let message = message(Checkpoint::open(folder.path()));
        assert!(message.contains(words), "{message}");
        assert!(
            message.starts_with(folder.path().to_str().unwrap()),
            "{message}"
        );
    }
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let folder = Folder::new();
    let none = folder.path().join("none");
    assert!(message(Checkpoint::open(none)).contains("does not exist; expected a folder"));
    let file = folder.path().join("model_index.json");
    assert!(message(Checkpoint::open(file)).contains("not a safetensors file"));

    for (part, words) in [
        (
            "transformer",
            "transformer: a StableDiffusionInstructPix2PixPipeline",
        ),
        (
            "text_encoder_2",
            "the text_encoder_2 is missing: no text_encoder_2/config.json",
        ),
    ] {
        folder.set("model_index.json", part, serde_json::json!(["x", "CLIP"]));
        let error = message(Checkpoint::open(folder.path()));
        assert!(error.contains(words), "{error}");
        folder.set("model_index.json", part, serde_json::json!([null, null]));
    }
    assert!(Checkpoint::open(folder.path()).is_ok());
    folder.set("model_index.json", "vae", serde_json::json!([null, null]));
    assert!(message(Checkpoint::open(folder.path())).contains("vae: the pipeline has no such"));
    folder.write("model_index.json", "[");
    assert!(message(Checkpoint::open(folder.path())).contains("is no JSON object"));
}

#[test]
fn the_fingerprint_depends_on_every_tensor() {
    let folder = Folder::new();
    for file in [UNET, VAE, TEXT_ENCODER] {
        folder.save(file, &Tensors::small());
    }
    let fingerprint = || {
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        checkpoint.fingerprint(Precision::F32).unwrap()
    };
    let before = fingerprint();
    assert_eq!(before.len(), 64);
    assert_eq!(fingerprint(), before);
    for file in [UNET, VAE, TEXT_ENCODER] {
        for name in Tensors::small().0.keys() {
            let mut changed = Tensors::small();
            changed.0.get_mut(name).unwrap().2[0] ^= 1;
            folder.save(file, &changed);
            assert_ne!(fingerprint(), before, "{name} of {file}");
        }
        folder.save(file, &Tensors::small());
    }
    assert_eq!(fingerprint(), before);
}

#[test]
fn the_summary_says_what_there_is() {
    let folder = Folder::new();
    let mut half = Tensors::small();
    half.map_bytes(Dtype::F16, |x| f16::from_f32(x).to_le_bytes().to_vec());
    folder.save(TEXT_ENCODER, &Tensors::small());
    folder.save(VAE, &Tensors::small());
    folder.save("unet/diffusion_pytorch_model.fp16.safetensors", &half);
    folder.set("unet/config.json", "in_channels", 4.into());
    fs::create_dir(folder.path().join("unet_ema")).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let summary = checkpoint
        .summary(Precision::F32, ip2p_core::CheckpointProfile::default())
        .unwrap();
    assert_eq!(summary.kind, ModelKind::TextToImage);
    assert_eq!(summary.components.len(), 3);
    let unet = &summary.components[2];
    assert_eq!(unet.class.as_deref(), Some("UNet2DConditionModel"));
    assert_eq!((unet.parameters, unet.dtypes["F16"]), (73, 9));
    assert_eq!(
        unet.files[0].path.file_name().unwrap(),
        "diffusion_pytorch_model.fp16.safetensors"
    );
    assert_eq!(unet.tensors[1].name, "blocks.0.norm.weight");
    assert!(summary.notes[0].starts_with("unet_ema/ is not used"));
    assert!(summary.notes[1].starts_with("the unet is stored in 16 bits"));
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["kind"], "text_to_image");
    assert_eq!(json["components"][2]["tensors"][1]["shape"][0], 3);
}
