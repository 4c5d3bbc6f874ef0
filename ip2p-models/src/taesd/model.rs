//! The model as a whole.

use std::fmt::Arguments;

use burn::module::Module;
use burn::nn::Relu;
use burn::tensor::{DType, Device, Tensor, assert_shape};

use super::AutoencoderTinyConfig;
use super::layers::TinyLayer;
use crate::layers::ops;
use crate::vae::{Tiling, VaeOptions, first_non_finite};

/// Turns pictures into latents of the U-Net's scale and back, fast and roughly.
#[derive(Module, Debug)]
pub struct AutoencoderTiny {
    encoder: EncoderTiny,
    decoder: DecoderTiny,
    #[module(skip)]
    config: AutoencoderTinyConfig,
}

impl AutoencoderTiny {
    pub(super) fn new(config: &AutoencoderTinyConfig, device: &Device) -> Self {
        Self {
            encoder: EncoderTiny::new(config, device),
            decoder: DecoderTiny::new(config, device),
            config: config.clone(),
        }
    }

    /// The shape of this model.
    #[must_use]
    pub fn config(&self) -> &AutoencoderTinyConfig {
        &self.config
    }

    /// The latents of a picture, *scaled*: what the U-Net works on, if the config's `scaling_factor` is 1.
    ///
    /// The picture may be of another float type than the weights; the latents have that of the picture.
    ///
    /// # Shapes
    ///
    /// - rgb: `[batch, in_channels, height, width]`, values in `[-1, 1]`
    /// - output: `[batch, latent_channels, height / f, width / f]`, with `f` the
    ///   [`vae_scale_factor`](AutoencoderTinyConfig::vae_scale_factor)
    ///
    /// # Panics
    ///
    /// If the channels are not the config's.
    #[must_use]
    pub fn encode(&self, rgb: Tensor<4>) -> Tensor<4> {
        assert_shape!(rgb, [_, self.config.in_channels, _, _]);
        let outside = rgb.dtype();
        self.encoder.forward(rgb.cast(self.inside())).cast(outside)
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

    /// The picture of latents, *scaled* as the U-Net works on them, if the config's `scaling_factor` is 1.
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

    /// As [`Self::decode`], showing `observe` the output of each layer with its name, which is that of its weights if it
    /// has any: `decoder.layers.3`.
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
        self.decoder
            .forward(latents.cast(self.inside()), observe)
            .cast(outside)
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

    /// The float type of the weights, in which the layers compute.
    fn inside(&self) -> DType {
        match &self.encoder.layers[0] {
            TinyLayer::Conv(conv) => ops::compute_dtype(&conv.weight.val()),
            _ => unreachable!("the first layer is a convolution"),
        }
    }
}

#[derive(Module, Debug)]
struct EncoderTiny {
    layers: Vec<TinyLayer>,
}

impl EncoderTiny {
    fn new(config: &AutoencoderTinyConfig, device: &Device) -> Self {
        let channels = config.encoder_block_out_channels[0];
        let mut layers = Vec::new();
        for (stage, &blocks) in config.num_encoder_blocks.iter().enumerate() {
            layers.push(match stage {
                0 => TinyLayer::conv([config.in_channels, channels], device),
                _ => TinyLayer::downsample(channels, device),
            });
            layers.extend((0..blocks).map(|_| TinyLayer::block(channels, device)));
        }
        layers.push(TinyLayer::conv([channels, config.latent_channels], device));
        Self { layers }
    }

    fn forward(&self, rgb: Tensor<4>) -> Tensor<4> {
        // TAESD sees pictures in 0 to 1.
        let rgb = (rgb + 1.0) / 2.0;
        self.layers.iter().fold(rgb, |x, layer| layer.forward(x))
    }
}

#[derive(Module, Debug)]
struct DecoderTiny {
    layers: Vec<TinyLayer>,
}

impl DecoderTiny {
    fn new(config: &AutoencoderTinyConfig, device: &Device) -> Self {
        let channels = config.decoder_block_out_channels[0];
        let mut layers = vec![
            TinyLayer::conv([config.latent_channels, channels], device),
            TinyLayer::Relu(Relu::new()),
        ];
        let last = config.num_decoder_blocks.len() - 1;
        for (stage, &blocks) in config.num_decoder_blocks.iter().enumerate() {
            layers.extend((0..blocks).map(|_| TinyLayer::block(channels, device)));
            if stage == last {
                layers.push(TinyLayer::conv([channels, config.out_channels], device));
            } else {
                layers.push(TinyLayer::upsample());
                layers.push(TinyLayer::conv_without_bias(channels, device));
            }
        }
        Self { layers }
    }

    fn forward(
        &self,
        latents: Tensor<4>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        // Latents further out than TAESD has seen would burn out: fold them into -3 to 3.
        let mut x = (latents / 3.0).tanh() * 3.0;
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x);
            observe(format_args!("decoder.layers.{index}"), &x);
        }
        x * 2.0 - 1.0
    }
}
