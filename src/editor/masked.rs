//! Edits of a part of the photo.
//!
//! The mask acts twice. At every step the network's word on the result is replaced by the photo's own latents where the
//! mask keeps the photo, so that what is edited grows into what stays; and at the end every byte there is the photo's, for
//! an autoencoder gives back no photo to the byte. Of a mask that the model's own map gave, only what changes is taken then. As in Blended Latent Diffusion (Avrahami et al., 2023),
//! <https://arxiv.org/abs/2206.02779>, but on the denoised latents rather than the noisy ones: so it holds for every
//! sampler, whatever that makes of them.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use ip2p_core::{CheckpointProfile, FitPlan, Result, Size};
use ip2p_io::{Photo, fit, restore};
use ip2p_region::Mask;

use super::noise::source_latents;

/// How much of a latent's pixels may change until all of it may: half.
const FULL: f32 = 0.5;

/// Where the images of a batch may change.
#[derive(Debug, Clone)]
pub(crate) struct Masked {
    /// 1 where an image may change, 0 where it is held: `[batch, 1, height, width]`.
    weights: Tensor<4>,
    /// The photos' latents, scaled as the sampler has them.
    latents: Tensor<4>,
}

impl Masked {
    /// For images with these masks, as they are shown to the model, and the plans that fit them; none if no image has a mask
    /// and none is `sought`.
    pub(super) fn new<'a>(
        masks: impl Iterator<Item = (Option<&'a Arc<Mask>>, &'a FitPlan)>,
        sought: bool,
        image_latents: &Tensor<4>,
        profile: &CheckpointProfile,
    ) -> Result<Option<Self>> {
        let [batch, _, height, width] = image_latents.dims();
        let mut weights = Vec::with_capacity(batch * height * width);
        let mut any = sought;
        // The variations of a request share a mask.
        let mut last: Option<(&Arc<Mask>, Vec<f32>)> = None;
        for (mask, plan) in masks {
            let Some(mask) = mask else {
                weights.extend(vec![1.0; height * width]);
                continue;
            };
            any = true;
            let of_mask = match last.take() {
                Some((of, weights)) if Arc::ptr_eq(of, mask) => weights,
                _ => {
                    let weight = |&weight: &u8| (f32::from(weight) / 255.0 / FULL).min(1.0);
                    let mask = fitted(mask, plan)?.resized(latents_size(image_latents));
                    mask.weights().iter().map(weight).collect()
                }
            };
            weights.extend_from_slice(&of_mask);
            last = Some((mask, of_mask));
        }
        if !any {
            return Ok(None);
        }
        let device = image_latents.device();
        Ok(Some(Self {
            weights: Tensor::from_data(
                TensorData::new(weights, [batch, 1, height, width]),
                &device,
            ),
            latents: source_latents(image_latents, profile),
        }))
    }

    /// The photos' latents, scaled as the sampler has them.
    pub(super) fn latents(&self) -> Tensor<4> {
        self.latents.clone()
    }

    /// How far the network's word on the result is from the photos.
    pub(super) fn change(&self, denoised: &Tensor<4>) -> Tensor<4> {
        denoised.clone() - self.latents.clone()
    }

    /// The network's word on the result, and the photos' latents where they are held: by the masks, and by where the
    /// sentence acts, if that is known.
    pub(super) fn hold(&self, denoised: Tensor<4>, found: Option<&Tensor<4>>) -> Tensor<4> {
        let weights = match found {
            Some(found) => self.weights.clone().min_pair(found.clone()),
            None => self.weights.clone(),
        };
        // Not the photos and a part of the way from them: this is exact where the weight is 1, too.
        denoised * weights.clone() + self.latents.clone() * (weights * -1.0 + 1.0)
    }
}

/// Width and height of latents.
pub(super) fn latents_size(latents: &Tensor<4>) -> Size {
    let [_, _, height, width] = latents.dims();
    let side = |side: usize| u32::try_from(side).expect("a picture's side is a u32");
    Size::new(side(width), side(height))
}

/// A mask of the photo, as the model's picture of the photo has it.
pub(crate) fn fitted(mask: &Mask, plan: &FitPlan) -> Result<Mask> {
    let picture = Photo::from(mask.to_picture());
    Ok(Mask::from_photo(&fit(&picture, plan)?.into()))
}

/// A mask of the model's picture, at the photo's size: what the model did not see is kept.
pub(super) fn unfitted(mask: &Mask, plan: &FitPlan) -> Result<Mask> {
    let picture = mask.resized(plan.model).to_picture();
    let count = plan.photo.width as usize * plan.photo.height as usize;
    let kept = Mask::new(plan.photo, vec![0; count])?.to_picture();
    let photo = restore(&picture, plan, &kept.into())?;
    Ok(Mask::from_photo(&photo))
}
