//! The settings of an edit, as files keep them.

use ip2p_core::{
    Error, FitPolicy, GuidanceFormula, GuidanceInterval, NoiseKind, Precision, Result,
    ScaleSchedule, Size, TargetSize,
};
use serde::{Deserialize, Serialize};

use super::{EmbeddingRecord, LoraRecord};
use crate::prompt::{LongPrompt, PromptSyntax};

/// How a picture was made: every setting of the edit.
///
/// Files outlive programs. A field that a file lacks has its default, one that is not known is passed over, and
/// [`EditRecord::format`] says when neither will do.
///
/// # Examples
///
/// ```
/// use ip2p_io::EditRecord;
///
/// let record = EditRecord {
///     instruction: "make it snowy".into(),
///     seed: 42,
///     ..EditRecord::default()
/// };
/// let json = record.to_json()?;
/// assert_eq!(EditRecord::parse_json(&json)?, record);
/// assert!(record.to_parameters().contains("Image CFG scale: 1.5, Seed: 42"));
/// # Ok::<(), ip2p_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EditRecord {
    /// The version of this form: 1.
    pub format: u32,
    /// The program that made the picture, such as `ip2p 0.1.0`.
    pub version: String,
    /// The sentence.
    pub instruction: String,
    /// What the picture should not show.
    pub negative: Option<String>,
    /// The photo that was edited, as it was named.
    pub input: Option<String>,
    /// The photo's size.
    pub photo_size: Option<Size>,
    /// The checkpoint's name.
    pub model: Option<String>,
    /// The folder that the checkpoint was loaded from, as it was named, if it was one.
    pub model_path: Option<String>,
    /// A fingerprint of the checkpoint's files.
    pub model_hash: Option<String>,
    /// Which of a checkpoint's weights ran, where it holds several: `ema` or `raw`.
    pub weights: Option<String>,
    /// The low-rank adaptations that were added to them.
    pub loras: Vec<LoraRecord>,
    /// The file that the autoencoder was taken from, as it was named, if not the checkpoint.
    pub vae_path: Option<String>,
    /// The folder that the configs and the tokenizer were taken from, as it was named, if not the checkpoint.
    pub config_path: Option<String>,
    /// The known model whose conventions were asked for, as the command spells it.
    pub profile: Option<String>,
    /// The embeddings that the sentences named.
    pub embeddings: Vec<EmbeddingRecord>,
    /// What brackets in the sentences meant.
    pub prompt_syntax: PromptSyntax,
    /// What became of sentences that are too long.
    pub long_prompt: LongPrompt,
    /// How many steps were asked for.
    pub steps: usize,
    /// How many were made, if the edit was stopped before its end.
    pub steps_done: Option<usize>,
    /// The sampler, as the command spells it.
    pub sampler: String,
    /// The share of noise that the sampler drew anew, if not its own default.
    pub eta: Option<f64>,
    /// The schedule, as the command spells it.
    pub schedule: String,
    /// How strongly the sentence was followed.
    pub text_scale: ScaleSchedule,
    /// How closely the photo was kept.
    pub image_scale: ScaleSchedule,
    /// How the branches of guidance were combined.
    pub guidance_formula: GuidanceFormula,
    /// How much of the way from noise to picture was walked, from the photo under noise on; none if from noise alone.
    pub strength: Option<f64>,
    /// How far the result's standard deviation was pulled to that of the text-and-image branch, 0 to 1.
    pub guidance_rescale: f64,
    /// The part of the steps in which guidance was used, if not all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance_interval: Option<GuidanceInterval>,
    /// The likeness of the branches from which on one of them was run alone, above 0 and at most 1, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive_guidance: Option<f64>,
    /// Of how many steps one ran the whole U-Net, if not each did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deep_cache: Option<usize>,
    /// The seed of this picture's noise.
    pub seed: u64,
    /// Whose noise the seed gave.
    pub noise: NoiseKind,
    /// The size that was asked for.
    pub size: TargetSize,
    /// How the photo was fitted to it.
    pub fit: FitPolicy,
    /// The size that the model worked at.
    pub model_size: Option<Size>,
    /// Whether the result was kept at that size.
    pub keep_model_size: bool,
    /// Whose fine detail the result has, as the command spells it; records that do not say are of the model's.
    pub detail: String,
    /// SHA-256 of the given mask's weights at the photo's size, if there was one.
    pub mask_hash: Option<String>,
    /// Where the photo could change, as the command spells it; beside the mask, if there was one.
    #[serde(rename = "where")]
    pub region: String,
    /// What the model looked at where only a part could change, as the command spells it; records that do not say are of
    /// the whole photo.
    pub focus: String,
    /// Whose picture was to be given, as the command spells it.
    pub compat: String,
    /// The edits before this one, the first of them first, where a picture was edited in turns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Self>,
    /// The number format of the weights.
    pub precision: Precision,
    /// The device, as the command spells it.
    pub device: Option<String>,
}

