//! The feed-forward part of a transformer block.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Identity, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::ops;

/// How many times wider than the token the hidden layer is.
const EXPANSION: usize = 4;

/// Configuration of a [`FeedForward`].
#[derive(Config, Debug)]
pub struct FeedForwardConfig {
    /// The width of a token.
    pub dim: usize,
}

/// Two linear layers with a gate between them.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// Named `net.0` and `net.2` in the checkpoint: number 1 is a dropout, without weights.
    net: (GEGLU, Identity, Linear),
}

/// A linear layer whose output is gated by a GELU: Shazeer (2020), <https://arxiv.org/abs/2002.05202>.
#[derive(Module, Debug)]
pub struct GEGLU {
    /// Both the hidden values and their gates, in this order.
    proj: Linear,
}

impl FeedForwardConfig {
    /// Makes the layers.
    #[must_use]
    pub fn init(&self, device: &Device) -> FeedForward {
        let hidden = EXPANSION * self.dim;
        let gated = GEGLU {
            proj: LinearConfig::new(self.dim, 2 * hidden).init(device),
        };
        let out = LinearConfig::new(hidden, self.dim).init(device);
        FeedForward {
            net: (gated, Identity, out),
        }
    }
}

impl FeedForward {
    /// Applies the layers to each token.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, tokens, dim]`
    /// - output: as `x`
    #[must_use]
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let (gated, _, out) = &self.net;
        ops::linear(out, gated.forward(x))
    }
}

impl GEGLU {
    /// Applies the layer to each token.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, tokens, dim]`
    /// - output: `[batch, tokens, hidden]`
    #[must_use]
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        ops::linear_geglu(&self.proj, x)
    }
}
