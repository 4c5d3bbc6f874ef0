//! What the layers of the U-Net are told, computed once for all passes that are told the same.

use std::cell::RefCell;

use burn::tensor::{DType, Tensor, TensorData, assert_shape};

use super::blocks::Layers;
use super::model::Mode;
use super::{AddedConditions, TokenAttention, UNet2DConditionModel};
use crate::layers::{TransformerContext, ops};

/// What is told to each layer of each block.
#[derive(Debug, Clone)]
pub(super) struct PerBlock<T> {
    pub(super) down: Vec<Vec<T>>,
    pub(super) mid: Vec<T>,
    pub(super) up: Vec<Vec<T>>,
}

impl<T> PerBlock<T> {
    /// The same of what `of` makes of each.
    fn map<U>(&self, of: impl Fn(&T) -> U) -> PerBlock<U> {
        let block = |layers: &Vec<T>| layers.iter().map(&of).collect();
        PerBlock {
            down: self.down.iter().map(block).collect(),
            mid: block(&self.mid),
            up: self.up.iter().map(block).collect(),
        }
    }
}

/// What each convolutional block adds to its channels at a time: `[batch, channels]`, or `[1, channels]` for all.
pub(super) type TimeShifts = PerBlock<Tensor<2>>;

/// What a U-Net is told of a batch beside the noisy latents and the time, in the form that its layers take.
///
/// The steps of an edit differ in latents and time alone: the text's keys and values, the first convolution of the source
/// picture and the embedding of the timesteps are computed here, once. Made by [`UNet2DConditionModel::condition`], and of
/// use to that network alone.
#[derive(Debug, Clone)]
pub struct Conditioning {
    batch: usize,
    pub(super) contexts: PerBlock<TransformerContext>,
    /// What the first convolution makes of the source's latents: `[batch, channels, height, width]`.
    source: Option<Tensor<4>>,
    /// What is added to the time embedding, if anything is: `[batch, time_embedding_dim]`.
    added: Option<Tensor<2>>,
    /// Those of the timesteps that were told beforehand.
    times: Vec<(f64, TimeShifts)>,
}

impl UNet2DConditionModel {
    /// Computes what the layers take of the contexts, and of what is added to the time embedding.
    ///
    /// # Shapes
    ///
    /// - context: `[batch, context_tokens, cross_attention_dim]`
    ///
    /// # Panics
    ///
    /// As [`Self::forward_added`].
    #[must_use]
    pub fn condition(&self, context: Tensor<3>, added: Option<&AddedConditions>) -> Conditioning {
        let [batch, ..] = context.dims();
        let context = context.cast(self.inside());
        let added = self.addition(added);
        if let Some(added) = &added {
            assert_shape!(added, [batch, _]);
        }
        Conditioning {
            batch,
            contexts: self.per_block(|layers: Layers<'_>| {
                let attentions = layers.attentions.iter();
                attentions.map(|layer| layer.context(&context)).collect()
            }),
            source: None,
            added,
            times: Vec::new(),
        }
    }

    /// As [`Self::forward_added`], for passes that differ in latents and time alone: what else they are told is computed
    /// beforehand.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, channels, height, width]`, without the channels of the source's latents if `conditioning` has those; or
    ///   the latents of an equal part of the batch, which stand for each part
    /// - timestep: of all rows, from 0 to 1000, fractions allowed
    /// - output: `[batch, out_channels, height, width]`
    ///
    /// # Panics
    ///
    /// If a shape is another, or `conditioning` is another network's.
    #[must_use]
    pub fn forward_conditioned(
        &self,
        x: Tensor<4>,
        timestep: f64,
        conditioning: &Conditioning,
    ) -> Tensor<4> {
        self.pass_at(x, timestep, conditioning, Mode::Plain)
    }

    /// As [`Self::forward_conditioned`], and has a look at what the pictures attend to in their contexts.
    ///
    /// Looked at are the attentions to the context where the picture has half the latents' size; where there are none, those
    /// of the largest size that has some. What is predicted is the same; the look costs a few small products.
    ///
    /// # Panics
    ///
    /// As [`Self::forward_conditioned`].
    #[must_use]
    pub fn forward_attended(
        &self,
        x: Tensor<4>,
        timestep: f64,
        conditioning: &Conditioning,
        attention: &mut TokenAttention,
    ) -> Tensor<4> {
        let watch = RefCell::new(attention.clone());
        let output = self.pass_at(x, timestep, conditioning, Mode::Attended(&watch));
        *attention = watch.into_inner();
        output
    }

    /// A pass at one time.
    pub(super) fn pass_at(
        &self,
        x: Tensor<4>,
        timestep: f64,
        conditioning: &Conditioning,
        mode: Mode<'_>,
    ) -> Tensor<4> {
        let shifts = conditioning.shifts(self, timestep);
        self.pass(x, conditioning, &shifts, &mut |_, _| (), mode)
    }

    /// What the convolutional blocks add where the time embedding is this, before its SiLU: `[rows, time_embedding_dim]`.
    pub(super) fn time_shifts(&self, temb: Tensor<2>) -> TimeShifts {
        let temb = ops::silu(temb).cast(self.inside());
        self.per_block(|layers: Layers<'_>| {
            let resnets = layers.resnets.iter();
            resnets.map(|layer| layer.time_shift(&temb)).collect()
        })
    }

    fn per_block<T>(&self, of: impl Fn(Layers<'_>) -> Vec<T>) -> PerBlock<T> {
        PerBlock {
            down: self.down_blocks.iter().map(|b| of(b.told())).collect(),
            mid: of(self.mid_block.told()),
            up: self.up_blocks.iter().map(|b| of(b.told())).collect(),
        }
    }
}

