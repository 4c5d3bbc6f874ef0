//! From token ids to states.

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig};
use burn::tensor::{Device, Int, Tensor};

use super::CLIPTextConfig;
use crate::layers::ops;

/// The sum of what a token is and where it stands.
#[derive(Module, Debug)]
pub(super) struct CLIPTextEmbeddings {
    pub(super) token_embedding: Embedding,
    position_embedding: Embedding,
}

impl CLIPTextEmbeddings {
    pub(super) fn new(config: &CLIPTextConfig, device: &Device) -> Self {
        let embedding = |count| EmbeddingConfig::new(count, config.hidden_size).init(device);
        Self {
            token_embedding: embedding(config.vocab_size),
            position_embedding: embedding(config.max_position_embeddings),
        }
    }

    /// # Shapes
    ///
    /// - ids: `[batch, tokens]`
    /// - output: `[batch, tokens, hidden_size]`
    ///
    /// # Panics
    ///
    /// If there are more tokens than positions.
    pub(super) fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [_, tokens] = ids.dims();
        let positions = self.position_embedding.weight.val();
        assert!(
            tokens <= positions.dims()[0],
            "{tokens} tokens, but only {} positions",
            positions.dims()[0]
        );

        let inside = ops::compute_dtype(&positions);
        let positions = positions.narrow(0, 0, tokens).unsqueeze();
        (self.token_embedding.forward(ids) + positions).cast(inside)
    }
}
