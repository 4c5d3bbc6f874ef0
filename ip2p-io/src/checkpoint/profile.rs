//! Finding a checkpoint's [`CheckpointProfile`] in its files.

use ip2p_core::{
    CheckpointProfile, Error, KnownProfile, ModelFamily, NullText, Result, SamplerKind, TextState,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Checkpoint, Component, parse_config};

/// The file that may say what the others cannot.
pub(super) const PROFILE_FILE: &str = "ip2p.json";

impl Checkpoint {
    /// The conventions that the checkpoint was trained with, found from its files.
    ///
    /// - `training`: prediction, betas, number of timesteps, zero terminal SNR, as whoever knows schedulers reads them out
    ///   of [`Checkpoint::scheduler_config`].
    /// - `vae/config.json`: the scaling factor of the latents, and if it is missing diffusers' own for the class.
    /// - `unet/config.json`: the family, from the width of the context.
    /// - `model_index.json` of Stable Diffusion XL: what stands for no sentence (`force_zeros_for_empty_prompt`), and whether the
    ///   source's latents are scaled (`is_cosxl_edit`; where it does not say, as of a training without betas).
    /// - the name that the checkpoint was saved under, if it is a [`KnownProfile`]'s: InstructDiffusion combines the branches by
    ///   a formula of its own, which nothing else in its files says.
    /// - `ip2p.json` in the folder: fields of [`CheckpointProfile`] that replace the found ones, among them the settings
    ///   that an edit has by default. Its author knows best; a caller who knows better changes the result.
    ///
    /// Folders in diffusers' layout hold one set of U-Net weights, averaged (EMA) or not as whoever saved them chose;
    /// one beside it, such as `unet_ema/`, is not used.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if a config says something that is not understood, [`Error::Checkpoint`] if `ip2p.json` does.
    pub fn profile(&self, training: &CheckpointProfile) -> Result<CheckpointProfile> {
        let mut profile = CheckpointProfile {
            name: self.name(),
            family: self.family()?,
            scaling_factor: scaling_factor(self.trained_vae())?,
            ..training.clone()
        };
        if self.has(Component::TextEncoder2) {
            self.sdxl(&mut profile)?;
        }
        if let Some(known) = KnownProfile::of(&profile.name, profile.family) {
            known.apply_to(&mut profile);
        }
        let path = self.root.join(PROFILE_FILE);
        if !self.storage.is_file(&path) {
            self.rescale(&mut profile)?;
            return Ok(profile);
        }
        let mut profile = overlay(&profile, &self.storage.read_text(&path)?)
            .map_err(|error| Error::checkpoint(&path, format!("is no profile: {error}")))?;
        profile
            .check()
            .map_err(|error| Error::checkpoint(&path, error.to_string()))?;
        self.rescale(&mut profile)?;
        Ok(profile)
    }

    /// The text of the file that says what the others cannot, if there is anything of that kind to say: the scales of latents, where
    /// another autoencoder took the place of the one that the checkpoint was trained with.
    pub(super) fn profile_file(&self) -> Result<Option<String>> {
        let path = self.root.join(PROFILE_FILE);
        let text = if self.storage.is_file(&path) {
            Some(self.storage.read_text(&path)?)
        } else {
            None
        };
        let other = self.other_vae.as_ref();
        if other.is_none_or(|other| other.replaced.is_none()) {
            return Ok(text);
        }
        let profile = self.profile(&CheckpointProfile::default())?;
        let stated = text.as_deref().unwrap_or("{}");
        let mut stated: Map<String, Value> = serde_json::from_str(stated)
            .map_err(|error| Error::checkpoint(&path, format!("is no profile: {error}")))?;
        for (name, scale) in [
            ("scaling_factor", profile.scaling_factor),
            ("image_latents_scale", profile.image_latents_scale),
        ] {
            stated.insert(name.to_owned(), scale.into());
        }
        Ok(Some(format!("{:#}\n", Value::Object(stated))))
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
                .root
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        }
    }

    /// What Stable Diffusion XL does otherwise: `pipeline_stable_diffusion_xl_instruct_pix2pix.py` of diffusers 0.42.
    fn sdxl(&self, profile: &mut CheckpointProfile) -> Result<()> {
        let flag = |name| field::<bool>("model_index", &self.model_index, name);
        let vae = parse_config(Component::Vae.name(), self.config(Component::Vae))?;
        profile.text_state = TextState::Penultimate;
        profile.upcast_vae = field(Component::Vae.name(), &vae, "force_upcast")?.unwrap_or(true);
        if flag("force_zeros_for_empty_prompt")?.unwrap_or(true) {
            profile.null_text = NullText::Zeros;
        }
        profile.sampler = SamplerKind::Euler;
        // `is_cosxl_edit` is not among what diffusers saves.
        if flag("is_cosxl_edit")?.unwrap_or(profile.edm.is_some()) {
            profile.image_latents_scale = profile.scaling_factor;
            // Stability's own demonstration of CosXL.
            (profile.text_scale, profile.longer_side) = (7.0, 1024);
        } else {
            // The model card of diffusers/sdxl-instructpix2pix-768.
            (profile.text_scale, profile.longer_side) = (3.0, 768);
            profile.steps = 30;
        }
        Ok(())
    }

    fn family(&self) -> Result<ModelFamily> {
        if self.has(Component::TextEncoder2) {
            return Ok(ModelFamily::Sdxl);
        }
        let config = parse_config(Component::Unet.name(), self.config(Component::Unet))?;
        Ok(
            match config.get("cross_attention_dim").and_then(Value::as_u64) {
                Some(768) => ModelFamily::Sd1,
                Some(1024) => ModelFamily::Sd2,
                _ => ModelFamily::Custom,
            },
        )
    }
}

