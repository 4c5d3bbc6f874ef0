//! What a load gives, and what it refuses.

use burn::tensor::DType;
use half::{bf16, f16};
use safetensors::Dtype;

use super::*;

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
fn a_weight_that_is_no_number_is_named() {
    let folder = Folder::new();
    let mut tensors = Tensors::small();
    let bytes = &mut tensors.0.get_mut("norm.bias").unwrap().2;
    bytes[12..16].copy_from_slice(&f32::NAN.to_le_bytes());
    folder.save(UNET, &tensors);
    for precision in Precision::ALL {
        let message = message(load(&folder, Component::Unet, precision));
        assert!(message.contains("tensor norm.bias holds NaN"), "{message}");
    }
    let bytes = &mut tensors.0.get_mut("norm.bias").unwrap().2;
    bytes[12..16].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
    folder.save(UNET, &tensors);
    for precision in Precision::ALL {
        let message = message(load(&folder, Component::Unet, precision));
        let words = "tensor norm.bias holds an infinity: the file is damaged";
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_weight_that_a_precision_does_not_hold_is_named() {
    let folder = Folder::new();
    let mut tensors = Tensors::small();
    let bytes = &mut tensors.0.get_mut("norm.bias").unwrap().2;
    bytes[12..16].copy_from_slice(&70000_f32.to_le_bytes());
    folder.save(UNET, &tensors);
    load(&folder, Component::Unet, Precision::F32).unwrap();
    load(&folder, Component::Unet, Precision::Bf16).unwrap();
    let message = message(load(&folder, Component::Unet, Precision::F16));
    let words = "tensor norm.bias holds 7e4, which is too large for this precision: take f32 or";
    assert!(message.contains(words), "{message}");
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
