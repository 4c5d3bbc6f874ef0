//! What files of adaptations are refused, and why.

use std::fs;

use safetensors::Dtype;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::testing::{Folder, Tensors};

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const TEXT: &str = "text_encoder/model.safetensors";

/// A checkpoint of one U-Net layer of each kind, and a text encoder.
fn folder() -> Folder {
    let folder = Folder::new();
    let mut unet = Tensors::default();
    unet.add("conv_in.weight", &[2, 8, 1, 1], 0);
    unet.add("conv_in.bias", &[2], 50);
    unet.add("mid.attn2.to_k.weight", &[2, 3], 0);
    folder.save(UNET, &unet);
    let mut text = Tensors::default();
    text.add("text_model.encoder.layers.0.mlp.fc1.weight", &[3, 2], 0);
    folder.save(TEXT, &text);
    folder
}

fn open(folder: &Folder, tensors: &Tensors) -> Result<Checkpoint> {
    folder.save("lora.safetensors", tensors);
    let lora = Lora::open(folder.path().join("lora.safetensors"), 1.0)?;
    Checkpoint::open(folder.path())?.with_lora(lora)
}

#[track_caller]
fn refused(add: impl Fn(&mut Tensors), words: &[&str]) {
    let mut tensors = Tensors::default();
    tensors.add("unet.mid.attn2.to_k.lora_A.weight", &[1, 3], 0);
    tensors.add("unet.mid.attn2.to_k.lora_B.weight", &[2, 1], 0);
    add(&mut tensors);
    let message = open(&folder(), &tensors).unwrap_err().to_string();
    for words in words.iter().chain(&["lora.safetensors"]) {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn layers_that_the_model_lacks_are_listed() {
    refused(
        |tensors| {
            tensors.add("unet.nowhere.lora_A.weight", &[1, 3], 0);
            tensors.add("unet.nowhere.lora_B.weight", &[2, 1], 0);
            tensors.add("lora_te_nowhere.diff", &[2, 1], 0);
            tensors.add("position", &[1], 0);
        },
        &["3 unused: position, unet.nowhere.lora_A.weight, lora_te_nowhere.diff"],
    );
}

#[test]
fn a_factor_without_the_other_is_named() {
    let add = |name: &'static str| move |tensors: &mut Tensors| tensors.add(name, &[1, 3], 0);
    refused(
        add("unet.x.lora_A.weight"),
        &["layer x has unet.x.lora_A.weight and no lora_up.weight"],
    );
    refused(
        add("unet.x.lora_B.weight"),
        &["layer x has unet.x.lora_B.weight and no lora_down.weight"],
    );
    refused(
        add("unet.x.lora_mid.weight"),
        &["has no lora_up.weight and no lora_down.weight"],
    );
    refused(
        add("lora_unet_x.hada_w2_b"),
        &["layer x has no hada_w1_a and no hada_w1_b"],
    );
    refused(
        add("lora_unet_x.lokr_w1"),
        &["layer x has no lokr_w2_a and no lokr_w2_b"],
    );
    refused(
        add("lora_unet_x.dora_scale"),
        &["layer x has lora_unet_x.dora_scale and nothing"],
    );
    refused(
        add("unet.mid.attn2.to_k.hada_t1"),
        &["has unet.mid.attn2.to_k.hada_t1 beside others"],
    );
    refused(
        add("unet.mid.attn2.to_k.alpha"),
        &["an alpha of the shape [1, 3]"],
    );
}

#[test]
fn factors_of_other_shapes_are_named() {
    let pair = |a: &'static [usize], b: &'static [usize]| {
        move |tensors: &mut Tensors| {
            tensors.add("unet.conv_in.lora_A.weight", a, 0);
            tensors.add("unet.conv_in.lora_B.weight", b, 0);
        }
    };
    refused(
        pair(&[1, 8, 1, 1], &[2, 2, 1, 1]),
        &["layer conv_in has factors of the shapes [2, 2, 1, 1] and [1, 8, 1, 1]"],
    );
    refused(
        pair(&[1, 5, 1, 1], &[2, 1, 1, 1]),
        &["1 of another shape: conv_in ([2, 5] instead of [2, 8])"],
    );
    refused(
        pair(&[0, 8, 1, 1], &[2, 0, 1, 1]),
        &["layer conv_in has a factor of the shape"],
    );
    refused(
        |tensors| {
            pair(&[1, 8, 1, 1], &[2, 1, 1, 1])(tensors);
            tensors.add("unet.conv_in.lora_magnitude_vector", &[3], 0);
        },
        &["conv_in (3 magnitudes for [2, 8])"],
    );
}

#[test]
fn a_file_for_another_family_says_for_which() {
    refused(
        |tensors| {
            tensors.add("unet.mid.attn2.to_k.lora_A.weight", &[1, 2048], 0);
        },
        &[
            "is for Stable Diffusion XL, whose sentences are 2048 wide; this model is a model of another size, whose are 3",
        ],
    );
    refused(
        |tensors| {
            tensors.add("lora_te2_text_model_x.lora_down.weight", &[1, 3], 0);
            tensors.add("lora_te2_text_model_x.lora_up.weight", &[3, 1], 0);
        },
        &["is for Stable Diffusion XL (it has lora_te2_text_model_x.lora_down.weight)"],
    );
}

#[test]
fn what_is_no_adaptation_is_refused() {
    let folder = folder();
    let mut tensors = Tensors::default();
    tensors.add("conv_in.weight", &[2, 8, 1, 1], 0);
    let message = open(&folder, &tensors).unwrap_err().to_string();
    assert!(
        message.contains("is no low-rank adaptation") && message.contains("conv_in.weight"),
        "{message}"
    );
    refused(
        |tensors| {
            tensors.add("unet.conv_in.lora_A.weight", &[1, 8, 1, 1], 0);
            let tensor = tensors.0.get_mut("unet.conv_in.lora_A.weight").unwrap();
            tensor.0 = Dtype::I32;
        },
        &["is of type I32"],
    );
    fs::write(folder.path().join("lora.safetensors"), b"PK").unwrap();
    assert!(Lora::open(folder.path().join("lora.safetensors"), 1.0).is_err());
    assert!(Lora::open(folder.path().join("none.safetensors"), 1.0).is_err());
    assert!(Lora::open(folder.path().join("none.safetensors"), f64::NAN).is_err());
}

#[test]
fn a_sum_that_is_no_number_names_the_layer() {
    let folder = folder();
    let mut tensors = Tensors::default();
    tensors.add("unet.conv_in.diff", &[2, 8, 1, 1], 0);
    let bytes = &mut tensors.0.get_mut("unet.conv_in.diff").unwrap().2;
    bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let checkpoint = open(&folder, &tensors).unwrap();
    let weights = checkpoint.weights(Component::Unet, Precision::F32).unwrap();
    let error = weights
        .read("conv_in.weight", &burn::tensor::Device::flex())
        .unwrap_err();
    assert!(
        error.to_string().contains("has a factor that holds NaN"),
        "{error}"
    );
    // Factors that are finite, and their product is not.
    let mut tensors = Tensors::default();
    for (factor, shape) in [("lora_A", [1, 3]), ("lora_B", [2, 1])] {
        let name = format!("unet.mid.attn2.to_k.{factor}.weight");
        tensors.add(&name, &shape, 1);
        let bytes = &mut tensors.0.get_mut(&name).unwrap().2;
        bytes[..4].copy_from_slice(&1e30_f32.to_le_bytes());
    }
    let checkpoint = open(&folder, &tensors).unwrap();
    let weights = checkpoint.weights(Component::Unet, Precision::F32).unwrap();
    let error = weights
        .read("mid.attn2.to_k.weight", &burn::tensor::Device::flex())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("makes layer mid.attn2.to_k infinite or no number"),
        "{error}"
    );
}

#[test]
fn full_differences_and_biases_count_as_they_are() {
    let folder = folder();
    let mut tensors = Tensors::default();
    tensors.add("unet.conv_in.diff", &[2, 8, 1, 1], 0);
    tensors.add("unet.conv_in.diff_b", &[2], 7);
    let checkpoint = open(&folder, &tensors).unwrap();
    let weights = checkpoint.weights(Component::Unet, Precision::F32).unwrap();
    let read = |name| weights.read(name, &burn::tensor::Device::flex()).unwrap();
    let doubled: Vec<f32> = (0_u8..16).map(|number| 2.0 * f32::from(number)).collect();
    assert_eq!(read("conv_in.weight"), doubled);
    assert_eq!(read("conv_in.bias"), [57.0, 59.0]);
}

#[test]
fn a_product_of_many_rows_is_added_whole() {
    let folder = folder();
    // Some rows more than are multiplied at a time.
    let (rows, columns) = (300_u16, 4000_u16);
    let shape = [usize::from(rows), usize::from(columns)];
    let mut unet = Tensors::default();
    unet.add("conv_in.weight", &[2, 8, 1, 1], 0);
    let zeros = vec![0; 4 * shape[0] * shape[1]];
    let weight = (Dtype::F32, shape.to_vec(), zeros);
    unet.0.insert("mid.attn2.to_k.weight".into(), weight);
    folder.save(UNET, &unet);
    let mut tensors = Tensors::default();
    tensors.add("unet.mid.attn2.to_k.lora_A.weight", &[1, shape[1]], 1);
    tensors.add("unet.mid.attn2.to_k.lora_B.weight", &[shape[0], 1], 1);
    let checkpoint = open(&folder, &tensors).unwrap();
    let weights = checkpoint.weights(Component::Unet, Precision::F32).unwrap();
    let found = weights
        .read("mid.attn2.to_k.weight", &burn::tensor::Device::flex())
        .unwrap();
    let product = (1..=rows).flat_map(|row| {
        let row = f32::from(row);
        (1..=columns).map(move |column| row * f32::from(column))
    });
    assert!(product.eq(found));
}

#[test]
fn rank_and_alpha_of_peft_are_beside_the_file() {
    let folder = folder();
    let mut tensors = Tensors::default();
    tensors.add("base_model.model.mid.attn2.to_k.lora_A.weight", &[1, 3], 1);
    tensors.add("base_model.model.mid.attn2.to_k.lora_B.weight", &[2, 1], 1);
    folder.save("adapter_model.safetensors", &tensors);
    let read = || {
        let lora = Lora::open(folder.path().join("adapter_model.safetensors"), 1.0).unwrap();
        let checkpoint = Checkpoint::open(folder.path())
            .unwrap()
            .with_lora(lora)
            .unwrap();
        let weights = checkpoint.weights(Component::Unet, Precision::F32).unwrap();
        let values = weights
            .read("mid.attn2.to_k.weight", &burn::tensor::Device::flex())
            .unwrap();
        (values, checkpoint.lora_notes().len())
    };
    // [1, 2]ᵀ · [1, 2, 3], and the checkpoint's 0 to 5.
    assert_eq!(read(), (vec![1.0, 3.0, 5.0, 5.0, 8.0, 11.0], 1));
    folder.write("adapter_config.json", r#"{"r": 1, "lora_alpha": 2}"#);
    assert_eq!(read(), (vec![2.0, 5.0, 8.0, 7.0, 12.0, 17.0], 0));
}
