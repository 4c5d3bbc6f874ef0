//! How much the places of a picture attend to words.

use burn::tensor::Tensor;

use crate::layers::{Attention, KeysValues};

/// How much each place of the pictures attends to chosen tokens of their contexts, as
/// [`UNet2DConditionModel::forward_attended`](super::UNet2DConditionModel::forward_attended) sees it.
#[derive(Debug, Clone)]
pub struct TokenAttention {
    /// `[images, context_tokens]`.
    tokens: Tensor<2>,
    /// `[images, 1, height, width]`.
    sum: Option<Tensor<4>>,
    layers: usize,
}

impl TokenAttention {
    /// Of the first pictures of a batch, as many as there are rows; each has 1 for the tokens that count and 0 for the others.
    ///
    /// # Shapes
    ///
    /// - tokens: `[images, context_tokens]`
    #[must_use]
    pub fn new(tokens: Tensor<2>) -> Self {
        Self {
            tokens,
            sum: None,
            layers: 0,
        }
    }

    /// The share of what each place takes in that comes from the tokens: the mean over heads and layers, between 0 and 1.
    ///
    /// # Shapes
    ///
    /// - output: `[images, 1, height, width]` of the level that was looked at; none if no pass was
    #[must_use]
    pub fn map(self) -> Option<Tensor<4>> {
        Some(self.sum? / self.layers as f64)
    }

    /// Takes in what a layer does: `attending` is `[batch, height * width, channels]`.
    pub(super) fn add(
        &mut self,
        attention: &Attention,
        attending: &Tensor<3>,
        context: &KeysValues,
        [height, width]: [usize; 2],
    ) {
        let [images, keys] = self.tokens.dims();
        let attending = attending.clone().narrow(0, 0, images);
        let weights = attention.weights(attending, &context.first(images));
        let chosen = self.tokens.clone().reshape([images, 1, 1, keys]);
        let map = (weights * chosen)
            .sum_dim(3)
            .mean_dim(1) // [images, 1, height * width, 1]
            .reshape([images, 1, height, width]);
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + map,
            None => map,
        });
        self.layers += 1;
    }
}
