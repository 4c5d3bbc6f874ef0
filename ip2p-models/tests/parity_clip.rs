//! The CLIP text encoder against transformers' `CLIPTextModel`.

mod common;

use burn::tensor::{DType, FloatDType, Int, Tensor, TensorData};
use common::{cast, file_names, load, state_dict};
use ip2p_models::clip::{CLIPTextConfig, CLIPTextModel};
use ip2p_testing::{Golden, device};

fn model(golden: &Golden) -> CLIPTextModel {
    let config = CLIPTextConfig::from_json(golden.text("config")).expect("a known config");
    load(config.init(&device()), "clip/weights.safetensors")
}

fn ids(golden: &Golden) -> Tensor<2, Int> {
    let data = TensorData::new(golden.ints("ids"), golden.shape("ids"));
    Tensor::from_data(data, &device())
}

#[test]
fn every_hidden_state_equals_that_of_transformers() {
    for name in ["clip/quick_gelu", "clip/gelu"] {
        let mut golden = Golden::open(name);
        let mut states = model(&golden).hidden_states(ids(&golden));
        golden.check("last_hidden_state", states.pop().unwrap());
        assert_eq!(states.len(), 3);
        for (i, state) in states.into_iter().enumerate() {
            golden.check(&format!("hidden_states.{i}"), state);
        }
        golden.finish();
    }
}

#[test]
fn forward_gives_the_last_hidden_state() {
    let mut golden = Golden::open("clip/quick_gelu");
    golden.check("last_hidden_state", model(&golden).forward(ids(&golden)));
    golden.finish();
}

#[test]
fn half_precision_stays_near() {
    let golden = Golden::open("clip/quick_gelu");
    let expected = golden.tensor::<3>("last_hidden_state", &device());
    // Rounding to 11 and to 8 bits, through 2 layers, of states up to 5.
    for (dtype, tolerance) in [(FloatDType::F16, 0.02), (FloatDType::BF16, 0.1)] {
        if !device().supports_dtype(dtype) {
            continue; // Vulkan has no arithmetic in bf16
        }
        let state = cast(model(&golden), dtype).forward(ids(&golden));
        let narrow = Tensor::<1>::zeros([1], (&device(), DType::from(dtype)));
        assert_eq!(state.dtype(), ip2p_kernels::compute_dtype(&narrow));
        let difference = state.cast(FloatDType::F32) - expected.clone();
        let error = difference.abs().max().into_scalar::<f32>();
        println!("{dtype:?}: {error}");
        assert!(0.0 < error && error < tolerance, "{dtype:?}: {error}");
    }
}

#[test]
fn the_weights_are_named_as_on_the_hub() {
    let golden = Golden::open("clip/gelu");
    assert_eq!(state_dict(&model(&golden)), file_names("clip/weights"));
}

#[test]
fn a_token_does_not_see_those_after_it() {
    let golden = Golden::open("clip/gelu");
    let model = model(&golden);
    let ids = ids(&golden);
    let whole = model.forward(ids.clone()).narrow(1, 0, 5);
    let start = model.forward(ids.narrow(1, 0, 5));
    let difference = (whole - start).abs().max().into_scalar::<f32>();
    assert!(difference < 1e-5, "{difference}");
}

#[test]
#[should_panic(expected = "78 tokens, but only 77 positions")]
fn more_tokens_than_positions_panic() {
    let golden = Golden::open("clip/gelu");
    let _ = model(&golden).forward(Tensor::zeros([1, 78], &device()));
}
