//! Training of the small autoencoder between pictures and latents.
//!
//! Mean squared error decides, for it is what the finished model is measured by; a share of absolute error keeps edges. The
//! latents are pulled to mean 0 and deviation 1, the scale that the U-Net's noise is made for, and some noise is added to
//! them, so that the decoder bears what a U-Net leaves.

use burn::tensor::Tensor;
use ip2p::models::taesd::AutoencoderTiny;
use serde::{Deserialize, Serialize};

/// The weights of the parts of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AutoencoderLoss {
    /// The absolute error: default 0.1. The squared error has the weight 1.
    pub absolute: f64,
    /// How far mean and deviation of each latent channel are from 0 and 1: default 0.01.
    pub normal: f64,
    /// The deviation of the noise that is added to the latents: default 0.05.
    pub noise: f64,
}

impl Default for AutoencoderLoss {
    fn default() -> Self {
        Self {
            absolute: 0.1,
            normal: 0.01,
            noise: 0.05,
        }
    }
}

impl AutoencoderLoss {
    /// The loss of pictures that are encoded and decoded again.
    ///
    /// # Shapes
    ///
    /// - pictures: `[batch, 3, height, width]`, values in `[-1, 1]`
    /// - noise: `[batch, latent_channels, height / factor, width / factor]`, of deviation 1
    /// - output: `[1]`
    #[must_use]
    pub fn loss(&self, vae: &AutoencoderTiny, pictures: Tensor<4>, noise: Tensor<4>) -> Tensor<1> {
        let latents = vae.encode(pictures.clone());
        let normal = Self::distance_to_normal(latents.clone());
        let error = vae.decode(latents + noise * self.noise) - pictures;
        error.clone().square().mean() + error.abs().mean() * self.absolute + normal * self.normal
    }

    /// The sum over the channels of `mean² + (deviation² − 1)²`, divided by their number.
    fn distance_to_normal(latents: Tensor<4>) -> Tensor<1> {
        let [_, channels, ..] = latents.dims();
        let by_channel: Tensor<2> = latents.swap_dims(0, 1).flatten(1, 3);
        let mean = by_channel.clone().mean_dim(1);
        let variance = (by_channel - mean.clone()).square().mean_dim(1);
        ((variance - 1.0).square() + mean.square()).sum() / channels as f64
    }
}
