//! Noise schedules, samplers and three-way guidance.
//!
//! Three ideas, each apart from the others, after k-diffusion:
//!
//! - a [`Denoiser`] answers one question: what is the image in `x = image + sigma · noise`?
//! - a [`Schedule`] is a list of sigmas that falls to 0;
//! - a [`Sampler`] walks down the one while asking the other.
//!
//! diffusers puts all three, and the scale of the latents, into one object with state; here its schedulers come out as a
//! [`Schedule`] each, made from a folder's [`SchedulerConfig`], over the same samplers. All sigmas are `f64` on the host;
//! tensors are `f32`. Noise is always given, never drawn here.
//!
//! # From a checkpoint to a picture
//!
//! 1. [`SchedulerConfig::apply_to`] fills the training's part of a [`CheckpointProfile`](ip2p_core::CheckpointProfile).
//! 2. The schedule: [`Schedule::for_sampler`] over the profile's [`NoiseSchedule`], or [`SchedulerConfig::schedule`] for
//!    diffusers'.
//! 3. The sampler: [`Sampler::new`], or [`SchedulerConfig::sampler`] for diffusers' settings.
//! 4. [`Schedule::initial_latents`] makes the latents to start from, [`Sampler::begin`] a [`Run`], and each
//!    [`Run::step`] asks the denoiser: it scales its input by [`Preconditioning::c_in`], tells the network
//!    [`Schedule::timestep`], mixes the branches with [`guide`], and makes the image of what comes out with
//!    [`Preconditioning::denoised`].

mod denoiser;
mod diffusers;
mod edm;
mod guided;
mod linspace;
mod noise_schedule;
mod sampler;
mod schedule;
mod schedule_kind;
mod scheduler_config;
mod spacing;
mod timesteps;

pub use denoiser::{Denoiser, Preconditioning, c_in, denoised};
pub use guided::guide;
pub use ip2p_core::SamplerKind;
pub use noise_schedule::{Interpolation, NoiseSchedule};
pub use sampler::{Run, Sampler, StepOutput, ancestral_step};
pub use schedule::{Schedule, Step};
pub use schedule_kind::ScheduleKind;
pub use scheduler_config::SchedulerConfig;
