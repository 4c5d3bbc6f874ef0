//! An edit, step by step.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Tensor;
use ip2p_core::{Error, Guidance, Result};
use ip2p_io::{EditRecord, RgbPicture};
use ip2p_models::unet::UNet2DConditionModel;
use ip2p_sched::{NoiseSchedule, Preconditioning, Run, Schedule};

use super::decode::Decoder;
use super::locate::{Locator, Questions};
use super::network::{Conditions, GuidedNetwork};
use super::noise::{NoiseSource, source_latents};
use super::plan::guidance;
use super::prepared::{Image, Prepared};
use super::preview::{LatentColours, previews};
use super::request::EditRequest;
use super::scope::Scope;
use super::shortcuts::ShortCuts;
use super::told::Told;
use super::{Edited, Editor, Timings};
use crate::device::dtype;
use crate::options::{Compat, EditOptions};
use crate::record::{Done, record};
use crate::settings::Settings;

/// What a step gave, for all images of the batch.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Step {
    /// The step, counted from 0.
    pub index: usize,
    /// How many there are in all.
    pub steps: usize,
    /// The noise level that the step left from.
    pub sigma: f64,
    /// The latents after it: `[batch, channels, height / f, width / f]`, with `f` the autoencoder's factor, 8 for Stable
    /// Diffusion, and 4 its channels.
    pub latents: Tensor<4>,
    /// What the network takes the result to be, in the same shape.
    pub denoised: Tensor<4>,
    colours: Arc<[LatentColours]>,
}

impl Step {
    /// What the results roughly look like, without the autoencoder and at the size of the latents: one for each image.
    #[must_use]
    pub fn previews(&self) -> Vec<RgbPicture> {
        previews(&self.denoised, &self.colours)
    }
}

/// An edit under way: an iterator over its steps.
///
/// # Examples
///
/// ```no_run
/// # use ip2p::{EditOptions, EditRequest, Editor, Photo};
/// # fn main() -> ip2p::Result<()> {
/// # let editor = Editor::load("instruct-pix2pix", &ip2p::device_by_name("flex")?)?;
/// # let photo = Photo::open("photo.jpg")?;
/// let request = EditRequest::new(&photo, "make it snowy");
/// let mut steps = editor.steps(&request, &EditOptions::default())?;
/// for step in &mut steps {
///     let step = step?;
///     println!("step {} of {}", step.index + 1, step.steps);
///     if step.sigma < 1.0 {
///         break;
///     }
/// }
/// // After a break: the picture as the network takes it to be by now.
/// let edited = steps.finish()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Steps<'a> {
    pub(super) editor: &'a Editor,
    /// None once the last step is made and it is needed no more.
    unet: Option<UNet2DConditionModel>,
    settings: Settings,
    guidance: Guidance,
    schedule: Schedule,
    conditions: Conditions,
    /// What the network was told of them.
    told: Told,
    run: Run,
    noise: NoiseSource,
    /// What looks where the sentences act, if it was asked for, and what it asks before the first step.
    locator: Option<Locator>,
    questions: Option<Questions>,
    /// What makes maps of the scales, if that was asked for.
    scope: Option<Scope>,
    short_cuts: ShortCuts,
    colours: Arc<[LatentColours]>,
    /// The network's last word on what the result is, if a step was made.
    denoised: Option<Tensor<4>>,
    /// The step of the schedule that the edit began with.
    first: usize,
    done: usize,
    failed: bool,
    pub(super) images: Vec<Image>,
    pub(super) timings: Timings,
}

impl Editor {
    /// Begins the edits of photos that the model works on at one size.
    pub(super) fn begin(
        &self,
        requests: &[EditRequest<'_>],
        options: &EditOptions,
    ) -> Result<Steps<'_>> {
        let prepared = self.prepare_all(requests, options)?;
        let timings = prepared.timings.clone();
        let mut steps = self.walk(prepared, options)?;
        steps.timings = timings;
        Ok(steps)
    }

    /// Begins the edits of what is encoded.
    pub(super) fn walk(&self, prepared: Prepared, options: &EditOptions) -> Result<Steps<'_>> {
        let settings = self.model.settings(options)?;
        let (schedule, sampler) = self.schedule(&settings)?;
        let (guidance, guidance_warning) = guidance(&settings);
        let Prepared {
            conditions,
            colours,
            images,
            ..
        } = prepared;
        let images: Vec<_> = images
            .into_iter()
            .map(|image| image.seeded(options.seed, guidance_warning.as_deref()))
            .collect();
        let shape = conditions.image_latents.dims();
        let seeds: Vec<_> = images.iter().map(|image| image.seed).collect();
        let mut noise = match options.compat {
            Compat::Diffusers => NoiseSource::shared(options.noise, seeds[0], shape, &self.device),
            _ => NoiseSource::per_image(options.noise, &seeds, shape, &self.device),
        };
        let (locator, questions) = if options.region.is_auto() {
            let locator = Locator::new(&images, &conditions.sought().latents())?;
            let noise = self.noise_of_questions(&images, shape, options);
            let training = NoiseSchedule::new(&self.model.profile)?;
            let questions = Questions::new(noise, &training, &guidance, settings.steps);
            (Some(locator), questions)
        } else {
            (None, None)
        };
        let scope = self.scope(&images, &conditions, options)?;
        let first = settings.first_step();
        let latents = if settings.options.strength.is_some() {
            let source = source_latents(&conditions.image_latents, &self.model.profile);
            schedule.noised_latents(source, noise.next(), first)
        } else {
            schedule.initial_latents(noise.next())
        };
        let run = sampler.begin_at(&schedule, first, latents)?;
        let short_cuts = ShortCuts::new(&settings);
        let steps = schedule.steps()[first..].iter();
        let told = Told::new(steps.map(|step| schedule.timestep(step.sigma)).collect());
        Ok(Steps {
            editor: self,
            unet: Some(self.unet()?),
            settings,
            guidance,
            schedule,
            conditions,
            told,
            run,
            noise,
            locator,
            questions,
            scope,
            short_cuts,
            colours,
            denoised: None,
            first,
            done: 0,
            failed: false,
            images,
            timings: Timings::default(),
        })
    }
}

