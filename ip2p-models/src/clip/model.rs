//! The model as a whole.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use super::CLIPTextConfig;
use super::embeddings::CLIPTextEmbeddings;
use super::encoder::{CLIPEncoder, layer_norm};
use crate::layers::LayerNorm;

/// Turns a sentence's token ids into the context that the U-Net attends to.
///
/// The tensors are named as in the files on the hub, `text_model.embeddings.token_embedding.weight` and so on;
/// transformers 5 writes the same names without `text_model.`.
#[derive(Module, Debug)]
pub struct CLIPTextModel {
    pub(super) text_model: CLIPTextTransformer,
}

/// All of the model; a level of its own because the names of the weights have one.
#[derive(Module, Debug)]
pub(super) struct CLIPTextTransformer {
    pub(super) embeddings: CLIPTextEmbeddings,
    encoder: CLIPEncoder,
    final_layer_norm: LayerNorm,
}

impl CLIPTextTransformer {
    pub(super) fn new(config: &CLIPTextConfig, device: &Device) -> Self {
        Self {
            embeddings: CLIPTextEmbeddings::new(config, device),
            encoder: CLIPEncoder::new(config, device),
            final_layer_norm: layer_norm(config, device),
        }
    }

    /// The state after all layers but the last.
    pub(super) fn penultimate(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let layers = &self.encoder.layers;
        let before_last = layers
            .split_last()
            .map_or(&layers[..], |(_, before)| before);
        let x = self.embeddings.forward(ids);
        before_last.iter().fold(x, |x, layer| layer.forward(x))
    }

    /// The last hidden state after the final norm, from the one before the last layer.
    pub(super) fn last_of(&self, penultimate: Tensor<3>) -> Tensor<3> {
        let x = match self.encoder.layers.last() {
            Some(layer) => layer.forward(penultimate),
            None => penultimate,
        };
        self.final_layer_norm.forward(x)
    }
}

impl CLIPTextModel {
    pub(super) fn new(config: &CLIPTextConfig, device: &Device) -> Self {
        Self {
            text_model: CLIPTextTransformer::new(config, device),
        }
    }

    /// The last hidden state after the final layer norm.
    ///
    /// # Shapes
    ///
    /// - ids: `[batch, tokens]`, each below `vocab_size`
    /// - output: `[batch, tokens, hidden_size]`
    ///
    /// # Panics
    ///
    /// If there are more tokens than `max_position_embeddings`.
    #[must_use]
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let penultimate = self.text_model.penultimate(ids);
        self.text_model.last_of(penultimate)
    }

    /// The state before the last layer, without the final norm: `hidden_states[-2]` in transformers.
    ///
    /// # Shapes
    ///
    /// - ids: `[batch, tokens]`, each below `vocab_size`
    /// - output: `[batch, tokens, hidden_size]`
    ///
    /// # Panics
    ///
    /// If there are more tokens than `max_position_embeddings`.
    #[must_use]
    pub fn penultimate(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.text_model.penultimate(ids)
    }

    /// Every hidden state: after the embeddings, after each layer, and last what [`Self::forward`] gives.
    ///
    /// For finding where a network goes astray: [`Self::forward`] holds one state at a time, this all of them.
    ///
    /// # Shapes
    ///
    /// - ids: `[batch, tokens]`, each below `vocab_size`
    /// - output: `num_hidden_layers + 2` states, each `[batch, tokens, hidden_size]`
    ///
    /// # Panics
    ///
    /// If there are more tokens than `max_position_embeddings`.
    #[must_use]
    pub fn hidden_states(&self, ids: Tensor<2, Int>) -> Vec<Tensor<3>> {
        let mut x = self.text_model.embeddings.forward(ids);
        let mut states = vec![x.clone()];
        for layer in &self.text_model.encoder.layers {
            x = layer.forward(x);
            states.push(x.clone());
        }
        states.push(self.text_model.final_layer_norm.forward(x));
        states
    }
}
