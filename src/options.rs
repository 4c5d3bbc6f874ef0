//! What can be said about an edit besides the photo and the sentence.

use std::fmt;
use std::str::FromStr;

use ip2p_core::{
    CheckpointProfile, Error, FitPolicy, GuidanceInterval, NoiseKind, Result, ScaleCurve,
    TargetSize,
};
use ip2p_io::{LongPrompt, PromptSyntax};
use ip2p_models::vae::VaeOptions;
use ip2p_region::Where;
use ip2p_sched::{SamplerKind, ScheduleKind};
use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// Whose picture to give, to the rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Compat {
    /// Ours: any scale does what the formula says, each image has a generator of its own, and the result has the
    /// photo's size.
    #[default]
    None,
    /// That of the original repository (`edit_cli.py` at `0dffd1e`), run on the CPU in `f32`: its resize, its noise
    /// order, its truncation to bytes, its output size.
    Original,
    /// That of diffusers' `StableDiffusionInstructPix2PixPipeline`: its resize, the schedule of its scheduler of the
    /// sampler's name, one generator for all images of a call, its output size, and its rule that a text scale of 1
    /// or less, or an image scale below 1, turns guidance off.
    Diffusers,
}

impl Compat {
    /// Every mode there is.
    pub const ALL: [Self; 3] = [Self::None, Self::Original, Self::Diffusers];

    /// The name, as the command spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Original => "original",
            Self::Diffusers => "diffusers",
        }
    }

    /// How a photo is fitted where nothing else is asked for.
    #[must_use]
    pub fn fit(self) -> FitPolicy {
        match self {
            Self::None => FitPolicy::default(),
            Self::Original => FitPolicy::Original,
            Self::Diffusers => FitPolicy::Diffusers,
        }
    }
}

impl fmt::Display for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| Error::setting("compat", "none, original or diffusers", text))
    }
}

/// The size that the result is given back at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputSize {
    /// The photo's own size, or the model's in a [`Compat`] mode.
    #[default]
    Photo,
    /// The size that the model worked at.
    Model,
}

/// Whose fine detail the result has, where it is given back at the photo's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Detail {
    /// The photo's: what changed is carried to the photo, along its own edges. One more pass of the autoencoder's
    /// decoder.
    #[default]
    Photo,
    /// The model's: its picture is put in the photo's place as it is.
    Model,
}

impl Detail {
    /// Every choice there is.
    pub const ALL: [Self; 2] = [Self::Photo, Self::Model];

    /// The name, as the command spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Model => "model",
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Detail {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|detail| detail.name() == text);
        found.ok_or_else(|| Error::setting("detail", "photo or model", text))
    }
}

/// What the model looks at where a mask or a place lets only a small part of the photo change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Focus {
    /// That part and what is around it, which then has the model's whole resolution: see [`view`](ip2p_region::view).
    #[default]
    Region,
    /// The whole photo.
    Photo,
}

impl Focus {
    /// Every choice there is.
    pub const ALL: [Self; 2] = [Self::Region, Self::Photo];

    /// The name, as the command spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Photo => "photo",
        }
    }
}

impl fmt::Display for Focus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Focus {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|focus| focus.name() == text);
        found.ok_or_else(|| Error::setting("focus", "region or photo", text))
    }
}

/// How the branches of guidance are run: with equal results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BranchExecution {
    /// As one batch.
    #[default]
    Batched,
    /// One after another: a third of the memory for activations.
    OneByOne,
}

