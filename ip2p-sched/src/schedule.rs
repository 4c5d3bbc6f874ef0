//! The sigmas that a sampler walks down.
//!
//! A schedule is a list of steps, each from one sigma to a lower one, and the rule by which the network is told where
//! it is. The schedules here are k-diffusion's, which the original InstructPix2Pix uses; [`SchedulerConfig::schedule`]
//! makes those of diffusers.
//!
//! [`SchedulerConfig::schedule`]: crate::SchedulerConfig::schedule

use burn::tensor::Tensor;
use ip2p_core::{Error, Result, SamplerKind};

use crate::linspace::linspace;
use crate::noise_schedule::{Interpolation, NoiseSchedule};
use crate::sampler::lcm;
use crate::schedule_kind::ScheduleKind;
use crate::spacing::{Layout, Spacing};
use crate::timesteps::{Rounding, Timesteps};

/// One step: from one noise level to a lower one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The noise level at which the network is asked.
    pub sigma: f64,
    /// The noise level to go to.
    ///
    /// The next step's `sigma`, but for diffusers' DDIM with spacings other than `leading`: it leaves from timesteps
    /// that differ by one or two from those it arrives at.
    pub sigma_next: f64,
}

/// How the scheduler that a schedule is equal to keeps its latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LatentScale {
    /// `image + sigma · noise`: k-diffusion, and diffusers' Euler and Heun.
    VarianceExploding,
    /// That times `1 / √(sigma² + 1)`: the DDPM family.
    VariancePreserving,
}

/// The sigmas that a sampler walks down, and the timestep that the network is told at each.
///
/// # Examples
///
/// ```
/// use ip2p_core::CheckpointProfile;
/// use ip2p_sched::{NoiseSchedule, Schedule, ScheduleKind};
///
/// # fn main() -> ip2p_core::Result<()> {
/// let noise = NoiseSchedule::new(&CheckpointProfile::default())?;
/// let schedule = Schedule::new(&noise, &ScheduleKind::Karras, 20)?;
/// assert_eq!(schedule.steps().len(), 20);
/// assert_eq!(schedule.sigmas().last(), Some(&0.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Schedule {
    steps: Vec<Step>,
    timesteps: Timesteps,
    init_noise_sigma: f64,
    scale: LatentScale,
}

impl Schedule {
    /// The schedule of `kind` over the noise that the checkpoint was trained with, in `steps` steps.
    ///
    /// k-diffusion's `get_sigmas`, `get_sigmas_karras` and `get_sigmas_exponential`
    /// (`external.py:59`, `sampling.py:17,26` at `4601bf0`); the network is told fractional timesteps.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if `steps` is 0 or above the number of training timesteps, or if `kind` is a list of
    /// the caller's own that has another number of steps (see [`ScheduleKind::steps`]) or does not fall to 0.
    pub fn new(noise: &NoiseSchedule, kind: &ScheduleKind, steps: usize) -> Result<Self> {
        check_steps(steps, noise.timesteps())?;
        let (min, max) = (noise.sigma_min(), noise.sigma_max());
        let mut sigmas: Vec<f64> = match kind {
            ScheduleKind::Normal => linspace((noise.timesteps() - 1) as f64, 0.0, steps)
                .map(|timestep| noise.sigma(timestep, Interpolation::LogLinear))
                .collect(),
            ScheduleKind::Karras => karras(min, max, steps),
            ScheduleKind::Exponential => exponential(min, max, steps),
            ScheduleKind::Trailing => trailing(noise, steps)?,
            ScheduleKind::Custom(own) => custom(own, steps)?,
        };
        sigmas.push(0.0);
        Ok(Self::k_diffusion(noise, &sigmas))
    }

