//! The objective of InstructPix2Pix: from the noisy latents of the edited picture, those of the picture before and the
//! sentence, the network is to find the noise.

use std::fmt;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use ip2p::core::{NoiseGenerator, NoiseKind, PredictionType};
use ip2p::models::clip::CLIPTextModel;
use ip2p::models::layers::Conv2d;
use ip2p::models::unet::UNet2DConditionModel;
use ip2p::sched::NoiseSchedule;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::objective::{Kept, LossWeight, Mixture, kept};

/// The networks that learn an edit.
#[derive(Module, Debug)]
pub struct EditNetworks {
    /// Predicts the noise.
    pub unet: UNet2DConditionModel,
    /// Turns sentences into contexts; learns too, if its parameters require gradients.
    pub text_encoder: CLIPTextModel,
    /// Tells from what the U-Net's last block gives where the edit is; not part of the checkpoint.
    pub mask_head: Option<Conv2d>,
}

/// How the noise level of a training example is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimestepDensity {
    /// Each training timestep alike.
    #[default]
    Uniform,
    /// With a density that grows like this power of the timestep: more of the high noise, where what an edit does is decided.
    Power(f64),
}

impl TimestepDensity {
    /// The timestep of a uniform draw in `[0, 1)`.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a draw below 1 times a count"
    )]
    pub fn timestep(self, draw: f64, timesteps: usize) -> usize {
        let draw = match self {
            Self::Uniform => draw,
            Self::Power(power) => draw.powf(1.0 / (power + 1.0)),
        };
        ((draw * timesteps as f64) as usize).min(timesteps - 1)
    }
}

/// How the edit is learnt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EditLoss {
    /// What the network is to return.
    pub prediction: PredictionType,
    /// How much a noise level counts.
    pub weight: LossWeight,
    /// How often a noise level is drawn.
    pub timesteps: TimestepDensity,
    /// The share of examples that lose the sentence, of those that lose the picture, and of those that lose both: 0.05 each.
    pub condition_dropout: f64,
    /// How much more than the rest of the picture the part that is edited counts, where the example says which that is: default
    /// 0, alike. The weights of an example are divided by their mean, so that small edits count as much as large ones.
    pub edit_weight: f64,
    /// How much it counts that the U-Net's last block knows where the edit is, as a layer of its own reads there; default 0, and no
    /// such layer.
    ///
    /// The layer is left behind at the end. It is there for what it teaches the others: to find what a sentence names is the hard part
    /// of a local edit, and the error of the picture says little of it.
    pub mask_weight: f64,
}

impl Default for EditLoss {
    fn default() -> Self {
        Self {
            prediction: PredictionType::Epsilon,
            weight: LossWeight::Uniform,
            timesteps: TimestepDensity::Uniform,
            condition_dropout: 0.05,
            edit_weight: 0.0,
            mask_weight: 0.0,
        }
    }
}

/// A batch of encoded examples.
#[derive(Debug, Clone)]
pub struct EditBatch {
    /// The pictures before: `[batch, 4, height, width]`, as the U-Net takes them.
    pub image_latents: Tensor<4>,
    /// The pictures after, in the same shape, scaled as the sampler has them.
    pub latents: Tensor<4>,
    /// How much of each latent pixel is edited: 0 to 1, `[batch, 1, height, width]`.
    pub mask: Tensor<4>,
    /// What is to be done to them.
    pub sentences: Sentences,
}

impl EditBatch {
    /// The batch on another device.
    #[must_use]
    pub fn to_device(&self, device: &Device) -> Self {
        Self {
            image_latents: self.image_latents.clone().to_device(device),
            latents: self.latents.clone().to_device(device),
            mask: self.mask.clone().to_device(device),
            sentences: self.sentences.to_device(device),
        }
    }
}

