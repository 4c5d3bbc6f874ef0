//! The stack of transformer layers.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::attention::CLIPAttention;
use super::{CLIPTextConfig, HiddenAct};
use crate::layers::ops;
use crate::layers::{LayerNorm, LayerNormConfig};

/// The layers, one after the other.
#[derive(Module, Debug)]
pub(super) struct CLIPEncoder {
    pub(super) layers: Vec<CLIPEncoderLayer>,
}

impl CLIPEncoder {
    pub(super) fn new(config: &CLIPTextConfig, device: &Device) -> Self {
        Self {
            layers: (0..config.num_hidden_layers)
                .map(|_| CLIPEncoderLayer::new(config, device))
                .collect(),
        }
    }
}

/// Attention and a feed-forward part, each after a norm and around a residual.
#[derive(Module, Debug)]
pub(super) struct CLIPEncoderLayer {
    self_attn: CLIPAttention,
    layer_norm1: LayerNorm,
    mlp: CLIPMlp,
    layer_norm2: LayerNorm,
}

impl CLIPEncoderLayer {
    fn new(config: &CLIPTextConfig, device: &Device) -> Self {
        let norm = || layer_norm(config, device);
        Self {
            self_attn: CLIPAttention::new(config, device),
            layer_norm1: norm(),
            mlp: CLIPMlp::new(config, device),
            layer_norm2: norm(),
        }
    }

    /// # Shapes
    ///
    /// - x: `[batch, tokens, hidden_size]`
    /// - output: as `x`
    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.self_attn.forward(self.layer_norm1.forward(x));
        x.clone() + self.mlp.forward(self.layer_norm2.forward(x))
    }
}

/// The feed-forward part.
#[derive(Module, Debug)]
struct CLIPMlp {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    hidden_act: HiddenAct,
}

impl CLIPMlp {
    fn new(config: &CLIPTextConfig, device: &Device) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        Self {
            fc1: LinearConfig::new(width, inner).init(device),
            fc2: LinearConfig::new(inner, width).init(device),
            hidden_act: config.hidden_act,
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = self.hidden_act.forward(ops::linear(&self.fc1, x));
        ops::linear(&self.fc2, x)
    }
}

/// A layer norm over the width of a state.
pub(super) fn layer_norm(config: &CLIPTextConfig, device: &Device) -> LayerNorm {
    LayerNormConfig::new(config.hidden_size)
        .with_epsilon(config.layer_norm_eps)
        .init(device)
}