    /// The schedule of `kind` as `sampler` needs it.
    ///
    /// As [`Schedule::new`], but that LCM's and TCD's normal schedule is not evenly spaced over the training timesteps: it
    /// takes the timesteps that the network was distilled at, of which there are 50.
    ///
    /// # Errors
    ///
    /// As [`Schedule::new`], and if LCM or TCD is asked for more than 50 steps of the normal schedule, or of a training without
    /// timesteps.
    pub fn for_sampler(
        noise: &NoiseSchedule,
        sampler: SamplerKind,
        kind: &ScheduleKind,
        steps: usize,
    ) -> Result<Self> {
        let distilled = matches!(sampler, SamplerKind::Lcm | SamplerKind::Tcd);
        if distilled && noise.is_continuous() {
            let expected = "another: its steps are timesteps of a training with betas, which this checkpoint's was not";
            return Err(Error::setting("sampler", expected, sampler));
        }
        if !distilled || *kind != ScheduleKind::Normal {
            return Self::new(noise, kind, steps);
        }
        let timesteps = lcm::timesteps(sampler, noise.timesteps(), lcm::ORIGINAL_STEPS, steps)?;
        let mut sigmas: Vec<f64> = timesteps
            .into_iter()
            .map(|timestep| noise.sigma(timestep, Interpolation::LogLinear))
            .collect();
        sigmas.push(0.0);
        Ok(Self::k_diffusion(noise, &sigmas))
    }

    fn k_diffusion(noise: &NoiseSchedule, sigmas: &[f64]) -> Self {
        Self {
            steps: pairs(sigmas),
            timesteps: Timesteps {
                noise: noise.clone(),
                interpolation: Interpolation::LogLinear,
                rounding: Rounding::None,
            },
            init_noise_sigma: sigmas[0],
            scale: LatentScale::VarianceExploding,
        }
    }

    /// A schedule of these steps.
    ///
    /// `init_noise_sigma` is that of the scheduler it is equal to, in that scheduler's `scale`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if two steps start from the same sigma, for want of timesteps to tell them apart.
    pub(crate) fn from_parts(
        steps: Vec<Step>,
        timesteps: Timesteps,
        init_noise_sigma: f64,
        scale: LatentScale,
    ) -> Result<Self> {
        let falls = steps.windows(2).all(|pair| pair[1].sigma < pair[0].sigma);
        let steps_down = steps.iter().all(|step| {
            let positive = step.sigma > 0.0 && step.sigma.is_finite();
            positive && (0.0..=step.sigma).contains(&step.sigma_next)
        });
        if !falls || !steps_down {
            let expected = "few enough that each has its own noise level in this schedule";
            return Err(Error::setting("steps", expected, steps.len()));
        }
        let in_k_diffusion = match scale {
            LatentScale::VarianceExploding => 1.0,
            LatentScale::VariancePreserving => variance_preserving(steps[0].sigma).recip(),
        };
        Ok(Self {
            steps,
            timesteps,
            init_noise_sigma: init_noise_sigma * in_k_diffusion,
            scale,
        })
    }

    /// The steps, from the most noise to the least.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The sigma at each step, and the one at the end: 0, but for some schedules of diffusers.
    #[must_use]
    pub fn sigmas(&self) -> Vec<f64> {
        let last = self.steps.last().map(|step| step.sigma_next);
        let sigmas = self.steps.iter().map(|step| step.sigma);
        sigmas.chain(last).collect()
    }

    /// The timestep that the network is told for `sigma`; it may be fractional. Where the training was over a continuous range
    /// of noise it is `0.25 · ln sigma`.
    #[must_use]
    pub fn timestep(&self, sigma: f64) -> f64 {
        self.timesteps.at(sigma)
    }

    /// The noise level of a timestep.
    pub(crate) fn sigma(&self, timestep: f64) -> f64 {
        self.timesteps.sigma(timestep)
    }

    /// What noise of variance 1 is multiplied by to be the latents that the first step expects, as far as the image
    /// in them goes unseen.
    #[must_use]
    pub fn init_noise_sigma(&self) -> f64 {
        self.init_noise_sigma
    }

    /// The latents to start from without an image in them: `noise · init_noise_sigma`.
    #[must_use]
    pub fn initial_latents(&self, noise: Tensor<4>) -> Tensor<4> {
        noise * self.init_noise_sigma
    }

    /// The latents to start from at step `first` with an image in them: `image + sigma · noise`, in `f32`.
    ///
    /// So begins diffusers' image-to-image (`add_noise` of its schedulers, of which the scaled ones are this times
    /// `1 / √(sigma² + 1)`).
    ///
    /// # Panics
    ///
    /// If there is no such step.
    #[must_use]
    pub fn noised_latents(&self, image: Tensor<4>, noise: Tensor<4>, first: usize) -> Tensor<4> {
        image + noise * self.steps[first].sigma
    }

