//! What a pass through the U-Net costs.

use super::deep::SHALLOW_LAYERS;
use super::{UNet2DConditionConfig, UNetLevel};
use crate::cost::{Cost, Pass};

/// How much wider the inside of a feed-forward part is; there are two halves of it, one the gate of the other.
const FEED_FORWARD: usize = 4;

impl UNet2DConditionConfig {
    /// What one pass costs over `batch` latents of this height and width, with contexts of so many tokens.
    #[must_use]
    pub fn cost(&self, batch: usize, size: [usize; 2], context_tokens: usize) -> Cost {
        let mut pass = self.begin(batch, size);
        let channels = self.levels[0].channels;
        let time = self.time_embedding_dim;
        let mut sizes = vec![size];
        let mut from = channels;
        let last = self.levels.len() - 1;
        for (i, level) in self.levels.iter().enumerate() {
            for layer in 0..level.layers {
                let from = if layer == 0 { from } else { level.channels };
                pass.resnet([from, level.channels], Some(time));
                if level.attention_down {
                    self.transformer(&mut pass, level, level.only_cross_attention, context_tokens);
                }
            }
            if i < last {
                pass.halve(level.channels, self.downsample_padding);
                sizes.push(pass.size());
            }
            from = level.channels;
        }

        let lowest = self.lowest();
        pass.resnet([lowest.channels; 2], Some(time));
        self.transformer(&mut pass, lowest, false, context_tokens);
        pass.resnet([lowest.channels; 2], Some(time));

        for (i, level) in self.levels.iter().enumerate().rev() {
            self.way_up(&mut pass, i, 0, context_tokens);
            if i > 0 {
                pass.grow_to(sizes[i - 1]);
                pass.conv([level.channels; 2], 3);
            }
        }
        pass.conv([channels, self.out_channels], self.conv_out_kernel);
        pass.cost()
    }

    /// What one pass with the deep features of another costs:
    /// [`UNet2DConditionModel::forward_shallow`](super::UNet2DConditionModel::forward_shallow).
    #[must_use]
    pub fn shallow_cost(&self, batch: usize, size: [usize; 2], context_tokens: usize) -> Cost {
        let mut pass = self.begin(batch, size);
        let level = &self.levels[0];
        pass.resnet([level.channels; 2], Some(self.time_embedding_dim));
        if level.attention_down {
            self.transformer(&mut pass, level, level.only_cross_attention, context_tokens);
        }
        let first = level.layers + 1 - SHALLOW_LAYERS;
        self.way_up(&mut pass, 0, first, context_tokens);
        pass.conv([level.channels, self.out_channels], self.conv_out_kernel);
        pass.cost()
    }

    /// The time embedding and the first convolution.
    fn begin(&self, batch: usize, size: [usize; 2]) -> Pass {
        let mut pass = Pass::new(batch, size);
        let channels = self.levels[0].channels;
        let time = self.time_embedding_dim;
        pass.linear(1, [channels, time]);
        pass.linear(1, [time, time]);
        if let Some(addition) = self.addition {
            pass.linear(1, [addition.input_dim, time]);
            pass.linear(1, [time, time]);
        }
        pass.conv([self.in_channels, channels], self.conv_in_kernel);
        pass
    }

    /// The blocks of a level on the way up, from this one on.
    fn way_up(&self, pass: &mut Pass, i: usize, first: usize, context_tokens: usize) {
        let level = &self.levels[i];
        let above = self.levels[i.saturating_sub(1)].channels;
        let below = self.levels.get(i + 1).unwrap_or(level).channels;
        for layer in first..=level.layers {
            let from = if layer == 0 { below } else { level.channels };
            let skip = if layer == level.layers {
                above
            } else {
                level.channels
            };
            pass.resnet([from + skip, level.channels], Some(self.time_embedding_dim));
            if level.attention_up {
                self.transformer(pass, level, level.only_cross_attention, context_tokens);
            }
        }
    }

    fn transformer(&self, pass: &mut Pass, level: &UNetLevel, only_cross: bool, tokens: usize) {
        let (channels, pixels) = (level.channels, pass.pixels());
        let context = [tokens, self.cross_attention_dim];
        pass.linear(pixels, [channels; 2]);
        for _ in 0..level.transformer_layers {
            let first = if only_cross {
                context
            } else {
                [pixels, channels]
            };
            pass.attend(channels, pixels, first);
            pass.attend(channels, pixels, context);
            pass.linear(pixels, [channels, 2 * FEED_FORWARD * channels]);
            pass.linear(pixels, [FEED_FORWARD * channels, channels]);
        }
        pass.linear(pixels, [channels; 2]);
    }
}
