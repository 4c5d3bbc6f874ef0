//! Weights in several files, and files that are not whole.

use std::fs;

use super::*;

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
