//! Where a sentence acts, found while its edit is made.
//!
//! Mirzaei et al. (2023), "Watch Your Steps", <https://arxiv.org/abs/2308.08947>, section 4.1: where the network's word with
//! the sentence differs from its word without, the sentence acts. The paper asks for both once, before the edit, of the
//! photo's own latents under noise. So it is done here where a few such questions cost little beside the steps of the
//! edit, of several noises. With few steps the edit's own evaluations answer: those of the same two branches, and where guidance does
//! not run the one without the sentence, the photo's own latents stand for it: what a network that was told nothing would
//! leave.

use burn::tensor::{Tensor, TensorData};
use ip2p_core::{Guidance, Result, Size};
use ip2p_region::{Mask, Place, Relevance};
use ip2p_sched::{Interpolation, NoiseSchedule};

use super::masked::{fitted, latents_size};
use super::network::GuidedNetwork;
use super::noise::NoiseSource;
use super::prepared::Image;

/// The timestep of the question before the edit, as a share of the training's: that of the paper.
const TIMESTEP: f64 = 0.8;

/// The share of the edit's evaluations that it may cost: one in ten.
const SHARE: usize = 10;

/// The most noises that are asked about.
const MOST_NOISES: usize = 4;

/// What is said where nothing stands out.
pub(super) const EVERYWHERE: &str =
    "no part of the photo stands out as what the sentence speaks of: all of it may change";

/// What is known so far of where the sentences of a batch act.
#[derive(Debug)]
pub(crate) struct Locator {
    /// That of the latents.
    size: Size,
    /// The places that the sentences name.
    biases: Vec<Option<Mask>>,
    /// How much the photos vary: the mean distance of their latents from the mean.
    spreads: Vec<f32>,
    /// The maps' sums, of each image `size.pixels()`, and how many were added.
    sums: Vec<f32>,
    count: usize,
    /// Whether nothing more is to be added.
    settled: bool,
    found: Vec<Option<Mask>>,
    /// 1 where an image may change: `[batch, 1, height, width]`.
    weights: Option<Tensor<4>>,
}

impl Locator {
    /// Of these photos, whose latents are `[batch, channels, height, width]`, scaled as the sampler has them.
    pub(super) fn new(images: &[Image], latents: &Tensor<4>) -> Result<Self> {
        let size = latents_size(latents);
        let bias = |image: &Image| {
            // Of a part of the photo, the mask has said where.
            let place = match image.view.whole {
                None => Place::in_sentence(&image.instruction),
                Some(_) => None,
            };
            place
                .map(|place| {
                    Ok(fitted(&place.mask(image.view.plan.photo), &image.view.plan)?.resized(size))
                })
                .transpose()
        };
        let pixels = size.width as usize * size.height as usize;
        let means = latents.clone().mean_dims(&[2, 3]);
        Ok(Self {
            size,
            spreads: floats(
                (latents.clone() - means)
                    .abs()
                    .sum_dim(1)
                    .mean_dims(&[2, 3]),
            ),
            count: 0,
            biases: images.iter().map(bias).collect::<Result<_>>()?,
            sums: vec![0.0; images.len() * pixels],
            settled: false,
            found: vec![None; images.len()],
            weights: None,
        })
    }

    /// Takes in what the sentence changes in the network's word on the result: `[batch, channels, height, width]`.
    pub(crate) fn see(&mut self, change: &Tensor<4>) {
        if self.settled {
            return;
        }
        let device = change.device();
        let values = floats(change.clone().abs().sum_dim(1));
        let each = values.len() / self.biases.len();
        for (sum, value) in self.sums.iter_mut().zip(values) {
            *sum += value;
        }
        self.count += 1;
        self.found = (0..self.biases.len())
            .map(|image| self.relevance(image).mask(self.biases[image].as_ref()))
            .collect();
        let weight = |mask: &Option<Mask>| match mask {
            Some(mask) => mask
                .weights()
                .iter()
                .map(|&w| f32::from(w) / 255.0)
                .collect(),
            None => vec![1.0; each],
        };
        let weights: Vec<f32> = self.found.iter().flat_map(weight).collect();
        let shape = [
            self.found.len(),
            1,
            self.size.height as usize,
            self.size.width as usize,
        ];
        self.weights = Some(Tensor::from_data(TensorData::new(weights, shape), &device));
    }

