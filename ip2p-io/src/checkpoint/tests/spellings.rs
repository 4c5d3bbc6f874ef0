//! The spellings of keys that are understood beside today's.

use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;

use super::*;

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
fn old_attention_loads_as_linear_layers_and_as_convolutions() {
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
