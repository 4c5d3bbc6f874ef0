//! Linear layers.

#[cfg(feature = "flex")]
use burn::tensor::DType;
use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::flex;
use crate::plain;

/// `x · weight + bias` over the last axis, as [`burn::tensor::module::linear`].
///
/// The fast body takes weights of `bf16`, rounds its input to that, and sums up in `f32`.
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
    if weight.dtype() == DType::BF16
        && width.is_multiple_of(2)
        && weight.dims()[1] > 0
        && flex::holds(&x)
        && flex::holds(&weight)
        && bias.as_ref().is_none_or(flex::holds)
    {
        return flex::linear(x, weight, bias);
    }
    plain::linear(x, weight, bias)
}
