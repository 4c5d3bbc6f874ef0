//! `scheduler/scheduler_config.json` of a diffusers folder.
//!
//! The file says how the checkpoint was trained, and some things about one scheduler that its author happened to save.
//! diffusers makes every other scheduler of it by `from_config`: of the fields in the file the ones that the scheduler
//! knows, of the rest its own defaults. So a field that is absent stays absent here, until it is known which.

use std::fmt;

use ip2p_core::{
    BetaSchedule, CheckpointProfile, Error, Fields, PredictionType, Result, SamplerKind,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::edm::EdmConfig;
use crate::spacing::Spacing;

/// Fields that change nothing here.
const WITHOUT_EFFECT: &[&str] = &[
    // Of PNDM alone.
    "skip_prk_steps",
    // DDIM is made with `set_alpha_to_one=False`; LCM and TCD never step below timestep 0.
    "set_alpha_to_one",
    // The sampler's name chooses it.
    "algorithm_type",
    // Of settings that are refused.
    "clip_sample_range",
    "sample_max_value",
    "dynamic_thresholding_ratio",
    "flow_shift",
    "time_shift_type",
];

/// Where a schedule ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FinalSigma {
    Zero,
    /// The sigma of timestep 0.
    SigmaMin,
}

/// The rule of a multi-step solver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SolverType {
    Midpoint,
    Heun,
    Logrho,
    Bh1,
    Bh2,
}

impl fmt::Display for SolverType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Midpoint => "midpoint",
            Self::Heun => "heun",
            Self::Logrho => "logrho",
            Self::Bh1 => "bh1",
            Self::Bh2 => "bh2",
        })
    }
}

/// The scheduler that a diffusers folder was saved with.
///
/// # Examples
///
/// ```
/// use ip2p_sched::{SamplerKind, SchedulerConfig};
///
/// # fn main() -> ip2p_core::Result<()> {
/// let config = SchedulerConfig::from_json(
///     r#"{"_class_name": "PNDMScheduler", "beta_start": 0.00085, "beta_end": 0.012,
///         "beta_schedule": "scaled_linear", "steps_offset": 1, "skip_prk_steps": true}"#,
/// )?;
/// let schedule = config.schedule(SamplerKind::Ddim, 50)?;
/// assert_eq!(schedule.timestep(schedule.steps()[0].sigma), 981.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerConfig {
    pub(crate) class_name: Option<String>,
    pub(crate) num_train_timesteps: Option<usize>,
    pub(crate) beta_start: Option<f64>,
    pub(crate) beta_end: Option<f64>,
    pub(crate) beta_schedule: Option<BetaSchedule>,
    pub(crate) prediction_type: Option<PredictionType>,
    pub(crate) rescale_betas_zero_snr: Option<bool>,
    pub(crate) timestep_spacing: Option<Spacing>,
    pub(crate) steps_offset: Option<usize>,
    pub(crate) use_karras_sigmas: Option<bool>,
    pub(crate) use_exponential_sigmas: Option<bool>,
    pub(crate) sigma_min: Option<f64>,
    pub(crate) sigma_max: Option<f64>,
    pub(crate) final_sigmas_type: Option<FinalSigma>,
    pub(crate) lambda_min_clipped: Option<f64>,
    pub(crate) lower_order_final: Option<bool>,
    pub(crate) euler_at_final: Option<bool>,
    pub(crate) solver_order: Option<usize>,
    pub(crate) solver_type: Option<SolverType>,
    pub(crate) clip_sample: Option<bool>,
    pub(crate) original_inference_steps: Option<usize>,
    pub(crate) timestep_scaling: Option<f64>,
    /// What only schedulers without betas have.
    pub(crate) edm: Option<EdmConfig>,
}

