//! diffusers' schedules.
//!
//! Each is that of the scheduler that `Scheduler.from_config(config)` makes in diffusers 0.42.1. The classes differ in
//! which timesteps they take, in what they round, in where they end, and in which fields of the config they know; what a
//! step does is the same as in k-diffusion, up to the scale of the latents.

use ip2p_core::{CheckpointProfile, Error, Result, SamplerKind};

use crate::noise_schedule::{Interpolation, NoiseSchedule};
use crate::sampler::{Sampler, lcm};
use crate::schedule::{LatentScale, Schedule, Step, check_steps, exponential, karras, pairs};
use crate::scheduler_config::{FinalSigma, SchedulerConfig, SolverType};
use crate::spacing::{Layout, Spacing};
use crate::timesteps::{Rounding, Timesteps};

/// What stands for ᾱ = 0 where diffusers computes with 0 itself, which only the scaled latents allow: so little that
/// the difference is below `f32`'s precision, and so much that sigma, 2³⁰, is far from overflow.
const NEARLY_ZERO_ALPHA: f64 = 1.0 / (1_u64 << 60) as f64;

/// Whether the sampler is a DPM-Solver++.
fn is_dpm_solver(sampler: SamplerKind) -> bool {
    matches!(sampler, SamplerKind::DpmPp2m | SamplerKind::DpmPp2mSde)
}

impl SchedulerConfig {
    /// The schedule of the diffusers scheduler for `sampler`, made from this config, in `steps` steps.
    ///
    /// DDIM is made with `clip_sample=False, set_alpha_to_one=False`. For 62 of the step counts up to 1000, 61 the first
    /// of them, diffusers' trailing spacing has one step more than was asked for, at timestep −1, a slip of rounding;
    /// that step is left out.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if `steps` is 0 or more than the schedule has timesteps for; [`Error::Config`] if the
    /// config asks for something that this class would do and this crate does not.
    pub fn schedule(&self, sampler: SamplerKind, steps: usize) -> Result<Schedule> {
        if let Some(edm) = &self.edm {
            return self.edm_schedule(edm, sampler, steps);
        }
        self.check_for(sampler)?;
        let noise = self.noise_schedule(sampler)?;
        check_steps(steps, noise.timesteps())?;
        match sampler {
            SamplerKind::EulerAncestral | SamplerKind::Euler | SamplerKind::Heun => {
                self.euler_schedule(sampler, noise, steps)
            }
            SamplerKind::Ddim => self.ddim_schedule(noise, steps),
            SamplerKind::DpmPp2m | SamplerKind::DpmPp2mSde | SamplerKind::UniPc => {
                self.multistep_schedule(sampler, noise, steps)
            }
            SamplerKind::Lcm | SamplerKind::Tcd => self.lcm_schedule(sampler, noise, steps),
        }
    }

    /// The sampler of this kind with the settings that the config has for its class.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the config asks for something that this class would do and this crate does not.
    pub fn sampler(&self, kind: SamplerKind) -> Result<Sampler> {
        self.check_for(kind)?;
        let mut sampler = Sampler::new(kind);
        if let Some(lower_order_final) = self.lower_order_final {
            sampler = sampler.with_lower_order_final(lower_order_final);
        }
        if let Some(euler_at_final) = self.euler_at_final {
            sampler = sampler.with_euler_at_final(euler_at_final);
        }
        if let Some(timestep_scaling) = self.timestep_scaling {
            sampler = sampler.with_timestep_scaling(timestep_scaling);
        }
        Ok(sampler)
    }

