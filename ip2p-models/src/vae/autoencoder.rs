//! Whichever autoencoder a checkpoint has.
//!
//! A pipeline of diffusers takes either kind and asks neither which it is: it multiplies what the encoder gives by
//! nothing for the source image, and divides the U-Net's latents by `scaling_factor` for the decoder. So what differs
//! between the kinds is in their files, and this is all the code that tells them apart.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use ip2p_core::{Error, Fields, Result};

use super::{AutoencoderKL, AutoencoderKLConfig, NETWORK, VaeOptions};
use crate::taesd::{AutoencoderTiny, AutoencoderTinyConfig};

/// What `vae/config.json` of either kind says.
#[derive(Debug, Clone, PartialEq)]
pub enum AutoencoderConfig {
    /// `AutoencoderKL`.
    Kl(AutoencoderKLConfig),
    /// `AutoencoderTiny`.
    Tiny(AutoencoderTinyConfig),
}

impl AutoencoderConfig {
    /// Reads `vae/config.json`, whose `_class_name` says the kind; without one it is an `AutoencoderKL`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the class is another one, or as [`AutoencoderKLConfig::from_json`] and
    /// [`AutoencoderTinyConfig::from_json`].
    pub fn from_json(json: &str) -> Result<Self> {
        let class: Option<String> = Fields::parse(NETWORK, json)?.take("_class_name")?;
        match class.as_deref() {
            None | Some("AutoencoderKL") => AutoencoderKLConfig::from_json(json).map(Self::Kl),
            Some("AutoencoderTiny") => AutoencoderTinyConfig::from_json(json).map(Self::Tiny),
            Some(other) => Err(Error::config(
                NETWORK,
                format!("_class_name is {other}, supported is AutoencoderKL or AutoencoderTiny"),
            )),
        }
    }

    /// How many pixels of the picture, across and down, make one of the latents: 8 in Stable Diffusion.
    #[must_use]
    pub fn vae_scale_factor(&self) -> usize {
        match self {
            Self::Kl(config) => config.vae_scale_factor(),
            Self::Tiny(config) => config.vae_scale_factor(),
        }
    }

    /// What latents are multiplied by for the U-Net, and divided by for [`Autoencoder::decode`].
    #[must_use]
    pub fn scaling_factor(&self) -> f64 {
        match self {
            Self::Kl(config) => config.scaling_factor,
            Self::Tiny(config) => config.scaling_factor,
        }
    }

    /// Channels of the latents.
    #[must_use]
    pub fn latent_channels(&self) -> usize {
        match self {
            Self::Kl(config) => config.latent_channels,
            Self::Tiny(config) => config.latent_channels,
        }
    }

    /// A model of this shape whose weights have still to be loaded.
    #[must_use]
    pub fn init(&self, device: &Device) -> Autoencoder {
        match self {
            Self::Kl(config) => Autoencoder::Kl(config.init(device)),
            Self::Tiny(config) => Autoencoder::Tiny(config.init(device)),
        }
    }
}

/// Turns pictures into latents and back, whichever kind it is.
#[expect(
    clippy::large_enum_variant,
    reason = "one of a checkpoint, never in a list"
)]
#[derive(Module, Debug)]
pub enum Autoencoder {
    /// `AutoencoderKL`.
    Kl(AutoencoderKL),
    /// `AutoencoderTiny`.
    Tiny(AutoencoderTiny),
}

impl Autoencoder {
    /// The shape of this model.
    #[must_use]
    pub fn config(&self) -> AutoencoderConfig {
        match self {
            Self::Kl(vae) => AutoencoderConfig::Kl(vae.config().clone()),
            Self::Tiny(vae) => AutoencoderConfig::Tiny(vae.config().clone()),
        }
    }

