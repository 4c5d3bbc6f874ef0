//! The U-Net that predicts the noise: Rombach et al. (2022), <https://arxiv.org/abs/2112.10752>, as diffusers'
//! `UNet2DConditionModel`.
//!
//! [`UNet2DConditionConfig::from_json`] reads the checkpoint's own `unet/config.json`. The shapes that Stable Diffusion
//! 1, 2 and XL and InstructPix2Pix need are all there is to it: any number of levels, channels, layers and heads,
//! transformers at any of the levels, projections of both kinds. What else diffusers' class can be configured to, class
//! labels, other embeddings, other blocks, is refused by name.

mod addition;
mod blocks;
mod conditioning;
mod config;
mod cost;
mod deep;
mod finite;
mod levels;
mod model;
mod quantize;
mod watch;

pub use addition::{AddedConditions, Addition};
pub use blocks::{DownBlock2D, MidBlock2D, UpBlock2D};
pub use conditioning::Conditioning;
pub use config::UNet2DConditionConfig;
pub use deep::DeepFeatures;
pub use levels::UNetLevel;
pub use model::UNet2DConditionModel;
pub use quantize::Quantizer;
pub use watch::TokenAttention;
