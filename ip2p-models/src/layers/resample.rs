//! Halving and doubling the size of a picture.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::ops::{InterpolateMode, InterpolateOptions, PadMode};
use burn::tensor::{Device, Tensor};

use super::{Conv2d, Conv2dConfig, ops};

/// Configuration of a [`Downsample2D`].
#[derive(Config, Debug)]
pub struct Downsample2DConfig {
    /// How many channels there are.
    pub channels: usize,
    /// The zeros around the picture; 0 is the autoencoder's way: one row at the bottom and one column at the right.
    #[config(default = 1)]
    pub padding: usize,
}

/// A convolution that halves the size of a picture, rounding up where the padding is 1.
#[derive(Module, Debug)]
pub struct Downsample2D {
    conv: Conv2d,
    padding: usize,
}

impl Downsample2DConfig {
    /// Makes the layer.
    #[must_use]
    pub fn init(&self, device: &Device) -> Downsample2D {
        let conv = Conv2dConfig::new(self.channels, self.channels, 3)
            .with_stride(2)
            .with_padding(self.padding);
        Downsample2D {
            conv: conv.init(device),
            padding: self.padding,
        }
    }
}

impl Downsample2D {
    /// Halves the size.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, channels, height, width]`
    /// - output: `[batch, channels, ⌈height / 2⌉, ⌈width / 2⌉]` where the padding is 1
    #[must_use]
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = match self.padding {
            0 => x.pad((0, 1, 0, 1), PadMode::Constant(0.0)),
            _ => x,
        };
        self.conv.forward(x)
    }
}

/// Configuration of an [`Upsample2D`].
#[derive(Config, Debug)]
pub struct Upsample2DConfig {
    /// How many channels there are.
    pub channels: usize,
}

/// Enlarges a picture by repeating pixels, and smooths it by a convolution.
#[derive(Module, Debug)]
pub struct Upsample2D {
    conv: Conv2d,
}

impl Upsample2DConfig {
    /// Makes the layer.
    #[must_use]
    pub fn init(&self, device: &Device) -> Upsample2D {
        Upsample2D {
            conv: Conv2dConfig::same(self.channels, self.channels, 3).init(device),
        }
    }
}

impl Upsample2D {
    /// Doubles the size.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, channels, height, width]`
    /// - output: `[batch, channels, 2 * height, 2 * width]`
    #[must_use]
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        self.forward_to(x, [2 * height, 2 * width])
    }

    /// Enlarges to a size, for a picture whose size was odd before it was halved.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, channels, height, width]`
    /// - output: `[batch, channels, size[0], size[1]]`
    #[must_use]
    pub fn forward_to(&self, x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        if size == [2 * height, 2 * width] {
            let bias = self.conv.bias.as_ref().map(Param::val);
            return ops::upsample_conv2d(x, self.conv.weight.val(), bias);
        }
        let nearest = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size);
        self.conv
            .forward(burn::tensor::module::interpolate(x, nearest))
    }
}
