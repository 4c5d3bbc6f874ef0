//! The networks of InstructPix2Pix as burn modules: CLIP text encoder, U-Net and autoencoders.
//!
//! Each network is built from the `config.json` that lies beside its weights, so that nothing about Stable Diffusion 1 is
//! hard-coded: `XConfig::from_json` reads it, and refuses a field that would change the network in a way that is not
//! supported here; `XConfig::init` makes the module. The fields of the modules are spelt like the keys of the checkpoint,
//! and their tree has the same shape, so that a file is loaded without a map of names. No module reads a file.
//!
//! Weights may be `f32`, `f16` or `bf16`, and activations have the type of the weights; norms, softmax and the time
//! embedding are computed in `f32` in any case.

pub mod clip;
mod cost;
pub mod layers;
pub mod taesd;
pub mod unet;
pub mod vae;

pub use cost::Cost;
