//! Photos and sentences, encoded: what edits of the same photo share.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use burn::tensor::Tensor;
use ip2p_core::{Error, FitPolicy, Result, TargetSize};
use ip2p_io::{LongPrompt, PromptSyntax, RgbPicture};
use ip2p_region::{Mask, Where};

use super::masked::Masked;
use super::network::{Added, Conditions, advice, is_finite};
use super::preview::LatentColours;
use super::request::{EditRequest, check_words};
use super::view::View;
use super::{Editor, Steps, Timings};
use crate::device::dtype;
use crate::options::{Compat, EditOptions, Focus};
use crate::settings::Settings;

/// Said of variations in diffusers' mode.
const SHARED_GENERATOR: &str = "as in diffusers, the variations share one generator: a picture but the first cannot be \
                                made again alone";

/// A photo and a sentence as the networks see them: what edits share that differ in their scales, seeds, steps, sampler or
/// schedule.
///
/// The photo has gone through the autoencoder once and the sentence through the text encoder, however many edits follow.
///
/// # Examples
///
/// ```no_run
/// # use ip2p::{EditOptions, EditRequest, Editor, Photo};
/// # fn main() -> ip2p::Result<()> {
/// # let editor = Editor::load("instruct-pix2pix", &ip2p::device_by_name("flex")?)?;
/// # let photo = Photo::open("photo.jpg")?;
/// let options = EditOptions::default().with_seed(42);
/// let prepared = editor.prepare(&EditRequest::new(&photo, "make it snowy"), &options)?;
/// for scale in [5.0, 7.5, 10.0] {
///     let options = options.clone().with_text_scale(scale);
///     let mut steps = editor.steps_from(&prepared, &options)?;
///     for step in &mut steps {
///         step?;
///     }
///     steps.finish()?[0].save(format!("snowy-{scale}.png"))?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(super) conditions: Conditions,
    pub(super) colours: Arc<[LatentColours]>,
    pub(super) images: Vec<PreparedImage>,
    pub(super) timings: Timings,
    common: Common,
}

/// The settings that photos and sentences are encoded with.
#[derive(Debug, Clone, PartialEq)]
struct Common {
    negative: Option<String>,
    prompt_syntax: PromptSyntax,
    long_prompt: LongPrompt,
    size: TargetSize,
    fit: FitPolicy,
    compat: Compat,
    region: Where,
    focus: Focus,
}

impl Common {
    fn of(settings: &Settings) -> Self {
        Self {
            negative: settings.options.negative.clone(),
            prompt_syntax: settings.options.prompt_syntax,
            long_prompt: settings.options.long_prompt(),
            size: settings.size,
            fit: settings.fit,
            compat: settings.options.compat,
            region: settings.options.region,
            focus: settings.options.focus,
        }
    }

    /// # Errors
    ///
    /// [`Error::InvalidSetting`] that names the first setting that differs.
    fn check(&self, other: &Self) -> Result<()> {
        let differs = |name, was: String, is: String| {
            let expected = format!("{was}, as the photo was prepared with");
            Err(Error::setting(name, expected, is))
        };
        let text =
            |negative: &Option<String>| negative.as_ref().map_or("none".into(), Clone::clone);
        if self.negative != other.negative {
            return differs("negative", text(&self.negative), text(&other.negative));
        }
        if self.prompt_syntax != other.prompt_syntax {
            let (was, is) = (self.prompt_syntax, other.prompt_syntax);
            return differs("prompt_syntax", was.to_string(), is.to_string());
        }
        if self.long_prompt != other.long_prompt {
            let (was, is) = (self.long_prompt, other.long_prompt);
            return differs("long_prompt", was.to_string(), is.to_string());
        }
        if self.size != other.size {
            return differs("size", self.size.to_string(), other.size.to_string());
        }
        if self.fit != other.fit {
            return differs("fit", self.fit.to_string(), other.fit.to_string());
        }
        if self.compat != other.compat {
            return differs("compat", self.compat.to_string(), other.compat.to_string());
        }
        if self.region != other.region {
            return differs("where", self.region.to_string(), other.region.to_string());
        }
        if self.focus != other.focus {
            return differs("focus", self.focus.to_string(), other.focus.to_string());
        }
        Ok(())
    }
}

/// One picture of a batch, before it has its seed.
#[derive(Debug, Clone)]
pub(super) struct PreparedImage {
    view: Arc<View>,
    unedited: Arc<OnceLock<RgbPicture>>,
    instruction: String,
    /// The first variation's seed, if the request says it.
    first_seed: Option<u64>,
    variation: u64,
    warnings: Vec<String>,
}

/// One picture of a batch: what is needed to give it back.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) view: Arc<View>,
    /// Where what is shown may change, by the view and by what was found since.
    pub(super) mask: Option<Arc<Mask>>,
    /// Whether where its sentence acts was found, and is in the mask.
    pub(super) found: bool,
    /// What the autoencoder makes of the photo as it is, once it was asked: for all edits of what is prepared.
    pub(super) unedited: Arc<OnceLock<RgbPicture>>,
    pub(super) instruction: String,
    pub(super) seed: u64,
    pub(super) warnings: Vec<String>,
}

