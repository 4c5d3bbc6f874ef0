//! The walk from noise to an image.
//!
//! A sampler is a function of the sigmas and of what the denoiser says; what it remembers from step to step lives in the
//! [`Run`], and the noise it adds is given to it. All of them work on `x = image + sigma · noise`. Those that their papers
//! write for the scaled `x / √(sigma² + 1)` (DDIM, DPM-Solver++, UniPC, LCM, TCD) are the same there, and shorter: with
//! `λ = −ln(sigma)` the factors of α cancel.

mod ancestral;
mod dpmpp_2m;
mod dpmpp_2m_sde;
mod heun;
pub(crate) mod lcm;
mod run;
mod tcd;
mod unipc;

use std::fmt;

use burn::tensor::Tensor;
use ip2p_core::{Error, Result, SamplerKind};

pub use ancestral::ancestral_step;
pub use run::{Run, StepOutput};

use crate::{Denoiser, Schedule};

/// A sampler and its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampler {
    kind: SamplerKind,
    eta: f64,
    lower_order_final: bool,
    euler_at_final: bool,
    timestep_scaling: f64,
}

impl Sampler {
    /// The sampler with its usual settings.
    #[must_use]
    pub fn new(kind: SamplerKind) -> Self {
        Self {
            kind,
            eta: kind.default_eta(),
            lower_order_final: true,
            euler_at_final: false,
            timestep_scaling: lcm::TIMESTEP_SCALING,
        }
    }

    /// Sets how much of the noise is drawn anew at each step, 0 to 1.
    ///
    /// By default 1 for Euler ancestral and DPM++ 2M SDE, 0.3 for TCD, whose paper calls it γ, 0 for DDIM. The others have
    /// no such setting.
    #[must_use]
    pub fn with_eta(mut self, eta: f64) -> Self {
        self.eta = eta;
        self
    }

    /// Sets whether a multi-step sampler ends with a step of first order; this is the default.
    ///
    /// UniPC always does so then, DPM++ with fewer than 15 steps. Both do in any case where the schedule ends in 0.
    #[must_use]
    pub fn with_lower_order_final(mut self, lower_order_final: bool) -> Self {
        self.lower_order_final = lower_order_final;
        self
    }

    /// Sets whether DPM++ ends with a step of first order however many steps there are; by default it does not.
    #[must_use]
    pub fn with_euler_at_final(mut self, euler_at_final: bool) -> Self {
        self.euler_at_final = euler_at_final;
        self
    }

    /// Sets the factor that LCM multiplies timesteps by for its boundary condition, 10 by default.
    #[must_use]
    pub fn with_timestep_scaling(mut self, timestep_scaling: f64) -> Self {
        self.timestep_scaling = timestep_scaling;
        self
    }

    /// Which sampler this is.
    #[must_use]
    pub fn kind(&self) -> SamplerKind {
        self.kind
    }

    /// How much of the noise is drawn anew at each step.
    #[must_use]
    pub fn eta(&self) -> f64 {
        self.eta
    }

    /// Whether the settings make sense.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if `eta` is not in 0 to 1, or the sampler has none and it was set; or if the timestep
    /// scaling is not above 0.
    pub fn check(&self) -> Result<()> {
        if !self.kind.has_eta() && self.eta != self.kind.default_eta() {
            let expected = format!("left alone: {} has none", self.kind);
            return Err(Error::setting("eta", expected, self.eta));
        }
        if !(0.0..=1.0).contains(&self.eta) {
            return Err(Error::setting("eta", "between 0 and 1", self.eta));
        }
        if !(self.timestep_scaling > 0.0 && self.timestep_scaling.is_finite()) {
            let expected = "a finite number above 0";
            return Err(Error::setting(
                "timestep_scaling",
                expected,
                self.timestep_scaling,
            ));
        }
        Ok(())
    }

    /// Starts a run down `schedule` from `latents`: see [`Run`].
    ///
    /// The latents are `image + sigma · noise` at the schedule's first sigma: [`Schedule::initial_latents`] makes them
    /// of noise alone.
    ///
    /// # Shapes
    ///
    /// - `latents`: `[batch, 4, height / 8, width / 8]`, in `f32`
    ///
    /// # Errors
    ///
    /// As [`Sampler::check`].
    pub fn begin(&self, schedule: &Schedule, latents: Tensor<4>) -> Result<Run> {
        self.begin_at(schedule, 0, latents)
    }