    /// What latents that have arrived at the end are multiplied by: 1 if there is no noise left in them.
    ///
    /// A schedule of the DDPM family that ends above 0 leaves its latents a little smaller than the image.
    pub(crate) fn final_scale(&self) -> f64 {
        match (self.scale, self.steps.last()) {
            (LatentScale::VariancePreserving, Some(step)) => variance_preserving(step.sigma_next),
            _ => 1.0,
        }
    }

    /// What latents that have arrived at the end of step `index` are multiplied by to be those that the next one
    /// leaves from: 1 where the two noise levels are the same.
    ///
    /// It is the scaled latents that are carried over when diffusers' DDIM takes one for the other.
    pub(crate) fn carry(&self, index: usize) -> f64 {
        match self.steps.get(index + 1) {
            Some(next) if next.sigma != self.steps[index].sigma_next => {
                variance_preserving(self.steps[index].sigma_next) / variance_preserving(next.sigma)
            }
            _ => 1.0,
        }
    }
}

/// What `image + sigma · noise` is multiplied by to have the variance that the image and the noise have.
fn variance_preserving(sigma: f64) -> f64 {
    1.0 / (sigma * sigma + 1.0).sqrt()
}

/// The steps from each sigma to the next.
pub(crate) fn pairs(sigmas: &[f64]) -> Vec<Step> {
    sigmas
        .windows(2)
        .map(|pair| Step {
            sigma: pair[0],
            sigma_next: pair[1],
        })
        .collect()
}

/// # Errors
///
/// If `steps` is 0 or above the number of training timesteps.
pub(crate) fn check_steps(steps: usize, train_timesteps: usize) -> Result<()> {
    if (1..=train_timesteps).contains(&steps) {
        Ok(())
    } else {
        let expected = format!("between 1 and {train_timesteps}");
        Err(Error::setting("steps", expected, steps))
    }
}

/// Sigmas evenly spaced in their 7th root; Karras et al. (2022), <https://arxiv.org/abs/2206.00364>, eq. 5.
pub(crate) fn karras(min: f64, max: f64, steps: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let root = |sigma: f64| sigma.powf(1.0 / RHO);
    linspace(0.0, 1.0, steps)
        .map(|ramp| (root(max) + ramp * (root(min) - root(max))).powf(RHO))
        .collect()
}

/// Sigmas evenly spaced in their logarithm.
pub(crate) fn exponential(min: f64, max: f64, steps: usize) -> Vec<f64> {
    linspace(max.ln(), min.ln(), steps).map(f64::exp).collect()
}

/// Sigmas at whole timesteps down from the last, evenly: diffusers' `timestep_spacing="trailing"`.
fn trailing(noise: &NoiseSchedule, steps: usize) -> Result<Vec<f64>> {
    let layout = Layout {
        steps,
        points: steps,
        range: noise.timesteps(),
        train_timesteps: noise.timesteps(),
        steps_offset: 0,
    };
    let timesteps = layout.timesteps(Spacing::Trailing)?.into_iter();
    Ok(timesteps
        .map(|timestep| noise.sigma(timestep, Interpolation::LogLinear))
        .collect())
}

/// The caller's own sigmas, without a 0 at the end.
fn custom(own: &[f64], steps: usize) -> Result<Vec<f64>> {
    let sigmas = match own {
        [sigmas @ .., last] if *last == 0.0 => sigmas,
        sigmas => sigmas,
    };
    let positive = sigmas.iter().all(|&sigma| sigma > 0.0 && sigma.is_finite());
    let falls = sigmas.windows(2).all(|pair| pair[1] < pair[0]);
    if sigmas.is_empty() || !positive || !falls {
        let expected = "a list of finite sigmas above 0, each below the one before, and perhaps a 0 at the end";
        return Err(Error::setting("schedule", expected, format!("{own:?}")));
    }
    if sigmas.len() != steps {
        let expected = format!("{}, as the schedule has", sigmas.len());
        return Err(Error::setting("steps", expected, steps));
    }
    Ok(sigmas.to_vec())
}

#[cfg(test)]
mod tests;
