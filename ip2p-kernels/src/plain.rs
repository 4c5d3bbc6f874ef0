//! Every operator composed of burn's own operations: the body on any backend without one of ours, the body under autodiff,
//! and the reference that the fast bodies are tested against.
//!
//! Half inputs are computed in `f32` and rounded once, at the end: a half-precision sum over a channel group or a softmax
//! row loses the picture.

use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{DType, FloatDType, Tensor, activation, module};

use crate::Activation;

/// As [`crate::silu`].
#[must_use]
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    in_f32(x, activation::silu)
}

/// As [`crate::gelu`].
#[must_use]
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    in_f32(x, activation::gelu)
}

/// As [`crate::quick_gelu`].
#[must_use]
pub fn quick_gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    in_f32(x, |x| {
        x.clone() * activation::sigmoid(x * crate::QUICK_GELU_SLOPE)
    })
}

/// As [`crate::geglu`].
///
/// # Panics
///
/// If the last axis is odd.
#[must_use]
pub fn geglu(x: Tensor<3>) -> Tensor<3> {
    let half = crate::geglu_width(x.dims());
    in_f32(x, |x| {
        x.clone().narrow(2, 0, half) * activation::gelu(x.narrow(2, half, half))
    })
}

/// As [`crate::conv2d`].
///
/// Half inputs go through burn in `f32`: its direct convolution sums up in the type of its inputs, which on wgpu in `f16` is
/// wrong by a hundredth of the result over 64 channels and by a tenth over 512.
#[must_use]
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    in_f32(x, |x| {
        module::conv2d(x, to_f32(weight), bias.map(to_f32), options)
    })
}

/// As [`crate::linear()`].
///
/// Weights of another type than the input are cast to it.
#[must_use]
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let dtype = x.dtype();
    module::linear(
        x,
        weight.dequantize().cast(dtype),
        bias.map(|bias| bias.cast(dtype)),
    )
}

/// As [`crate::group_norm`].
///
/// # Panics
///
/// If the groups do not divide the channels.
#[must_use]
pub fn group_norm(
    x: Tensor<4>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
    activation: Activation,
) -> Tensor<4> {
    let dims @ [batch, channels, height, width] = x.dims();
    let group = crate::group_length(dims, groups);
    let [weight, bias] =
        [weight, bias].map(|per_channel| to_f32(per_channel).reshape([1, channels, 1, 1]));
    in_f32(x, |x| {
        let x = x.reshape([batch, groups, group]);
        let centred = x.clone() - x.mean_dim(2);
        let variance = centred.clone().square().mean_dim(2);
        let x = centred / (variance + eps).sqrt();
        let x = x.reshape([batch, channels, height, width]) * weight + bias;
        match activation {
            Activation::None => x,
            Activation::Silu => activation::silu(x),
        }
    })
}

/// As [`crate::layer_norm`].
#[must_use]
pub fn layer_norm(x: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<3> {
    in_f32(x, |x| {
        module::layer_norm(x, to_f32(weight), Some(to_f32(bias)), eps)
    })
}

/// As [`crate::attention()`].
#[must_use]
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f64, causal: bool) -> Tensor<4> {
    let options = AttentionModuleOptions {
        scale: Some(scale),
        softcap: None,
        is_causal: causal,
    };
    in_f32(q, |q| {
        module::attention(q, to_f32(k), to_f32(v), None, None, options)
    })
}

/// Runs `body` in `f32` where `x` is narrower, and rounds what it gives to the type of `x`.
pub(crate) fn in_f32<const D: usize>(
    x: Tensor<D>,
    body: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    match x.dtype() {
        DType::F16 => body(to_f32(x)).cast(FloatDType::F16),
        DType::BF16 => body(to_f32(x)).cast(FloatDType::BF16),
        _ => body(x),
    }
}

pub(crate) fn to_f32<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match x.dtype() {
        DType::F16 | DType::BF16 => x.cast(FloatDType::F32),
        DType::QFloat(_) => x.dequantize(),
        _ => x,
    }
}
