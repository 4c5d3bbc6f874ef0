//! What a pass through the text encoder costs.

use super::CLIPTextConfig;
use crate::cost::{Cost, Pass};

impl CLIPTextConfig {
    /// What one pass costs over `batch` sentences of so many tokens.
    #[must_use]
    pub fn cost(&self, batch: usize, tokens: usize) -> Cost {
        let mut pass = Pass::new(batch, [1, 1]);
        let (width, inner) = (self.hidden_size, self.intermediate_size);
        for _ in 0..self.num_hidden_layers {
            pass.attend(width, tokens, [tokens, width]);
            pass.linear(tokens, [width, inner]);
            pass.linear(tokens, [inner, width]);
        }
        pass.cost()
    }

    /// As [`Self::cost`], of the network with the projection of the pooled state.
    #[must_use]
    pub fn cost_with_projection(&self, batch: usize, tokens: usize) -> Cost {
        let mut pass = Pass::new(batch, [1, 1]);
        pass.linear(1, [self.hidden_size, self.projection_dim]);
        self.cost(batch, tokens) + pass.cost()
    }
}
