//! The layers of both halves, numbered as in diffusers.

use burn::module::Module;
use burn::nn::Relu;
use burn::nn::interpolate::{Interpolate2d, Interpolate2dConfig};
use burn::tensor::{Device, Tensor};

use crate::layers::{Conv2d, Conv2dConfig};

/// One of a list whose indices are part of the weights' names, those without weights included.
#[expect(clippy::large_enum_variant, reason = "some twenty of them, made once")]
#[derive(Module, Debug)]
pub(super) enum TinyLayer {
    /// A convolution.
    Conv(Conv2d),
    /// `max(x, 0)`.
    Relu(Relu),
    /// A residual block.
    Block(AutoencoderTinyBlock),
    /// Each pixel twice, across and down.
    Upsample(Interpolate2d),
}

impl TinyLayer {
    /// A 3×3 convolution.
    pub(super) fn conv(channels: [usize; 2], device: &Device) -> Self {
        Self::Conv(conv(channels).init(device))
    }

    /// A 3×3 convolution without bias.
    pub(super) fn conv_without_bias(channels: usize, device: &Device) -> Self {
        Self::Conv(conv([channels; 2]).with_bias(false).init(device))
    }

    /// A 3×3 convolution without bias that halves height and width.
    pub(super) fn downsample(channels: usize, device: &Device) -> Self {
        let conv = conv([channels; 2]).with_bias(false).with_stride(2);
        Self::Conv(conv.init(device))
    }

    /// Each pixel twice, across and down.
    pub(super) fn upsample() -> Self {
        let interpolate = Interpolate2dConfig::new().with_scale_factor(Some([2.0, 2.0]));
        Self::Upsample(interpolate.init())
    }

    /// A residual block.
    pub(super) fn block(channels: usize, device: &Device) -> Self {
        Self::Block(AutoencoderTinyBlock::new(channels, device))
    }

    /// # Shapes
    ///
    /// - x: `[batch, channels, height, width]`
    /// - output: `[batch, channels, height, width]`, of which each but the batch may be others
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Relu(relu) => relu.forward(x),
            Self::Block(block) => block.forward(x),
            Self::Upsample(upsample) => upsample.forward(x),
        }
    }
}

/// Three convolutions around a residual.
#[derive(Module, Debug)]
pub(super) struct AutoencoderTinyBlock {
    conv: (Conv2d, Relu, Conv2d, Relu, Conv2d),
}

impl AutoencoderTinyBlock {
    fn new(channels: usize, device: &Device) -> Self {
        let conv = || conv([channels; 2]).init(device);
        Self {
            conv: (conv(), Relu::new(), conv(), Relu::new(), conv()),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (conv1, relu, conv2, _, conv3) = &self.conv;
        let y = relu.forward(conv1.forward(x.clone()));
        let y = relu.forward(conv2.forward(y));
        relu.forward(conv3.forward(y) + x)
    }
}

/// A 3×3 convolution that keeps height and width.
fn conv(channels: [usize; 2]) -> Conv2dConfig {
    Conv2dConfig::same(channels[0], channels[1], 3)
}
