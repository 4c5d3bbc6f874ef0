//! The text half of CLIP: Radford et al. (2021), <https://arxiv.org/abs/2103.00020>, as transformers' `CLIPTextModel`.
//!
//! Stable Diffusion 1 conditions on the last hidden state after the final layer norm, all 77 positions of it, padding
//! included: there is no attention mask but the causal one. The pooled state and the projection that CLIP is trained
//! with are not used and not here.

mod attention;
mod config;
mod embeddings;
mod encoder;
mod model;
mod tokens;
mod weigh;

pub use config::{CLIPTextConfig, HiddenAct};
pub use model::CLIPTextModel;
pub use weigh::weigh;
