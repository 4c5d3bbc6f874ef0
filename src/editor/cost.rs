//! What an edit costs, told from the shapes of the networks.

use ip2p_core::{Result, Size};
use ip2p_models::Cost;

use super::Model;
use super::plan::guidance;
use super::shortcuts::ShallowSteps;
use crate::options::EditOptions;

/// The products that the parts of an edit make.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EditCost {
    /// The text encoders: of the sentence, and of the empty one or the negative prompt.
    pub text: Cost,
    /// The autoencoder's encoder.
    pub encode: Cost,
    /// Each step: the U-Net, of the branches that guidance asks for at it. Where guidance is to end by itself (`adaptive_guidance`), as if
    /// it did not.
    pub steps: Vec<Cost>,
    /// The autoencoder's decoder, once; a result that keeps the photo's fine detail takes two, see
    /// [`Detail`](crate::Detail).
    pub decode: Cost,
}

impl Model {
    /// What an edit of so many pictures at once costs, at which the model works at this size: a multiple of what
    /// [`Self::size_step`] says.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`](ip2p_core::Error::InvalidSetting) if the options make no sense with this model.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use ip2p::{EditOptions, Model, Size};
    ///
    /// let model = Model::open("instruct-pix2pix")?;
    /// let cost = model.cost(Size::new(512, 512), 1, &EditOptions::default())?;
    /// println!("{} GFLOP in the first step", cost.steps[0].flops() / 1_000_000_000);
    /// # Ok::<(), ip2p::Error>(())
    /// ```
    pub fn cost(&self, size: Size, count: usize, options: &EditOptions) -> Result<EditCost> {
        let settings = self.settings(options)?;
        let (guidance, _) = guidance(&settings);
        let [_, _, height, width] = self.latents_shape(size);
        let tokens = self.text.tokens();
        let evaluations = |steps| settings.sampler.evaluations(steps);
        let calls =
            |step| evaluations(settings.steps - step) - evaluations(settings.steps - step - 1);
        let first = settings.first_step();
        let mut shallow = ShallowSteps::new(&settings);
        let mut step = |step: usize| {
            let plan = guidance.plan(step);
            let batch = count * plan.len();
            let once = if shallow.next(step - first, &plan) {
                (self.unet).shallow_cost(batch, [height, width], tokens)
            } else {
                self.unet.cost(batch, [height, width], tokens)
            };
            std::iter::repeat_n(once, calls(step)).sum()
        };
        Ok(EditCost {
            text: self.text.cost(2),
            encode: (self.vae).encode_cost(count, [size.height as usize, size.width as usize]),
            steps: (first..settings.steps).map(&mut step).collect(),
            decode: self.vae.decode_cost(count, [height, width]),
        })
    }
}
