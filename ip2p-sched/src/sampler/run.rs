//! One walk, taken a step at a time.

use burn::tensor::Tensor;
use ip2p_core::Result;

use super::{Moved, Position, Solver};
use crate::{Denoiser, Schedule};

/// What a step gives.
#[derive(Debug, Clone)]
pub struct StepOutput {
    /// The step, counted from 0 at the schedule's first.
    pub index: usize,
    /// The noise level that the step left from.
    pub sigma: f64,
    /// The noise level that it arrived at.
    pub sigma_next: f64,
    /// The latents at `sigma_next`: `image + sigma_next · noise`. After the last step, the latents to decode.
    ///
    /// Shape: `[batch, 4, height / 8, width / 8]`.
    pub latents: Tensor<4>,
    /// What the denoiser took the image to be at `sigma`: the thing to preview.
    ///
    /// Shape: `[batch, 4, height / 8, width / 8]`.
    pub denoised: Tensor<4>,
}

/// A walk down a schedule, stepped from outside.
///
/// The caller owns the loop: showing progress, stopping early and looking at what there is so far are the caller's
/// business.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use ip2p_core::CheckpointProfile;
/// use ip2p_sched::{NoiseSchedule, Sampler, SamplerKind, Schedule, ScheduleKind};
///
/// # fn main() -> ip2p_core::Result<()> {
/// let noise_schedule = NoiseSchedule::new(&CheckpointProfile::default())?;
/// let schedule = Schedule::new(&noise_schedule, &ScheduleKind::Normal, 20)?;
///
/// // A network that takes every image for a grey one, and noise from a seeded generator, in real life.
/// let mut denoiser = |x: Tensor<4>, _sigma: f64| Ok(x.zeros_like());
/// let mut noise = || Tensor::<4>::ones([1, 4, 8, 8], &Device::flex());
///
/// let latents = schedule.initial_latents(noise());
/// let mut run = Sampler::new(SamplerKind::EulerAncestral).begin(&schedule, latents)?;
/// while let Some(step) = run.step(&mut denoiser, &mut noise)? {
///     println!("step {}: sigma {:.3} to {:.3}", step.index + 1, step.sigma, step.sigma_next);
/// }
/// assert_eq!(run.into_latents().max().into_scalar::<f32>(), 0.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Run {
    solver: Box<dyn Solver>,
    schedule: Schedule,
    index: usize,
    latents: Tensor<4>,
}

impl Run {
    pub(super) fn new(
        solver: Box<dyn Solver>,
        schedule: Schedule,
        first: usize,
        latents: Tensor<4>,
    ) -> Self {
        Self {
            solver,
            schedule,
            index: first,
            latents,
        }
    }

    /// Takes the next step; `None` if there is none left.
    ///
    /// `noise` is asked for noise of variance 1 and the shape of the latents, once at most, after `denoiser`, and only
    /// by a step that uses it: with a generator behind it the order is that of k-diffusion and of diffusers. (They also
    /// draw for the step to sigma 0, which comes last, and discard it.)
    ///
    /// # Errors
    ///
    /// Whatever `denoiser` reports. The run is then where it was before the step, and may try it again.
    pub fn step(
        &mut self,
        denoiser: &mut dyn Denoiser,
        noise: &mut dyn FnMut() -> Tensor<4>,
    ) -> Result<Option<StepOutput>> {
        let steps = self.schedule.steps();
        let Some(step) = steps.get(self.index).copied() else {
            return Ok(None);
        };
        let at = Position {
            index: self.index,
            steps: steps.len(),
            sigma: step.sigma,
            sigma_next: step.sigma_next,
            timestep: self.schedule.timestep(step.sigma),
        };
        let x = self.latents.clone();
        let Moved { x, denoised } = self.solver.step(x, &at, denoiser, noise)?;
        let latents = if at.is_last() {
            scaled(x, self.schedule.final_scale())
        } else {
            x
        };
        self.latents = scaled(latents.clone(), self.schedule.carry(self.index));
        self.index += 1;
        Ok(Some(StepOutput {
            index: at.index,
            sigma: at.sigma,
            sigma_next: at.sigma_next,
            latents,
            denoised,
        }))
    }

    /// The schedule that the run goes down.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The latents as they are now: after the last step, those to decode.
    #[must_use]
    pub fn latents(&self) -> &Tensor<4> {
        &self.latents
    }

    /// As [`Run::latents`].
    #[must_use]
    pub fn into_latents(self) -> Tensor<4> {
        self.latents
    }
}

fn scaled(x: Tensor<4>, factor: f64) -> Tensor<4> {
    if factor == 1.0 { x } else { x * factor }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_can_move_to_another_thread() {
        fn assert_send<T: Send>() {}
        assert_send::<Run>();
        assert_send::<StepOutput>();
    }
}
