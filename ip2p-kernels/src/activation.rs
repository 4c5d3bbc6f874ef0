//! Activations: SiLU, GELU and the gated GELU of a transformer's feed-forward layer.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::flex;
use crate::plain;

/// The slope of the sigmoid in [`quick_gelu`].
pub(crate) const QUICK_GELU_SLOPE: f64 = 1.702;

/// SiLU: `x · sigmoid(x)`.
#[must_use]
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if flex::holds(&x) {
        return flex::elementwise(x, flex::Function::Silu);
    }
    plain::silu(x)
}

/// GELU with the exact normal distribution: `x · ½ (1 + erf(x / √2))`.
#[must_use]
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if flex::holds(&x) {
        return flex::elementwise(x, flex::Function::Gelu);
    }
    plain::gelu(x)
}

/// The sigmoid approximation of GELU that CLIP was trained with: `x · sigmoid(1.702 x)`.
#[must_use]
pub fn quick_gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if flex::holds(&x) {
        return flex::elementwise(x, flex::Function::QuickGelu);
    }
    plain::quick_gelu(x)
}

/// GEGLU (Shazeer 2020, <https://arxiv.org/abs/2002.05202>): the first half of the last axis times the exact GELU of the second.
///
/// # Shapes
///
/// - `x`: `[batch, tokens, 2 * width]`, the values and then their gates
/// - output: `[batch, tokens, width]`
///
/// # Panics
///
/// If the last axis is odd.
#[must_use]
pub fn geglu(x: Tensor<3>) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if flex::holds(&x) {
        return flex::geglu(x);
    }
    plain::geglu(x)
}

/// The width of what [`geglu`] returns.
pub(crate) fn geglu_width([_, _, doubled]: [usize; 3]) -> usize {
    assert!(
        doubled.is_multiple_of(2),
        "geglu needs an even last axis, got {doubled}"
    );
    doubled / 2
}
