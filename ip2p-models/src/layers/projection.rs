//! The way into and out of a transformer.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor};

use super::{Conv2d, Conv2dConfig, ops};

/// Configuration of a [`Projection`].
#[derive(Config, Debug)]
pub struct ProjectionConfig {
    /// How many channels come in.
    pub in_channels: usize,
    /// How many channels go out.
    pub out_channels: usize,
    /// Whether the checkpoint has the weight as that of a linear layer, `[out, in]`, and not as that of a convolution,
    /// `[out, in, 1, 1]`; default false.
    #[config(default = false)]
    pub linear: bool,
}

/// One matrix for every pixel, between a picture and a row of tokens.
///
/// Checkpoints have it as a linear layer or as a convolution with a kernel of one pixel. Both are the same matrix
/// product, and a product that takes its operands as they lie turns the picture into tokens, and back, without a copy.
#[derive(Module, Debug)]
pub enum Projection {
    /// As a linear layer.
    Linear(Linear),
    /// As a convolution.
    Conv(Conv2d),
}

impl ProjectionConfig {
    /// Makes the layer.
    #[must_use]
    pub fn init(&self, device: &Device) -> Projection {
        let [i, o] = [self.in_channels, self.out_channels];
        if self.linear {
            Projection::Linear(LinearConfig::new(i, o).init(device))
        } else {
            Projection::Conv(Conv2dConfig::same(i, o, 1).init(device))
        }
    }
}

impl Projection {
    /// Projects each pixel of a picture to a token.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, in_channels, height, width]`
    /// - output: `[batch, height * width, out_channels]`
    #[must_use]
    pub fn to_tokens(&self, x: Tensor<4>) -> Tensor<3> {
        let pixels = x.flatten::<3>(2, 3).swap_dims(1, 2); // [batch, height * width, in]
        if self.dtype() != pixels.dtype() {
            return self.project(pixels);
        }
        // Where they lie: no pixel is moved.
        let tokens = pixels.matmul(self.matrix().transpose().unsqueeze());
        match self.bias() {
            Some(bias) => tokens + bias.reshape([1, 1, -1]),
            None => tokens,
        }
    }

    /// Projects each token to a pixel of a picture.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, height * width, in_channels]`
    /// - output: `[batch, out_channels, height, width]`
    #[must_use]
    pub fn to_picture(&self, tokens: Tensor<3>, [height, width]: [usize; 2]) -> Tensor<4> {
        let x = if self.dtype() == tokens.dtype() {
            let x = (self.matrix().unsqueeze()).matmul(tokens.swap_dims(1, 2));
            match self.bias() {
                Some(bias) => x + bias.reshape([1, -1, 1]),
                None => x,
            }
        } else {
            match self {
                Self::Linear(linear) => ops::linear_turned(linear, tokens),
                Self::Conv(conv) => {
                    ip2p_kernels::pointwise_turned(tokens, conv.weight.val(), self.bias())
                }
            }
        }; // [batch, out, height * width]
        let [batch, channels, _] = x.dims();
        x.reshape([batch, channels, height, width])
    }

    /// Projects each token.
    fn project(&self, tokens: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Linear(linear) => ops::linear(linear, tokens),
            Self::Conv(conv) => ip2p_kernels::pointwise(tokens, conv.weight.val(), self.bias()),
        }
    }

    /// The matrix as `[out, in]`.
    fn matrix(&self) -> Tensor<2> {
        match self {
            // burn keeps the weight of a linear layer as `[in, out]`.
            Self::Linear(linear) => linear.weight.val().transpose(),
            Self::Conv(conv) => conv.weight.val().flatten(1, 3),
        }
    }

    fn bias(&self) -> Option<Tensor<1>> {
        let bias = match self {
            Self::Linear(linear) => &linear.bias,
            Self::Conv(conv) => &conv.bias,
        };
        bias.as_ref().map(Param::val)
    }

    /// The type of the weights.
    fn dtype(&self) -> DType {
        match self {
            Self::Linear(linear) => linear.weight.val().dtype(),
            Self::Conv(conv) => conv.weight.val().dtype(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, Tolerance};

    #[test]
    fn a_projection_is_a_convolution_with_a_kernel_of_one_pixel() {
        let device = Device::flex();
        let x = Tensor::<4>::random([2, 3, 4, 5], Distribution::Default, &device);
        let conv = Conv2dConfig::same(3, 6, 1).init(&device);
        let expected = conv.forward(x.clone());

        let tokens = Projection::Conv(conv.clone()).to_tokens(x.clone());
        assert_eq!(tokens.dims(), [2, 20, 6]);
        let picture = tokens.swap_dims(1, 2).reshape([2, 6, 4, 5]);
        let near = Tolerance::<f32>::absolute(1e-6);
        picture
            .into_data()
            .assert_approx_eq(&expected.to_data(), near);

        let tokens = x.flatten::<3>(2, 3).swap_dims(1, 2);
        let picture = Projection::Conv(conv).to_picture(tokens, [4, 5]);
        picture
            .into_data()
            .assert_approx_eq(&expected.to_data(), near);
    }

    #[test]
    fn a_linear_projection_is_the_linear_layer() {
        let device = Device::flex();
        let x = Tensor::<3>::random([2, 20, 3], Distribution::Default, &device);
        let linear = LinearConfig::new(3, 6).init(&device);
        let expected = linear
            .forward(x.clone())
            .swap_dims(1, 2)
            .reshape([2, 6, 4, 5]);
        let picture = Projection::Linear(linear).to_picture(x, [4, 5]);
        let near = Tolerance::<f32>::absolute(1e-6);
        picture
            .into_data()
            .assert_approx_eq(&expected.to_data(), near);
    }
}
