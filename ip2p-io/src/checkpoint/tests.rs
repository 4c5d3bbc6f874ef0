use std::fs;

use burn::tensor::DType;
use half::{bf16, f16};
use safetensors::Dtype;

use super::testing::{Folder, Small, Tensors, numbers};
use super::*;

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const VAE: &str = "vae/diffusion_pytorch_model.safetensors";
const TEXT_ENCODER: &str = "text_encoder/model.safetensors";

fn load(folder: &Folder, component: Component, precision: Precision) -> Result<Small> {
    let checkpoint = Checkpoint::open(folder.path())?;
    let (module, _) = checkpoint.load(Small::new(), component, precision, &mut |_| ())?;
    Ok(module)
}

fn message<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn assert_holds_small(module: Small) {
    let expected =
        |start: u16, count: u16| -> Vec<f32> { (start..start + count).map(f32::from).collect() };
    assert_eq!(numbers(module.conv_in.weight.val()), expected(0, 32));
    assert_eq!(
        numbers(module.conv_in.bias.unwrap().val()),
        expected(100, 4)
    );
    assert_eq!(numbers(module.norm.gamma.unwrap().val()), expected(200, 4));
    assert_eq!(numbers(module.norm.beta.unwrap().val()), expected(210, 4));
    let block = module.blocks.into_iter().next().unwrap();
    assert_eq!(numbers(block.norm.gamma.val()), expected(300, 3));
    assert_eq!(numbers(block.norm.beta.unwrap().val()), expected(310, 3));
    let transposed = [320.0, 323.0, 321.0, 324.0, 322.0, 325.0];
    assert_eq!(numbers(block.proj.weight.val()), transposed);
    assert_eq!(numbers(block.proj.bias.unwrap().val()), expected(330, 2));
    assert_eq!(numbers(module.embedding.weight.val()), expected(400, 15));
}

#[test]
fn every_layer_gets_its_weights() {
    let folder = Folder::new();
    folder.save(UNET, &Tensors::small());
    assert_holds_small(load(&folder, Component::Unet, Precision::F32).unwrap());
}

#[test]
fn sixteen_bit_files_widen_exactly() {
    let folder = Folder::new();
    let mut tensors = Tensors::small();
    tensors.map_bytes(Dtype::F16, |x| f16::from_f32(x).to_le_bytes().to_vec());
    folder.save(UNET, &tensors);
    assert_holds_small(load(&folder, Component::Unet, Precision::F32).unwrap());
    assert_holds_small(load(&folder, Component::Unet, Precision::F16).unwrap());

    let mut tensors = Tensors::small();
    tensors.map_bytes(Dtype::F32, |x| {
        bf16::from_f32(x).to_f32().to_le_bytes().to_vec()
    });
    folder.save(VAE, &tensors);
    let rounded = load(&folder, Component::Vae, Precision::F32).unwrap();
    tensors.map_bytes(Dtype::BF16, |x| bf16::from_f32(x).to_le_bytes().to_vec());
    folder.save(VAE, &tensors);
    let widened = load(&folder, Component::Vae, Precision::F32).unwrap();
    let values = |module: Small| numbers(module.embedding.weight.val());
    assert_eq!(values(rounded), values(widened));
}

#[test]
fn parameters_have_the_precision_that_was_asked_for() {
    let folder = Folder::new();
    folder.save(UNET, &Tensors::small());
    for (precision, dtype) in [
        (Precision::F32, DType::F32),
        (Precision::F16, DType::F16),
        (Precision::Bf16, DType::BF16),
    ] {
        let module = load(&folder, Component::Unet, precision).unwrap();
        assert_eq!(module.conv_in.weight.val().dtype(), dtype);
        assert_eq!(module.norm.gamma.unwrap().val().dtype(), dtype);
        assert_eq!(module.blocks[0].proj.weight.val().dtype(), dtype);
    }
}