impl SchedulerConfig {
    /// Reads the text of a `scheduler_config.json`.
    ///
    /// Fields whose names begin with `_` are diffusers' own affair, and are skipped.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] that names the field, if one is not known, has a value that is not understood, or asks for
    /// something that this crate does not do.
    pub fn from_json(text: &str) -> Result<Self> {
        // Python writes infinities that JSON does not have: DPMSolverMultistepScheduler's `lambda_min_clipped`.
        let mut fields = Fields::parse("scheduler", &text.replace("-Infinity", "null"))?;
        refuse_what_is_not_done(&mut fields)?;
        let class_name: Option<String> = fields.take("_class_name")?;
        let config = Self {
            edm: EdmConfig::take(class_name.as_deref(), &mut fields)?,
            class_name,
            num_train_timesteps: fields.take("num_train_timesteps")?,
            beta_start: fields.take("beta_start")?,
            beta_end: fields.take("beta_end")?,
            beta_schedule: fields.take("beta_schedule")?,
            prediction_type: fields.take("prediction_type")?,
            rescale_betas_zero_snr: fields.take("rescale_betas_zero_snr")?,
            timestep_spacing: fields.take("timestep_spacing")?,
            steps_offset: fields.take("steps_offset")?,
            use_karras_sigmas: fields.take("use_karras_sigmas")?,
            use_exponential_sigmas: fields.take("use_exponential_sigmas")?,
            sigma_min: fields.take("sigma_min")?,
            sigma_max: fields.take("sigma_max")?,
            final_sigmas_type: fields.take("final_sigmas_type")?,
            lambda_min_clipped: fields.take("lambda_min_clipped")?,
            lower_order_final: fields.take("lower_order_final")?,
            euler_at_final: fields.take("euler_at_final")?,
            solver_order: fields.take("solver_order")?,
            solver_type: fields.take("solver_type")?,
            clip_sample: fields.take("clip_sample")?,
            original_inference_steps: fields.take("original_inference_steps")?,
            timestep_scaling: fields.take("timestep_scaling")?,
        };
        fields.ignore(WITHOUT_EFFECT);
        fields.finish()?;
        config.check()?;
        Ok(config)
    }

    /// The scheduler's class in diffusers, if the file says so.
    #[must_use]
    pub fn class_name(&self) -> Option<&str> {
        self.class_name.as_deref()
    }

    /// The sampler that the scheduler's class is, if it is one of ours.
    #[must_use]
    pub fn sampler_kind(&self) -> Option<SamplerKind> {
        let class_name = self.class_name()?;
        SamplerKind::ALL
            .into_iter()
            .find(|kind| kind.diffusers_class() == class_name)
    }

    /// Takes over into `profile` what the file says of the training: betas, number of timesteps, prediction, and
    /// whether the betas were rescaled to a zero terminal SNR; or the range of a noise without betas.
    ///
    /// What the file leaves out is set to the default of diffusers' schedulers.
    pub fn apply_to(&self, profile: &mut CheckpointProfile) {
        let sampler = self.sampler_kind().unwrap_or_default();
        self.apply_as(sampler, profile);
        self.apply_edm(profile);
    }

    /// As [`SchedulerConfig::apply_to`], with the defaults of `sampler`'s class.
    pub(crate) fn apply_as(&self, sampler: SamplerKind, profile: &mut CheckpointProfile) {
        let (start, end, schedule) = match sampler {
            SamplerKind::Heun => (0.00085, 0.012, BetaSchedule::Linear),
            SamplerKind::Lcm | SamplerKind::Tcd => (0.00085, 0.012, BetaSchedule::ScaledLinear),
            _ => (0.0001, 0.02, BetaSchedule::Linear),
        };
        profile.beta_start = self.beta_start.unwrap_or(start);
        profile.beta_end = self.beta_end.unwrap_or(end);
        profile.beta_schedule = self.beta_schedule.unwrap_or(schedule);
        profile.train_timesteps = self.num_train_timesteps.unwrap_or(1000);
        profile.prediction = self.prediction_type.unwrap_or_default();
        profile.zero_terminal_snr = self.rescale_betas_zero_snr.unwrap_or(false);
    }

    fn check(&self) -> Result<()> {
        if let Some(class) = self.class_name()
            && (class.starts_with("EDM") || class.starts_with("Flow"))
            && self.edm.is_none()
        {
            let reason = format!(
                "_class_name is {class}, expected a scheduler of noise with betas, or EDMEulerScheduler"
            );
            return Err(Error::config("scheduler", reason));
        }
        if self.use_karras_sigmas == Some(true) && self.use_exponential_sigmas == Some(true) {
            let reason =
                "use_karras_sigmas and use_exponential_sigmas are both true, expected one at most";
            return Err(Error::config("scheduler", reason));
        }
        for (name, sigma) in [("sigma_min", self.sigma_min), ("sigma_max", self.sigma_max)] {
            if sigma.is_some_and(|sigma| sigma <= 0.0) {
                let reason = format!("{name} is {sigma:?}, expected a number above 0");
                return Err(Error::config("scheduler", reason));
            }
        }
        Ok(())
    }
}

