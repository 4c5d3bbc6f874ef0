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
        self.pass(batch, size, context_tokens).cost()
    }

    /// The most numbers that one pass has in memory at once, weights and what the operators keep for themselves aside.
    #[must_use]
    pub fn live(&self, batch: usize, size: [usize; 2], context_tokens: usize) -> u64 {
        self.pass(batch, size, context_tokens).live()
    }

    /// How many numbers a [`Conditioning`](super::Conditioning) of `batch` latents of this height and width holds.
    #[must_use]
    pub fn conditioning(&self, batch: usize, size: [usize; 2], context_tokens: usize) -> u64 {
        let widths = self.levels.iter().map(|level| {
            let down = if level.attention_down {
                level.layers
            } else {
                0
            };
            let up = if level.attention_up {
                level.layers + 1
            } else {
                0
            };
            let cross = 1 + usize::from(level.only_cross_attention);
            (down + up) * level.transformer_layers * cross * level.channels
        });
        let lowest = self.lowest();
        let middle = lowest.transformer_layers * lowest.channels;
        let keys_values = 2 * context_tokens * (widths.sum::<usize>() + middle);
        let source = size[0] * size[1] * self.levels[0].channels;
        (batch * (keys_values + source)) as u64
    }

    fn pass(&self, batch: usize, size: [usize; 2], context_tokens: usize) -> Pass {
        let mut pass = self.begin(batch, size);
        let channels = self.levels[0].channels;
        let time = self.time_embedding_dim;
        let mut sizes = vec![size];
        let mut skips = vec![pass.hold(channels)];
        let mut from = channels;
        let last = self.levels.len() - 1;
        for (i, level) in self.levels.iter().enumerate() {
            for layer in 0..level.layers {
                let from = if layer == 0 { from } else { level.channels };
                pass.resnet([from, level.channels], Some(time));
                if level.attention_down {
                    self.transformer(&mut pass, level, level.only_cross_attention, context_tokens);
                }
                skips.push(pass.hold(level.channels));
            }
            if i < last {
                pass.halve(level.channels, self.downsample_padding);
                sizes.push(pass.size());
                skips.push(pass.hold(level.channels));
            }
            from = level.channels;
        }

        let lowest = self.lowest();
        pass.resnet([lowest.channels; 2], Some(time));
        self.transformer(&mut pass, lowest, false, context_tokens);
        pass.resnet([lowest.channels; 2], Some(time));

        for (i, level) in self.levels.iter().enumerate().rev() {
            for layer in 0..=level.layers {
                // Joined with what came from below, of which the sum is a copy.
                let skip = skips.pop().expect("the way down left one for each layer");
                self.layer_up(&mut pass, [i, layer], context_tokens);
                pass.release(skip);
            }
            if i > 0 {
                pass.grow_to(sizes[i - 1]);
                pass.conv([level.channels; 2], 3);
            }
        }
        pass.conv([channels, self.out_channels], self.conv_out_kernel);
        pass
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
        for layer in first..=level.layers {
            self.layer_up(&mut pass, [0, layer], context_tokens);
        }
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

    /// A layer of a level on the way up.
    fn layer_up(&self, pass: &mut Pass, [i, layer]: [usize; 2], context_tokens: usize) {
        let level = &self.levels[i];
        let above = self.levels[i.saturating_sub(1)].channels;
        let below = self.levels.get(i + 1).unwrap_or(level).channels;
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

    fn transformer(&self, pass: &mut Pass, level: &UNetLevel, only_cross: bool, tokens: usize) {
        let (channels, pixels) = (level.channels, pass.pixels());
        let context = [tokens, self.cross_attention_dim];
        // The picture, and from there on the tokens: each block's input waits for what the block adds to it.
        pass.holding(channels, |pass| {
            pass.linear(pixels, [channels; 2]);
            pass.holding(channels, |pass| {
                for _ in 0..level.transformer_layers {
                    let first = if only_cross {
                        context
                    } else {
                        [pixels, channels]
                    };
                    pass.attend(channels, pixels, first);
                    pass.attend(channels, pixels, context);
                    pass.linear(pixels, [channels, 2 * FEED_FORWARD * channels]);
                    // The gates go into one half of it.
                    pass.touch(3 * FEED_FORWARD * channels);
                    pass.linear(pixels, [FEED_FORWARD * channels, channels]);
                }
            });
            pass.linear(pixels, [channels; 2]);
        });
    }
}
