//! diffusers' scheduler of trainings over a continuous range of noise: `EDMEulerScheduler`, with which it runs CosXL.

use std::fmt;

use ip2p_core::{CheckpointProfile, EdmNoise, Error, Fields, PredictionType, Result, SamplerKind};
use serde::Deserialize;

use crate::linspace::linspace;
use crate::noise_schedule::{Interpolation, NoiseSchedule};
use crate::schedule::{LatentScale, Schedule, check_steps, exponential, pairs};
use crate::scheduler_config::{FinalSigma, SchedulerConfig};
use crate::timesteps::{Rounding, Timesteps};

/// The classes that say how such a training was, the first the one whose schedule is known here.
const CLASSES: [&str; 2] = ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"];

/// How the sigmas of a schedule are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SigmaSpacing {
    /// Evenly in a root.
    #[default]
    Karras,
    /// Evenly in the logarithm, as CosXL was trained to be run.
    Exponential,
}

impl fmt::Display for SigmaSpacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Karras => "karras",
            Self::Exponential => "exponential",
        })
    }
}

/// What the config of such a scheduler says beside what others say too.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EdmConfig {
    sigma_data: f64,
    sigma_schedule: SigmaSpacing,
    rho: f64,
}

impl EdmConfig {
    /// Takes the fields, if the class is one that has them.
    pub(crate) fn take(class: Option<&str>, fields: &mut Fields) -> Result<Option<Self>> {
        if !class.is_some_and(|class| CLASSES.contains(&class)) {
            return Ok(None);
        }
        let config = Self {
            sigma_data: fields.number("sigma_data", 0.5)?,
            sigma_schedule: fields.take("sigma_schedule")?.unwrap_or_default(),
            rho: fields.number("rho", 7.0)?,
        };
        if config.rho > 0.0 && config.rho.is_finite() {
            return Ok(Some(config));
        }
        let reason = format!("rho is {}, expected a number above 0", config.rho);
        Err(Error::config("scheduler", reason))
    }
}

impl SchedulerConfig {
    /// The noise of the training, if it was one without betas; what the file leaves out is the class's default.
    pub(crate) fn edm_noise(&self) -> Option<EdmNoise> {
        self.edm.as_ref().map(|edm| EdmNoise {
            sigma_min: self.sigma_min.unwrap_or(0.002),
            sigma_max: self.sigma_max.unwrap_or(80.0),
            sigma_data: edm.sigma_data,
        })
    }

    /// The schedule of `EDMEulerScheduler`, made from this config.
    pub(crate) fn edm_schedule(
        &self,
        edm: &EdmConfig,
        sampler: SamplerKind,
        steps: usize,
    ) -> Result<Schedule> {
        if sampler != SamplerKind::Euler {
            let expected = "euler with --compat diffusers: for a noise without betas diffusers has EDMEulerScheduler";
            return Err(Error::setting("sampler", expected, sampler));
        }
        let mut profile = CheckpointProfile::default();
        self.apply_to(&mut profile);
        let noise = NoiseSchedule::new(&profile)?;
        check_steps(steps, noise.timesteps())?;
        let (min, max) = (noise.sigma_min(), noise.sigma_max());
        let mut sigmas = match edm.sigma_schedule {
            SigmaSpacing::Karras => karras(min, max, steps, edm.rho),
            // Made from the end, so that a single step is at the end too.
            SigmaSpacing::Exponential if steps == 1 => vec![min],
            SigmaSpacing::Exponential => exponential(min, max, steps),
        };
        for sigma in &mut sigmas {
            *sigma = to_f32(*sigma);
        }
        let last = sigmas[sigmas.len() - 1];
        sigmas.push(match self.final_sigmas_type {
            None | Some(FinalSigma::Zero) => 0.0,
            Some(FinalSigma::SigmaMin) => last,
        });
        let timesteps = Timesteps {
            noise,
            interpolation: Interpolation::LogLinear,
            rounding: Rounding::None,
        };
        let init_noise_sigma = max.hypot(1.0);
        let scale = LatentScale::VarianceExploding;
        Schedule::from_parts(pairs(&sigmas), timesteps, init_noise_sigma, scale)
    }

