//! Finding a checkpoint's [`CheckpointProfile`] in its files.

use ip2p_core::{BetaSchedule, CheckpointProfile, Error, GuidanceFormula, ModelFamily, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::files::read_text;
use super::{Checkpoint, Component, parse_config};

/// The file that may say what the others cannot.
const PROFILE_FILE: &str = "ip2p.json";

/// diffusers' own default of the VAE's scaling factor, for configs older than the field.
const SCALING_FACTOR: f64 = 0.18215;

impl Checkpoint {
    /// The conventions that the checkpoint was trained with, found from its files.
    ///
    /// - `scheduler_config.json`: prediction, betas, number of timesteps, zero terminal SNR. A field that it lacks has
    ///   the default of the scheduler's class in diffusers.
    /// - `vae/config.json`: the scaling factor of the latents.
    /// - `unet/config.json`: the family, from the width of the context.
    /// - the name that the checkpoint was saved under: InstructDiffusion combines the branches by a formula of its own,
    ///   which nothing else in its files says.
    /// - `ip2p.json` in the folder: fields of [`CheckpointProfile`] that replace the found ones. Its author knows best;
    ///   a caller who knows better changes the result.
    ///
    /// Folders in diffusers' layout hold one set of U-Net weights, averaged (EMA) or not as whoever saved them chose;
    /// one beside it, such as `unet_ema/`, is not used.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if a config says something that is not understood, [`Error::Checkpoint`] if `ip2p.json` does.
    pub fn profile(&self) -> Result<CheckpointProfile> {
        let mut profile = CheckpointProfile {
            name: self.name(),
            family: self.family()?,
            scaling_factor: self.scaling_factor()?,
            ..CheckpointProfile::default()
        };
        if is_instruct_diffusion(&profile.name) {
            profile.guidance = GuidanceFormula::InstructDiffusion;
            // `edit_cli.py` of InstructDiffusion at 435f0c3.
            profile.text_scale = 5.0;
            profile.image_scale = 1.25;
        }
        self.read_scheduler(&mut profile)?;
        let path = self.folder.join(PROFILE_FILE);
        if !path.is_file() {
            return Ok(profile);
        }
        overlay(&profile, &read_text(&path)?)
            .map_err(|error| Error::checkpoint(&path, format!("is no profile: {error}")))
    }

    /// The name that the checkpoint was saved under, or else its folder's.
    pub(crate) fn name(&self) -> String {
        let saved_as = self
            .model_index
            .get("_name_or_path")
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty());
        match saved_as {
            Some(name) => name.to_owned(),
            None => self
                .folder
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        }
    }

    fn family(&self) -> Result<ModelFamily> {
        let config = parse_config(Component::Unet.name(), self.config(Component::Unet))?;
        Ok(
            match config.get("cross_attention_dim").and_then(Value::as_u64) {
                Some(768) => ModelFamily::Sd1,
                Some(1024) => ModelFamily::Sd2,
                _ => ModelFamily::Custom,
            },
        )
    }

    fn scaling_factor(&self) -> Result<f64> {
        let network = Component::Vae.name();
        let config = parse_config(network, self.config(Component::Vae))?;
        let factor = field(network, &config, "scaling_factor")?.unwrap_or(SCALING_FACTOR);
        if factor > 0.0 {
            Ok(factor)
        } else {
            let reason = format!("scaling_factor must be above 0, got {factor}");
            Err(Error::config(network, reason))
        }
    }

    fn read_scheduler(&self, profile: &mut CheckpointProfile) -> Result<()> {
        const NETWORK: &str = "scheduler";
        let config = parse_config(NETWORK, &self.scheduler)?;
        let class = config.get("_class_name").and_then(Value::as_str);
        let class = class.unwrap_or("DDIMScheduler");
        if class.starts_with("EDM") || class.starts_with("Flow") {
            let reason = format!(
                "_class_name {class} trains on another kind of noise; schedulers with betas are supported"
            );
            return Err(Error::config(NETWORK, reason));
        }
        if config
            .get("trained_betas")
            .is_some_and(|value| !value.is_null())
        {
            let reason = "trained_betas must be null: a list of betas is not supported";
            return Err(Error::config(NETWORK, reason));
        }
        let (beta_start, beta_end, beta_schedule) = default_betas(class);
        profile.prediction = field(NETWORK, &config, "prediction_type")?.unwrap_or_default();
        profile.beta_schedule = field(NETWORK, &config, "beta_schedule")?.unwrap_or(beta_schedule);
        profile.beta_start = field(NETWORK, &config, "beta_start")?.unwrap_or(beta_start);
        profile.beta_end = field(NETWORK, &config, "beta_end")?.unwrap_or(beta_end);
        profile.train_timesteps = field(NETWORK, &config, "num_train_timesteps")?.unwrap_or(1000);
        profile.zero_terminal_snr =
            field(NETWORK, &config, "rescale_betas_zero_snr")?.unwrap_or_default();
        check_betas(profile).map_err(|reason| Error::config(NETWORK, reason))
    }
}

