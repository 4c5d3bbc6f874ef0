//! From a checkpoint to networks that are ready to edit, in two steps: what is small, then what is large.

use std::path::Path;

use burn::tensor::Device;
use ip2p_core::{CheckpointProfile, FitPlan, Precision, Result, Size, SizeStep};
use ip2p_io::{
    Checkpoint, CheckpointSummary, Component, EditRecord, Embeddings, LoadProgress, Lora,
    LoraRecord, ModelKind, OpenOptions, Tokenizer, WeightsChoice,
};
use ip2p_models::unet::UNet2DConditionConfig;
use ip2p_models::vae::AutoencoderConfig;
use ip2p_region::Mask;
use ip2p_sched::{NoiseSchedule, SchedulerConfig};

use super::held::{Held, Residency, Saving};
use super::request::check_words;
use super::text::TextConfig;
use super::view::planned;
use super::{EditRequest, Editor};
use crate::device::check_precision;
use crate::options::EditOptions;
use crate::record::{Done, record};
use crate::settings::Settings;

/// What a folder in diffusers layout holds, and its conventions; it need not be an InstructPix2Pix model.
///
/// # Errors
///
/// Those of [`Model::open`] that concern the files, but not that the networks are known.
pub fn inspect(folder: impl AsRef<Path>) -> Result<CheckpointSummary> {
    let checkpoint = Checkpoint::open(folder)?;
    let scheduler = SchedulerConfig::from_json(checkpoint.scheduler_config())?;
    checkpoint.summary(Precision::F32, profile(&checkpoint, &scheduler)?)
}

/// What a checkpoint is, from its small files: its weights need not be there.
///
/// # Errors
///
/// Those of [`Model::open`] that concern configs, but not that it is an InstructPix2Pix model.
pub fn identify(folder: impl AsRef<Path>) -> Result<(ModelKind, CheckpointProfile)> {
    let checkpoint = Checkpoint::open(folder)?;
    let scheduler = SchedulerConfig::from_json(checkpoint.scheduler_config())?;
    Ok((checkpoint.kind()?, profile(&checkpoint, &scheduler)?))
}

/// The conventions that a checkpoint's files tell.
fn profile(checkpoint: &Checkpoint, scheduler: &SchedulerConfig) -> Result<CheckpointProfile> {
    let mut training = CheckpointProfile::default();
    scheduler.apply_to(&mut training);
    checkpoint.profile(&training)
}

/// An InstructPix2Pix checkpoint whose small files have been read and understood, and whose weights have not.
///
/// It takes milliseconds to open, and knows what is needed to say whether an edit's settings make sense, before
/// gigabytes are loaded.
///
/// # Examples
///
/// ```no_run
/// use ip2p::{EditOptions, EditRequest, Model, Photo, Precision};
///
/// let model = Model::open("instruct-pix2pix")?;
/// let (photo, options) = (Photo::open("photo.jpg")?, EditOptions::default());
/// let request = EditRequest::new(&photo, "make it snowy");
/// model.check(&request, &options)?;
/// let editor = model.load(&ip2p::device_by_name("flex")?, Precision::F32, &mut |loaded| {
///     println!("{} of {} bytes", loaded.done_bytes, loaded.total_bytes);
/// })?;
/// # Ok::<(), ip2p::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Model {
    pub(super) checkpoint: Checkpoint,
    pub(super) tokenizer: Tokenizer,
    pub(super) embeddings: Embeddings,
    /// That of the second text encoder, if there is one, and the embeddings' vectors for it.
    pub(super) tokenizer_2: Option<Tokenizer>,
    pub(super) embeddings_2: Option<Embeddings>,
    pub(super) text: TextConfig,
    pub(super) vae: AutoencoderConfig,
    pub(super) unet: UNet2DConditionConfig,
    pub(super) scheduler: SchedulerConfig,
    pub(super) profile: CheckpointProfile,
    /// The known model whose conventions were asked for.
    pub(super) known: Option<&'static str>,
    pub(super) size_step: SizeStep,
    /// What its edits do for less memory.
    pub(super) saving: Saving,
    /// Where it came from, if its folder does not say it.
    source: Option<String>,
}

