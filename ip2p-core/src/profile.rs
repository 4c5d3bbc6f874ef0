//! The conventions that a checkpoint was trained with.
//!
//! Every disagreement between InstructPix2Pix tools is one wrong field of [`CheckpointProfile`]: here they are
//! data, found from the files and overridable, and no other code asks which model it is.

use serde::{Deserialize, Serialize};

use crate::{Error, Guidance, GuidanceFormula, MAX_MODEL_SIDE, Result, SamplerKind};

/// What the network was trained to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PredictionType {
    /// The noise: `denoised = x − σ·eps`.
    #[default]
    Epsilon,
    /// The velocity `√ᾱ·noise − √(1−ᾱ)·image`; Salimans and Ho (2022), <https://arxiv.org/abs/2202.00512>, appendix D.
    VPrediction,
    /// The image itself.
    Sample,
}

/// How the training noise grows from one of the training timesteps to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum BetaSchedule {
    /// Betas evenly spaced.
    #[serde(rename = "linear")]
    Linear,
    /// Square roots of the betas evenly spaced: Stable Diffusion's.
    #[default]
    #[serde(rename = "scaled_linear")]
    ScaledLinear,
    /// The cosine schedule; Nichol and Dhariwal (2021), <https://arxiv.org/abs/2102.09672>, eq. 17.
    #[serde(rename = "squaredcos_cap_v2")]
    Cosine,
}

/// What stands for "no sentence" in the branches that have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NullText {
    /// The encoded empty sentence, or the encoded negative prompt if there is one.
    #[default]
    EmptySentence,
    /// Zeros where there is no negative prompt, as SDXL's `force_zeros_for_empty_prompt`.
    Zeros,
}

/// Which state of a text encoder the U-Net attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TextState {
    /// That after the last layer and the final norm: Stable Diffusion 1, and 2, whose files lack OpenCLIP's last layer.
    #[default]
    Last,
    /// That before the last layer, without the final norm: Stable Diffusion XL, `hidden_states[-2]` in transformers.
    Penultimate,
}

/// A training over a continuous range of noise, without betas and timesteps: Karras et al. (2022),
/// <https://arxiv.org/abs/2206.00364>, table 1, column EDM. The network is told `0.25 · ln sigma`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdmNoise {
    /// The least noise, above 0.
    pub sigma_min: f64,
    /// The most noise.
    pub sigma_max: f64,
    /// The deviation that the training took the latents to have.
    pub sigma_data: f64,
}

impl EdmNoise {
    /// Whether there can be such a noise.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] that names the first number that cannot be.
    pub fn check(&self) -> Result<()> {
        for (name, sigma) in [
            ("sigma_min", self.sigma_min),
            ("sigma_data", self.sigma_data),
        ] {
            if !(sigma > 0.0 && sigma.is_finite()) {
                return Err(Error::setting(name, "a number above 0", sigma));
            }
        }
        if !(self.sigma_max > self.sigma_min && self.sigma_max.is_finite()) {
            let expected = format!("a number above sigma_min, {}", self.sigma_min);
            return Err(Error::setting("sigma_max", expected, self.sigma_max));
        }
        Ok(())
    }
}

/// The family of networks that a checkpoint belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelFamily {
    /// Stable Diffusion 1: CLIP ViT-L/14, a context 768 wide.
    #[default]
    Sd1,
    /// Stable Diffusion 2: OpenCLIP ViT-H/14, a context 1024 wide.
    Sd2,
    /// Stable Diffusion XL: CLIP ViT-L/14 and OpenCLIP ViT-bigG/14 side by side, a context 2048 wide.
    Sdxl,
    /// A network of the same architecture and another size.
    Custom,
}

