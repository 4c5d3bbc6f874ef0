//! Edits of a part of the photo.
//!
//! The mask acts twice. At every step the network's word on the result is replaced by the photo's own latents where the
//! mask keeps the photo, so that what is edited grows into what stays; and at the end every byte there is the photo's, for
//! an autoencoder gives back no photo to the byte. As in Blended Latent Diffusion (Avrahami et al., 2023),
//! <https://arxiv.org/abs/2206.02779>, but on the denoised latents rather than the noisy ones: so it holds for every
//! sampler, whatever that makes of them.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use ip2p_core::{CheckpointProfile, FitPlan, Result, Size};
use ip2p_io::{Photo, fit};
use ip2p_region::Mask;

use super::noise::source_latents;
use super::request::EditRequest;

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
    /// For images with these masks, at the photos' sizes, and the plans that fit the photos; none if no image has a mask.
    pub(super) fn new<'a>(
        masks: impl Iterator<Item = (Option<&'a Mask>, &'a FitPlan)>,
        image_latents: &Tensor<4>,
        profile: &CheckpointProfile,
    ) -> Result<Option<Self>> {
        let [batch, _, height, width] = image_latents.dims();
        let side = |side: usize| u32::try_from(side).expect("a picture's side is a u32");
        let size = Size::new(side(width), side(height));
        let mut weights = Vec::with_capacity(batch * height * width);
        let mut any = false;
        for (mask, plan) in masks {
            let Some(mask) = mask else {
                weights.extend(vec![1.0; height * width]);
                continue;
            };
            any = true;
            let mask = fitted(mask, plan)?.resized(size);
            let weight = |&weight: &u8| (f32::from(weight) / 255.0 / FULL).min(1.0);
            weights.extend(mask.weights().iter().map(weight));
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

    /// The network's word on the result, and the photos' latents where they are held.
    pub(super) fn hold(&self, denoised: Tensor<4>) -> Tensor<4> {
        self.latents.clone() + (denoised - self.latents.clone()) * self.weights.clone()
    }
}

/// A mask of the photo, as the model's picture of the photo has it.
pub(crate) fn fitted(mask: &Mask, plan: &FitPlan) -> Result<Mask> {
    let picture = Photo::from(mask.to_picture());
    Ok(Mask::from_photo(&fit(&picture, plan)?.into()))
}

/// The mask of a request at the photo's size, and what a user should know of it.
pub(super) fn mask_of(request: &EditRequest<'_>) -> (Option<Arc<Mask>>, Option<String>) {
    let Some(mask) = request.mask else {
        return (None, None);
    };
    let (size, photo) = (mask.size(), request.photo.size());
    let warning = if size != photo {
        Some(format!(
            "the mask of {size} was fitted to the photo's {photo}"
        ))
    } else if mask.weights().iter().all(|&weight| weight == 255) {
        Some("the mask is white all over: the whole photo may change".to_owned())
    } else {
        None
    };
    (Some(Arc::new(mask.resized(photo))), warning)
}