impl Iterator for Steps<'_> {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let unet = self.unet.as_ref()?;
        let started = Instant::now();
        self.short_cuts.begin_step(self.done);
        let mut network = GuidedNetwork {
            unet,
            conditions: &self.conditions,
            told: &mut self.told,
            guidance: &self.guidance,
            schedule: &self.schedule,
            preconditioning: Preconditioning::new(&self.editor.model.profile),
            execution: (self.editor.model.saving).branches(&self.settings.options),
            dtype: dtype(self.editor.precision),
            step: self.first + self.done,
            locator: None,
            scope: None,
            short_cuts: &mut self.short_cuts,
        };
        let asked = match (self.questions.take(), &mut self.locator) {
            (Some(questions), Some(locator)) => questions.ask(&mut network, locator),
            _ => Ok(()),
        };
        network.locator = self.locator.as_mut();
        network.scope = self.scope.as_mut();
        let noise = &mut self.noise;
        let step = asked.and_then(|()| self.run.step(&mut network, &mut || noise.next()));
        let step = match step {
            Ok(step) => step?,
            Err(error) => {
                self.failed = true;
                return Some(Err(error));
            }
        };
        self.timings.steps.push(started.elapsed());
        self.done += 1;
        self.denoised = Some(step.denoised.clone());
        Some(Ok(Step {
            index: step.index - self.first,
            steps: self.steps(),
            sigma: step.sigma,
            latents: step.latents,
            denoised: step.denoised,
            colours: Arc::clone(&self.colours),
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.steps() - self.done;
        (if self.failed { 0 } else { left }, Some(left))
    }
}

impl Steps<'_> {
    /// How many steps there are in all.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.schedule.steps().len() - self.first
    }

    /// How long the parts took until now.
    #[must_use]
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Decodes the pictures: after the last step the results, before it what the network takes them to be by now.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if no step was made, so that there is nothing to show; [`Error::NotFinite`] if the numbers ran
    /// away.
    pub fn finish(self) -> Result<Vec<Edited>> {
        self.finish_timed().map(|(edited, _)| edited)
    }

    /// As [`Self::finish`], with how long all of it took.
    ///
    /// # Errors
    ///
    /// Those of [`Self::finish`].
    pub fn finish_timed(mut self) -> Result<(Vec<Edited>, Timings)> {
        let started = Instant::now();
        let latents = self.result()?;
        let profile = &self.editor.model.profile;
        let latents = latents / profile.scaling_factor;
        // The photos' own latents: what the autoencoder makes of a photo that nobody edited.
        let unedited = self.conditions.image_latents.clone() / profile.image_latents_scale;
        let images = std::mem::take(&mut self.images);
        // What the decoder does not need makes room for it.
        self.unet = None;
        self.told.clear();
        let mut edited = Vec::with_capacity(images.len());
        let decoder = Decoder {
            editor: self.editor,
            vae: self.editor.vae()?,
            options: &self.settings.options,
            step: self.done,
        };
        let pairs = latents.split(1, 0).into_iter().zip(unedited.split(1, 0));
        for (index, (mut image, (latents, unedited))) in images.into_iter().zip(pairs).enumerate() {
            self.narrow(index, &mut image)?;
            let photo = decoder.give_back(&image, latents, unedited)?;
            edited.push(Edited {
                record: self.record(&image),
                photo,
                mask: image.whole_mask(),
                model_size: image.view.plan.model,
                warnings: image.warnings,
            });
        }
        self.timings.decode = started.elapsed();
        Ok((edited, self.timings))
    }

    /// The latents of the results, as the sampler has them: before the last step what the network takes them to be.
    pub(super) fn result(&self) -> Result<Tensor<4>> {
        let denoised = self.denoised.as_ref().ok_or(Error::Stopped)?;
        let complete = self.done == self.steps();
        Ok(if complete {
            self.run.latents().clone()
        } else {
            denoised.clone()
        })
    }

    /// Lets an image change only where its sentence acts, if that was asked for.
    pub(super) fn narrow(&self, index: usize, image: &mut Image) -> Result<()> {
        if let Some(scope) = &self.scope {
            scope.tell(index, image);
        }
        match &self.locator {
            Some(locator) => image.narrow(locator.found(index)),
            None => Ok(()),
        }
    }

    /// How an image is made.
    pub(super) fn record(&self, image: &Image) -> EditRecord {
        let done = Done {
            instruction: &image.instruction,
            seed: image.seed,
            model_hash: Some(&self.editor.fingerprint),
            plan: &image.view.plan,
            photo: image.whole_size(),
            mask: image.view.given.as_deref(),
            steps: (self.done, self.steps()),
        };
        record(
            &self.editor.model,
            self.editor.precision,
            &self.settings,
            &done,
        )
    }
}
