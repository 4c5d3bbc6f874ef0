//! The model with the projection that CLIP is trained with.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor};

use super::CLIPTextConfig;
use super::model::CLIPTextTransformer;
use crate::layers::ops;

/// What older configs say the end of a sentence to be, which it is not.
const WRONG_EOS: i64 = 2;

/// A text encoder with a projection of the pooled state: the second one of Stable Diffusion XL, OpenCLIP's ViT-bigG/14;
/// transformers' class of the same name.
///
/// Made by [`CLIPTextConfig::init_with_projection`].
#[derive(Module, Debug)]
pub struct CLIPTextModelWithProjection {
    pub(super) text_model: CLIPTextTransformer,
    text_projection: Linear,
    eos_token_id: i64,
    /// The tokens that it was trained with; those beyond were added.
    vocab_size: usize,
}

/// What the model makes of sentences.
#[derive(Debug, Clone)]
pub struct ProjectedStates {
    /// The state before the last layer, without the final norm: `[batch, tokens, hidden_size]`.
    pub penultimate: Tensor<3>,
    /// The state after the last layer and the final norm: `[batch, tokens, hidden_size]`.
    pub last: Tensor<3>,
    /// The projected pooled state, that of each sentence's first end in `last`: `[batch, projection_dim]`.
    pub pooled: Tensor<2>,
}

impl CLIPTextModelWithProjection {
    pub(super) fn new(config: &CLIPTextConfig, device: &Device) -> Self {
        let projection = LinearConfig::new(config.hidden_size, config.projection_dim);
        Self {
            text_model: CLIPTextTransformer::new(config, device),
            text_projection: projection.with_bias(false).init(device),
            eos_token_id: config.eos_token_id,
            vocab_size: config.vocab_size,
        }
    }

    /// The states of sentences.
    ///
    /// # Shapes
    ///
    /// - ids: `[batch, tokens]`, each below `vocab_size`
    ///
    /// # Panics
    ///
    /// If there are more tokens than `max_position_embeddings`.
    #[must_use]
    pub fn forward(&self, ids: Tensor<2, Int>) -> ProjectedStates {
        let penultimate = self.text_model.penultimate(ids.clone());
        let last = self.text_model.last_of(penultimate.clone());
        let [batch, _, width] = last.dims();
        let ends = self
            .ends(ids)
            .reshape([batch, 1, 1])
            .expand([batch, 1, width]);
        let pooled: Tensor<3> = last.clone().gather(1, ends);
        let projected: Tensor<3> = ops::linear(&self.text_projection, pooled);
        ProjectedStates {
            penultimate,
            last,
            pooled: projected.squeeze_dim(1),
        }
    }

    /// Where each sentence ends: `[batch, 1]`. One without an end has it at its start, as in transformers.
    fn ends(&self, ids: Tensor<2, Int>) -> Tensor<2, Int> {
        let [batch, tokens] = ids.dims();
        let device = ids.device();
        let is_end = if self.eos_token_id == WRONG_EOS {
            let added = i64::try_from(self.vocab_size).expect("a vocabulary fits in memory");
            let is_added = ids.clone().greater_equal_elem(added);
            let ids = ids.mask_fill(is_added, 0);
            let highest = ids.clone().max_dim(1).expand([batch, tokens]);
            ids.equal(highest)
        } else {
            ids.equal_elem(self.eos_token_id)
        };
        // Backends differ in which of several equal numbers is the largest: so the first is the least of the places.
        let nowhere = i64::try_from(tokens).expect("a sentence is short");
        let places = Tensor::<1, Int>::arange(0..nowhere, &device).unsqueeze::<2>();
        let places = places.expand([batch, tokens]);
        let first = places.mask_fill(is_end.bool_not(), nowhere).min_dim(1);
        let is_nowhere = first.clone().equal_elem(nowhere);
        first.mask_fill(is_nowhere, 0)
    }
}
