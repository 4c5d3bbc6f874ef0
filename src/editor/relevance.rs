//! Where a sentence would act, without an edit.

use ip2p_core::Result;
use ip2p_region::Relevance;
use ip2p_sched::{NoiseSchedule, Preconditioning};

use super::locate::{Locator, Questions};
use super::network::GuidedNetwork;
use super::noise::NoiseSource;
use super::plan::guidance;
use super::prepared::Image;
use super::request::EditRequest;
use super::shortcuts::ShortCuts;
use super::told::Told;
use super::{Editor, Prepared};
use crate::device::dtype;
use crate::options::EditOptions;

impl Editor {
    /// How much a sentence would change each place of a photo, without the edit: two evaluations of the network.
    ///
    /// It is the map of Mirzaei et al. (2023), "Watch Your Steps", <https://arxiv.org/abs/2308.08947>, section 4.1, for the noise
    /// of the options' seed, at the size of the latents; `--where auto` takes several such maps where that costs little.
    ///
    /// # Errors
    ///
    /// Those of [`Editor::edit`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use ip2p::{EditOptions, EditRequest, Editor, Photo};
    /// # fn main() -> ip2p::Result<()> {
    /// # let editor = Editor::load("instruct-pix2pix", &ip2p::device_by_name("flex")?)?;
    /// # let photo = Photo::open("photo.jpg")?;
    /// let request = EditRequest::new(&photo, "remove the flower");
    /// let map = editor.relevance(&request, &EditOptions::default())?;
    /// match map.mask(None) {
    ///     Some(mask) => println!("{:.0} % of the photo", 100.0 * mask.coverage()),
    ///     None => println!("all of it"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn relevance(&self, request: &EditRequest<'_>, options: &EditOptions) -> Result<Relevance> {
        let request = request.clone().with_variations(1);
        let options = options.clone().with_where(ip2p_region::Where::AUTO);
        let settings = self.model.settings(&options)?;
        let (schedule, _) = self.schedule(&settings)?;
        let (guidance, _) = guidance(&settings);
        let Prepared {
            conditions, images, ..
        } = self.prepare(&request, &options)?;
        let shape = conditions.image_latents.dims();
        let images: Vec<_> = images
            .into_iter()
            .map(|image| image.seeded(options.seed, None))
            .collect();
        let mut locator = Locator::new(&images, &conditions.sought().latents())?;
        let noise = self.noise_of_questions(&images, shape, &options);
        let training = NoiseSchedule::new(&self.model.profile)?;
        let mut short_cuts = ShortCuts::new(&settings);
        let mut network = GuidedNetwork {
            unet: &self.unet()?,
            conditions: &conditions,
            // One question, at a time of its own.
            told: &mut Told::new(Vec::new()),
            guidance: &guidance,
            schedule: &schedule,
            preconditioning: Preconditioning::new(&self.model.profile),
            execution: self.model.saving.branches(&settings.options),
            dtype: dtype(self.precision),
            step: 0,
            locator: None,
            scope: None,
            short_cuts: &mut short_cuts,
        };
        Questions::one(noise, &training).ask(&mut network, &mut locator)?;
        Ok(locator.relevance(0))
    }

    /// Other noise than that of the edits, which stays what it is without a question.
    pub(super) fn noise_of_questions(
        &self,
        images: &[Image],
        shape: [usize; 4],
        options: &EditOptions,
    ) -> NoiseSource {
        let seeds: Vec<_> = images.iter().map(|image| !image.seed).collect();
        NoiseSource::per_image(options.noise, &seeds, shape, &self.device)
    }
}
