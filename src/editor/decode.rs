//! From latents to photos.

use burn::tensor::{FloatDType, Tensor};
use ip2p_core::{Error, Result};
use ip2p_io::{Photo, RgbPicture, Rounding, fit, from_tensor, restore};
use ip2p_models::vae::Autoencoder;
use ip2p_region::carry;

use super::Editor;
use super::masked::{fitted, put_together};
use super::network::{advice, is_finite};
use super::prepared::Image;
use crate::device::dtype;
use crate::options::{Compat, EditOptions};

/// From latents to photos.
pub(super) struct Decoder<'a> {
    pub(super) editor: &'a Editor,
    pub(super) vae: Autoencoder,
    pub(super) options: &'a EditOptions,
    /// How many steps were made, for errors.
    pub(super) step: usize,
}

impl Decoder<'_> {
    /// The edited photo, at the size that it is given back at: from its latents, and from those of the photo as it was,
    /// both unscaled.
    pub(super) fn give_back(
        &self,
        image: &Image,
        latents: Tensor<4>,
        unedited: Tensor<4>,
    ) -> Result<Photo> {
        let after = self.decode(latents)?;
        if self.options.keeps_model_size() {
            return match &image.mask {
                None => Ok(after.into()),
                Some(mask) => {
                    let photo = fit(&image.view.photo, &image.view.plan)?.into();
                    put_together(
                        &photo,
                        &after,
                        &fitted(mask, &image.view.plan)?,
                        image.found,
                    )
                }
            };
        }
        let edited = self.at_photo_size(image, &after, unedited)?;
        let edited = match &image.mask {
            None => edited,
            Some(mask) => put_together(&image.view.photo, edited.rgb(), mask, image.found)?,
        };
        Ok(image.put_back(edited))
    }

    /// The whole edited photo at its own size, from the model's picture of it.
    fn at_photo_size(
        &self,
        image: &Image,
        after: &RgbPicture,
        unedited: Tensor<4>,
    ) -> Result<Photo> {
        if !self.options.carries_change() {
            return restore(after, &image.view.plan, &image.view.photo);
        }
        let before = if let Some(picture) = image.unedited.get() {
            picture
        } else {
            let picture = self.decode(unedited)?;
            image.unedited.get_or_init(|| picture)
        };
        carry(before, after, &image.view.plan, &image.view.photo)
    }

    /// The picture of one image's latents.
    pub(super) fn decode(&self, unscaled: Tensor<4>) -> Result<RgbPicture> {
        let (vae, dtype) = (&self.vae, dtype(self.editor.vae_precision));
        let unscaled = unscaled.cast(dtype);
        let rgb = vae.decode_with(unscaled.clone(), self.editor.model.saving.vae(self.options));
        if !is_finite(&rgb) {
            let layer = vae.first_non_finite(unscaled);
            let layer = layer.unwrap_or_else(|| "decoder".into());
            return Err(Error::NotFinite {
                what: format!("the autoencoder's {layer}"),
                step: self.step,
                advice: advice(dtype),
            });
        }
        let rounding = match self.options.compat {
            Compat::Original => Rounding::Truncate,
            _ => Rounding::Nearest,
        };
        from_tensor(rgb.cast(FloatDType::F32), rounding)
    }
}
