//! The operators of `ip2p-kernels` in the form that the networks use them in.

pub(crate) use ip2p_kernels::{
    Activation, compute_dtype, conv2d, gelu, group_norm, layer_norm, quick_gelu, silu,
    upsample_conv2d,
};

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Tensor};

/// Applies a linear layer, whose weights may be narrower than `x`.
pub(crate) fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    let bias = layer.bias.as_ref().map(Param::val);
    ip2p_kernels::linear(x, layer.weight.val(), bias)
}

/// As [`linear`], with the last two axes of the output swapped.
pub(crate) fn linear_turned(layer: &Linear, x: Tensor<3>) -> Tensor<3> {
    let bias = layer.bias.as_ref().map(Param::val);
    ip2p_kernels::linear_turned(x, layer.weight.val(), bias)
}

/// Applies a linear layer and gates the first half of its output by the GELU of the second.
pub(crate) fn linear_geglu(layer: &Linear, x: Tensor<3>) -> Tensor<3> {
    let bias = layer.bias.as_ref().map(Param::val);
    ip2p_kernels::linear_geglu(x, layer.weight.val(), bias)
}

/// Whether the weights of a layer are whole numbers.
pub(crate) fn is_quantized(layer: &Linear) -> bool {
    matches!(layer.weight.val().dtype(), DType::QFloat(_))
}

/// The type that the products of a layer are made in, where they are not of whole numbers.
pub(crate) fn product_dtype(layer: &Linear) -> DType {
    if is_quantized(layer) {
        DType::BF16
    } else {
        layer.weight.val().dtype()
    }
}

/// Scaled dot-product attention: every query sees every key.
///
/// # Shapes
///
/// - q: `[batch, heads, queries, head_dim]`, as `[batch, queries, heads, head_dim].swap_dims(1, 2)`
/// - k, v: `[batch, heads, keys, head_dim]`, likewise
/// - output: as `q`
pub(crate) fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let scale = scale(&q);
    ip2p_kernels::attention(q, k, v, scale, false)
}

/// As [`attention`], with the products of queries and keys in whole numbers where they can be.
pub(crate) fn quantized_attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let scale = scale(&q);
    ip2p_kernels::quantized_attention(q, k, v, scale)
}

/// Scaled dot-product attention: a query sees the keys up to its own position.
///
/// Shapes as in [`attention`].
pub(crate) fn causal_attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let scale = scale(&q);
    ip2p_kernels::attention(q, k, v, scale, true)
}

/// What keeps the variance of a dot product at 1: `1 / √head_dim`.
fn scale(q: &Tensor<4>) -> f64 {
    let [.., head_dim] = q.dims();
    (head_dim as f64).powf(-0.5)
}

/// Whether `x` holds no NaN and no infinity: it is read back from the device.
pub(crate) fn is_finite<const D: usize>(x: &Tensor<D>) -> bool {
    x.clone().is_finite().all().into_scalar()
}
