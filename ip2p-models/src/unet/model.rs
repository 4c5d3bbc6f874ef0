//! The model as a whole.

use std::cell::RefCell;
use std::fmt::Arguments;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, assert_shape};

use super::addition::AddedConditions;
use super::blocks::{Conditions, DownBlock2D, MidBlock2D, UpBlock2D};
use super::conditioning::{Conditioning, TimeShifts};
use super::deep::{DeepFeatures, SHALLOW_LAYERS};
use super::{TokenAttention, UNet2DConditionConfig};
use crate::layers::{
    Conv2d, Conv2dConfig, GroupNorm, GroupNormConfig, TimestepEmbedding, TimestepEmbeddingConfig,
    Timesteps, ops,
};

/// What a pass does beside predicting.
pub(super) enum Mode<'a> {
    /// Nothing.
    Plain,
    /// It has a look at what the pictures attend to in their contexts.
    Attended(&'a RefCell<TokenAttention>),
    /// It keeps its deep features.
    Keeping(&'a mut Option<DeepFeatures>),
    /// It takes the deep features of another pass, and runs the layers around them alone.
    Shallow(&'a DeepFeatures),
}

/// What the blocks are told in a pass.
struct Told<'a> {
    conditioning: &'a Conditioning,
    shifts: &'a TimeShifts,
    /// What looks at the attention to the context, if anything does, and at which level.
    watch: Option<(&'a RefCell<TokenAttention>, Option<usize>)>,
}

impl<'a> Told<'a> {
    fn down(&self, level: usize) -> Conditions<'a> {
        Conditions {
            shifts: &self.shifts.down[level],
            contexts: &self.conditioning.contexts.down[level],
            watch: self.watch_at(level),
        }
    }

    fn mid(&self) -> Conditions<'a> {
        Conditions {
            shifts: &self.shifts.mid,
            contexts: &self.conditioning.contexts.mid,
            watch: self.watch_at(self.shifts.down.len() - 1),
        }
    }

    /// The block of this number, counted from the lowest level.
    fn up(&self, block: usize) -> Conditions<'a> {
        Conditions {
            shifts: &self.shifts.up[block],
            contexts: &self.conditioning.contexts.up[block],
            watch: self.watch_at(self.shifts.up.len() - 1 - block),
        }
    }

    fn watch_at(&self, level: usize) -> Option<&'a RefCell<TokenAttention>> {
        let (watch, watched) = self.watch?;
        (watched == Some(level)).then_some(watch)
    }
}

