//! From a picture to the moments of its posterior.

use std::fmt::Arguments;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::AutoencoderKLConfig;
use super::blocks::{DownEncoderBlock2D, UNetMidBlock2D, norm};
use crate::layers::{Conv2d, Conv2dConfig, GroupNorm, ops};

/// The half that goes from pixels to latents.
#[derive(Module, Debug)]
pub(super) struct Encoder {
    conv_in: Conv2d,
    down_blocks: Vec<DownEncoderBlock2D>,
    mid_block: UNetMidBlock2D,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Encoder {
    pub(super) fn new(config: &AutoencoderKLConfig, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let last = channels.len() - 1;
        let lowest = config.lowest_channels();
        Self {
            conv_in: Conv2dConfig::same(config.in_channels, channels[0], 3).init(device),
            down_blocks: (0..=last)
                .map(|i| {
                    let from = channels[i.saturating_sub(1)];
                    DownEncoderBlock2D::new(config, [from, channels[i]], i == last, device)
                })
                .collect(),
            mid_block: UNetMidBlock2D::new(config, device),
            conv_norm_out: norm(config, lowest).init(device),
            // Of each latent a mean and a variance.
            conv_out: Conv2dConfig::same(lowest, 2 * config.latent_channels, 3).init(device),
        }
    }

    /// # Shapes
    ///
    /// - rgb: `[batch, in_channels, height, width]`
    /// - output: `[batch, 2 * latent_channels, height / 8, width / 8]`
    pub(super) fn forward(
        &self,
        rgb: Tensor<4>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        let mut x = self.conv_in.forward(rgb);
        observe(format_args!("conv_in"), &x);
        for (i, block) in self.down_blocks.iter().enumerate() {
            x = block.forward(x, &mut |layer: Arguments<'_>, x: &Tensor<4>| {
                observe(format_args!("down_blocks.{i}.{layer}"), x);
            });
        }
        let x = self
            .mid_block
            .forward(x, &mut |layer: Arguments<'_>, x: &Tensor<4>| {
                observe(format_args!("mid_block.{layer}"), x);
            });
        let x = self.conv_out.forward(self.conv_norm_out.forward_silu(x));
        observe(format_args!("conv_out"), &x);
        x
    }

    /// The float type of the weights.
    pub(super) fn dtype(&self) -> DType {
        ops::compute_dtype(&self.conv_in.weight.val())
    }
}