/// The sentences of a batch, and the empty one that takes the place of those that are dropped.
#[derive(Debug, Clone)]
pub enum Sentences {
    /// For a text encoder that learns.
    Ids {
        /// Token ids: `[batch, tokens]`.
        each: Tensor<2, Int>,
        /// The empty sentence's: `[1, tokens]`.
        empty: Tensor<2, Int>,
    },
    /// What a frozen text encoder made of them.
    Contexts {
        /// `[batch, tokens, width]`.
        each: Tensor<3>,
        /// The empty sentence's: `[1, tokens, width]`.
        empty: Tensor<3>,
    },
}

impl Sentences {
    fn to_device(&self, device: &Device) -> Self {
        match self {
            Self::Ids { each, empty } => Self::Ids {
                each: each.clone().to_device(device),
                empty: empty.clone().to_device(device),
            },
            Self::Contexts { each, empty } => Self::Contexts {
                each: each.clone().to_device(device),
                empty: empty.clone().to_device(device),
            },
        }
    }

    /// The contexts that the U-Net attends to, `[batch, tokens, width]`, dropped sentences emptied.
    fn contexts(&self, text_encoder: &CLIPTextModel, kept: &[Kept]) -> Tensor<3> {
        let keeps: Vec<f32> = kept
            .iter()
            .map(|kept| f32::from(u8::from(kept.text)))
            .collect();
        let mask = |device: &Device| {
            Tensor::<3>::from_data(TensorData::new(keeps, [kept.len(), 1, 1]), device)
        };
        match self {
            Self::Ids { each, empty } => {
                let mask = mask(&each.device()).reshape([kept.len(), 1]).int();
                let ids = each.clone() * mask.clone() + empty.clone() * (mask * -1 + 1);
                text_encoder.forward(ids)
            }
            Self::Contexts { each, empty } => {
                let mask = mask(&each.device());
                each.clone() * mask.clone() + empty.clone() * (mask * -1.0 + 1.0)
            }
        }
    }
}

/// What is random in a batch's loss.
#[derive(Debug, Clone)]
pub struct EditDraws {
    /// The training timestep of each example.
    pub timesteps: Vec<usize>,
    /// What each example keeps of its conditions.
    pub kept: Vec<Kept>,
    /// The noise of each example, one after the other.
    pub noise: Vec<f32>,
}

impl EditDraws {
    /// Draws for `batch` examples of `numbers` latent numbers each: the same for the same seed and step.
    #[must_use]
    pub fn new(
        loss: &EditLoss,
        schedule: &NoiseSchedule,
        batch: usize,
        numbers: usize,
        seed: (u64, u64),
    ) -> Self {
        let mut rng = ip2p_data::rng(seed.0, seed.1);
        let timesteps = (0..batch)
            .map(|_| loss.timesteps.timestep(rng.random(), schedule.timesteps()))
            .collect();
        let kept = (0..batch)
            .map(|_| kept(rng.random(), loss.condition_dropout))
            .collect();
        let noise = NoiseGenerator::new(NoiseKind::TorchCpu, rng.random()).normal(batch * numbers);
        Self {
            timesteps,
            kept,
            noise,
        }
    }
}

