//! The blocks of each level.
//!
//! diffusers has a class for blocks with transformers and one for blocks without. Here a block without is one whose
//! list of transformers is empty: the keys of a checkpoint are the same.
//!
//! `observe` is shown the output of each layer with its name, see
//! [`UNet2DConditionModel::forward_observed`](super::UNet2DConditionModel::forward_observed).

use std::cell::RefCell;
use std::fmt::Arguments;
use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{TokenAttention, UNet2DConditionConfig, UNetLevel};
use crate::layers::{
    Downsample2D, Downsample2DConfig, ResnetBlock2D, ResnetBlock2DConfig, Transformer2DModel,
    Transformer2DModelConfig, TransformerContext, Upsample2D, Upsample2DConfig,
};

/// What the layers of a block are told in a pass.
pub(super) struct Conditions<'a> {
    /// What each of the `resnets` adds at the time.
    pub(super) shifts: &'a [Tensor<2>],
    /// The context as each of the `attentions` sees it.
    pub(super) contexts: &'a [TransformerContext],
    /// What looks at the attention to the context, if anything does.
    pub(super) watch: Option<&'a RefCell<TokenAttention>>,
}

impl Conditions<'_> {
    fn attend(&self, i: usize, transformer: &Transformer2DModel, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        transformer.forward(x, &self.contexts[i], &mut |attention, tokens, context| {
            if let Some(watch) = self.watch {
                let mut watch = watch.borrow_mut();
                watch.add(attention, tokens, context, [height, width]);
            }
        })
    }
}

/// The layers of a block that are told something.
pub(super) struct Layers<'a> {
    pub(super) resnets: &'a [ResnetBlock2D],
    pub(super) attentions: &'a [Transformer2DModel],
}

/// Gives the layers of a block.
macro_rules! layers_of {
    ($($block:ty),*) => {
        $(
            impl $block {
                pub(super) fn told(&self) -> Layers<'_> {
                    Layers {
                        resnets: &self.resnets,
                        attentions: &self.attentions,
                    }
                }
            }
        )*
    };
}

layers_of!(DownBlock2D, MidBlock2D, UpBlock2D);

/// A level on the way down.
#[derive(Module, Debug)]
pub struct DownBlock2D {
    /// As many as there are `resnets`, or none.
    attentions: Vec<Transformer2DModel>,
    resnets: Vec<ResnetBlock2D>,
    /// One, or none at the lowest level.
    downsamplers: Vec<Downsample2D>,
}

impl DownBlock2D {
    pub(super) fn attends(&self) -> bool {
        !self.attentions.is_empty()
    }

    /// The block of level `i`.
    pub(super) fn new(config: &UNet2DConditionConfig, i: usize, device: &Device) -> Self {
        let level = &config.levels[i];
        let channels = level.channels;
        let above = config.levels[i.saturating_sub(1)].channels;
        let attentions = if level.attention_down {
            level.layers
        } else {
            0
        };
        let downsamplers = usize::from(i + 1 < config.levels.len());
        Self {
            attentions: (0..attentions)
                .map(|_| transformer(config, level).init(device))
                .collect(),
            resnets: (0..level.layers)
                .map(|layer| {
                    let from = if layer == 0 { above } else { channels };
                    resnet(config, from, channels).init(device)
                })
                .collect(),
            downsamplers: (0..downsamplers)
                .map(|_| {
                    Downsample2DConfig::new(channels)
                        .with_padding(config.downsample_padding)
                        .init(device)
                })
                .collect(),
        }
    }

    /// Applies the block, and puts what the way up will join onto `skips`.
    pub(super) fn forward(
        &self,
        x: Tensor<4>,
        conditions: &Conditions<'_>,
        skips: &mut Vec<Tensor<4>>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        let mut x = self.layers(0..self.resnets.len(), x, conditions, skips, observe);
        for downsampler in &self.downsamplers {
            x = downsampler.forward(x);
            observe(format_args!("downsamplers.0"), &x);
            skips.push(x.clone());
        }
        x
    }

    /// Applies these of its layers, and not what halves the size after the last.
    pub(super) fn layers(
        &self,
        range: Range<usize>,
        mut x: Tensor<4>,
        conditions: &Conditions<'_>,
        skips: &mut Vec<Tensor<4>>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        for i in range {
            x = self.resnets[i].forward(x, Some(&conditions.shifts[i]));
            observe(format_args!("resnets.{i}"), &x);
            if let Some(attention) = self.attentions.get(i) {
                x = conditions.attend(i, attention, x);
                observe(format_args!("attentions.{i}"), &x);
            }
            skips.push(x.clone());
        }
        x
    }
}

/// The middle, at the lowest level: a transformer between two convolutional blocks.
#[derive(Module, Debug)]
pub struct MidBlock2D {
    attentions: Vec<Transformer2DModel>,
    resnets: Vec<ResnetBlock2D>,
}

