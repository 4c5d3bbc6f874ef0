//! From latents to a picture.

use std::fmt::Arguments;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::AutoencoderKLConfig;
use super::blocks::{UNetMidBlock2D, UpDecoderBlock2D, norm};
use crate::layers::{Conv2d, Conv2dConfig, GroupNorm};

/// The half that goes from latents to pixels.
#[derive(Module, Debug)]
pub(super) struct Decoder {
    conv_in: Conv2d,
    up_blocks: Vec<UpDecoderBlock2D>,
    mid_block: UNetMidBlock2D,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    pub(super) fn new(config: &AutoencoderKLConfig, device: &Device) -> Self {
        let channels: Vec<_> = config.block_out_channels.iter().copied().rev().collect();
        let last = channels.len() - 1;
        Self {
            conv_in: Conv2dConfig::same(config.latent_channels, channels[0], 3).init(device),
            up_blocks: (0..=last)
                .map(|i| {
                    let from = channels[i.saturating_sub(1)];
                    UpDecoderBlock2D::new(config, [from, channels[i]], i == last, device)
                })
                .collect(),
            mid_block: UNetMidBlock2D::new(config, device),
            conv_norm_out: norm(config, channels[last]).init(device),
            conv_out: Conv2dConfig::same(channels[last], config.out_channels, 3).init(device),
        }
    }

    /// # Shapes
    ///
    /// - latents: `[batch, latent_channels, height / 8, width / 8]`
    /// - output: `[batch, out_channels, height, width]`
    pub(super) fn forward(
        &self,
        latents: Tensor<4>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        let x = self.conv_in.forward(latents);
        observe(format_args!("conv_in"), &x);
        let mut x = self
            .mid_block
            .forward(x, &mut |layer: Arguments<'_>, x: &Tensor<4>| {
                observe(format_args!("mid_block.{layer}"), x);
            });
        for (i, block) in self.up_blocks.iter().enumerate() {
            x = block.forward(x, &mut |layer: Arguments<'_>, x: &Tensor<4>| {
                observe(format_args!("up_blocks.{i}.{layer}"), x);
            });
        }
        let x = self.conv_out.forward(self.conv_norm_out.forward_silu(x));
        observe(format_args!("conv_out"), &x);
        x
    }
}