impl EditLoss {
    /// The loss of a batch on the device of `networks`.
    ///
    /// # Shapes
    ///
    /// - output: `[1]`
    #[must_use]
    pub fn loss(
        &self,
        networks: &EditNetworks,
        schedule: &NoiseSchedule,
        batch: &EditBatch,
        draws: &EditDraws,
    ) -> Tensor<1> {
        let device = &batch.latents.device();
        let shape @ [count, ..] = batch.latents.dims();
        let mixtures: Vec<_> = draws
            .timesteps
            .iter()
            .map(|&timestep| schedule.alphas_cumprod()[timestep])
            .map(|alpha| {
                (
                    Mixture::new(self.prediction, alpha),
                    self.weight.weight(self.prediction, alpha),
                )
            })
            .collect();
        let each =
            |of: &dyn Fn(&(Mixture, f64)) -> f64| per_example(mixtures.iter().map(of), device);
        let noise = Tensor::<4>::from_data(TensorData::new(draws.noise.clone(), shape), device);
        let mix = |factors: &dyn Fn(&Mixture) -> (f64, f64)| {
            batch.latents.clone() * each(&|(m, _)| factors(m).0)
                + noise.clone() * each(&|(m, _)| factors(m).1)
        };
        let keeps_image = draws
            .kept
            .iter()
            .map(|kept| f64::from(u8::from(kept.image)));
        let image_latents = batch.image_latents.clone() * per_example(keeps_image, device);

        let x = Tensor::cat(vec![mix(&|m| m.input), image_latents], 1);
        let timesteps: Vec<f32> = draws.timesteps.iter().map(|&t| t as f32).collect();
        let timesteps = Tensor::from_data(TensorData::new(timesteps, [count]), device);
        let context = batch
            .sentences
            .contexts(&networks.text_encoder, &draws.kept);
        let mut features = None;
        let mut observe = |layer: fmt::Arguments<'_>, x: &Tensor<4>| {
            if networks.mask_head.is_some() && layer.to_string().starts_with("up_blocks") {
                features = Some(x.clone()); // the last of them stays
            }
        };
        let output = (networks.unet).forward_observed(x, timesteps, context, &mut observe);
        let error = (output - mix(&|m| m.target)).square();
        let weights = self.pixel_weights(&batch.mask);
        let loss = (error * each(&|(_, weight)| *weight) * weights.clone()).mean();
        let (Some(head), Some(features)) = (&networks.mask_head, features) else {
            return loss;
        };
        let told = (draws.kept.iter()).map(|kept| f64::from(u8::from(kept.text && kept.image)));
        let missed = cross_entropy(head.forward(features), batch.mask.clone());
        loss + (missed * weights * per_example(told, device)).mean() * self.mask_weight
    }

    /// How much each latent pixel counts, 1 on the mean of each example: `[batch, 1, height, width]`.
    fn pixel_weights(&self, mask: &Tensor<4>) -> Tensor<4> {
        let weights = mask.clone() * self.edit_weight + 1.0;
        let mean = weights.clone().mean_dims(&[2, 3]);
        weights / mean
    }
}

/// The cross entropy of shares, `target`, and the probabilities whose logits are `logits`.
fn cross_entropy(logits: Tensor<4>, target: Tensor<4>) -> Tensor<4> {
    let softplus = (logits.clone().abs().neg().exp() + 1.0).log();
    activation::relu(logits.clone()) - logits * target + softplus
}

/// One number for each example, to be multiplied with `[batch, channels, height, width]`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the networks compute in f32"
)]
fn per_example(values: impl Iterator<Item = f64>, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = values.map(|value| value as f32).collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count, 1, 1, 1]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_counts_more_than_the_rest_and_every_example_alike() {
        let device = Device::flex();
        let loss = EditLoss {
            edit_weight: 6.0,
            ..EditLoss::default()
        };
        let mask = [[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5]];
        let mask = Tensor::<2>::from_data(mask, &device).reshape([2, 1, 2, 2]);
        let weights: Vec<f32> = loss
            .pixel_weights(&mask)
            .into_data()
            .try_into_vec()
            .unwrap();
        // Of the first: 7, 1, 1, 1 over their mean of 2.5.
        assert_eq!(weights, [2.8, 0.4, 0.4, 0.4, 1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn cross_entropy_is_its_formula_and_finite_far_out() {
        let device = Device::flex();
        let of =
            |numbers: [f32; 4]| Tensor::<1>::from_floats(numbers, &device).reshape([1, 1, 2, 2]);
        let found: Vec<f32> =
            cross_entropy(of([0.7, -1.3, 200.0, -200.0]), of([0.25, 1.0, 0.0, 1.0]))
                .into_data()
                .try_into_vec()
                .unwrap();
        let formula = |logit: f64, target: f64| {
            let share = 1.0 / (1.0 + (-logit).exp());
            -target * share.ln() - (1.0 - target) * (1.0 - share).ln()
        };
        let expected = [formula(0.7, 0.25), formula(-1.3, 1.0), 200.0, 200.0];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(
                (f64::from(found) - expected).abs() < 1e-6 * expected,
                "{found} {expected}"
            );
        }
    }
}