/// The scaling factor that an autoencoder's config states, or that of its class.
pub(super) fn scaling_factor(vae: &str) -> Result<f64> {
    let network = Component::Vae.name();
    let config = parse_config(network, vae)?;
    let class: Option<String> = field(network, &config, "_class_name")?;
    let default = match class.as_deref() {
        Some("AutoencoderTiny") => 1.0,
        // diffusers' default, which is not that of the XL: its folders say 0.13025.
        _ => 0.18215,
    };
    let factor = field(network, &config, "scaling_factor")?.unwrap_or(default);
    if factor > 0.0 {
        Ok(factor)
    } else {
        let reason = format!("scaling_factor must be above 0, got {factor}");
        Err(Error::config(network, reason))
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

#[cfg(test)]
mod tests {
    use ip2p_core::{GuidanceFormula, SamplerKind};

    use super::super::testing::Folder;
    use super::*;

    fn profile(folder: &Folder) -> Result<CheckpointProfile> {
        Checkpoint::open(folder.path())?.profile(&CheckpointProfile::default())
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
        let found = profile(&folder).unwrap();
        assert_eq!(found.family, ModelFamily::Sd2);
        assert_eq!(found.scaling_factor, 0.13);
    }

    #[test]
    fn a_scaling_factor_that_is_missing_is_that_of_the_class() {
        let folder = Folder::new();
        folder.write("vae/config.json", "{}");
        assert_eq!(profile(&folder).unwrap().scaling_factor, 0.18215);
        folder.write("vae/config.json", r#"{"_class_name": "AutoencoderTiny"}"#);
        assert_eq!(profile(&folder).unwrap().scaling_factor, 1.0);
    }

    #[test]
    fn a_scaling_factor_of_zero_is_refused() {
        let folder = Folder::new();
        folder.set("vae/config.json", "scaling_factor", 0.into());
        let message = profile(&folder).unwrap_err().to_string();
        assert!(
            message.contains("scaling_factor must be above 0"),
            "{message}"
        );
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
    fn the_profile_file_says_how_an_edit_is_made_by_default() {
        let folder = Folder::new();
        folder.write(
            "ip2p.json",
            r#"{"steps": 12, "sampler": "dpmpp-2m", "longer_side": 256}"#,
        );
        let found = profile(&folder).unwrap();
        assert_eq!((found.steps, found.longer_side), (12, 256));
        assert_eq!(found.sampler, SamplerKind::DpmPp2m);
        for (json, words) in [
            (r#"{"sampler": "dpm"}"#, "sampler must be one of euler-a,"),
            (
                r#"{"steps": 0}"#,
                "ip2p.json: steps must be between 1 and 1000, got 0",
            ),
            (r#"{"steps": "x"}"#, "invalid type"),
            (r#"{"longer_side": 8192}"#, "longer_side must be"),
            ("[]", "is no profile"),
        ] {
            folder.write("ip2p.json", json);
            let message = profile(&folder).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn a_fine_tune_is_known_by_its_name_and_family() {
        let folder = Folder::new();
        folder.set(
            "model_index.json",
            "_name_or_path",
            "hive_v2_rw_condition".into(),
        );
        folder.set("unet/config.json", "cross_attention_dim", 1024.into());
        let found = profile(&folder).unwrap();
        assert_eq!(found.suffix, ", image quality is five out of five");
        folder.set("unet/config.json", "cross_attention_dim", 768.into());
        let found = profile(&folder).unwrap();
        assert_eq!(found.suffix, "");
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
