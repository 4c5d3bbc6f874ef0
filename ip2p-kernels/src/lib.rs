//! The operators that ip2p's networks are built of.
//!
//! Each is one function over burn tensors. On the CPU (`flex`, with this crate's feature of that name) it has a fast body:
//! one pass over memory where a composition of tensor operations makes five, and an [`attention()`] that never stores its
//! score matrix. On every other backend, and under autodiff, it is composed of burn's own operations ([`plain`]), so that
//! gradients and GPUs need nothing of ours. The choice is made from the tensor at run time; callers see one function.
//!
//! This is the only ip2p crate with `unsafe` code: SIMD, writing to memory not yet initialised, and an allocator.

mod activation;
mod attention;
mod conv;
#[cfg(feature = "flex")]
#[allow(
    unsafe_code,
    clippy::inline_always,
    reason = "SIMD: each block says why it is sound, and inlining is what compiles it for the instruction set"
)]
mod flex;
mod linear;
#[allow(unsafe_code, reason = "an allocator is")]
mod memory;
mod norm;
mod peak;
pub mod plain;

pub use activation::{geglu, gelu, quick_gelu, silu};
pub use attention::{attention, quantized_attention};
pub use conv::{conv2d, upsample_conv2d};
pub use linear::{
    linear, linear_geglu, linear_turned, pointwise, pointwise_turned, quantize, quantize_pointwise,
};
pub use memory::HugePages;
pub use norm::{Activation, group_norm, layer_norm};
pub use peak::measured_peak;

use burn::tensor::{DType, Tensor};

use activation::{QUICK_GELU_SLOPE, geglu_width};
use norm::group_length;

/// The type in which a network with such weights should hold what goes from layer to layer: `f32` on the CPU, which computes in
/// nothing narrower but products; that of the weights elsewhere.
#[must_use]
pub fn compute_dtype<const D: usize>(weight: &Tensor<D>) -> DType {
    #[cfg(feature = "flex")]
    if flex::holds(weight) || matches!(weight.dtype(), DType::QFloat(_)) {
        return DType::F32;
    }
    weight.dtype()
}
