//! Causal self-attention.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::CLIPTextConfig;
use crate::layers::ops;

/// Self-attention in which a token sees itself and those before it.
#[derive(Module, Debug)]
pub(super) struct CLIPAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    num_heads: usize,
}

impl CLIPAttention {
    pub(super) fn new(config: &CLIPTextConfig, device: &Device) -> Self {
        let linear = || LinearConfig::new(config.hidden_size, config.hidden_size).init(device);
        Self {
            q_proj: linear(),
            k_proj: linear(),
            v_proj: linear(),
            out_proj: linear(),
            num_heads: config.num_attention_heads,
        }
    }

    /// # Shapes
    ///
    /// - x: `[batch, tokens, hidden_size]`
    /// - output: as `x`
    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        let head_dim = width / self.num_heads;
        let heads = |x: Tensor<3>| {
            x.reshape([batch, tokens, self.num_heads, head_dim])
                .swap_dims(1, 2)
        };
        let q = heads(ops::linear(&self.q_proj, x.clone()));
        let k = heads(ops::linear(&self.k_proj, x.clone()));
        let v = heads(ops::linear(&self.v_proj, x));

        let x = ops::causal_attention(q, k, v); // [batch, heads, tokens, head_dim]
        let x = x.swap_dims(1, 2).reshape([batch, tokens, width]);
        ops::linear(&self.out_proj, x)
    }
}
