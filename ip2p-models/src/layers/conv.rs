//! Convolution, by the operator of `ip2p-kernels`.

use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};

use super::ops;

/// Configuration of a [`Conv2d`].
#[derive(Config, Debug)]
pub struct Conv2dConfig {
    /// How many channels go in.
    pub in_channels: usize,
    /// How many come out.
    pub out_channels: usize,
    /// The side of the square kernel, in pixels.
    pub kernel_size: usize,
    /// Pixels from one application of the kernel to the next; default 1.
    #[config(default = 1)]
    pub stride: usize,
    /// Rows and columns of zeros on each side; default 0.
    #[config(default = 0)]
    pub padding: usize,
    /// Whether a bias is added; default yes.
    #[config(default = true)]
    pub bias: bool,
}

/// Two-dimensional convolution.
#[derive(Module, Debug)]
pub struct Conv2d {
    pub(crate) weight: Param<Tensor<4>>, // [out_channels, in_channels, kernel_size, kernel_size]
    pub(crate) bias: Option<Param<Tensor<1>>>, // [out_channels]
    stride: usize,
    padding: usize,
}

impl Conv2dConfig {
    /// A convolution with an odd kernel that keeps the size of the picture.
    #[must_use]
    pub fn same(in_channels: usize, out_channels: usize, kernel_size: usize) -> Self {
        Self::new(in_channels, out_channels, kernel_size).with_padding((kernel_size - 1) / 2)
    }

    /// Makes the layer, with PyTorch's distribution of first weights.
    #[must_use]
    pub fn init(&self, device: &Device) -> Conv2d {
        let Self {
            in_channels: i,
            out_channels: o,
            kernel_size: k,
            ..
        } = *self;
        let initializer = Initializer::KaimingUniform {
            gain: 1.0 / 3.0_f64.sqrt(),
            fan_out_only: false,
        };
        let fan_in = Some(i * k * k);
        Conv2d {
            weight: initializer.init_with([o, i, k, k], fan_in, None, device),
            bias: self
                .bias
                .then(|| initializer.init_with([o], fan_in, None, device)),
            stride: self.stride,
            padding: self.padding,
        }
    }
}

impl Conv2d {
    /// The same convolution of pictures with more channels; the weights of those that are new are zero.
    ///
    /// # Panics
    ///
    /// If `in_channels` is not more than it takes.
    #[must_use]
    pub fn widened(self, in_channels: usize) -> Self {
        let weight = self.weight.map(|weight| {
            let trained = weight.is_require_grad();
            let [o, i, ..] = weight.dims();
            assert!(i < in_channels, "it takes {i} channels already");
            let [_, _, height, width] = weight.dims();
            let options = (&weight.device(), weight.dtype());
            let zeros = Tensor::zeros([o, in_channels - i, height, width], options);
            // A parameter is no result of a computation.
            let weight = Tensor::cat(vec![weight, zeros], 1).detach();
            weight.set_require_grad(trained)
        });
        Self { weight, ..self }
    }

    /// Convolves.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, in_channels, height, width]`
    /// - output: `[batch, out_channels, (height + 2·padding − kernel_size) / stride + 1, …]`, likewise the width
    #[must_use]
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }

    /// What [`Self::forward`] makes of the first channels that go in, without the bias: the summand beside
    /// [`Self::forward_rest`].
    pub(crate) fn forward_first(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, channels, ..] = x.dims();
        self.apply(x, self.weight.val().narrow(1, 0, channels), None)
    }

    /// What [`Self::forward`] makes of the last channels that go in, with the bias.
    pub(crate) fn forward_rest(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, channels, ..] = x.dims();
        let weight = self.weight.val();
        let first = weight.dims()[1] - channels;
        let bias = self.bias.as_ref().map(Param::val);
        self.apply(x, weight.narrow(1, first, channels), bias)
    }

    fn apply(&self, x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1, 1], 1);
        ops::conv2d(x, weight, bias, options)
    }
}
