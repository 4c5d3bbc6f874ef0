//! Linear layers.

#[cfg(feature = "flex")]
use burn::tensor::DType;
use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::flex;
use crate::{geglu, plain};

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
    if takes(&x, &weight, bias.as_ref()) {
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
        && takes(&x, &weight, bias.as_ref())
    {
        return flex::linear_geglu(x, weight, bias);
    }
    geglu(linear(x, weight, bias))
}

/// Whether flex has a body of its own for such a layer.
#[cfg(feature = "flex")]
fn takes<const D: usize>(x: &Tensor<D>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> bool {
    let [width, columns] = weight.dims();
    weight.dtype() == DType::BF16
        && width.is_multiple_of(2)
        && width.min(columns) > 0
        && flex::holds(x)
        && flex::holds(weight)
        && bias.is_none_or(flex::holds)
}
