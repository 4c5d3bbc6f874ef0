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

/// [`attention()`] of every query to every key, where the products of queries with keys are of whole numbers of 8 bits on the CPU: both are
/// rounded, each with a scale of its own, after the mean of all keys is taken from each. Values and their weights stay of `bf16`.
///
/// So it is for 512 keys or more, of a multiple of four numbers, with values of `bf16`: fewer are not worth their rounding. Else it is
/// [`attention()`], on the CPU to keys of the type of the values.
///
/// # Shapes
///
/// As those of [`attention()`].
///
/// # Panics
///
/// If the shapes do not fit each other.
#[must_use]
pub fn quantized_attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f64) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::holds(&q) && flex::holds(&k) && flex::holds(&v) {
        if flex::quantizes(&k, &v) {
            return flex::quantized_attention(q, k, v, scale);
        }
        let k = k.cast(v.dtype());
        return attention(q, k, v, scale, false);
    }
    attention(q, k, v, scale, false)
}