    /// How much the sentence of an image changes each place, as far as is known.
    ///
    /// # Panics
    ///
    /// If nothing was seen yet.
    pub(super) fn relevance(&self, image: usize) -> Relevance {
        assert!(self.count > 0, "something was seen");
        let each = self.sums.len() / self.biases.len();
        let sums = &self.sums[image * each..][..each];
        // A photo of one colour does not vary at all.
        let unit = self.spreads[image].max(f32::MIN_POSITIVE) * self.count as f32;
        let changes: Vec<f32> = sums.iter().map(|sum| sum / unit).collect();
        Relevance::new(self.size, &changes)
    }

    /// Where each image may change as far as is known: 1 there and 0 elsewhere, `[batch, 1, height, width]`.
    pub(crate) fn weights(&self) -> Option<&Tensor<4>> {
        self.weights.as_ref()
    }

    /// Where the sentence of an image acts, at the latents' size; none if nothing stands out.
    pub(super) fn found(&self, image: usize) -> Option<&Mask> {
        self.found[image].as_ref()
    }
}

/// The numbers of a tensor, in their order.
fn floats(tensor: Tensor<4>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.try_into_vec().expect("just converted")
}

/// The questions before an edit.
#[derive(Debug)]
pub(super) struct Questions {
    noise: NoiseSource,
    sigma: f64,
    count: usize,
}

impl Questions {
    /// As many as the steps of an edit make cheap; none if they are few.
    pub(super) fn new(
        noise: NoiseSource,
        schedule: &NoiseSchedule,
        guidance: &Guidance,
        steps: usize,
    ) -> Option<Self> {
        let evaluations: usize = (0..steps).map(|step| guidance.plan(step).len()).sum();
        // Each asks with the sentence and without.
        let count = (evaluations / SHARE / 2).min(MOST_NOISES);
        (count > 0).then(|| Self {
            count,
            ..Self::one(noise, schedule)
        })
    }

    /// One, as the paper has it.
    pub(super) fn one(noise: NoiseSource, schedule: &NoiseSchedule) -> Self {
        let timestep = TIMESTEP * schedule.timesteps() as f64;
        Self {
            noise,
            sigma: schedule.sigma(timestep, Interpolation::LogLinear),
            count: 1,
        }
    }

    /// Asks them, and settles where the sentences act.
    pub(super) fn ask(
        mut self,
        network: &mut GuidedNetwork<'_>,
        locator: &mut Locator,
    ) -> Result<()> {
        let masked = network.conditions.sought();
        for _ in 0..self.count {
            let x = masked.latents() + self.noise.next() * self.sigma;
            locator.see(&network.relevance(&x, self.sigma)?);
        }
        locator.settled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use ip2p_core::{CheckpointProfile, NoiseKind};

    use super::*;

    #[test]
    fn questions_cost_at_most_a_tenth_of_the_evaluations() {
        let schedule = NoiseSchedule::new(&CheckpointProfile::default()).unwrap();
        let count = |steps, guidance: Guidance| {
            let noise =
                NoiseSource::per_image(NoiseKind::TorchCpu, &[1], [1, 4, 2, 2], &Device::flex());
            Questions::new(noise, &schedule, &guidance, steps).map(|questions| questions.count)
        };
        // Three evaluations a step, two, and one.
        assert_eq!(count(20, Guidance::new(7.5, 1.5)), Some(3));
        assert_eq!(count(20, Guidance::new(7.5, 1.0)), Some(2));
        assert_eq!(count(20, Guidance::new(1.0, 1.0)), Some(1));
        assert_eq!(count(1000, Guidance::new(7.5, 1.5)), Some(MOST_NOISES));
        assert_eq!(count(6, Guidance::new(7.5, 1.5)), None);
        assert_eq!(count(1, Guidance::new(1.0, 1.0)), None);
    }

    #[test]
    fn the_papers_noise_is_that_of_timestep_800() {
        let schedule = NoiseSchedule::new(&CheckpointProfile::default()).unwrap();
        let noise =
            NoiseSource::per_image(NoiseKind::TorchCpu, &[1], [1, 4, 2, 2], &Device::flex());
        let questions = Questions::new(noise, &schedule, &Guidance::default(), 20).unwrap();
        assert!((questions.sigma - 5.11).abs() < 0.01, "{}", questions.sigma);
    }
}