impl Conditioning {
    /// Adds the source picture's latents, the last channels of what goes into the network: passes are then over the noisy
    /// latents alone.
    ///
    /// # Shapes
    ///
    /// - source: `[batch, source_channels, height, width]`
    ///
    /// # Panics
    ///
    /// If the batch is another than the contexts'.
    #[must_use]
    pub fn with_source(self, unet: &UNet2DConditionModel, source: Tensor<4>) -> Self {
        assert_shape!(source, [self.batch, _, _, _]);
        let source = unet.conv_in.forward_rest(source.cast(unet.inside()));
        Self {
            source: Some(source),
            ..self
        }
    }

    /// Adds timesteps that are known beforehand: those of all steps in one product. Passes at others compute their own.
    #[must_use]
    pub fn with_timesteps(mut self, unet: &UNet2DConditionModel, timesteps: &[f64]) -> Self {
        if timesteps.is_empty() {
            return self;
        }
        let all = self.shifts_at(unet, timesteps);
        let at = |i: usize| {
            all.map(|shifts| {
                let rows = shifts.dims()[0] / timesteps.len();
                shifts.clone().narrow(0, i * rows, rows)
            })
        };
        self.times = timesteps.iter().copied().zip((0..).map(at)).collect();
        self
    }

    /// What the convolutional blocks add at these times, one after the other: at each for all rows of the batch together, or
    /// for each row.
    fn shifts_at(&self, unet: &UNet2DConditionModel, timesteps: &[f64]) -> TimeShifts {
        let device = unet.conv_in.weight.val().device();
        let timesteps = Tensor::from_data(TensorData::from(timesteps), (&device, DType::F32));
        let temb = unet.time_embed(timesteps);
        unet.time_shifts(match &self.added {
            None => temb,
            Some(added) => {
                let [_, width] = added.dims();
                let each = temb.unsqueeze_dim::<3>(1) + added.clone().unsqueeze_dim(0);
                each.reshape([-1, i32::try_from(width).expect("a network's width")])
            }
        })
    }

    /// What the convolutional blocks add at one time.
    pub(super) fn shifts(&self, unet: &UNet2DConditionModel, timestep: f64) -> TimeShifts {
        let mut known = self.times.iter();
        if let Some((_, shifts)) = known.find(|(known, _)| *known == timestep) {
            return shifts.clone();
        }
        self.shifts_at(unet, &[timestep])
    }

    /// What the convolutional blocks add where each row has a time of its own, or all one: `[batch, time_embedding_dim]` or
    /// `[1, time_embedding_dim]`.
    pub(super) fn shifts_of(&self, unet: &UNet2DConditionModel, temb: Tensor<2>) -> TimeShifts {
        unet.time_shifts(match &self.added {
            None => temb,
            Some(added) => temb + added.clone(),
        })
    }

    /// What the first convolution makes of the latents: those of the whole batch, or of an equal part of it that stands for
    /// each part.
    pub(super) fn enter(&self, unet: &UNet2DConditionModel, x: Tensor<4>) -> Tensor<4> {
        let [images, ..] = x.dims();
        let parts = self.batch / images;
        assert_eq!(parts * images, self.batch, "equal parts of the batch");
        let Some(source) = &self.source else {
            let x = unet.conv_in.forward(x);
            return if parts == 1 {
                x
            } else {
                x.repeat_dim(0, parts)
            };
        };
        let x = unet.conv_in.forward_first(x);
        let [_, channels, height, width] = x.dims();
        let each = [parts, images * channels, height * width];
        let x = source.clone().reshape(each) + x.reshape([1, each[1], each[2]]);
        x.reshape([self.batch, channels, height, width])
    }
}
