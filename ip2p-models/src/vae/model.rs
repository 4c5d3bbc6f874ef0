//! The model as a whole.

use std::fmt::Arguments;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, assert_shape};

use super::decoder::Decoder;
use super::encoder::Encoder;
use super::{AutoencoderKLConfig, Tiling, VaeOptions};
use crate::layers::{Conv2d, Conv2dConfig, ops};

/// Turns pictures into latents and back.
#[derive(Module, Debug)]
pub struct AutoencoderKL {
    encoder: Encoder,
    decoder: Decoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    #[module(skip)]
    config: AutoencoderKLConfig,
}

impl AutoencoderKL {
    pub(super) fn new(config: &AutoencoderKLConfig, device: &Device) -> Self {
        let conv = |channels| Conv2dConfig::same(channels, channels, 1).init(device);
        Self {
            encoder: Encoder::new(config, device),
            decoder: Decoder::new(config, device),
            quant_conv: config
                .use_quant_conv
                .then(|| conv(2 * config.latent_channels)),
            post_quant_conv: config
                .use_post_quant_conv
                .then(|| conv(config.latent_channels)),
            config: config.clone(),
        }
    }

    /// The shape of this model.
    #[must_use]
    pub fn config(&self) -> &AutoencoderKLConfig {
        &self.config
    }

    /// The mode of a picture's posterior, *unscaled*.
    ///
    /// What InstructPix2Pix of Stable Diffusion 1 takes as the source image's latents is this, as it is. Its noisy
    /// latents are this multiplied by the config's `scaling_factor`. To confuse the two gives pictures that are only a
    /// little wrong.
    ///
    /// The picture may be of another float type than the weights; the latents have that of the picture.
    ///
    /// # Shapes
    ///
    /// - rgb: `[batch, in_channels, height, width]`, values in `[-1, 1]`
    /// - output: `[batch, latent_channels, height / f, width / f]`, with `f` the
    ///   [`vae_scale_factor`](AutoencoderKLConfig::vae_scale_factor)
    ///
    /// # Panics
    ///
    /// If the channels are not the config's.
    #[must_use]
    pub fn encode(&self, rgb: Tensor<4>) -> Tensor<4> {
        self.encode_observed(rgb, &mut |_, _| ())
    }

    /// As [`Self::encode`], by parts.
    ///
    /// # Panics
    ///
    /// If the channels are not the config's, or [`VaeOptions::check`] fails.
    #[must_use]
    pub fn encode_with(&self, rgb: Tensor<4>, options: VaeOptions) -> Tensor<4> {
        let factor = self.config.vae_scale_factor();
        let tiles = |tiling: Tiling| tiling.encoding(factor);
        options.run(rgb, tiles, |rgb| self.encode(rgb))
    }

    /// As [`Self::encode`], showing `observe` the output of each layer with its name, which is that of its weights:
    /// `encoder.down_blocks.0.resnets.1`.
    ///
    /// # Panics
    ///
    /// As [`Self::encode`].
    #[must_use]
    pub fn encode_observed(
        &self,
        rgb: Tensor<4>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        assert_shape!(rgb, [_, self.config.in_channels, _, _]);
        let outside = rgb.dtype();
        let mut moments = self.encoder.forward(
            rgb.cast(self.inside()),
            &mut |layer: Arguments<'_>, x: &Tensor<4>| {
                observe(format_args!("encoder.{layer}"), x);
            },
        );
        if let Some(conv) = &self.quant_conv {
            moments = conv.forward(moments);
            observe(format_args!("quant_conv"), &moments);
        }
        // The means, and the logarithms of the variances after them.
        moments
            .narrow(1, 0, self.config.latent_channels)
            .cast(outside)
    }

    /// The picture of *unscaled* latents: divide those of the U-Net by the config's `scaling_factor` first.
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
        self.decode_observed(latents, &mut |_, _| ())
    }

    /// As [`Self::decode`], by parts.
    ///
    /// # Panics
    ///
    /// If the channels are not the config's, or [`VaeOptions::check`] fails.
    #[must_use]
    pub fn decode_with(&self, latents: Tensor<4>, options: VaeOptions) -> Tensor<4> {
        let factor = self.config.vae_scale_factor();
        let tiles = |tiling: Tiling| tiling.decoding(factor);
        options.run(latents, tiles, |latents| self.decode(latents))
    }

    /// As [`Self::decode`], showing `observe` the output of each layer with its name, which is that of its weights:
    /// `decoder.up_blocks.0.resnets.1`.
    ///
    /// # Panics
    ///
    /// As [`Self::decode`].
    #[must_use]
    pub fn decode_observed(
        &self,
        latents: Tensor<4>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        assert_shape!(latents, [_, self.config.latent_channels, _, _]);
        let outside = latents.dtype();
        let mut x = latents.cast(self.inside());
        if let Some(conv) = &self.post_quant_conv {
            x = conv.forward(x);
            observe(format_args!("post_quant_conv"), &x);
        }
        let x = self
            .decoder
            .forward(x, &mut |layer: Arguments<'_>, x: &Tensor<4>| {
                observe(format_args!("decoder.{layer}"), x);
            });
        x.cast(outside)
    }

    /// The first layer whose output holds a NaN or an infinity while these latents are decoded, or none.
    ///
    /// For the message after a picture that is not finite: it decodes again and reads every layer's output back. Latents
    /// that are not finite themselves are named `latents`.
    ///
    /// # Panics
    ///
    /// As [`Self::decode`].
    #[must_use]
    pub fn first_non_finite(&self, latents: Tensor<4>) -> Option<String> {
        first_non_finite(latents, |latents, observe| {
            self.decode_observed(latents, &mut |layer, x| observe(layer, x))
        })
    }

    /// The float type of the weights, in which the layers compute.
    fn inside(&self) -> DType {
        self.encoder.dtype()
    }
}

/// The first layer that `decode` shows an output of that is not finite; latents that are not are named `latents`.
pub(crate) fn first_non_finite(
    latents: Tensor<4>,
    decode: impl FnOnce(Tensor<4>, &mut dyn FnMut(Arguments<'_>, &Tensor<4>)) -> Tensor<4>,
) -> Option<String> {
    if !ops::is_finite(&latents) {
        return Some("latents".to_owned());
    }
    let mut first = None;
    let _ = decode(latents, &mut |layer, x| {
        if first.is_none() && !ops::is_finite(x) {
            first = Some(layer.to_string());
        }
    });
    first
}
