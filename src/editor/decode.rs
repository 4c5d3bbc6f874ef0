//! From latents to photos.

use burn::tensor::{FloatDType, Tensor};
use ip2p_core::{Error, Result};
use ip2p_io::{Photo, RgbPicture, Rounding, from_tensor};
use ip2p_models::vae::Autoencoder;

use super::Editor;
use super::given::Given;
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
        let given = Given {
            options: self.options,
            photo: &image.view.photo,
            plan: &image.view.plan,
        };
        let before = || self.before(image, unedited);
        let edited = given.edited(self.decode(latents)?, before)?;
        let edited = match &image.mask {
            None => edited,
            Some(mask) => given.within(mask, image.found, &*given.unedited()?, &edited)?,
        };
        Ok(if self.options.keeps_model_size() {
            edited
        } else {
            image.put_back(edited)
        })
    }

    /// The model's picture of the photo as it was, which the variations of a request share.
    fn before<'b>(&self, image: &'b Image, unedited: Tensor<4>) -> Result<&'b RgbPicture> {
        if let Some(picture) = image.unedited.get() {
            return Ok(picture);
        }
        let picture = self.decode(unedited)?;
        Ok(image.unedited.get_or_init(|| picture))
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
