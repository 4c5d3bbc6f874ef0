//! Two-dimensional convolution.

#[cfg(all(feature = "flex", feature = "autodiff"))]
use burn::tensor::DType;
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Tensor, module};

#[cfg(feature = "flex")]
use crate::flex;
use crate::plain;

/// Two-dimensional convolution, as [`burn::tensor::module::conv2d`].
///
/// The fast body takes kernels without groups and dilation; others are burn's, in `f32` where the input is narrower. With weights
/// of `bf16` it rounds its input to that, and sums up in `f32`; or with those of [`quantize`](crate::quantize).
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
        && flex::holds_weight(&weight)
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

/// A 3x3 convolution, with a pixel of padding, of a picture twice as large, in which every pixel is repeated two by two.
///
/// The fast body makes nine multiplications of 36 and never holds the larger picture; where weights are of `bf16`, what it
/// makes of weights and input is rounded to that too.
///
/// # Shapes
///
/// - `x`: `[batch, channels_in, height, width]`
/// - `weight`: `[channels_out, channels_in, 3, 3]`
/// - `bias`: `[channels_out]`
/// - output: `[batch, channels_out, 2 * height, 2 * width]`, of the type of `x`
///
/// # Panics
///
/// If the kernel is another, or its channels are not those of `x`.
#[must_use]
pub fn upsample_conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let [_, channels, height, width] = x.dims();
    assert_eq!(
        weight.dims()[1..],
        [channels, 3, 3],
        "upsample_conv2d of {channels} channels takes weights of [_, {channels}, 3, 3]"
    );
    #[cfg(feature = "flex")]
    if flex::upsamples(x.dims(), weight.dims()[0])
        && flex::holds(&x)
        && flex::holds_weight(&weight)
        && bias.as_ref().is_none_or(flex::holds)
    {
        return flex::upsample_conv2d(x, weight, bias);
    }
    let nearest =
        InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * height, 2 * width]);
    let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    conv2d(module::interpolate(x, nearest), weight, bias, options)
}