/// How an edit is made.
///
/// [`Default`] leaves to the checkpoint what it may know best: for the original InstructPix2Pix the paper's choice, text
/// scale 7.5, image scale 1.5 and the Euler ancestral sampler, in 20 steps at 512 pixels.
///
/// # Examples
///
/// ```
/// use ip2p::{EditOptions, PromptSyntax, SamplerKind};
///
/// let options = EditOptions::default()
///     .with_prompt_syntax(PromptSyntax::A1111)
///     .with_steps(30)
///     .with_sampler(SamplerKind::DpmPp2m)
///     .with_image_scale(1.2)
///     .with_seed(42);
/// options.check()?;
/// // From the photo under noise, not from noise alone: of 30 steps the last 18.
/// options.with_strength(0.6).check()?;
/// # Ok::<(), ip2p::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EditOptions {
    /// How many sigmas the noise is taken through: default the checkpoint's, 20 for InstructPix2Pix.
    pub steps: Option<usize>,
    /// How one sigma follows from another: default the checkpoint's, Euler ancestral for InstructPix2Pix.
    pub sampler: Option<SamplerKind>,
    /// How much fresh noise a step adds, 0 to 1, for samplers that add any: default the sampler's own.
    pub eta: Option<f64>,
    /// Where the sigmas lie: default [`ScheduleKind::Normal`].
    pub schedule: ScheduleKind,
    /// How strongly to follow the sentence: default the checkpoint's, 7.5 for InstructPix2Pix.
    pub text_scale: Option<ScaleCurve>,
    /// How closely to keep the photo: default the checkpoint's, 1.5 for InstructPix2Pix.
    pub image_scale: Option<ScaleCurve>,
    /// How much of the way from noise to picture is walked, above 0 and at most 1, from the photo under noise on: default
    /// none, all of it from noise alone. Of 20 steps a strength of 0.3 makes the last 6, as in diffusers'
    /// image-to-image; the photo's layout stays, the less the strength the more.
    pub strength: Option<f64>,
    /// How far the result's standard deviation is pulled to that of the text-and-image branch, 0 to 1: default the checkpoint's, 0 for
    /// InstructPix2Pix, and 0 where the picture is another tool's or attention scopes the scales.
    pub guidance_rescale: Option<f64>,
    /// What the picture should not show: stands in both branches without the sentence. Default none.
    pub negative: Option<String>,
    /// What brackets in the sentence and the negative prompt mean: default [`PromptSyntax::Plain`], nothing.
    pub prompt_syntax: PromptSyntax,
    /// What becomes of a sentence that is too long: default the syntax's, [`LongPrompt::Cut`] of a plain one.
    pub long_prompt: Option<LongPrompt>,
    /// The seed of the first image's noise; image *i* has `seed + i`. Default 0.
    pub seed: u64,
    /// Whose noise a seed gives: default [`NoiseKind::TorchCpu`].
    pub noise: NoiseKind,
    /// The size that the model works at: default the checkpoint's, a longer side of 512 for InstructPix2Pix.
    pub size: Option<TargetSize>,
    /// How the photo is fitted to that size: default the compat mode's, [`FitPolicy::Contain`] in none.
    pub fit: Option<FitPolicy>,
    /// Whose picture to give: default ours.
    pub compat: Compat,
    /// The size that the result is given back at: default the photo's.
    pub output_size: OutputSize,
    /// Whose fine detail a result of the photo's size has: default the photo's.
    pub detail: Detail,
    /// Where the photo may change, beside the mask of a request: default anywhere.
    pub region: Where,
    /// What the model looks at where only a small part may change: default that part.
    pub focus: Focus,
    /// Every such step runs the whole U-Net, those between take what its deep layers said then: default none, each step. DeepCache, Ma
    /// et al. (2023), <https://arxiv.org/abs/2312.00858>.
    pub deep_cache: Option<usize>,
    /// The part of the steps in which guidance is used: default none, all of them. At the others the branch with sentence and photo runs
    /// alone. Kynkäänniemi et al. (2024),
    /// <https://arxiv.org/abs/2404.07724>.
    pub guidance_interval: Option<GuidanceInterval>,
    /// The cosine between the predictions with the sentence and without, above 0 and at most 1, above which an image's
    /// steps that follow take the branch with sentence and photo alone: default none. Castillo et al. (2023),
    /// <https://arxiv.org/abs/2312.12487>, section 5, where it is called γ̄.
    pub adaptive_guidance: Option<f64>,
    /// Whether to take the short cuts whose picture stays nearest for the time that they save, with a model that makes more than 10 steps
    /// by itself: default false. They are 10 steps of [`SamplerKind::DpmPp2m`], a `deep_cache` of 2 and a `guidance_interval` of 0 to
    /// 0.6, each where nothing else is asked for.
    pub fast: bool,
    /// How the branches of guidance are run: default as one batch.
    pub branches: BranchExecution,
    /// By what parts pictures go through the autoencoder: default whole.
    pub vae: VaeOptions,
}

