//! The text half of CLIP: Radford et al. (2021), <https://arxiv.org/abs/2103.00020>, as transformers' `CLIPTextModel`.
//!
//! Stable Diffusion 1 conditions on the last hidden state after the final layer norm, all 77 positions of it, padding
//! included: there is no attention mask but the causal one. Stable Diffusion XL conditions on the state before the last
//! layer of two encoders, and on the pooled state of the second, projected as CLIP is trained:
//! [`CLIPTextModelWithProjection`].

mod attention;
mod config;
mod cost;
mod embeddings;
mod encoder;
mod model;
mod projection;
mod tokens;
mod weigh;

pub use config::{CLIPTextConfig, HiddenAct};
pub use model::CLIPTextModel;
pub use projection::{CLIPTextModelWithProjection, ProjectedStates};
pub use weigh::weigh;
