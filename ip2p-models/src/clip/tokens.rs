//! Tokens beyond those that a model was trained with.

use burn::module::Param;
use burn::tensor::Tensor;

use super::model::CLIPTextTransformer;
use super::{CLIPTextModel, CLIPTextModelWithProjection};

impl CLIPTextTransformer {
    fn with_tokens(self, vectors: Tensor<2>) -> Self {
        self.map_table(|table| {
            let vectors = vectors.cast(table.dtype()).to_device(&table.device());
            Tensor::cat(vec![table, vectors], 0)
        })
    }

    fn with_first_tokens(self, count: usize) -> Self {
        self.map_table(|table| table.narrow(0, 0, count))
    }

    fn map_table(mut self, change: impl FnOnce(Tensor<2>) -> Tensor<2>) -> Self {
        let table = &mut self.embeddings.token_embedding.weight;
        *table = Param::initialized(table.id, change(table.val()));
        self
    }
}

impl CLIPTextModelWithProjection {
    /// As [`CLIPTextModel::with_tokens`]; where the end of a sentence is its highest id, added ids do not count for it.
    ///
    /// # Panics
    ///
    /// If the vectors are of another width.
    #[must_use]
    pub fn with_tokens(mut self, vectors: Tensor<2>) -> Self {
        self.text_model = self.text_model.with_tokens(vectors);
        self
    }

    /// As [`CLIPTextModel::with_first_tokens`].
    ///
    /// # Panics
    ///
    /// If there are fewer.
    #[must_use]
    pub fn with_first_tokens(mut self, count: usize) -> Self {
        self.text_model = self.text_model.with_first_tokens(count);
        self
    }
}

impl CLIPTextModel {
    /// Adds tokens after those that there are: their ids are the next ones, and `vectors` what stands for them.
    ///
    /// So do the words of textual inversion become part of a sentence; Gal et al. (2022), <https://arxiv.org/abs/2208.01618>.
    /// The table is copied once.
    ///
    /// # Shapes
    ///
    /// - vectors: `[tokens, hidden_size]`
    ///
    /// # Panics
    ///
    /// If the vectors are of another width.
    #[must_use]
    pub fn with_tokens(mut self, vectors: Tensor<2>) -> Self {
        self.text_model = self.text_model.with_tokens(vectors);
        self
    }

    /// Leaves the first `count` tokens: those that it was trained with.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    #[must_use]
    pub fn with_first_tokens(mut self, count: usize) -> Self {
        self.text_model = self.text_model.with_first_tokens(count);
        self
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int, TensorData};

    use super::super::CLIPTextConfig;
    use super::*;

    #[test]
    fn an_added_token_is_the_vector_that_stands_for_it() {
        let device = Device::flex();
        let config = CLIPTextConfig {
            vocab_size: 8,
            hidden_size: 4,
            intermediate_size: 8,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            max_position_embeddings: 6,
            ..CLIPTextConfig::default()
        };
        let model = config.init(&device);
        let state = |model: &CLIPTextModel, ids: [i64; 3]| {
            let ids = Tensor::<2, Int>::from_data(TensorData::new(ids.to_vec(), [1, 3]), &device);
            model.forward(ids).into_data()
        };
        let table = model.text_model.embeddings.token_embedding.weight.val();
        let copies = Tensor::cat(
            vec![table.clone().narrow(0, 5, 1), table.narrow(0, 2, 1)],
            0,
        );
        let more = model.clone().with_tokens(copies);
        assert_eq!(state(&more, [1, 8, 9]), state(&model, [1, 5, 2]));
        assert_eq!(state(&more, [1, 5, 3]), state(&model, [1, 5, 3]));
        let less = more.with_first_tokens(8);
        let table = less.text_model.embeddings.token_embedding.weight.val();
        assert_eq!(table.dims(), [8, 4]);
    }
}