impl Default for EditOptions {
    fn default() -> Self {
        Self {
            steps: None,
            sampler: None,
            eta: None,
            schedule: ScheduleKind::Normal,
            text_scale: None,
            image_scale: None,
            strength: None,
            guidance_rescale: None,
            negative: None,
            prompt_syntax: PromptSyntax::Plain,
            long_prompt: None,
            seed: 0,
            noise: NoiseKind::TorchCpu,
            size: None,
            fit: None,
            compat: Compat::None,
            output_size: OutputSize::Photo,
            detail: Detail::Photo,
            region: Where::default(),
            focus: Focus::Region,
            deep_cache: None,
            guidance_interval: None,
            adaptive_guidance: None,
            fast: false,
            branches: BranchExecution::Batched,
            vae: VaeOptions::default(),
        }
    }
}

/// Setters of the same names: `with_steps(30)`.
macro_rules! setters {
    ($($setter:ident $field:ident: $type:ty = $value:expr;)*) => {
        impl EditOptions {
            $(
                #[doc = concat!("Sets [`EditOptions::", stringify!($field), "`](field@EditOptions::", stringify!($field), ").")]
                #[must_use]
                pub fn $setter(mut self, $field: $type) -> Self {
                    self.$field = $value;
                    self
                }
            )*
        }
    };
}

setters! {
    with_steps steps: usize = Some(steps);
    with_sampler sampler: SamplerKind = Some(sampler);
    with_eta eta: f64 = Some(eta);
    with_schedule schedule: ScheduleKind = schedule;
    with_text_scale text_scale: impl Into<ScaleCurve> = Some(text_scale.into());
    with_image_scale image_scale: impl Into<ScaleCurve> = Some(image_scale.into());
    with_strength strength: f64 = Some(strength);
    with_guidance_rescale guidance_rescale: f64 = Some(guidance_rescale);
    with_negative negative: impl Into<String> = Some(negative.into());
    with_prompt_syntax prompt_syntax: PromptSyntax = prompt_syntax;
    with_long_prompt long_prompt: LongPrompt = Some(long_prompt);
    with_seed seed: u64 = seed;
    with_noise noise: NoiseKind = noise;
    with_size size: TargetSize = Some(size);
    with_fit fit: FitPolicy = Some(fit);
    with_compat compat: Compat = compat;
    with_output_size output_size: OutputSize = output_size;
    with_detail detail: Detail = detail;
    with_where region: impl Into<Where> = region.into();
    with_focus focus: Focus = focus;
    with_deep_cache deep_cache: usize = Some(deep_cache);
    with_guidance_interval guidance_interval: GuidanceInterval = Some(guidance_interval);
    with_adaptive_guidance adaptive_guidance: f64 = Some(adaptive_guidance);
    with_fast fast: bool = fast;
    with_branches branches: BranchExecution = branches;
    with_vae vae: VaeOptions = vae;
}

impl EditOptions {
    /// Whether the settings make sense with a checkpoint that leaves them at InstructPix2Pix's:
    /// [`Model::check`](crate::Model::check) asks the same of a certain one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] that names the first setting that does not.
    pub fn check(&self) -> Result<()> {
        Settings::new(self, &CheckpointProfile::default()).map(|_| ())
    }

    /// Whether a checkpoint's own [`guidance_rescale`](field@Self::guidance_rescale) counts: not for another tool's picture, nor where
    /// attention scopes the scales.
    #[must_use]
    pub fn takes_rescale(&self) -> bool {
        self.compat == Compat::None && !self.region.is_attention()
    }

    /// What becomes of a sentence that is too long.
    pub(crate) fn long_prompt(&self) -> LongPrompt {
        self.long_prompt.unwrap_or(self.prompt_syntax.long_prompt())
    }

    /// Whether the result is given back at the model's size.
    pub(crate) fn keeps_model_size(&self) -> bool {
        self.output_size == OutputSize::Model || self.compat != Compat::None
    }

    /// Whether what changed is carried to the photo, rather than the model's picture put in its place.
    pub(crate) fn carries_change(&self) -> bool {
        !self.keeps_model_size() && self.detail == Detail::Photo
    }
}