/// The conventions of one checkpoint, and how an edit with it is made where the caller does not say.
///
/// [`Default`] is the original InstructPix2Pix: Brooks et al. (2023), <https://arxiv.org/abs/2211.09800>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointProfile {
    /// A name for people.
    pub name: String,
    /// The family of networks.
    pub family: ModelFamily,
    /// What the U-Net returns.
    pub prediction: PredictionType,
    /// How the betas grow.
    pub beta_schedule: BetaSchedule,
    /// The first training beta.
    pub beta_start: f64,
    /// The last training beta.
    pub beta_end: f64,
    /// The number of training timesteps.
    pub train_timesteps: usize,
    /// Whether the betas are rescaled so that the last timestep is pure noise; Lin et al. (2023),
    /// <https://arxiv.org/abs/2305.08891>, algorithm 1.
    pub zero_terminal_snr: bool,
    /// The noise of a training that has no betas, which then count for nothing.
    pub edm: Option<EdmNoise>,
    /// What the latents are multiplied by for the U-Net, and divided by for the decoder.
    pub scaling_factor: f64,
    /// What the *source image's* latents are multiplied by: 1 for every Stable Diffusion 1 InstructPix2Pix, an
    /// accident of the original training that its weights depend on (`edit_cli.py:103` at `0dffd1e`).
    pub image_latents_scale: f64,
    /// Whether the autoencoder's numbers outgrow [`f16`](crate::Precision::F16), so that it works in `f32` where the other
    /// networks work in that.
    pub upcast_vae: bool,
    /// Which state of the text encoders is the context.
    pub text_state: TextState,
    /// How the three branches are combined.
    pub guidance: GuidanceFormula,
    /// What stands for "no sentence".
    pub null_text: NullText,
    /// The text scale to use where none is given.
    pub text_scale: f64,
    /// The image scale to use where none is given.
    pub image_scale: f64,
    /// The `guidance_rescale` to use where none is given: 0 for most, more for one that is pushed out of its range by scales other
    /// than 1.
    pub guidance_rescale: f64,
    /// The number of steps to make where none is given.
    pub steps: usize,
    /// The sampler to use where none is given.
    pub sampler: SamplerKind,
    /// The longer side of the pictures that it was trained with, in pixels: the size to work at where none is given.
    pub longer_side: u32,
    /// What stands after every sentence, as it did in the training: empty for most.
    pub suffix: String,
}

impl Default for CheckpointProfile {
    fn default() -> Self {
        Self {
            name: "InstructPix2Pix".into(),
            family: ModelFamily::Sd1,
            prediction: PredictionType::Epsilon,
            beta_schedule: BetaSchedule::ScaledLinear,
            beta_start: 0.00085,
            beta_end: 0.012,
            train_timesteps: 1000,
            zero_terminal_snr: false,
            edm: None,
            scaling_factor: 0.18215,
            image_latents_scale: 1.0,
            upcast_vae: false,
            text_state: TextState::Last,
            guidance: GuidanceFormula::Brooks,
            null_text: NullText::EmptySentence,
            text_scale: 7.5,
            image_scale: 1.5,
            guidance_rescale: 0.0,
            steps: 20,
            sampler: SamplerKind::EulerAncestral,
            longer_side: 512,
            suffix: String::new(),
        }
    }
}

impl CheckpointProfile {
    /// Whether the fields can be worked with; the betas are checked where the noise levels are made of them.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] that names the first field that cannot.
    pub fn check(&self) -> Result<()> {
        if let Some(edm) = &self.edm {
            edm.check()?;
        }
        for (name, scale) in [
            ("scaling_factor", self.scaling_factor),
            ("image_latents_scale", self.image_latents_scale),
        ] {
            if !(scale.is_finite() && scale > 0.0) {
                return Err(Error::setting(name, "a number above 0", scale));
            }
        }
        Guidance::new(self.text_scale, self.image_scale)
            .with_rescale(self.guidance_rescale)
            .check()?;
        if !(1..=self.train_timesteps).contains(&self.steps) {
            let expected = format!("between 1 and {}", self.train_timesteps);
            return Err(Error::setting("steps", expected, self.steps));
        }
        if !(1..=MAX_MODEL_SIDE).contains(&self.longer_side) {
            let expected = format!("between 1 and {MAX_MODEL_SIDE}");
            return Err(Error::setting("longer_side", expected, self.longer_side));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_cannot_be_is_named() {
        let profile = CheckpointProfile::default;
        profile().check().unwrap();
        let cases = [
            (
                "scaling_factor",
                CheckpointProfile {
                    scaling_factor: 0.0,
                    ..profile()
                },
            ),
            (
                "image_latents_scale",
                CheckpointProfile {
                    image_latents_scale: f64::NAN,
                    ..profile()
                },
            ),
            (
                "sigma_max",
                CheckpointProfile {
                    edm: Some(EdmNoise {
                        sigma_min: 0.002,
                        sigma_max: 0.001,
                        sigma_data: 1.0,
                    }),
                    ..profile()
                },
            ),
            (
                "text_scale",
                CheckpointProfile {
                    text_scale: f64::INFINITY,
                    ..profile()
                },
            ),
            (
                "image_scale",
                CheckpointProfile {
                    image_scale: f64::NAN,
                    ..profile()
                },
            ),
            (
                "guidance_rescale",
                CheckpointProfile {
                    guidance_rescale: f64::NAN,
                    ..profile()
                },
            ),
            (
                "steps",
                CheckpointProfile {
                    steps: 0,
                    ..profile()
                },
            ),
            (
                "steps",
                CheckpointProfile {
                    steps: 1001,
                    ..profile()
                },
            ),
            (
                "longer_side",
                CheckpointProfile {
                    longer_side: 0,
                    ..profile()
                },
            ),
        ];
        for (name, profile) in cases {
            let error = profile.check().unwrap_err().to_string();
            assert!(error.starts_with(name), "{name}: {error}");
        }
    }
}