impl PreparedImage {
    /// The variations of one request, which share the photo.
    fn variations(
        request: &EditRequest<'_>,
        view: View,
        options: &EditOptions,
        warnings: &[String],
    ) -> impl Iterator<Item = Self> {
        let shared = options.compat == Compat::Diffusers && request.variations > 1;
        let shared = shared.then(|| SHARED_GENERATOR.to_owned());
        let more = shared.into_iter().chain(view.warning.clone());
        let warnings: Vec<_> = warnings.iter().cloned().chain(more).collect();
        let (view, unedited) = (Arc::new(view), Arc::default());
        let (instruction, first_seed) = (request.instruction.to_owned(), request.seed);
        (0..request.variations as u64).map(move |variation| Self {
            view: Arc::clone(&view),
            unedited: Arc::clone(&unedited),
            instruction: instruction.clone(),
            first_seed,
            variation,
            warnings: warnings.clone(),
        })
    }

    /// The picture with its seed, where the options' is `seed`.
    pub(super) fn seeded(self, seed: u64, warning: Option<&str>) -> Image {
        let mut warnings = self.warnings;
        warnings.extend(warning.map(ToOwned::to_owned));
        Image {
            mask: self.view.mask.clone(),
            found: false,
            view: self.view,
            unedited: self.unedited,
            instruction: self.instruction,
            seed: self.first_seed.unwrap_or(seed).wrapping_add(self.variation),
            warnings,
        }
    }
}

impl Prepared {
    /// How long the text encoder and the autoencoder's encoder took.
    #[must_use]
    pub fn timings(&self) -> &Timings {
        &self.timings
    }
}

impl Editor {
    /// Encodes a photo and a sentence, for several edits of them: [`Editor::steps_from`].
    ///
    /// # Errors
    ///
    /// Those of [`Editor::edit`].
    pub fn prepare(&self, request: &EditRequest<'_>, options: &EditOptions) -> Result<Prepared> {
        self.prepare_all(std::slice::from_ref(request), options)
    }

    /// The steps of an edit whose photo and sentence are encoded, as [`Editor::steps`] gives them.
    ///
    /// # Errors
    ///
    /// Those of [`Editor::edit`]; [`Error::InvalidSetting`] if an option differs that photo or sentence were encoded with:
    /// `negative`, `prompt_syntax`, `long_prompt`, `size`, `fit`, `compat`, `where` or `focus`.
    pub fn steps_from(&self, prepared: &Prepared, options: &EditOptions) -> Result<Steps<'_>> {
        let common = Common::of(&self.model.settings(options)?);
        prepared.common.check(&common)?;
        self.walk(prepared.clone(), options)
    }

    /// Encodes photos that the model works on at one size, and their sentences.
    pub(super) fn prepare_all(
        &self,
        requests: &[EditRequest<'_>],
        options: &EditOptions,
    ) -> Result<Prepared> {
        self.prepare_with(requests, options, |views| {
            self.encode_photos(requests, views, options)
        })
    }

    /// As [`Self::prepare_all`], with the photos' latents as `encode` has them.
    pub(super) fn prepare_with(
        &self,
        requests: &[EditRequest<'_>],
        options: &EditOptions,
        encode: impl FnOnce(&[View]) -> Result<(Tensor<4>, Vec<LatentColours>)>,
    ) -> Result<Prepared> {
        let settings = self.model.settings(options)?;
        let view = |request: &EditRequest<'_>| {
            check_words(request.instruction, request.variations)?;
            View::of(request, &settings, self.model.size_step)
        };
        let views = requests.iter().map(view).collect::<Result<Vec<_>>>()?;
        check_one_size(&views)?;
        // What is wrong with the settings is said before the networks run.
        self.schedule(&settings)?;

        let started = Instant::now();
        let texts = self.encode_texts(requests, options)?;
        let text = started.elapsed();
        let started = Instant::now();
        let (image_latents, colours) = encode(&views)?;
        self.check_encoded(&image_latents)?;
        let encode = started.elapsed();

        let size = views[0].plan.model;
        let images = requests.iter().zip(views).zip(&texts.warnings);
        let images: Vec<_> = images
            .flat_map(|((request, view), warnings)| {
                PreparedImage::variations(request, view, options, warnings)
            })
            .collect();
        let masks = images
            .iter()
            .map(|image| (image.view.mask.as_ref(), &image.view.plan));
        let sought = options.region.is_auto();
        let masked = Masked::new(masks, sought, &image_latents, &self.model.profile)?;
        Ok(Prepared {
            images,
            conditions: Conditions {
                added: Added::new(&texts.cond, &texts.uncond, size),
                context: texts.cond.context,
                uncond_context: texts.uncond.context,
                image_latents,
                masked,
            },
            colours: colours.into(),
            timings: Timings {
                text,
                encode,
                ..Timings::default()
            },
            common: Common::of(&settings),
        })
    }

    /// # Errors
    ///
    /// [`Error::NotFinite`] if what the autoencoder gave is no number.
    pub(super) fn check_encoded(&self, latents: &Tensor<4>) -> Result<()> {
        if is_finite(latents) {
            return Ok(());
        }
        Err(Error::NotFinite {
            what: "the autoencoder's encoder".into(),
            step: 0,
            advice: advice(dtype(self.vae_precision)),
        })
    }
}

/// Whether there is a photo, and all become one size.
fn check_one_size(views: &[View]) -> Result<()> {
    let mut sizes = views.iter().map(|view| view.plan.model);
    let Some(first) = sizes.next() else {
        return Err(Error::setting("requests", "at least one", "none"));
    };
    match sizes.find(|&size| size != first) {
        None => Ok(()),
        Some(other) => {
            let expected = format!("for photos that the model works on at {first}");
            let got = format!("one at {other}");
            Err(Error::setting("requests", expected, got))
        }
    }
}
