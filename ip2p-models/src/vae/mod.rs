//! The autoencoder of latent diffusion: Rombach et al. (2022), <https://arxiv.org/abs/2112.10752>, as diffusers'
//! `AutoencoderKL`.
//!
//! The encoder gives a posterior of which only the *mode*, its mean, is used: InstructPix2Pix conditions on it, and it
//! needs no noise. Latents are here always as the network has them, *unscaled*. Who works with the U-Net multiplies by
//! `scaling_factor` or does not, and for the source image's latents of InstructPix2Pix it does not: see
//! [`AutoencoderKL::encode`].
//!
//! A checkpoint may have TAESD's [`AutoencoderTiny`](crate::taesd::AutoencoderTiny) in this place: an [`Autoencoder`] is
//! whichever it has.

mod autoencoder;
mod blocks;
mod config;
mod cost;
mod decoder;
mod encoder;
mod model;
mod tiling;

pub use autoencoder::{Autoencoder, AutoencoderConfig};
pub use config::AutoencoderKLConfig;
pub use model::AutoencoderKL;
pub use tiling::{Tiling, VaeOptions};

pub(crate) use config::{NETWORK, check_levels, check_scaling_factor};
pub(crate) use model::first_non_finite;
