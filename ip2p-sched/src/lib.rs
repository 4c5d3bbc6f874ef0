//! Noise schedules, samplers and three-way guidance.

mod denoiser;
mod guided;

pub use denoiser::{Denoiser, c_in, denoised};
pub use guided::guide;
