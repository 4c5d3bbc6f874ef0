//! Scaled dot-product attention.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::flex;
use crate::plain;

/// Attention: `softmax(q · kᵀ · scale) · v`, where `causal` hides from each query the keys that come after it.
///
/// On the CPU, keys and values of `bf16` have queries and weights rounded to that, and the products summed up in `f32`.
///
/// The result may be strided so that `.swap_dims(1, 2).reshape([batch, tokens, heads * head_dim])` moves nothing.
///
/// # Shapes
///
/// - `q`: `[batch, heads, queries, head_dim]`
/// - `k`, `v`: `[batch, heads, keys, head_dim]`
/// - output: `[batch, heads, queries, head_dim]`
///
/// On a GPU the last axis of each input should be contiguous, as it is in `[batch, tokens, heads, head_dim].swap_dims(1, 2)`:
/// burn 0.22.1 gives wrong numbers on wgpu otherwise.
///
/// # Panics
///
/// If the shapes do not fit each other.
#[must_use]
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f64, causal: bool) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::holds(&q) && flex::holds(&k) && flex::holds(&v) {
        return flex::attention(q, k, v, scale, causal);
    }
    plain::attention(q, k, v, scale, causal)
}