/// The betas of a scheduler whose config does not state them; diffusers 0.42.1.
fn default_betas(class: &str) -> (f64, f64, BetaSchedule) {
    match class {
        "LCMScheduler" | "TCDScheduler" => (0.00085, 0.012, BetaSchedule::ScaledLinear),
        "HeunDiscreteScheduler" => (0.00085, 0.012, BetaSchedule::Linear),
        _ => (0.0001, 0.02, BetaSchedule::Linear),
    }
}

fn check_betas(profile: &CheckpointProfile) -> Result<(), String> {
    let (start, end) = (profile.beta_start, profile.beta_end);
    if !(0.0 < start && start <= end && end < 1.0) {
        Err(format!(
            "beta_start and beta_end must be between 0 and 1 and in order, got {start} and {end}"
        ))
    } else if profile.train_timesteps == 0 {
        Err("num_train_timesteps must be above 0".into())
    } else {
        Ok(())
    }
}

/// A field of a config, [`None`] where it is missing or null.
fn field<T: DeserializeOwned>(
    network: &'static str,
    config: &Map<String, Value>,
    name: &str,
) -> Result<Option<T>> {
    let value = config.get(name).cloned().unwrap_or_default();
    serde_json::from_value(value)
        .map_err(|error| Error::config(network, format!("{name}: {error}")))
}

/// Replaces the fields of `profile` that `json` states.
fn overlay(profile: &CheckpointProfile, json: &str) -> serde_json::Result<CheckpointProfile> {
    let stated: Map<String, Value> = serde_json::from_str(json)?;
    let mut fields: Map<String, Value> = serde_json::from_value(serde_json::to_value(profile)?)?;
    fields.extend(stated);
    serde_json::from_value(Value::Object(fields))
}

fn is_instruct_diffusion(name: &str) -> bool {
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    letters.to_ascii_lowercase().contains("instructdiffusion")
}

#[cfg(test)]
mod tests {
    use ip2p_core::PredictionType;

    use super::super::testing::Folder;
    use super::*;

    fn profile(folder: &Folder) -> Result<CheckpointProfile> {
        Checkpoint::open(folder.path())?.profile()
    }

    #[test]
    fn a_usual_folder_has_the_original_profile() {
        let folder = Folder::new();
        let expected = CheckpointProfile {
            name: "timbrooks/instruct-pix2pix".into(),
            ..CheckpointProfile::default()
        };
        assert_eq!(profile(&folder).unwrap(), expected);
    }