    /// As [`Sampler::begin`], but from step `first` of the schedule on: [`Schedule::noised_latents`] makes the latents.
    ///
    /// Steps count as they do in a whole run, so that the last ones do what they would do there.
    ///
    /// # Errors
    ///
    /// As [`Sampler::check`]; [`Error::InvalidSetting`] if the schedule has no such step.
    pub fn begin_at(&self, schedule: &Schedule, first: usize, latents: Tensor<4>) -> Result<Run> {
        self.check()?;
        let steps = schedule.steps().len();
        if first >= steps {
            let expected = format!("below {steps}, of which the schedule has that many");
            return Err(Error::setting("first step", expected, first));
        }
        Ok(Run::new(
            self.solver(schedule),
            schedule.clone(),
            first,
            latents,
        ))
    }

    fn solver(&self, schedule: &Schedule) -> Box<dyn Solver> {
        match self.kind {
            SamplerKind::EulerAncestral | SamplerKind::Euler | SamplerKind::Ddim => {
                Box::new(ancestral::Ancestral { eta: self.eta })
            }
            SamplerKind::Heun => Box::new(heun::Heun),
            SamplerKind::DpmPp2m => Box::new(dpmpp_2m::DpmPp2m::new(self)),
            SamplerKind::DpmPp2mSde => Box::new(dpmpp_2m_sde::DpmPp2mSde::new(self)),
            SamplerKind::UniPc => Box::new(unipc::UniPc::new(self)),
            SamplerKind::Lcm => Box::new(lcm::Lcm {
                timestep_scaling: self.timestep_scaling,
            }),
            SamplerKind::Tcd => Box::new(tcd::Tcd::new(self.eta, schedule)),
        }
    }

    /// Whether a second-order DPM-Solver++ takes this step at first order for the sake of stability.
    fn is_final_of_lower_order(&self, at: &Position) -> bool {
        /// Below so many steps the last one is of first order: diffusers' `scheduling_dpmsolver_multistep.py`.
        const FEW_STEPS: usize = 15;
        let few = self.lower_order_final && at.steps < FEW_STEPS;
        at.is_last() && (self.euler_at_final || few)
    }
}

/// Where in a schedule a step is.
#[derive(Debug, Clone, Copy)]
struct Position {
    index: usize,
    steps: usize,
    sigma: f64,
    sigma_next: f64,
    timestep: f64,
}

impl Position {
    /// The steps that are left, this one included.
    fn remaining(&self) -> usize {
        self.steps - self.index
    }

    fn is_last(&self) -> bool {
        self.remaining() == 1
    }
}

/// One sampler's step, and what it remembers of the steps before.
trait Solver: fmt::Debug + Send {
    /// Takes `x` from `at.sigma` to `at.sigma_next`.
    fn step(
        &mut self,
        x: Tensor<4>,
        at: &Position,
        model: &mut dyn Denoiser,
        noise: &mut dyn FnMut() -> Tensor<4>,
    ) -> Result<Moved>;
}

/// What came of a step.
struct Moved {
    x: Tensor<4>,
    denoised: Tensor<4>,
}

/// What the denoiser said at a noise level.
#[derive(Debug, Clone)]
struct Evaluation {
    sigma: f64,
    denoised: Tensor<4>,
}

/// The step `h` in `λ = −ln(sigma)`, in which the multi-step samplers count.
fn lambda_step(sigma: f64, sigma_next: f64) -> f64 {
    (sigma / sigma_next).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eta_outside_its_range_or_where_there_is_none_is_refused() {
        for kind in SamplerKind::ALL {
            assert!(Sampler::new(kind).check().is_ok());
            for eta in [-0.1, 1.1, f64::NAN] {
                assert!(
                    Sampler::new(kind).with_eta(eta).check().is_err(),
                    "{kind} {eta}"
                );
            }
            let half = Sampler::new(kind).with_eta(0.5).check();
            assert_eq!(half.is_ok(), kind.has_eta(), "{kind}");
        }
    }
}