impl Model {
    /// Opens a checkpoint: a folder as diffusers writes it, or a single file with the names of CompVis' code.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`](ip2p_core::Error::Checkpoint) or [`Error::Config`](ip2p_core::Error::Config), naming the
    /// file, if something is missing, damaged, or not of an InstructPix2Pix model.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::open(folder)?)
    }

    /// Opens a checkpoint, with a say in what its files leave open: which weights, which autoencoder.
    ///
    /// # Errors
    ///
    /// Those of [`Model::open`] and [`Checkpoint::open_with`].
    pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::open_with(path, options)?)
    }

    /// Reads the small files of a checkpoint, wherever it lies: on the disk or in memory.
    ///
    /// # Errors
    ///
    /// Those of [`Model::open`].
    pub fn from_checkpoint(checkpoint: Checkpoint) -> Result<Self> {
        checkpoint.check_kind()?;
        let vae = AutoencoderConfig::from_json(checkpoint.config(Component::Vae))?;
        let unet = UNet2DConditionConfig::from_json(checkpoint.config(Component::Unet))?;
        let scheduler = SchedulerConfig::from_json(checkpoint.scheduler_config())?;
        let profile = profile(&checkpoint, &scheduler)?;
        NoiseSchedule::new(&profile)?;
        let text = TextConfig::read(&checkpoint, &unet)?;
        Ok(Self {
            tokenizer: checkpoint.tokenizer()?,
            embeddings: Embeddings::new(text.first.vocab_size),
            tokenizer_2: checkpoint.tokenizer_2()?,
            embeddings_2: (text.second.as_ref()).map(|second| Embeddings::new(second.vocab_size)),
            text,
            known: None,
            size_step: SizeStep::new(vae.vae_scale_factor(), unet.levels.len())?,
            vae,
            unet,
            scheduler,
            profile,
            checkpoint,
            saving: Saving::default(),
            source: None,
        })
    }

    /// The small model that comes with ip2p.
    ///
    /// # Errors
    ///
    /// None but those of a damaged build.
    #[cfg(feature = "tiny")]
    pub fn tiny() -> Result<Self> {
        let files = ip2p_tiny::FILES.iter().copied();
        Self::from_checkpoint(Checkpoint::from_memory("ip2p-tiny", files)?)
    }

    /// Takes the checkpoint's conventions from here, not from its files.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`](ip2p_core::Error::InvalidSetting) or [`Error::Config`](ip2p_core::Error::Config) if the
    /// conventions make no sense.
    pub fn with_profile(mut self, profile: CheckpointProfile) -> Result<Self> {
        profile.check()?;
        NoiseSchedule::new(&profile)?;
        self.profile = profile;
        self.known = None;
        Ok(self)
    }

    /// Adds a file of low-rank adaptations (LoRA), `weight` times, as often as one wants: see [`Checkpoint::with_lora`].
    ///
    /// It is merged while the weights are loaded, and costs no step anything.
    ///
    /// # Errors
    ///
    /// Those of [`Lora::open`] and [`Checkpoint::with_lora`]: a file that is damaged, for another family of models, or
    /// holds something that is of no layer.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use ip2p::Model;
    ///
    /// let model = Model::open("instruct-pix2pix")?.with_lora("ghibli.safetensors", 0.8)?;
    /// # Ok::<(), ip2p::Error>(())
    /// ```
    pub fn with_lora(mut self, file: impl AsRef<Path>, weight: f64) -> Result<Self> {
        self.checkpoint = self.checkpoint.with_lora(Lora::open(file, weight)?)?;
        Ok(self)
    }

    /// What a user might not expect of the adaptations that were added.
    #[must_use]
    pub fn lora_notes(&self) -> &[String] {
        self.checkpoint.lora_notes()
    }

    /// The adaptations that were added, as the records of edits name them.
    #[must_use]
    pub fn loras(&self) -> Vec<LoraRecord> {
        let record = |lora: &Lora| LoraRecord {
            name: lora.name().to_owned(),
            weight: lora.weight(),
            hash: Some(lora.hash().to_owned()),
            path: Some(lora.path().to_string_lossy().into_owned()),
        };
        self.checkpoint.loras().iter().map(record).collect()
    }

    /// The file that the autoencoder is taken from, if it is not the checkpoint's own.
    #[must_use]
    pub fn vae_path(&self) -> Option<&Path> {
        self.checkpoint.vae_path()
    }

    /// The folder that the configs and the tokenizer are taken from, if they are not the checkpoint's own.
    #[must_use]
    pub fn config_path(&self) -> Option<&Path> {
        self.checkpoint.config_path()
    }

    /// The checkpoint's conventions.
    #[must_use]
    pub fn profile(&self) -> &CheckpointProfile {
        &self.profile
    }

    /// Which of its two sets of weights run, if it holds two.
    #[must_use]
    pub fn weights_choice(&self) -> Option<WeightsChoice> {
        self.checkpoint.weights_choice()
    }

    /// The folder or file that it was opened from, if it is not in memory.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.checkpoint.folder()
    }

    /// Names where it came from better than its folder does, such as `ORG/NAME@COMMIT` of a model on the hub: the records of
    /// edits say this and not the folder.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Where it came from: what [`Self::with_source`] named, or its folder or file.
    #[must_use]
    pub fn source(&self) -> Option<String> {
        let folder = || Some(self.folder()?.to_string_lossy().into_owned());
        self.source.clone().or_else(folder)
    }

    /// What the sides of the pictures that it works on are multiples of.
    #[must_use]
    pub fn size_step(&self) -> SizeStep {
        self.size_step
    }

    /// Whether an edit makes sense with this model.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`](ip2p_core::Error::InvalidSetting) that names the first option that does not, or says
    /// that the sentence is empty or not of its syntax, or the photo of a size that the options do not allow.
    pub fn check(&self, request: &EditRequest<'_>, options: &EditOptions) -> Result<()> {
        request.plan(&self.settings(options)?, self.size_step)?;
        self.check_prompts(request.instruction, options)
    }

    /// The checkpoint's fingerprint: [`Checkpoint::fingerprint`].
    ///
    /// # Errors
    ///
    /// As for [`Model::load`], what concerns the weights' files.
    pub fn fingerprint(&self, precision: Precision) -> Result<String> {
        self.checkpoint.fingerprint(precision)
    }

    /// What the record of an edit will be, for a photo of this size, of which the mask says where it may change: every
    /// setting, before anything is loaded.
    ///
    /// The checkpoint's fingerprint is not in it yet.
    ///
    /// # Errors
    ///
    /// Those of [`Model::check`].
    pub fn record(
        &self,
        photo: Size,
        mask: Option<&Mask>,
        instruction: &str,
        options: &EditOptions,
        precision: Precision,
    ) -> Result<EditRecord> {
        let settings = self.settings(options)?;
        check_words(instruction, 1)?;
        self.check_prompts(instruction, options)?;
        let (_, _, plan) = planned(photo, mask, &settings, self.size_step)?;
        let mask = mask.map(|mask| mask.resized(photo));
        let done = Done {
            instruction,
            seed: options.seed,
            model_hash: None,
            plan: &plan,
            photo,
            mask: mask.as_ref(),
            steps: (settings.steps, settings.steps),
        };
        Ok(record(self, precision, &settings, &done))
    }

    /// How the photo of an edit is fitted: to what size, and how.
    pub(crate) fn plan(&self, photo: Size, options: &EditOptions) -> Result<FitPlan> {
        let settings = self.settings(options)?;
        settings.fit.plan(photo, settings.size, self.size_step)
    }

    /// The shape of the latents of one picture of this size.
    pub(crate) fn latents_shape(&self, picture: Size) -> [usize; 4] {
        let factor = self.vae.vae_scale_factor();
        let side = |side: u32| side as usize / factor;
        let channels = self.vae.latent_channels();
        [1, channels, side(picture.height), side(picture.width)]
    }

    /// What the options come to with this model.
    pub(crate) fn settings(&self, options: &EditOptions) -> Result<Settings> {
        options.vae.check(self.vae.vae_scale_factor())?;
        Settings::new(options, &self.profile)
    }

    /// Loads the weights, converted to `precision`, telling `progress` how far it is: those that are to stay in memory, see
    /// [`Self::with_saving`].
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`](ip2p_core::Error::Checkpoint) or [`Error::Weights`](ip2p_core::Error::Weights), naming the
    /// file, if weights are missing, damaged, or not those of the networks;
    /// [`Error::Device`](ip2p_core::Error::Device) if the device does not compute in this precision.
    pub fn load(
        self,
        device: &Device,
        precision: Precision,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Editor> {
        check_precision(device, precision)?;
        let residency = self.saving.residency;
        let text_encoders = Held::new(residency == Residency::All, || {
            self.load_text_encoders(device, precision, progress)
        })?;
        let rest_stays = residency < Residency::OneAtATime;
        let vae = Held::new(rest_stays, || self.load_vae(device, precision, progress))?;
        let unet = Held::new(rest_stays, || self.load_unet(device, precision, progress))?;
        Ok(Editor {
            fingerprint: self.checkpoint.fingerprint(precision)?,
            vae_precision: self.vae_precision(precision),
            text_encoders,
            vae,
            unet,
            model: self,
            device: device.clone(),
            precision,
        })
    }
}
