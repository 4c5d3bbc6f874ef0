//! Norms, with weights named as in PyTorch.

use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use super::ops::{self, Activation};

/// Configuration of a [`GroupNorm`].
#[derive(Config, Debug)]
pub struct GroupNormConfig {
    /// How many groups the channels are divided into.
    pub num_groups: usize,
    /// How many channels there are.
    pub num_channels: usize,
    /// What is added to the variance; default 1e-5.
    #[config(default = 1e-5)]
    pub epsilon: f64,
}

/// Group normalisation: Wu and He (2018), <https://arxiv.org/abs/1803.08494>.
#[derive(Module, Debug)]
pub struct GroupNorm {
    weight: Param<Tensor<1>>, // [channels]
    bias: Param<Tensor<1>>,   // [channels]
    num_groups: usize,
    epsilon: f64,
}

impl GroupNormConfig {
    /// Makes the layer, the identity but for the normalisation.
    ///
    /// # Panics
    ///
    /// If the groups do not divide the channels.
    #[must_use]
    pub fn init(&self, device: &Device) -> GroupNorm {
        assert!(
            self.num_channels.is_multiple_of(self.num_groups),
            "{} channels do not divide into {} groups",
            self.num_channels,
            self.num_groups
        );
        GroupNorm {
            weight: Initializer::Ones.init([self.num_channels], device),
            bias: Initializer::Zeros.init([self.num_channels], device),
            num_groups: self.num_groups,
            epsilon: self.epsilon,
        }
    }
}

impl GroupNorm {
    /// Normalises.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, channels, height, width]`
    /// - output: as `x`
    #[must_use]
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.with(x, Activation::None)
    }

    /// Normalises and applies the SiLU.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, channels, height, width]`
    /// - output: as `x`
    #[must_use]
    pub fn forward_silu(&self, x: Tensor<4>) -> Tensor<4> {
        self.with(x, Activation::Silu)
    }

    fn with(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        ops::group_norm(x, self.num_groups, weight, bias, self.epsilon, activation)
    }
}

/// Configuration of a [`LayerNorm`].
#[derive(Config, Debug)]
pub struct LayerNormConfig {
    /// The width of the last axis.
    pub width: usize,
    /// What is added to the variance; default 1e-5.
    #[config(default = 1e-5)]
    pub epsilon: f64,
}

/// Layer normalisation over the last axis: Ba et al. (2016), <https://arxiv.org/abs/1607.06450>.
#[derive(Module, Debug)]
pub struct LayerNorm {
    weight: Param<Tensor<1>>, // [width]
    bias: Param<Tensor<1>>,   // [width]
    epsilon: f64,
}

impl LayerNormConfig {
    /// Makes the layer, the identity but for the normalisation.
    #[must_use]
    pub fn init(&self, device: &Device) -> LayerNorm {
        LayerNorm {
            weight: Initializer::Ones.init([self.width], device),
            bias: Initializer::Zeros.init([self.width], device),
            epsilon: self.epsilon,
        }
    }
}

impl LayerNorm {
    /// Normalises.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, tokens, width]`
    /// - output: as `x`
    #[must_use]
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        ops::layer_norm(x, self.weight.val(), self.bias.val(), self.epsilon)
    }
}
