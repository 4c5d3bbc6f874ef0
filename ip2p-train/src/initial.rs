//! The first weights of a network that has none: drawn by us, so that they follow from the seed of a training and not from what
//! else the process has drawn, and are the same on every device.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use ip2p::core::{NoiseGenerator, NoiseKind};
use ip2p::io::{ParameterName, parameter_names};
use rand::RngExt;

use crate::parameters;

/// What the seed of the first weights differs by from that of the training.
const FIRST: u64 = 0xF1_257;

/// How a parameter is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Draw {
    /// Between this and its negative.
    Uniform(f32),
    /// With a mean of 0 and a deviation of 1.
    Normal,
}

/// `module` with the first weights of PyTorch's layers: those of a linear layer or a convolution, and its bias, uniform in `±1 / √fan_in`
/// (`kaiming_uniform_` with `a = √5`), an embedding normal. Norms stay as they were made.
#[must_use]
pub fn drawn<M: Module>(module: M, seed: u64) -> M {
    let draws = draws(&parameter_names(&module));
    parameters::map(module, |name, value| {
        let Some(&(index, draw)) = draws.get(name) else {
            return value;
        };
        let length = value.dims()[0];
        let mut rng = ip2p_data::rng(seed ^ FIRST, index);
        let numbers: Vec<f32> = match draw {
            Draw::Uniform(bound) => (0..length)
                .map(|_| rng.random_range(-bound..bound))
                .collect(),
            Draw::Normal => NoiseGenerator::new(NoiseKind::TorchCpu, rng.random()).normal(length),
        };
        Tensor::from_data(TensorData::new(numbers, [length]), &value.device())
    })
}

/// How each parameter is drawn, by its path, with its number.
fn draws(names: &[ParameterName]) -> BTreeMap<String, (u64, Draw)> {
    let bounds: BTreeMap<&str, f32> = names
        .iter()
        .filter_map(|name| Some((name.path.strip_suffix("weight")?, bound(name)?)))
        .collect();
    let draw = |name: &ParameterName| match &name.shape[..] {
        [_] => {
            let layer = name.path.strip_suffix("bias")?;
            bounds.get(layer).copied().map(Draw::Uniform)
        }
        _ => Some(bound(name).map_or(Draw::Normal, Draw::Uniform)),
    };
    (0..)
        .zip(names)
        .filter_map(|(index, name)| Some((name.path.clone(), (index, draw(name)?))))
        .collect()
}

/// What bounds the weights of a linear layer or a convolution.
fn bound(name: &ParameterName) -> Option<f32> {
    let fan_in: usize = match name.shape[..] {
        [width, _] if name.is_linear_weight => width,
        [_, channels, height, width] => channels * height * width,
        _ => return None,
    };
    Some((fan_in as f32).sqrt().recip())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use ip2p::models::clip::CLIPTextConfig;
    use ip2p::models::taesd::AutoencoderTinyConfig;

    use super::*;
    use crate::parameters::Named;

    fn numbers(named: &Named) -> BTreeMap<String, Vec<f32>> {
        let numbers = |tensor: &Tensor<1>| tensor.to_data().try_into_vec::<f32>().unwrap();
        named
            .iter()
            .map(|(name, tensor)| (name.clone(), numbers(tensor)))
            .collect()
    }

    fn text_encoder(seed: u64) -> BTreeMap<String, Vec<f32>> {
        let config = r#"{"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 16, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}"#;
        let config = CLIPTextConfig::from_json(config).unwrap();
        numbers(&parameters::values(&drawn(
            config.init(&Device::flex()),
            seed,
        )))
    }

    #[test]
    fn the_first_weights_follow_from_the_seed() {
        assert_eq!(text_encoder(3), text_encoder(3));
        assert_ne!(text_encoder(3), text_encoder(4));
    }

    #[test]
    fn they_are_distributed_as_those_of_pytorch() {
        let drawn = text_encoder(3);
        let moments = |name: &str| {
            let values = &drawn[name];
            let count = values.len() as f32;
            let mean = values.iter().sum::<f32>() / count;
            let square = values.iter().map(|x| x * x).sum::<f32>() / count;
            (mean, square)
        };
        // Uniform in ±1 / √32: a variance of 1 / 96.
        for layer in ["self_attn.q_proj", "mlp.fc1"] {
            let (mean, square) = moments(&format!("text_model.encoder.layers.0.{layer}.weight"));
            assert!(
                mean.abs() < 0.01 && (square * 96.0 - 1.0).abs() < 0.1,
                "{layer} {mean} {square}"
            );
        }
        let bound = 32_f32.sqrt().recip();
        let bias = &drawn["text_model.encoder.layers.0.mlp.fc1.bias"];
        assert!(bias.iter().all(|x| x.abs() <= bound) && bias.iter().any(|&x| x != 0.0));
        let (mean, square) = moments("text_model.embeddings.token_embedding.weight");
        assert!(
            mean.abs() < 0.1 && (square - 1.0).abs() < 0.1,
            "{mean} {square}"
        );
        assert_eq!(moments("text_model.final_layer_norm.weight"), (1.0, 1.0));
        assert_eq!(moments("text_model.final_layer_norm.bias"), (0.0, 0.0));
    }

    #[test]
    fn every_parameter_but_those_of_norms_is_drawn() {
        let config = AutoencoderTinyConfig::from_json("{}").unwrap();
        let device = Device::flex();
        let [first, other] = [1, 2].map(|seed| {
            let module = drawn(config.init(&device), seed);
            numbers(&parameters::values(&module))
        });
        for (name, values) in &first {
            assert_ne!(values, &other[name], "{name}");
        }
    }
}