impl MidBlock2D {
    pub(super) fn new(config: &UNet2DConditionConfig, device: &Device) -> Self {
        let level = config.lowest();
        let resnet = || {
            resnet(config, level.channels, level.channels)
                .with_output_scale_factor(config.mid_block_scale_factor)
                .init(device)
        };
        // Its attention is to the picture too, whatever that of the level is.
        let transformer = transformer(config, level).with_only_cross_attention(false);
        Self {
            attentions: vec![transformer.init(device)],
            resnets: vec![resnet(), resnet()],
        }
    }

    pub(super) fn forward(
        &self,
        x: Tensor<4>,
        conditions: &Conditions<'_>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        let x = self.resnets[0].forward(x, Some(&conditions.shifts[0]));
        observe(format_args!("resnets.0"), &x);
        let x = conditions.attend(0, &self.attentions[0], x);
        observe(format_args!("attentions.0"), &x);
        let x = self.resnets[1].forward(x, Some(&conditions.shifts[1]));
        observe(format_args!("resnets.1"), &x);
        x
    }
}

/// A level on the way up.
#[derive(Module, Debug)]
pub struct UpBlock2D {
    /// As many as there are `resnets`, or none.
    attentions: Vec<Transformer2DModel>,
    /// One more than on the way down: each takes one of that way's outputs, the last what came into the level.
    resnets: Vec<ResnetBlock2D>,
    /// One, or none at the size of the latents.
    upsamplers: Vec<Upsample2D>,
}

impl UpBlock2D {
    pub(super) fn attends(&self) -> bool {
        !self.attentions.is_empty()
    }

    /// The block of level `i`.
    pub(super) fn new(config: &UNet2DConditionConfig, i: usize, device: &Device) -> Self {
        let level = &config.levels[i];
        let channels = level.channels;
        let above = config.levels[i.saturating_sub(1)].channels;
        let below = config
            .levels
            .get(i + 1)
            .map_or(channels, |level| level.channels);
        let layers = level.layers + 1;
        let attentions = if level.attention_up { layers } else { 0 };
        let upsamplers = usize::from(i > 0);
        Self {
            attentions: (0..attentions)
                .map(|_| transformer(config, level).init(device))
                .collect(),
            resnets: (0..layers)
                .map(|layer| {
                    let from = if layer == 0 { below } else { channels };
                    let skip = if layer + 1 == layers { above } else { channels };
                    resnet(config, from + skip, channels).init(device)
                })
                .collect(),
            upsamplers: (0..upsamplers)
                .map(|_| Upsample2DConfig::new(channels).init(device))
                .collect(),
        }
    }

    /// How many layers it has: a convolutional block each, and the transformer after it, if there is one.
    pub(super) fn len(&self) -> usize {
        self.resnets.len()
    }

    /// Applies the block to `x` and the last of `skips`, which it takes away.
    pub(super) fn forward(
        &self,
        x: Tensor<4>,
        conditions: &Conditions<'_>,
        skips: &mut Vec<Tensor<4>>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        let mut x = self.layers(0..self.len(), x, conditions, skips, observe);
        for upsampler in &self.upsamplers {
            // Twice the size, or one less where it was odd before it was halved.
            let skip = skips
                .last()
                .expect("the levels above have not been joined yet");
            let [_, _, height, width] = skip.dims();
            x = upsampler.forward_to(x, [height, width]);
            observe(format_args!("upsamplers.0"), &x);
        }
        x
    }

    /// Applies these of its layers, and not what doubles the size after the last.
    pub(super) fn layers(
        &self,
        range: Range<usize>,
        mut x: Tensor<4>,
        conditions: &Conditions<'_>,
        skips: &mut Vec<Tensor<4>>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        for i in range {
            let skip = skips.pop().expect("the way down left one for each resnet");
            x = self.resnets[i].forward(Tensor::cat(vec![x, skip], 1), Some(&conditions.shifts[i]));
            observe(format_args!("resnets.{i}"), &x);
            if let Some(attention) = self.attentions.get(i) {
                x = conditions.attend(i, attention, x);
                observe(format_args!("attentions.{i}"), &x);
            }
        }
        x
    }
}

fn resnet(config: &UNet2DConditionConfig, from: usize, to: usize) -> ResnetBlock2DConfig {
    ResnetBlock2DConfig::new(from, to)
        .with_time_embed_dim(Some(config.time_embedding_dim))
        .with_norm_groups(config.norm_num_groups)
        .with_norm_eps(config.norm_eps)
}

fn transformer(config: &UNet2DConditionConfig, level: &UNetLevel) -> Transformer2DModelConfig {
    Transformer2DModelConfig::new(level.channels, level.heads, config.cross_attention_dim)
        .with_num_layers(level.transformer_layers)
        .with_norm_groups(config.norm_num_groups)
        .with_use_linear_projection(config.use_linear_projection)
        .with_only_cross_attention(level.only_cross_attention)
}