    #[test]
    fn every_field_is_found_where_the_files_state_it() {
        let folder = Folder::new();
        folder.set("unet/config.json", "cross_attention_dim", 1024.into());
        folder.set("vae/config.json", "scaling_factor", 0.13.into());
        let scheduler = "scheduler/scheduler_config.json";
        folder.set(scheduler, "prediction_type", "v_prediction".into());
        folder.set(scheduler, "beta_schedule", "squaredcos_cap_v2".into());
        folder.set(scheduler, "beta_start", 0.001.into());
        folder.set(scheduler, "beta_end", 0.02.into());
        folder.set(scheduler, "num_train_timesteps", 500.into());
        folder.set(scheduler, "rescale_betas_zero_snr", true.into());
        let found = profile(&folder).unwrap();
        assert_eq!(found.family, ModelFamily::Sd2);
        assert_eq!(found.prediction, PredictionType::VPrediction);
        assert_eq!(found.beta_schedule, BetaSchedule::Cosine);
        assert_eq!((found.beta_start, found.beta_end), (0.001, 0.02));
        assert_eq!((found.train_timesteps, found.scaling_factor), (500, 0.13));
        assert!(found.zero_terminal_snr);
    }

    #[test]
    fn fields_that_a_scheduler_config_lacks_have_its_class_default() {
        let folder = Folder::new();
        for (class, start) in [("DDIMScheduler", 0.0001), ("LCMScheduler", 0.00085)] {
            folder.write(
                "scheduler/scheduler_config.json",
                &format!(r#"{{"_class_name":"{class}"}}"#),
            );
            assert_eq!(profile(&folder).unwrap().beta_start, start);
        }
    }

    #[test]
    fn values_that_are_not_understood_are_refused_by_name() {
        for (file, name, value, words) in [
            (
                "scheduler/scheduler_config.json",
                "prediction_type",
                Value::from("flow"),
                "unknown variant `flow`",
            ),
            (
                "scheduler/scheduler_config.json",
                "beta_schedule",
                "sigmoid".into(),
                "unknown variant `sigmoid`",
            ),
            (
                "scheduler/scheduler_config.json",
                "trained_betas",
                vec![0.1].into(),
                "trained_betas must be null",
            ),
            (
                "scheduler/scheduler_config.json",
                "_class_name",
                "FlowMatchEulerDiscreteScheduler".into(),
                "FlowMatch",
            ),
            (
                "scheduler/scheduler_config.json",
                "beta_end",
                1.5.into(),
                "got 0.00085 and 1.5",
            ),
            (
                "scheduler/scheduler_config.json",
                "num_train_timesteps",
                0.into(),
                "num_train_timesteps must be above 0",
            ),
            (
                "scheduler/scheduler_config.json",
                "num_train_timesteps",
                "many".into(),
                "num_train_timesteps: invalid type",
            ),
            (
                "vae/config.json",
                "scaling_factor",
                0.into(),
                "scaling_factor must be above 0",
            ),
        ] {
            let folder = Folder::new();
            folder.set(file, name, value);
            let message = profile(&folder).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn the_profile_file_replaces_only_what_it_states() {
        let folder = Folder::new();
        folder.write("ip2p.json", r#"{"guidance":"nested","text_scale":4.0}"#);
        let found = profile(&folder).unwrap();
        assert_eq!(found.guidance, GuidanceFormula::Nested);
        assert_eq!((found.text_scale, found.image_scale), (4.0, 1.5));
        assert_eq!(found.name, "timbrooks/instruct-pix2pix");
        folder.write("ip2p.json", r#"{"gidance":"nested"}"#);
        let message = profile(&folder).unwrap_err().to_string();
        assert!(
            message.contains("ip2p.json: is no profile: unknown field `gidance`"),
            "{message}"
        );
    }

    #[test]
    fn instruct_diffusion_is_known_by_its_name() {
        let folder = Folder::new();
        folder.set(
            "model_index.json",
            "_name_or_path",
            "x/Instruct-Diffusion".into(),
        );
        let found = profile(&folder).unwrap();
        assert_eq!(found.guidance, GuidanceFormula::InstructDiffusion);
        assert_eq!((found.text_scale, found.image_scale), (5.0, 1.25));
    }
}