/// Predicts, from noisy latents, a timestep and a context, what the sampler is to take away.
///
/// Made by [`UNet2DConditionConfig::init`].
#[derive(Module, Debug)]
pub struct UNet2DConditionModel {
    pub(super) conv_in: Conv2d,
    #[module(skip)]
    time_proj: Timesteps,
    time_embedding: TimestepEmbedding,
    #[module(skip)]
    add_time_proj: Option<Timesteps>,
    /// Of what is added to the time embedding, if anything is.
    add_embedding: Option<TimestepEmbedding>,
    pub(super) down_blocks: Vec<DownBlock2D>,
    pub(super) mid_block: MidBlock2D,
    /// From the lowest level.
    pub(super) up_blocks: Vec<UpBlock2D>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl UNet2DConditionModel {
    pub(super) fn new(config: &UNet2DConditionConfig, device: &Device) -> Self {
        let levels = 0..config.levels.len();
        let channels = config.levels[0].channels;
        let (i, o) = (config.in_channels, config.out_channels);
        let waves = |channels| {
            Timesteps::new(channels)
                .with_flip_sin_to_cos(config.flip_sin_to_cos)
                .with_freq_shift(config.freq_shift)
        };
        Self {
            conv_in: Conv2dConfig::same(i, channels, config.conv_in_kernel).init(device),
            time_proj: waves(channels),
            time_embedding: TimestepEmbeddingConfig::new(channels, config.time_embedding_dim)
                .init(device),
            add_time_proj: config
                .addition
                .map(|addition| waves(addition.time_embed_dim)),
            add_embedding: config.addition.map(|addition| {
                TimestepEmbeddingConfig::new(addition.input_dim, config.time_embedding_dim)
                    .init(device)
            }),
            down_blocks: levels
                .clone()
                .map(|i| DownBlock2D::new(config, i, device))
                .collect(),
            mid_block: MidBlock2D::new(config, device),
            up_blocks: levels
                .rev()
                .map(|i| UpBlock2D::new(config, i, device))
                .collect(),
            conv_norm_out: GroupNormConfig::new(config.norm_num_groups, channels)
                .with_epsilon(config.norm_eps)
                .init(device),
            conv_out: Conv2dConfig::same(channels, o, config.conv_out_kernel).init(device),
        }
    }

    /// The same network with more channels coming in, of which it makes nothing yet: the weights of those that are new are
    /// zero.
    ///
    /// InstructPix2Pix begins its training so, with the four channels of the source picture; Brooks et al. (2023),
    /// <https://arxiv.org/abs/2211.09800>, section 3.2.
    ///
    /// # Panics
    ///
    /// If `in_channels` is not more than it takes.
    #[must_use]
    pub fn widened(self, in_channels: usize) -> Self {
        Self {
            conv_in: self.conv_in.widened(in_channels),
            ..self
        }
    }

    /// Predicts.
    ///
    /// The latents may have any size: where a level has an odd one, the way up comes back to it. Latents and context
    /// may be of another float type than the weights; the prediction has that of the latents.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, in_channels, height, width]`
    /// - timestep: `[batch]`, or `[1]` for all; from 0 to 1000, fractions allowed, in `f32`
    /// - context: `[batch, context_tokens, cross_attention_dim]`
    /// - output: `[batch, out_channels, height, width]`
    ///
    /// # Panics
    ///
    /// If a shape is another, or the network takes [`AddedConditions`]: [`Self::forward_added`].
    #[must_use]
    pub fn forward(&self, x: Tensor<4>, timestep: Tensor<1>, context: Tensor<3>) -> Tensor<4> {
        self.forward_observed(x, timestep, context, &mut |_, _| ())
    }

    /// As [`Self::forward`], with what is added to the time embedding, where the network has such an addition.
    ///
    /// # Panics
    ///
    /// If a shape is another, or there is an addition that the network does not take, or none where it takes one.
    #[must_use]
    pub fn forward_added(
        &self,
        x: Tensor<4>,
        timestep: Tensor<1>,
        context: Tensor<3>,
        added: Option<&AddedConditions>,
    ) -> Tensor<4> {
        self.forward_added_observed(x, timestep, context, added, &mut |_, _| ())
    }

    /// Predicts, and shows `observe` the output of each layer with its name, which is that of its weights:
    /// `down_blocks.0.resnets.1`.
    ///
    /// `time_embedding` is shown as `[batch, time_embedding_dim, 1, 1]`.
    ///
    /// # Panics
    ///
    /// As [`Self::forward`].
    #[must_use]
    pub fn forward_observed(
        &self,
        x: Tensor<4>,
        timestep: Tensor<1>,
        context: Tensor<3>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        self.forward_added_observed(x, timestep, context, None, observe)
    }

    /// As [`Self::forward_observed`], with what is added to the time embedding.
    ///
    /// # Panics
    ///
    /// As [`Self::forward_added`].
    #[must_use]
    pub fn forward_added_observed(
        &self,
        x: Tensor<4>,
        timestep: Tensor<1>,
        context: Tensor<3>,
        added: Option<&AddedConditions>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        let [batch, ..] = x.dims();
        assert_shape!(context, [batch, _, _]);
        let conditioning = self.condition(context, added);
        let temb = self.time_embed(timestep);
        observe(
            format_args!("time_embedding"),
            &temb.clone().unsqueeze_dims(&[2, 3]),
        );
        let shifts = conditioning.shifts_of(self, temb);
        self.pass(x, &conditioning, &shifts, observe, Mode::Plain)
    }

    /// The level, counted from that of the latents' size, whose attentions to the context are looked at.
    fn watched_level(&self) -> Option<usize> {
        let levels = self.down_blocks.len();
        let attends = |&level: &usize| {
            let below = level + 1 == levels;
            let up = &self.up_blocks[levels - 1 - level];
            below || self.down_blocks[level].attends() || up.attends()
        };
        [1].into_iter()
            .chain(0..levels)
            .filter(|&level| level < levels)
            .find(attends)
    }

    /// The type that activations have.
    pub(super) fn inside(&self) -> DType {
        ops::compute_dtype(&self.conv_in.weight.val())
    }

    /// The time embedding, before its SiLU: `[timesteps, time_embedding_dim]`, in `f32`.
    pub(super) fn time_embed(&self, timesteps: Tensor<1>) -> Tensor<2> {
        let waves = self.time_proj.forward(timesteps);
        self.time_embedding.forward(waves)
    }

    pub(super) fn pass(
        &self,
        x: Tensor<4>,
        conditioning: &Conditioning,
        shifts: &TimeShifts,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
        mode: Mode<'_>,
    ) -> Tensor<4> {
        // Latents stay f32 in the sampler, whatever the network computes in.
        let outside = x.dtype();
        let watch = match mode {
            Mode::Attended(watch) => Some((watch, self.watched_level())),
            _ => None,
        };
        let told = Told {
            conditioning,
            shifts,
            watch,
        };

        let x = conditioning.enter(self, x.cast(self.inside()));
        let [batch, ..] = x.dims();
        observe(format_args!("conv_in"), &x);
        let mut skips = vec![x.clone()];
        let deep = match mode {
            Mode::Shallow(deep) => {
                let _ = self.down_blocks[0].layers(
                    0..1,
                    x,
                    &told.down(0),
                    &mut skips,
                    &mut |layer: Arguments<'_>, x: &Tensor<4>| {
                        observe(format_args!("down_blocks.0.{layer}"), x);
                    },
                );
                deep.check(batch)
            }
            _ => self.deep(x, &told, &mut skips, observe),
        };
        if let Mode::Keeping(kept) = mode {
            *kept = Some(DeepFeatures::new(deep.clone()));
        }
        let x = self.shallow(deep, &told, &mut skips, observe);
        let x = self.conv_out.forward(self.conv_norm_out.forward_silu(x));
        observe(format_args!("conv_out"), &x);
        x.cast(outside)
    }

