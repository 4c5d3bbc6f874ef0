//! The tiny autoencoder: TAESD, <https://github.com/madebyollin/taesd>, as diffusers' `AutoencoderTiny`.
//!
//! Convolutions and `max(x, 0)` alone. TAESD itself was distilled from the autoencoder of Stable Diffusion: eighteen times
//! less arithmetic to decode, fine detail lost. For previews, and where speed counts more than detail; a small model may
//! have one of its own, with fewer levels.
//!
//! Its latents are *scaled*: those that the U-Net works on. What `AutoencoderKL` calls `scaling_factor` is within it, and
//! its own is 1. So the U-Net's latents go into [`AutoencoderTiny::decode`] as they are, and what TAESD's
//! [`AutoencoderTiny::encode`] gives stands for `0.18215 ·` the mode of Stable Diffusion's `AutoencoderKL`, not for the mode
//! that InstructPix2Pix of Stable Diffusion takes as the source image's latents. A model that was trained with an
//! `AutoencoderTiny` takes for them what its encoder gives.

mod config;
mod cost;
mod layers;
mod model;

pub use config::AutoencoderTinyConfig;
pub use model::AutoencoderTiny;
