//! Linear layers.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::flex;
use crate::{geglu, plain};

/// `x · weight + bias` over the last axis, as [`burn::tensor::module::linear`].
///
/// The fast body takes weights of `bf16`, rounds its input to that, and sums up in `f32`; or those of [`quantize`].
///
/// # Shapes
///
/// - `x`: `[…, width_in]`
/// - `weight`: `[width_in, width_out]`
/// - `bias`: `[width_out]`
/// - output: `[…, width_out]`, of the type of `x`
///
/// # Panics
///
/// If the last axis of `x` is not as long as the first of `weight`.
#[must_use]
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let (width, given) = (weight.dims()[0], x.dims()[D - 1]);
    assert_eq!(
        given, width,
        "linear of {given} numbers cannot have weights for {width}"
    );
    #[cfg(feature = "flex")]
    if flex::multiplies(&x, &weight, bias.as_ref()) {
        return flex::linear(x, weight, bias);
    }
    plain::linear(x, weight, bias)
}

/// [`geglu`] of [`linear`], which the fast body makes without holding the wider output between them.
///
/// # Shapes
///
/// - `x`: `[batch, tokens, width_in]`
/// - `weight`: `[width_in, 2 * width]`, of the values and then of their gates
/// - `bias`: `[2 * width]`
/// - output: `[batch, tokens, width]`, of the type of `x`
///
/// # Panics
///
/// As [`linear`], or if the second axis of `weight` is odd.
#[must_use]
pub fn linear_geglu(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if weight.dims()[1].is_multiple_of(2)
        && weight.dims()[0] == x.dims()[2]
        && flex::multiplies(&x, &weight, bias.as_ref())
    {
        return flex::linear_geglu(x, weight, bias);
    }
    geglu(linear(x, weight, bias))
}

/// [`linear`] with the weights of a convolution whose kernels are of one pixel.
///
/// # Shapes
///
/// - `x`: `[…, width_in]`
/// - `weight`: `[width_out, width_in, 1, 1]`
/// - `bias`: `[width_out]`
/// - output: `[…, width_out]`, of the type of `x`
///
/// # Panics
///
/// If the last axis of `x` is not as long as the second of `weight`, or the kernels are larger.
#[must_use]
pub fn pointwise<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    assert_pointwise(&weight);
    #[cfg(feature = "flex")]
    if flex::multiplies_pointwise(&x, &weight, bias.as_ref()) {
        return flex::pointwise(x, &weight, bias);
    }
    linear(x, weight.flatten(1, 3).transpose(), bias)
}

/// [`linear`] with the last two axes of the output swapped, which the fast body makes without a copy.
///
/// # Shapes
///
/// - `x`: `[batch, tokens, width_in]`
/// - `weight`: `[width_in, width_out]`
/// - `bias`: `[width_out]`
/// - output: `[batch, width_out, tokens]`, of the type of `x`
///
/// # Panics
///
/// As [`linear`].
#[must_use]
pub fn linear_turned(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if weight.dims()[0] == x.dims()[2]
        && flex::multiplies(&x, &weight, bias.as_ref())
        && flex::multiplies_turned(x.dims()[1])
    {
        return flex::linear_turned(x, weight, bias);
    }
    linear(x, weight, bias).swap_dims(1, 2)
}

/// [`pointwise`] with the last two axes of the output swapped, which the fast body makes without a copy: from tokens to a picture.
///
/// # Shapes
///
/// - `x`: `[batch, pixels, width_in]`
/// - `weight`: `[width_out, width_in, 1, 1]`
/// - `bias`: `[width_out]`
/// - output: `[batch, width_out, pixels]`, of the type of `x`
///
/// # Panics
///
/// As [`pointwise`].
#[must_use]
pub fn pointwise_turned(x: Tensor<3>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<3> {
    assert_pointwise(&weight);
    #[cfg(feature = "flex")]
    if flex::multiplies_pointwise(&x, &weight, bias.as_ref()) {
        return if flex::multiplies_turned(x.dims()[1]) {
            flex::pointwise_turned(x, &weight, bias)
        } else {
            flex::pointwise(x, &weight, bias).swap_dims(1, 2)
        };
    }
    linear_turned(x, weight.flatten(1, 3).transpose(), bias)
}

fn assert_pointwise(weight: &Tensor<4>) {
    assert_eq!(
        weight.dims()[2..],
        [1, 1],
        "pointwise takes kernels of one pixel"
    );
}

/// Weights in whole numbers of 8 bits, with a scale for each channel of the output, for [`linear`], and for kernels of one pixel or 3x3 in
/// [`conv2d`](crate::conv2d) and [`upsample_conv2d`](crate::upsample_conv2d): the fast bodies round their input to such numbers too, and
/// sum up whole numbers.
///
/// Only on the CPU (`flex`), and only where burn has a scheme for so many numbers; else the tensor is what it was.
///
/// # Shapes
///
/// - `weight`: `[width_in, width_out]`, `[channels_out, channels_in, 1, 1]` or `[channels_out, channels_in, 3, 3]`
/// - output: as `weight`
#[must_use]
pub fn quantize<const D: usize>(weight: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if flex::holds(&weight) {
        return flex::quantize(weight);
    }
    weight
}

/// As [`quantize`], for [`pointwise`].
///
/// # Shapes
///
/// - `weight`: `[width_out, width_in, 1, 1]`
/// - output: as `weight`
#[must_use]
pub fn quantize_pointwise<const D: usize>(weight: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if flex::holds(&weight) && D == 4 && weight.dims()[2..] == [1, 1] {
        return flex::quantize_turned(weight);
    }
    weight
}