    /// Takes over the noise of a training without betas, if it was one.
    pub(crate) fn apply_edm(&self, profile: &mut CheckpointProfile) {
        profile.edm = self.edm_noise();
        if profile.edm.is_some() {
            profile.train_timesteps = self.num_train_timesteps.unwrap_or(1000);
            profile.prediction = self.prediction_type.unwrap_or(PredictionType::Epsilon);
            profile.zero_terminal_snr = false;
        }
    }
}

/// Sigmas evenly spaced in their root of degree `rho`; Karras et al. (2022), <https://arxiv.org/abs/2206.00364>, eq. 5.
fn karras(min: f64, max: f64, steps: usize, rho: f64) -> Vec<f64> {
    let root = |sigma: f64| sigma.powf(1.0 / rho);
    linspace(0.0, 1.0, steps)
        .map(|ramp| (root(max) + ramp * (root(min) - root(max))).powf(rho))
        .collect()
}

/// As the class keeps its sigmas.
#[expect(clippy::cast_possible_truncation, reason = "that is the purpose")]
fn to_f32(sigma: f64) -> f64 {
    f64::from(sigma as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CosXL's.
    fn cosxl(more: &str) -> SchedulerConfig {
        SchedulerConfig::from_json(&format!(
            r#"{{"_class_name": "EDMEulerScheduler", "num_train_timesteps": 1000, "prediction_type": "v_prediction",
                "sigma_data": 1.0, "sigma_max": 120.0, "sigma_min": 0.002 {more}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn the_noise_has_no_betas() {
        let mut profile = CheckpointProfile::default();
        cosxl("").apply_to(&mut profile);
        assert_eq!(
            profile.edm,
            Some(EdmNoise {
                sigma_min: 0.002,
                sigma_max: 120.0,
                sigma_data: 1.0
            })
        );
        assert_eq!(profile.prediction, PredictionType::VPrediction);
        let bare = SchedulerConfig::from_json(r#"{"_class_name": "EDMEulerScheduler"}"#).unwrap();
        let default = bare.edm_noise().unwrap();
        assert_eq!(
            (default.sigma_min, default.sigma_max, default.sigma_data),
            (0.002, 80.0, 0.5)
        );
    }

    #[test]
    fn the_network_is_told_a_quarter_of_the_logarithm() {
        let config = cosxl(r#", "sigma_schedule": "exponential""#);
        let schedule = config.schedule(SamplerKind::Euler, 5).unwrap();
        for step in schedule.steps() {
            let told = schedule.timestep(step.sigma);
            assert!((told - 0.25 * step.sigma.ln()).abs() < 1e-12, "{told}");
        }
        let expected = (120.0_f64.powi(2) + 1.0).sqrt();
        assert!((schedule.init_noise_sigma() - expected).abs() < 1e-12);
        let sigmas = schedule.sigmas();
        assert!(
            (sigmas[2] - (0.002_f64 * 120.0).sqrt()).abs() < 1e-6,
            "{sigmas:?}"
        );
        assert_eq!(sigmas[5].to_string(), "0");
    }

    #[test]
    fn other_samplers_than_the_classs_are_refused() {
        for sampler in SamplerKind::ALL {
            let schedule = cosxl("").schedule(sampler, 5);
            assert_eq!(schedule.is_ok(), sampler == SamplerKind::Euler, "{sampler}");
        }
    }

    #[test]
    fn fields_of_this_class_are_unknown_to_others() {
        let json = r#"{"_class_name": "EulerDiscreteScheduler", "sigma_data": 1.0}"#;
        let error = SchedulerConfig::from_json(json).unwrap_err().to_string();
        assert!(error.contains("sigma_data"), "{error}");
    }
}
