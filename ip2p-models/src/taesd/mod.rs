//! The tiny autoencoder: TAESD, <https://github.com/madebyollin/taesd>, as diffusers' `AutoencoderTiny`.
//!
//! Distilled from the autoencoder of Stable Diffusion: convolutions and `max(x, 0)` alone, eighteen times less arithmetic to
//! decode, fine detail lost. For previews, and where speed counts more than detail.
//!
//! Its latents are *scaled*: those that the U-Net works on. What `AutoencoderKL` calls `scaling_factor` is within it, and
//! its own is 1. So the U-Net's latents go into [`AutoencoderTiny::decode`] as they are, and what
//! [`AutoencoderTiny::encode`] gives stands for `0.18215 ·` the mode of Stable Diffusion's `AutoencoderKL`, not for the mode
//! that InstructPix2Pix takes as the source image's latents.

mod config;
mod layers;
mod model;

pub use config::AutoencoderTinyConfig;
pub use model::AutoencoderTiny;
