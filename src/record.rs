//! Between an edit's options and the record of it that a picture holds.

use std::path::Path;

use ip2p_core::{FitPlan, Precision, Result, Size};
use ip2p_io::{EditRecord, sha256};
use ip2p_region::Mask;

use crate::editor::Model;
use crate::options::{EditOptions, OutputSize};
use crate::settings::Settings;

/// What was done to one photo.
pub(crate) struct Done<'a> {
    pub(crate) instruction: &'a str,
    pub(crate) seed: u64,
    /// The checkpoint's fingerprint, if it was asked for.
    pub(crate) model_hash: Option<&'a str>,
    pub(crate) plan: &'a FitPlan,
    /// The photo's size, of which the plan may be for a part alone.
    pub(crate) photo: Size,
    /// The mask that was given, at the photo's size.
    pub(crate) mask: Option<&'a Mask>,
    /// The steps that were made, and how many there would have been.
    pub(crate) steps: (usize, usize),
}

/// The record of an edit.
pub(crate) fn record(
    model: &Model,
    precision: Precision,
    settings: &Settings,
    done: &Done<'_>,
) -> EditRecord {
    let profile = model.profile();
    let Settings {
        guidance, options, ..
    } = settings;
    let (made, all) = done.steps;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    EditRecord {
        instruction: done.instruction.to_owned(),
        negative: options.negative.clone(),
        photo_size: Some(done.photo),
        model: Some(profile.name.clone()),
        model_path: model.source(),
        model_hash: done.model_hash.map(ToOwned::to_owned),
        weights: model
            .weights_choice()
            .map(|choice| choice.name().to_owned()),
        loras: model.loras(),
        vae_path: model.vae_path().map(text),
        config_path: model.config_path().map(text),
        profile: model.known_profile().map(ToOwned::to_owned),
        // The sentences have been read before.
        embeddings: (model.named_embeddings(done.instruction, options)).unwrap_or_default(),
        prompt_syntax: options.prompt_syntax,
        long_prompt: options.long_prompt(),
        steps: settings.steps,
        steps_done: (made < all).then_some(made),
        sampler: settings.sampler.to_string(),
        eta: options.eta,
        schedule: options.schedule.to_string(),
        text_scale: guidance.text_scale.clone(),
        image_scale: guidance.image_scale.clone(),
        guidance_formula: guidance.formula,
        strength: options.strength,
        guidance_rescale: guidance.rescale,
        guidance_interval: options.guidance_interval,
        adaptive_guidance: options.adaptive_guidance,
        deep_cache: Some(settings.deep_cache).filter(|&every| every > 1),
        seed: done.seed,
        noise: options.noise,
        size: settings.size,
        fit: settings.fit,
        model_size: Some(done.plan.model),
        keep_model_size: options.output_size == OutputSize::Model,
        detail: options.detail.to_string(),
        mask_hash: done.mask.map(|mask| sha256(mask.weights())),
        region: options.region.to_string(),
        focus: options.focus.to_string(),
        compat: options.compat.to_string(),
        precision,
        ..EditRecord::default()
    }
}

impl EditOptions {
    /// The options of the edit that a record tells of.
    ///
    /// What a record does not hold, because it does not change the picture, has its default.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`](ip2p_core::Error::InvalidSetting) for a name that this version does not know.
    pub fn from_record(record: &EditRecord) -> Result<Self> {
        Ok(Self {
            steps: Some(record.steps),
            sampler: Some(record.sampler.parse()?),
            eta: record.eta,
            schedule: record.schedule.parse()?,
            text_scale: Some(record.text_scale.clone().into()),
            image_scale: Some(record.image_scale.clone().into()),
            strength: record.strength,
            guidance_rescale: Some(record.guidance_rescale),
            guidance_interval: record.guidance_interval,
            adaptive_guidance: record.adaptive_guidance,
            deep_cache: record.deep_cache,
            negative: record.negative.clone(),
            prompt_syntax: record.prompt_syntax,
            // Where it is the syntax's own, another syntax may have another.
            long_prompt: Some(record.long_prompt)
                .filter(|&long| long != record.prompt_syntax.long_prompt()),
            seed: record.seed,
            noise: record.noise,
            size: Some(record.size),
            fit: Some(record.fit),
            compat: record.compat.parse()?,
            output_size: if record.keep_model_size {
                OutputSize::Model
            } else {
                OutputSize::Photo
            },
            detail: record.detail.parse()?,
            region: record.region.parse()?,
            focus: record.focus.parse()?,
            ..Self::default()
        })
    }
}
