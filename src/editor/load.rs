//! From a checkpoint's folder to networks that are ready to edit.

use std::path::Path;

use burn::tensor::Device;
use ip2p_core::{CheckpointProfile, Precision, Result};
use ip2p_io::{Checkpoint, CheckpointSummary, Component, LoadProgress, Tokenizer};
use ip2p_models::clip::CLIPTextConfig;
use ip2p_models::unet::UNet2DConditionConfig;
use ip2p_models::vae::AutoencoderKLConfig;
use ip2p_sched::{NoiseSchedule, SchedulerConfig};

use super::Editor;
use crate::device::check_precision;

/// How a checkpoint is loaded.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The number format of the networks: default [`Precision::F32`].
    pub precision: Precision,
    /// The checkpoint's conventions: default those that its files tell.
    pub profile: Option<CheckpointProfile>,
}

impl LoadOptions {
    /// Computes in `precision`.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Takes the checkpoint's conventions from here, not from its files.
    #[must_use]
    pub fn with_profile(mut self, profile: CheckpointProfile) -> Self {
        self.profile = Some(profile);
        self
    }
}

/// What a folder in diffusers layout holds, and its conventions; it need not be an InstructPix2Pix model.
///
/// # Errors
///
/// Those of [`Editor::load`] that concern the files, but not that the weights fit the networks.
pub fn inspect(folder: impl AsRef<Path>) -> Result<CheckpointSummary> {
    let checkpoint = Checkpoint::open(folder)?;
    let scheduler = SchedulerConfig::from_json(checkpoint.scheduler_config())?;
    checkpoint.summary(Precision::F32, profile(&checkpoint, &scheduler)?)
}

/// The conventions that a checkpoint's files tell.
fn profile(checkpoint: &Checkpoint, scheduler: &SchedulerConfig) -> Result<CheckpointProfile> {
    let mut training = CheckpointProfile::default();
    scheduler.apply_to(&mut training);
    checkpoint.profile(&training)
}

impl Editor {
    /// Loads a checkpoint from a folder as diffusers writes it, in `f32`.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`](ip2p_core::Error::Checkpoint), [`Error::Config`](ip2p_core::Error::Config) or
    /// [`Error::Weights`](ip2p_core::Error::Weights), naming the file, if something is missing, damaged, or not of an
    /// InstructPix2Pix model.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Self::load_with(folder, device, LoadOptions::default(), &mut |_| ())
    }

    /// Loads a checkpoint, telling `progress` how far it is.
    ///
    /// # Errors
    ///
    /// Those of [`Editor::load`]; [`Error::Device`](ip2p_core::Error::Device) if the device does not compute in the
    /// asked precision.
    pub fn load_with(
        folder: impl AsRef<Path>,
        device: &Device,
        options: LoadOptions,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Self> {
        let precision = options.precision;
        check_precision(device, precision)?;
        let checkpoint = Checkpoint::open(folder)?;
        checkpoint.check_kind()?;
        // All that is small is read first, so that what is wrong with it is known before gigabytes are.
        let text_config = CLIPTextConfig::from_json(checkpoint.config(Component::TextEncoder))?;
        let vae_config = AutoencoderKLConfig::from_json(checkpoint.config(Component::Vae))?;
        let unet_config = UNet2DConditionConfig::from_json(checkpoint.config(Component::Unet))?;
        let scheduler = SchedulerConfig::from_json(checkpoint.scheduler_config())?;
        let tokenizer = Tokenizer::open(checkpoint.tokenizer_folder())?;
        let profile = match options.profile {
            Some(profile) => profile,
            None => profile(&checkpoint, &scheduler)?,
        };
        NoiseSchedule::new(&profile)?;
        let (text_encoder, _) = checkpoint.load(
            text_config.init(device),
            Component::TextEncoder,
            precision,
            progress,
        )?;
        let (vae, _) =
            checkpoint.load(vae_config.init(device), Component::Vae, precision, progress)?;
        let (unet, _) = checkpoint.load(
            unet_config.init(device),
            Component::Unet,
            precision,
            progress,
        )?;
        Ok(Self {
            fingerprint: checkpoint.fingerprint(precision)?,
            folder: checkpoint.folder().to_owned(),
            tokenizer,
            text_encoder,
            vae,
            unet,
            scheduler,
            profile,
            device: device.clone(),
            precision,
        })
    }
}