#[test]
fn loading_draws_no_random_values() {
    let folder = Folder::new();
    let mut tensors = Tensors::small();
    folder.save(UNET, &tensors);
    let weights = |folder: &Folder| {
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        checkpoint.weights(Component::Unet, Precision::F32).unwrap()
    };
    let module = Small::new();
    // A clone shares the state of a parameter that has no value yet: what a load forces would show here.
    let witness = module.clone();
    weights(&folder)
        .load(module, Precision::F32, &mut |_| ())
        .unwrap();
    assert!(!witness.conv_in.weight.is_initialized());
    assert!(!witness.blocks[0].proj.weight.is_initialized());

    tensors.0.remove("norm.bias");
    folder.save(UNET, &tensors);
    let refused = weights(&folder).load(witness.clone(), Precision::F32, &mut |_| ());
    assert!(refused.is_err());
    assert!(!witness.conv_in.weight.is_initialized());
}

#[test]
fn all_that_does_not_fit_is_listed_at_once_and_nothing_is_read() {
    let folder = Folder::new();
    let mut tensors = Tensors::small();
    tensors.rename("norm.bias", "norm.offset");
    tensors.rename("embedding.weight", "extra");
    tensors.add("conv_in.weight", &[4, 8, 3, 3], 0);
    tensors.add("blocks.0.proj.weight", &[3, 2], 0);
    folder.save(UNET, &tensors);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let mut calls = 0;
    let mut count = |_| calls += 1;
    let result = checkpoint.load(Small::new(), Component::Unet, Precision::F32, &mut count);
    let Err(Error::Weights {
        path,
        network,
        missing,
        unused,
        mismatched,
    }) = result
    else {
        panic!("a weights error was expected");
    };
    assert_eq!((path, network), (folder.path().join(UNET), "unet"));
    assert_eq!(missing, ["norm.bias", "embedding.weight"]);
    assert_eq!(unused, ["extra", "norm.offset"]);
    let expected = [
        "conv_in.weight ([4, 8, 3, 3] instead of [4, 8, 1, 1])",
        "blocks.0.proj.weight ([3, 2] instead of [2, 3])",
    ];
    assert_eq!(mismatched, expected);
    assert_eq!(calls, 0);
}

#[test]
fn weights_that_are_no_floats_are_refused() {
    let folder = Folder::new();
    let mut tensors = Tensors::small();
    tensors.0.get_mut("norm.bias").unwrap().0 = Dtype::I32;
    folder.save(UNET, &tensors);
    let message = message(load(&folder, Component::Unet, Precision::F32));
    assert!(
        message.contains("tensor norm.bias is of type I32"),
        "{message}"
    );
}

#[test]
fn text_weights_load_with_and_without_their_prefix_and_position_ids() {
    let folder = Folder::new();
    folder.save(TEXT_ENCODER, &Tensors::small());
    assert_holds_small(load(&folder, Component::TextEncoder, Precision::F32).unwrap());
    let mut prefixed = Tensors::default();
    for (name, tensor) in Tensors::small().0 {
        prefixed.0.insert(format!("text_model.{name}"), tensor);
    }
    prefixed.add("text_model.embeddings.position_ids", &[1, 77], 0);
    folder.save(TEXT_ENCODER, &prefixed);
    assert_holds_small(load(&folder, Component::TextEncoder, Precision::F32).unwrap());
    // Half a prefix is two weights of one name.
    prefixed.add("norm.weight", &[4], 0);
    folder.save(TEXT_ENCODER, &prefixed);
    let message = message(load(&folder, Component::TextEncoder, Precision::F32));
    assert!(message.contains("the same weight twice"), "{message}");
}

mod old_attention {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;

    #[derive(Module, Debug)]
    struct Attention {
        to_q: Linear,
        to_out: Vec<Linear>,
    }

    #[derive(Module, Debug)]
    struct Encoder {
        attentions: Vec<Attention>,
    }

    fn encoder() -> Encoder {
        let linear = || {
            LinearConfig::new(2, 2)
                .with_bias(false)
                .init(&Device::flex())
        };
        let attention = Attention {
            to_q: linear(),
            to_out: vec![linear()],
        };
        Encoder {
            attentions: vec![attention],
        }
    }