    /// What diffusers conditions InstructPix2Pix on: the mode of an `AutoencoderKL`'s posterior, an `AutoencoderTiny`'s
    /// latents, neither multiplied by `scaling_factor`.
    ///
    /// The picture may be of another float type than the weights; the latents have that of the picture.
    ///
    /// # Shapes
    ///
    /// - rgb: `[batch, in_channels, height, width]`, values in `[-1, 1]`
    /// - output: `[batch, latent_channels, height / f, width / f]`, with `f` the
    ///   [`vae_scale_factor`](AutoencoderConfig::vae_scale_factor)
    ///
    /// # Panics
    ///
    /// If the channels are not the config's.
    #[must_use]
    pub fn encode(&self, rgb: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Kl(vae) => vae.encode(rgb),
            Self::Tiny(vae) => vae.encode(rgb),
        }
    }

    /// As [`Self::encode`], by parts.
    ///
    /// # Panics
    ///
    /// If the channels are not the config's, or [`VaeOptions::check`] fails.
    #[must_use]
    pub fn encode_with(&self, rgb: Tensor<4>, options: VaeOptions) -> Tensor<4> {
        match self {
            Self::Kl(vae) => vae.encode_with(rgb, options),
            Self::Tiny(vae) => vae.encode_with(rgb, options),
        }
    }

    /// The picture of the U-Net's latents divided by `scaling_factor`.
    ///
    /// Nothing keeps the values within the range; clamp them. The latents may be of another float type than the weights;
    /// the picture has that of the latents.
    ///
    /// # Shapes
    ///
    /// - latents: `[batch, latent_channels, height / f, width / f]`
    /// - output: `[batch, out_channels, height, width]`, values about `[-1, 1]`
    ///
    /// # Panics
    ///
    /// If the channels are not the config's.
    #[must_use]
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Kl(vae) => vae.decode(latents),
            Self::Tiny(vae) => vae.decode(latents),
        }
    }

    /// As [`Self::decode`], by parts.
    ///
    /// # Panics
    ///
    /// If the channels are not the config's, or [`VaeOptions::check`] fails.
    #[must_use]
    pub fn decode_with(&self, latents: Tensor<4>, options: VaeOptions) -> Tensor<4> {
        match self {
            Self::Kl(vae) => vae.decode_with(latents, options),
            Self::Tiny(vae) => vae.decode_with(latents, options),
        }
    }

    /// The first layer whose output holds a NaN or an infinity while these latents are decoded, or none: see
    /// [`AutoencoderKL::first_non_finite`].
    ///
    /// # Panics
    ///
    /// As [`Self::decode`].
    #[must_use]
    pub fn first_non_finite(&self, latents: Tensor<4>) -> Option<String> {
        match self {
            Self::Kl(vae) => vae.first_non_finite(latents),
            Self::Tiny(vae) => vae.first_non_finite(latents),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_says_the_kind() {
        let kind = |json| AutoencoderConfig::from_json(json).unwrap();
        let kl = AutoencoderConfig::Kl(AutoencoderKLConfig::default());
        assert_eq!(kind("{}"), kl);
        assert_eq!(kind(r#"{"_class_name": "AutoencoderKL"}"#), kl);
        let tiny = kind(r#"{"_class_name": "AutoencoderTiny"}"#);
        assert_eq!(
            tiny,
            AutoencoderConfig::Tiny(AutoencoderTinyConfig::default())
        );
        assert_eq!(tiny.scaling_factor(), 1.0);
        assert_eq!((tiny.vae_scale_factor(), tiny.latent_channels()), (8, 4));
    }

    #[test]
    fn another_class_is_refused_by_name() {
        let error = AutoencoderConfig::from_json(r#"{"_class_name": "VQModel"}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "vae config: _class_name is VQModel, supported is AutoencoderKL or AutoencoderTiny"
        );
    }

    #[test]
    fn a_model_keeps_the_config_that_it_was_made_from() {
        for json in [
            r#"{"_class_name": "AutoencoderKL", "block_out_channels": [32]}"#,
            r#"{"_class_name": "AutoencoderTiny", "latent_channels": 8}"#,
        ] {
            let config = AutoencoderConfig::from_json(json).unwrap();
            assert_eq!(config.init(&Device::flex()).config(), config);
        }
    }
}
