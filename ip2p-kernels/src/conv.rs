//! Two-dimensional convolution.

#[cfg(all(feature = "flex", feature = "autodiff"))]
use burn::tensor::DType;
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;

#[cfg(feature = "flex")]
use crate::flex;
use crate::plain;

/// Two-dimensional convolution, as [`burn::tensor::module::conv2d`].
///
/// The fast body takes kernels without groups and dilation; others are burn's, in `f32` where the input is narrower. With weights
/// of `bf16` it rounds its input to that, and sums up in `f32`.
///
/// # Shapes
///
/// - `x`: `[batch, channels_in, height_in, width_in]`
/// - `weight`: `[channels_out, channels_in / groups, kernel_height, kernel_width]`
/// - `bias`: `[channels_out]`
/// - output: `[batch, channels_out, height_out, width_out]`, of the type of `x`
///
/// # Panics
///
/// If the channels of `weight` are not those of `x`, or the kernel is larger than the padded input.
#[must_use]
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if options.groups == 1
        && options.dilation == [1, 1]
        && flex::holds(&x)
        && flex::holds(&weight)
        && bias.as_ref().is_none_or(flex::holds)
    {
        return flex::conv2d(x, weight, bias, &options);
    }
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    if options.groups == 1
        && options.dilation == [1, 1]
        && flex::tracks(&[x.device(), weight.device()])
        && x.dtype() == DType::F32
    {
        return flex::tracked_conv2d(x, weight, bias, options);
    }
    plain::conv2d(x, weight, bias, options)
}