    #[test]
    fn loads_as_linear_layers_and_as_convolutions() {
        let folder = Folder::new();
        for shape in [&[2, 2][..], &[2, 2, 1, 1]] {
            let mut tensors = Tensors::default();
            tensors.add("attentions.0.query.weight", shape, 1);
            tensors.add("attentions.0.proj_attn.weight", shape, 5);
            folder.save(VAE, &tensors);
            let checkpoint = Checkpoint::open(folder.path()).unwrap();
            let (module, _) = checkpoint
                .load(encoder(), Component::Vae, Precision::F32, &mut |_| ())
                .unwrap();
            let attention = module.attentions.into_iter().next().unwrap();
            assert_eq!(numbers(attention.to_q.weight.val()), [1.0, 3.0, 2.0, 4.0]);
            let out = numbers(attention.to_out[0].weight.val());
            assert_eq!(out, [5.0, 7.0, 6.0, 8.0]);
        }
    }
}

#[test]
fn shards_load_as_one() {
    let folder = Folder::new();
    let mut first = Tensors::small();
    let second = Tensors(first.0.split_off("conv_in.weight"));
    assert!(!first.0.is_empty() && !second.0.is_empty());
    folder.save(
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
        &first,
    );
    folder.save(
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
        &second,
    );
    assert_holds_small(load(&folder, Component::Unet, Precision::F32).unwrap());

    let index = "unet/diffusion_pytorch_model.safetensors.index.json";
    let shard = "diffusion_pytorch_model-00002-of-00002.safetensors";
    let wrong = format!(r#"{{"weight_map":{{"blocks.0.norm.bias":"{shard}"}}}}"#);
    folder.write(index, &wrong);
    let message = message(load(&folder, Component::Unet, Precision::F32));
    assert!(
        message.contains("blocks.0.norm.bias, which it does not"),
        "{message}"
    );

    let both = format!(
        r#"{{"weight_map":{{"conv_in.weight":"{shard}","blocks.0.norm.bias":"{}"}}}}"#,
        shard.replacen('2', "1", 1)
    );
    folder.write(index, &both);
    assert_holds_small(load(&folder, Component::Unet, Precision::F32).unwrap());
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let folder = Folder::new();
    for number in 1..=2 {
        let file = format!("unet/diffusion_pytorch_model-0000{number}-of-00002.safetensors");
        folder.save(&file, &Tensors::small());
    }
    let message = message(load(&folder, Component::Unet, Precision::F32));
    assert!(
        message.contains("00002-of-00002.safetensors: holds tensor"),
        "{message}"
    );
}

#[test]
fn a_file_cut_short_names_the_tensor() {
    let folder = Folder::new();
    folder.save(UNET, &Tensors::small());
    let path = folder.path().join(UNET);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let message = message(load(&folder, Component::Unet, Precision::F32));
    assert!(
        message.contains(UNET) && message.contains("within tensor"),
        "{message}"
    );
}

#[test]
fn a_file_cut_short_after_it_was_opened_is_an_error() {
    let folder = Folder::new();
    folder.save(UNET, &Tensors::small());
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let weights = checkpoint.weights(Component::Unet, Precision::F32).unwrap();
    let path = folder.path().join(UNET);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let message = message(weights.load(Small::new(), Precision::F32, &mut |_| ()));
    assert!(message.contains("while it was read"), "{message}");
}

#[test]
fn progress_ends_at_the_total() {
    let folder = Folder::new();
    folder.save(UNET, &Tensors::small());
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let mut seen = Vec::new();
    let (_, report) = checkpoint
        .load(Small::new(), Component::Unet, Precision::Bf16, &mut |at| {
            seen.push(at);
        })
        .unwrap();
    assert!(seen.is_sorted_by_key(|at| at.done_bytes));
    assert_eq!((seen.len(), report.tensors), (9, 9));
    let last = seen[8];
    assert_eq!((last.done_bytes, last.total_bytes), (73 * 4, 73 * 4));
    assert_eq!((report.parameters, report.file_bytes), (73, 73 * 4));
}

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
    assert!(message(Checkpoint::open(file)).contains("is a single file"));

    folder.set(
        "model_index.json",
        "text_encoder_2",
        serde_json::json!(["x", "CLIP"]),
    );
    let xl = message(Checkpoint::open(folder.path()));
    assert!(
        xl.contains("text_encoder_2: a StableDiffusionInstructPix2PixPipeline"),
        "{xl}"
    );
    folder.set(
        "model_index.json",
        "text_encoder_2",
        serde_json::json!([null, null]),
    );
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
