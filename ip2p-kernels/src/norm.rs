//! Normalisation: of groups of channels (convolutional blocks) and of the last axis (transformer blocks).

#[cfg(all(feature = "flex", feature = "autodiff"))]
use burn::tensor::DType;
use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::flex;
use crate::plain;

/// What [`group_norm`] does to its result before storing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// [`crate::silu`], as before every convolution of a ResNet block.
    Silu,
}

/// Group normalisation (Wu and He 2018, <https://arxiv.org/abs/1803.08494>) with an activation after it.
///
/// Mean and biased variance are those of `channels / groups` neighbouring channels over the whole picture.
///
/// # Shapes
///
/// - `x`, output: `[batch, channels, height, width]`
/// - `weight`, `bias`: `[channels]`
///
/// # Panics
///
/// If the groups do not divide the channels, or there are not as many weights and biases as channels.
#[must_use]
pub fn group_norm(
    x: Tensor<4>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
    activation: Activation,
) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::holds(&x) && flex::holds(&weight) && flex::holds(&bias) {
        return flex::group_norm(x, groups, weight, bias, eps, activation);
    }
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    if flex::tracks(&[x.device(), weight.device()]) && x.dtype() == DType::F32 {
        return flex::tracked_group_norm(x, groups, weight, bias, eps, activation);
    }
    plain::group_norm(x, groups, weight, bias, eps, activation)
}

/// Layer normalisation (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>) of the last axis, with the biased variance.
///
/// # Shapes
///
/// - `x`, output: `[batch, tokens, width]`
/// - `weight`, `bias`: `[width]`
///
/// # Panics
///
/// If there are not as many weights and biases as the axis is wide.
#[must_use]
pub fn layer_norm(x: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<3> {
    #[cfg(feature = "flex")]
    if flex::holds(&x) && flex::holds(&weight) && flex::holds(&bias) {
        return flex::layer_norm(x, weight, bias, eps);
    }
    plain::layer_norm(x, weight, bias, eps)
}

/// How many numbers share a mean and a variance in [`group_norm`].
pub(crate) fn group_length([_, channels, height, width]: [usize; 4], groups: usize) -> usize {
    assert!(
        groups > 0 && channels.is_multiple_of(groups),
        "group_norm cannot divide {channels} channels into {groups} groups"
    );
    channels / groups * height * width
}