    /// # Errors
    ///
    /// If a field that the class knows asks for what is not done here.
    fn check_for(&self, sampler: SamplerKind) -> Result<()> {
        let refuse = |field: &str, value: &dyn std::fmt::Display, expected: &str| {
            let class = sampler.diffusers_class();
            let reason = format!("{field} is {value}, only {expected} is supported for {class}");
            Err(Error::config("scheduler", reason))
        };
        let clips = matches!(
            sampler,
            SamplerKind::Heun | SamplerKind::Lcm | SamplerKind::Tcd
        );
        if clips && self.clip_sample == Some(true) {
            return refuse("clip_sample", &true, "false");
        }
        let is_multistep = is_dpm_solver(sampler) || sampler == SamplerKind::UniPc;
        match self.solver_order {
            Some(order) if is_multistep && order != 2 => {
                return refuse("solver_order", &order, "2");
            }
            _ => {}
        }
        // The names of other classes' solvers stand for the class's default.
        let undone = match sampler {
            SamplerKind::UniPc => SolverType::Bh1,
            _ => SolverType::Heun,
        };
        match self.solver_type {
            Some(solver_type) if is_multistep && solver_type == undone => {
                refuse("solver_type", &solver_type, "midpoint or bh2")
            }
            _ => Ok(()),
        }
    }

    fn noise_schedule(&self, sampler: SamplerKind) -> Result<NoiseSchedule> {
        let mut profile = CheckpointProfile::default();
        self.apply_as(sampler, &mut profile);
        match sampler {
            SamplerKind::Heun => {
                profile.zero_terminal_snr = false; // It does not know the field.
                NoiseSchedule::new(&profile)
            }
            SamplerKind::Ddim | SamplerKind::Lcm | SamplerKind::Tcd => {
                NoiseSchedule::with_terminal_alpha(&profile, NEARLY_ZERO_ALPHA)
            }
            _ => NoiseSchedule::new(&profile),
        }
    }

    fn euler_schedule(
        &self,
        sampler: SamplerKind,
        noise: NoiseSchedule,
        steps: usize,
    ) -> Result<Schedule> {
        let spacing = self.timestep_spacing.unwrap_or(Spacing::Linspace);
        let even: Vec<f64> = self
            .layout(&noise, steps)
            .timesteps(spacing)?
            .into_iter()
            .map(to_f32)
            .map(|timestep| noise.sigma(timestep, Interpolation::Linear))
            .collect();
        let knows_karras = sampler != SamplerKind::EulerAncestral;
        let (min, max) = (even[even.len() - 1], even[0]);
        let respaced = if knows_karras {
            self.respaced(min, max, steps)?
        } else {
            None
        };
        let interpolation = match respaced {
            Some(_) => Interpolation::LogLinear,
            None => Interpolation::Linear,
        };
        let mut sigmas = respaced.unwrap_or(even);
        sigmas.push(if sampler == SamplerKind::Euler {
            self.final_sigma(&noise)
        } else {
            0.0
        });
        let max = sigmas[0];
        let init_noise_sigma = match spacing {
            Spacing::Leading => (max.powi(2) + 1.0).sqrt(),
            Spacing::Trailing | Spacing::Linspace => max,
        };
        let timesteps = Timesteps {
            noise,
            interpolation,
            rounding: Rounding::None,
        };
        let scale = LatentScale::VarianceExploding;
        Schedule::from_parts(pairs(&sigmas), timesteps, init_noise_sigma, scale)
    }

    fn ddim_schedule(&self, noise: NoiseSchedule, steps: usize) -> Result<Schedule> {
        let spacing = self.timestep_spacing.unwrap_or(Spacing::Leading);
        let timesteps = self.layout(&noise, steps).timesteps(spacing)?;
        // It does not go to the next timestep, but to that which would be next with even spacing.
        let stride = (noise.timesteps() / steps) as f64;
        let sigma = |timestep: f64| noise.sigma(timestep, Interpolation::Linear);
        let steps = timesteps
            .into_iter()
            .map(f64::round_ties_even)
            .map(|timestep| Step {
                sigma: sigma(timestep),
                sigma_next: sigma(timestep - stride),
            })
            .collect();
        let timesteps = Timesteps {
            noise,
            interpolation: Interpolation::Linear,
            rounding: Rounding::None,
        };
        Schedule::from_parts(steps, timesteps, 1.0, LatentScale::VariancePreserving)
    }