    /// From what comes out of the first convolution to what goes into the last layers of the last block.
    fn deep(
        &self,
        mut x: Tensor<4>,
        told: &Told<'_>,
        skips: &mut Vec<Tensor<4>>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        let lowest = self.down_blocks.len() - 1;
        for (i, block) in self.down_blocks.iter().enumerate() {
            x = block.forward(
                x,
                &told.down(i),
                skips,
                &mut |layer: Arguments<'_>, x: &Tensor<4>| {
                    observe(format_args!("down_blocks.{i}.{layer}"), x);
                },
            );
        }
        x = self.mid_block.forward(
            x,
            &told.mid(),
            &mut |layer: Arguments<'_>, x: &Tensor<4>| {
                observe(format_args!("mid_block.{layer}"), x);
            },
        );
        for (i, block) in self.up_blocks.iter().enumerate() {
            let mut observe = |layer: Arguments<'_>, x: &Tensor<4>| {
                observe(format_args!("up_blocks.{i}.{layer}"), x);
            };
            let conditions = told.up(i);
            x = if i < lowest {
                block.forward(x, &conditions, skips, &mut observe)
            } else {
                let deep = 0..block.len() - SHALLOW_LAYERS;
                block.layers(deep, x, &conditions, skips, &mut observe)
            };
        }
        x
    }

    /// The last layers of the last block.
    fn shallow(
        &self,
        x: Tensor<4>,
        told: &Told<'_>,
        skips: &mut Vec<Tensor<4>>,
        observe: &mut impl FnMut(Arguments<'_>, &Tensor<4>),
    ) -> Tensor<4> {
        let last = self.up_blocks.len() - 1;
        let block = &self.up_blocks[last];
        let layers = block.len() - SHALLOW_LAYERS..block.len();
        block.layers(
            layers,
            x,
            &told.up(last),
            skips,
            &mut |layer: Arguments<'_>, x: &Tensor<4>| {
                observe(format_args!("up_blocks.{last}.{layer}"), x);
            },
        )
    }

    /// What is added to the time embedding, if the network takes anything.
    pub(super) fn addition(&self, added: Option<&AddedConditions>) -> Option<Tensor<2>> {
        match (&self.add_embedding, &self.add_time_proj, added) {
            (None, None, None) => None,
            (Some(embedding), Some(waves), Some(added)) => {
                Some(embedding.forward(added.waves(waves)))
            }
            (_, _, None) => panic!("the network takes what is added to the time embedding"),
            (_, _, Some(_)) => panic!("the network takes nothing beside the time"),
        }
    }
}