impl Default for EditRecord {
    /// An edit with the defaults of the command.
    fn default() -> Self {
        Self {
            format: Self::FORMAT,
            version: concat!("ip2p ", env!("CARGO_PKG_VERSION")).into(),
            instruction: String::new(),
            negative: None,
            input: None,
            photo_size: None,
            model: None,
            model_path: None,
            model_hash: None,
            weights: None,
            loras: Vec::new(),
            vae_path: None,
            config_path: None,
            profile: None,
            embeddings: Vec::new(),
            prompt_syntax: PromptSyntax::Plain,
            long_prompt: LongPrompt::Cut,
            steps: 20,
            steps_done: None,
            sampler: "euler-a".into(),
            eta: None,
            schedule: "normal".into(),
            text_scale: 7.5.into(),
            image_scale: 1.5.into(),
            guidance_formula: GuidanceFormula::default(),
            strength: None,
            guidance_rescale: 0.0,
            guidance_interval: None,
            adaptive_guidance: None,
            deep_cache: None,
            seed: 0,
            noise: NoiseKind::default(),
            size: TargetSize::default(),
            fit: FitPolicy::default(),
            model_size: None,
            keep_model_size: false,
            detail: "model".into(),
            mask_hash: None,
            region: "anywhere".into(),
            focus: "photo".into(),
            compat: "none".into(),
            earlier: Vec::new(),
            precision: Precision::default(),
            device: None,
        }
    }
}

impl EditRecord {
    /// The version of the form that is written, and the newest that is read.
    pub const FORMAT: u32 = 1;

    /// The record as one line of JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] if a number is one that JSON cannot hold.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::other("writing the record of the edit", error))
    }

    /// Reads what [`EditRecord::to_json`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] if it is not a record, [`Error::InvalidSetting`] if it is of a newer form than this.
    pub fn parse_json(json: &str) -> Result<Self> {
        let damaged = |error: serde_json::Error| {
            Error::other(format!("the record of the edit is damaged: {error}"), error)
        };
        // A list would do for a struct, and an empty one for a struct of defaults.
        let fields: serde_json::Map<_, _> = serde_json::from_str(json).map_err(damaged)?;
        let record = Self::deserialize(serde_json::Value::Object(fields)).map_err(damaged)?;
        if record.format <= Self::FORMAT {
            return Ok(record);
        }
        let expected = format!("at most {}; a newer ip2p wrote this record", Self::FORMAT);
        Err(Error::setting("format", expected, record.format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_from_json() {
        let record = EditRecord {
            instruction: "make it \"snowy\",\n\tmit Schnee ❄ \0 \u{1F3D4}".into(),
            negative: Some(String::new()),
            text_scale: vec![7.5, 0.1 + 0.2].into(),
            image_scale: 1.0.into(),
            seed: u64::MAX,
            size: Size::new(640, 384).into(),
            model_size: Some(Size::new(640, 384)),
            steps_done: Some(3),
            eta: Some(0.5),
            strength: Some(0.75),
            guidance_interval: Some(GuidanceInterval::new(0.1, 0.6).unwrap()),
            adaptive_guidance: Some(0.9),
            deep_cache: Some(3),
            earlier: vec![EditRecord::default(), EditRecord::default()],
            ..EditRecord::default()
        };
        let json = record.to_json().unwrap();
        assert!(!json.contains('\n'));
        assert_eq!(EditRecord::parse_json(&json).unwrap(), record);
    }

    #[test]
    fn a_field_that_is_missing_has_its_default_and_one_that_is_not_known_is_passed_over() {
        let record =
            EditRecord::parse_json(r#"{"instruction":"x","a_field_to_come":[1]}"#).unwrap();
        let expected = EditRecord {
            instruction: "x".into(),
            ..EditRecord::default()
        };
        assert_eq!(record, expected);
    }

    #[test]
    fn a_newer_form_is_refused() {
        let error = EditRecord::parse_json(r#"{"format":2}"#).unwrap_err();
        assert!(error.to_string().contains("newer ip2p"), "{error}");
    }

    #[test]
    fn what_is_not_a_record_is_refused() {
        for json in [
            "",
            "{",
            "[]",
            "7",
            r#"{"steps":-1}"#,
            r#"{"fit":"crop"}"#,
            r#"{"text_scale":null}"#,
            r#"{"guidance_interval":"0.6..0"}"#,
        ] {
            assert!(EditRecord::parse_json(json).is_err(), "{json}");
        }
    }
}