    fn multistep_schedule(
        &self,
        sampler: SamplerKind,
        noise: NoiseSchedule,
        steps: usize,
    ) -> Result<Schedule> {
        let (min, max) = (noise.sigma_min(), noise.sigma_max());
        let (mut sigmas, interpolation, rounding) =
            if let Some(sigmas) = self.respaced(min, max, steps)? {
                let rounding = self.respaced_rounding(sampler);
                (sigmas, Interpolation::LogLinear, rounding)
            } else {
                let sigmas = self.multistep_sigmas(sampler, &noise, steps)?;
                (sigmas, Interpolation::Linear, Rounding::None)
            };
        let last = self.final_sigma(&noise);
        if last >= sigmas[sigmas.len() - 1] {
            let reason = "final_sigmas_type is sigma_min, only zero is supported where the last step is at it";
            return Err(Error::config("scheduler", reason));
        }
        sigmas.push(last);
        let timesteps = Timesteps {
            noise,
            interpolation,
            rounding,
        };
        let scale = LatentScale::VariancePreserving;
        Schedule::from_parts(pairs(&sigmas), timesteps, 1.0, scale)
    }

    fn multistep_sigmas(
        &self,
        sampler: SamplerKind,
        noise: &NoiseSchedule,
        steps: usize,
    ) -> Result<Vec<f64>> {
        let spacing = self.timestep_spacing.unwrap_or(Spacing::Linspace);
        let mut layout = self.layout(noise, steps);
        // One point more than there are steps, the last of them 0: there the schedule ends.
        layout.points = steps + 1;
        if let (true, Some(clip)) = (is_dpm_solver(sampler), self.lambda_min_clipped) {
            let lambdas = noise.sigmas().iter().map(|sigma| -sigma.ln());
            layout.range = lambdas.filter(|&lambda| lambda >= clip).count();
        }
        Ok(layout
            .timesteps(spacing)?
            .into_iter()
            .take(steps)
            .map(|timestep| noise.sigma(timestep.round_ties_even(), Interpolation::Linear))
            .collect())
    }

    fn lcm_schedule(
        &self,
        sampler: SamplerKind,
        noise: NoiseSchedule,
        steps: usize,
    ) -> Result<Schedule> {
        let original = self.original_inference_steps.unwrap_or(lcm::ORIGINAL_STEPS);
        let timesteps = lcm::timesteps(sampler, noise.timesteps(), original, steps)?;
        let mut sigmas: Vec<f64> = timesteps
            .into_iter()
            .map(|timestep| noise.sigma(timestep, Interpolation::Linear))
            .collect();
        // TCD's last step goes to timestep 0, LCM's beyond it.
        sigmas.push(match sampler {
            SamplerKind::Tcd => noise.sigma_min(),
            _ => 0.0,
        });
        let timesteps = Timesteps {
            noise,
            interpolation: Interpolation::Linear,
            rounding: Rounding::None,
        };
        let scale = LatentScale::VariancePreserving;
        Schedule::from_parts(pairs(&sigmas), timesteps, 1.0, scale)
    }

    fn layout(&self, noise: &NoiseSchedule, steps: usize) -> Layout {
        Layout {
            steps,
            points: steps,
            range: noise.timesteps(),
            train_timesteps: noise.timesteps(),
            steps_offset: self.steps_offset.unwrap_or(0),
        }
    }

    /// Sigmas spaced otherwise than evenly over the timesteps, if the config asks for it.
    fn respaced(&self, min: f64, max: f64, steps: usize) -> Result<Option<Vec<f64>>> {
        let karras_sigmas = self.use_karras_sigmas == Some(true);
        if !karras_sigmas && self.use_exponential_sigmas != Some(true) {
            return Ok(None);
        }
        let min = self.sigma_min.unwrap_or(min);
        let max = self.sigma_max.unwrap_or(max);
        if min > max {
            let reason = format!("sigma_min is {min}, expected at most sigma_max, {max}");
            return Err(Error::config("scheduler", reason));
        }
        let respace = if karras_sigmas { karras } else { exponential };
        Ok(Some(respace(min, max, steps)))
    }