/// Refuses fields that only one value will do for, if they have another.
fn refuse_what_is_not_done(fields: &mut Fields) -> Result<()> {
    let done = [
        // Made for pixels: unsuitable for latents, says diffusers.
        ("thresholding", json!(false)),
        ("use_beta_sigmas", json!(false)),
        ("use_lu_lambdas", json!(false)),
        ("use_flow_sigmas", json!(false)),
        ("use_dynamic_shifting", json!(false)),
        ("predict_x0", json!(true)),
        ("disable_corrector", json!([])),
        ("interpolation_type", json!("linear")),
        ("timestep_type", json!("discrete")),
        ("trained_betas", Value::Null),
        ("solver_p", Value::Null),
        ("shift_terminal", Value::Null),
    ];
    for (name, value) in done {
        fields.only(name, &[value, Value::Null])?;
    }
    let fixed = [
        "fixed_small",
        "fixed_small_log",
        "fixed_large",
        "fixed_large_log",
    ];
    let not_learned: Vec<_> = fixed
        .map(Value::from)
        .into_iter()
        .chain([Value::Null])
        .collect();
    fields.only("variance_type", &not_learned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &str) -> Result<SchedulerConfig> {
        SchedulerConfig::from_json(&format!("{{{fields}}}"))
    }

    fn complaint(fields: &str) -> String {
        read(fields).unwrap_err().to_string()
    }

    #[test]
    fn what_the_file_says_of_the_training_goes_into_the_profile() {
        let config = read(
            r#""_class_name": "DDIMScheduler", "beta_start": 0.001, "beta_end": 0.02, "beta_schedule": "linear",
               "num_train_timesteps": 500, "prediction_type": "v_prediction", "rescale_betas_zero_snr": true"#,
        )
        .unwrap();
        let mut profile = CheckpointProfile::default();
        config.apply_to(&mut profile);
        assert_eq!(
            profile,
            CheckpointProfile {
                beta_start: 0.001,
                beta_end: 0.02,
                beta_schedule: BetaSchedule::Linear,
                train_timesteps: 500,
                prediction: PredictionType::VPrediction,
                zero_terminal_snr: true,
                ..CheckpointProfile::default()
            }
        );
        assert_eq!(config.sampler_kind(), Some(SamplerKind::Ddim));
    }

    #[test]
    fn schedulers_of_another_kind_of_noise_are_refused() {
        for class in ["EDMHeunScheduler", "FlowMatchEulerDiscreteScheduler"] {
            let error = read(&format!(r#""_class_name": "{class}""#)).unwrap_err();
            assert!(error.to_string().contains(class), "{error}");
        }
    }

    #[test]
    fn absent_betas_are_those_of_the_class() {
        let mut profile = CheckpointProfile::default();
        read(r#""_class_name": "EulerDiscreteScheduler""#)
            .unwrap()
            .apply_to(&mut profile);
        assert_eq!((profile.beta_start, profile.beta_end), (0.0001, 0.02));
        read(r#""_class_name": "LCMScheduler""#)
            .unwrap()
            .apply_to(&mut profile);
        assert_eq!((profile.beta_start, profile.beta_end), (0.00085, 0.012));
    }

    #[test]
    fn private_and_ineffective_fields_are_skipped() {
        let config = read(
            r#""_diffusers_version": "0.10.0", "_anything": [1], "skip_prk_steps": true, "set_alpha_to_one": false,
               "trained_betas": null, "lambda_min_clipped": -Infinity, "variance_type": null"#,
        );
        assert_eq!(config.unwrap().lambda_min_clipped, None);
    }

    #[test]
    fn a_field_that_is_not_known_is_named() {
        assert_eq!(
            complaint(r#""base_shift": 0.5"#),
            "scheduler config: base_shift = 0.5 may change the result in a way that is not supported; remove what does not"
        );
    }

    #[test]
    fn a_value_that_is_not_known_is_named_with_its_field() {
        assert!(
            complaint(r#""beta_schedule": "exp""#).contains("beta_schedule: unknown variant `exp`")
        );
        assert!(
            complaint(r#""prediction_type": "flow""#)
                .contains("prediction_type: unknown variant `flow`")
        );
        assert!(complaint(r#""timestep_spacing": 3"#).contains("timestep_spacing: "));
        assert!(complaint(r#""solver_type": "rk4""#).contains("solver_type: unknown variant"));
        assert!(complaint(r#""steps_offset": -1"#).contains("steps_offset: "));
        assert!(
            complaint(r#""thresholding": true"#)
                .contains("thresholding is true, supported is false")
        );
        assert!(complaint(r#""use_flow_sigmas": true"#).contains("use_flow_sigmas"));
        assert!(complaint(r#""trained_betas": [0.1]"#).contains("trained_betas"));
        assert!(complaint(r#""variance_type": "learned_range""#).contains("variance_type"));
        assert!(complaint(r#""sigma_min": -1.0"#).contains("sigma_min"));
        assert!(
            complaint(r#""use_karras_sigmas": true, "use_exponential_sigmas": true"#)
                .contains("use_karras_sigmas")
        );
    }

    #[test]
    fn a_text_that_is_no_object_is_refused() {
        for text in ["", "[]", "null", "{"] {
            assert!(SchedulerConfig::from_json(text).is_err(), "{text}");
        }
    }
}
