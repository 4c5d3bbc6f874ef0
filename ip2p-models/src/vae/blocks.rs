//! The blocks that encoder and decoder are made of.
//!
//! `observe` is shown the output of each layer with its name, see
//! [`AutoencoderKL::decode_observed`](super::AutoencoderKL::decode_observed).

use std::fmt::Arguments;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::AutoencoderKLConfig;
use super::config::NORM_EPS;
use crate::layers::{
    Attention, AttentionConfig, Downsample2D, Downsample2DConfig, GroupNormConfig, ResnetBlock2D,
    ResnetBlock2DConfig, Upsample2D, Upsample2DConfig,
};

/// `ResNet` blocks, and a halving if another resolution follows.
#[derive(Module, Debug)]
pub(super) struct DownEncoderBlock2D {
    resnets: Vec<ResnetBlock2D>,
    /// At most one; a list because the checkpoint numbers it.
    downsamplers: Vec<Downsample2D>,
}

impl DownEncoderBlock2D {
    pub(super) fn new(
        config: &AutoencoderKLConfig,
        [from, to]: [usize; 2],
        is_last: bool,
        device: &Device,
    ) -> Self {
        let downsampler = || Downsample2DConfig::new(to).with_padding(0).init(device);
        Self {
            resnets: resnets(config, [from, to], config.layers_per_block, device),
            downsamplers: (!is_last).then(downsampler).into_iter().collect(),
        }
    }

    /// # Shapes
    ///
    /// - x: `[batch, from, height, width]`
    /// - output: `[batch, to, height / 2, width / 2]`, or as high and wide as `x` in the last block
    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, None);
            observe(format_args!("resnets.{i}"), &x);
        }
        for downsampler in &self.downsamplers {
            x = downsampler.forward(x);
            observe(format_args!("downsamplers.0"), &x);
        }
        x
    }
}

/// `ResNet` blocks, and a doubling if another resolution follows.
#[derive(Module, Debug)]
pub(super) struct UpDecoderBlock2D {
    resnets: Vec<ResnetBlock2D>,
    /// At most one; a list because the checkpoint numbers it.
    upsamplers: Vec<Upsample2D>,
}

impl UpDecoderBlock2D {
    pub(super) fn new(
        config: &AutoencoderKLConfig,
        [from, to]: [usize; 2],
        is_last: bool,
        device: &Device,
    ) -> Self {
        let upsampler = || Upsample2DConfig::new(to).init(device);
        Self {
            resnets: resnets(config, [from, to], config.layers_per_block + 1, device),
            upsamplers: (!is_last).then(upsampler).into_iter().collect(),
        }
    }

    /// # Shapes
    ///
    /// - x: `[batch, from, height, width]`
    /// - output: `[batch, to, 2 * height, 2 * width]`, or as high and wide as `x` in the last block
    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, None);
            observe(format_args!("resnets.{i}"), &x);
        }
        for upsampler in &self.upsamplers {
            x = upsampler.forward(x);
            observe(format_args!("upsamplers.0"), &x);
        }
        x
    }
}

/// Two `ResNet` blocks at the lowest resolution, with attention of all pixels to all between them.
#[derive(Module, Debug)]
pub(super) struct UNetMidBlock2D {
    /// At most one; a list because the checkpoint numbers it.
    attentions: Vec<Attention>,
    /// Two.
    resnets: Vec<ResnetBlock2D>,
}

impl UNetMidBlock2D {
    pub(super) fn new(config: &AutoencoderKLConfig, device: &Device) -> Self {
        let channels = config.lowest_channels();
        let attention = || {
            AttentionConfig::new(channels, 1)
                .with_bias(true)
                .with_group_norm(Some(norm(config, channels)))
                .init(device)
        };
        Self {
            attentions: config
                .mid_block_add_attention
                .then(attention)
                .into_iter()
                .collect(),
            resnets: resnets(config, [channels; 2], 2, device),
        }
    }

    /// # Shapes
    ///
    /// - x: `[batch, channels, height, width]`
    /// - output: as `x`
    pub(super) fn forward(
        &self,
        x: Tensor<4>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        let mut x = self.resnets[0].forward(x, None);
        observe(format_args!("resnets.0"), &x);
        for attention in &self.attentions {
            x = attention.forward_spatial(x);
            observe(format_args!("attentions.0"), &x);
        }
        let x = self.resnets[1].forward(x, None);
        observe(format_args!("resnets.1"), &x);
        x
    }
}

/// A group norm over `channels`.
pub(super) fn norm(config: &AutoencoderKLConfig, channels: usize) -> GroupNormConfig {
    GroupNormConfig::new(config.norm_num_groups, channels).with_epsilon(NORM_EPS)
}

fn resnets(
    config: &AutoencoderKLConfig,
    [from, to]: [usize; 2],
    count: usize,
    device: &Device,
) -> Vec<ResnetBlock2D> {
    (0..count)
        .map(|i| {
            ResnetBlock2DConfig::new(if i == 0 { from } else { to }, to)
                .with_norm_groups(config.norm_num_groups)
                .with_norm_eps(NORM_EPS)
                .init(device)
        })
        .collect()
}