    /// What DPM-Solver and UniPC do with the timesteps of respaced sigmas.
    fn respaced_rounding(&self, sampler: SamplerKind) -> Rounding {
        use ip2p_core::BetaSchedule::Cosine;
        let cosine = self.beta_schedule == Some(Cosine);
        if self.use_karras_sigmas == Some(true) && !(is_dpm_solver(sampler) && cosine) {
            Rounding::Nearest
        } else {
            Rounding::Down
        }
    }

    fn final_sigma(&self, noise: &NoiseSchedule) -> f64 {
        match self.final_sigmas_type {
            None | Some(FinalSigma::Zero) => 0.0,
            Some(FinalSigma::SigmaMin) => noise.sigma_min(),
        }
    }
}

/// numpy lays timesteps out in `f32`.
#[expect(clippy::cast_possible_truncation, reason = "that is the purpose")]
fn to_f32(timestep: f64) -> f64 {
    f64::from(timestep as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scheduler of the hub's Stable Diffusion 1 folders.
    fn hub(more: &str) -> SchedulerConfig {
        SchedulerConfig::from_json(&format!(
            r#"{{"_class_name": "PNDMScheduler", "_diffusers_version": "0.10.0", "beta_end": 0.012,
                "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false,
                "num_train_timesteps": 1000, "set_alpha_to_one": false, "skip_prk_steps": true,
                "steps_offset": 1, "trained_betas": null {more}}}"#
        ))
        .unwrap()
    }

    fn timesteps(config: &SchedulerConfig, sampler: SamplerKind, steps: usize) -> Vec<f64> {
        let schedule = config.schedule(sampler, steps).unwrap();
        schedule
            .steps()
            .iter()
            .map(|step| schedule.timestep(step.sigma))
            .collect()
    }

    #[test]
    fn classes_differ_in_their_default_spacing() {
        let config = hub("");
        assert_eq!(
            timesteps(&config, SamplerKind::Ddim, 4),
            [751.0, 501.0, 251.0, 1.0]
        );
        assert_eq!(
            timesteps(&config, SamplerKind::DpmPp2m, 4),
            [999.0, 749.0, 500.0, 250.0]
        );
        assert_eq!(
            timesteps(&config, SamplerKind::EulerAncestral, 4),
            [999.0, 666.0, 333.0, 0.0]
        );
    }

    #[test]
    fn leading_spacing_starts_from_image_and_noise() {
        let config = hub(r#", "timestep_spacing": "leading""#);
        let schedule = config.schedule(SamplerKind::Euler, 10).unwrap();
        let expected = (schedule.steps()[0].sigma.powi(2) + 1.0).sqrt();
        assert!((schedule.init_noise_sigma() - expected).abs() < 1e-12);
    }

    #[test]
    fn steps_that_the_spacing_has_no_room_for_are_refused() {
        let config = hub(r#", "timestep_spacing": "leading""#);
        for sampler in SamplerKind::ALL {
            for steps in [0, 1000, 1001] {
                let error = config.schedule(sampler, steps).unwrap_err();
                assert!(
                    error.to_string().starts_with("steps must be"),
                    "{sampler}: {error}"
                );
            }
        }
    }

    #[test]
    fn what_a_class_knows_and_we_do_not_is_refused_for_that_class_alone() {
        let config = hub(r#", "solver_order": 3"#);
        assert!(config.schedule(SamplerKind::UniPc, 10).is_err());
        assert!(config.sampler(SamplerKind::DpmPp2m).is_err());
        assert!(config.schedule(SamplerKind::Euler, 10).is_ok());
        let config = hub(r#", "solver_type": "bh1""#);
        assert!(config.schedule(SamplerKind::UniPc, 10).is_err());
        assert!(config.schedule(SamplerKind::DpmPp2m, 10).is_ok());
    }
}
