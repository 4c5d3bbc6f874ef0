//! What a pass through either half of an autoencoder costs.

use super::{AutoencoderConfig, AutoencoderKLConfig};
use crate::cost::{Cost, Pass};

impl AutoencoderConfig {
    /// What encoding `batch` pictures of this height and width costs.
    #[must_use]
    pub fn encode_cost(&self, batch: usize, size: [usize; 2]) -> Cost {
        match self {
            Self::Kl(config) => config.encode_cost(batch, size),
            Self::Tiny(config) => config.encode_cost(batch, size),
        }
    }

    /// What decoding `batch` latents of this height and width costs.
    #[must_use]
    pub fn decode_cost(&self, batch: usize, size: [usize; 2]) -> Cost {
        match self {
            Self::Kl(config) => config.decode_cost(batch, size),
            Self::Tiny(config) => config.decode_cost(batch, size),
        }
    }
}

impl AutoencoderConfig {
    /// The most numbers that encoding `batch` pictures of this height and width has in memory at once.
    #[must_use]
    pub fn encode_live(&self, batch: usize, size: [usize; 2]) -> u64 {
        match self {
            Self::Kl(config) => config.encode_live(batch, size),
            Self::Tiny(config) => config.encode_live(batch, size),
        }
    }

    /// The most numbers that decoding `batch` latents of this height and width has in memory at once.
    #[must_use]
    pub fn decode_live(&self, batch: usize, size: [usize; 2]) -> u64 {
        match self {
            Self::Kl(config) => config.decode_live(batch, size),
            Self::Tiny(config) => config.decode_live(batch, size),
        }
    }
}

impl AutoencoderKLConfig {
    /// What encoding `batch` pictures of this height and width costs.
    #[must_use]
    pub fn encode_cost(&self, batch: usize, size: [usize; 2]) -> Cost {
        self.encode_pass(batch, size).cost()
    }

    /// The most numbers that encoding `batch` pictures of this height and width has in memory at once.
    #[must_use]
    pub fn encode_live(&self, batch: usize, size: [usize; 2]) -> u64 {
        self.encode_pass(batch, size).live()
    }

    fn encode_pass(&self, batch: usize, size: [usize; 2]) -> Pass {
        let mut pass = Pass::new(batch, size);
        let mut from = self.block_out_channels[0];
        pass.conv([self.in_channels, from], 3);
        let last = self.block_out_channels.len() - 1;
        for (i, &channels) in self.block_out_channels.iter().enumerate() {
            resnets(&mut pass, [from, channels], self.layers_per_block);
            if i < last {
                pass.halve(channels, 0);
            }
            from = channels;
        }
        self.middle(&mut pass);
        let moments = 2 * self.latent_channels;
        pass.conv([from, moments], 3);
        if self.use_quant_conv {
            pass.conv([moments; 2], 1);
        }
        pass
    }

    /// What decoding `batch` latents of this height and width costs.
    #[must_use]
    pub fn decode_cost(&self, batch: usize, size: [usize; 2]) -> Cost {
        self.decode_pass(batch, size).cost()
    }

    /// The most numbers that decoding `batch` latents of this height and width has in memory at once.
    #[must_use]
    pub fn decode_live(&self, batch: usize, size: [usize; 2]) -> u64 {
        self.decode_pass(batch, size).live()
    }

    fn decode_pass(&self, batch: usize, size: [usize; 2]) -> Pass {
        let mut pass = Pass::new(batch, size);
        if self.use_post_quant_conv {
            pass.conv([self.latent_channels; 2], 1);
        }
        let mut from = self.lowest_channels();
        pass.conv([self.latent_channels, from], 3);
        self.middle(&mut pass);
        for (i, &channels) in self.block_out_channels.iter().enumerate().rev() {
            resnets(&mut pass, [from, channels], self.layers_per_block + 1);
            if i > 0 {
                pass.grow_to(pass.size().map(|side| 2 * side));
                pass.conv([channels; 2], 3);
            }
            from = channels;
        }
        pass.conv([from, self.out_channels], 3);
        pass
    }

    /// The blocks at the lowest resolution.
    fn middle(&self, pass: &mut Pass) {
        let (channels, pixels) = (self.lowest_channels(), pass.pixels());
        pass.resnet([channels; 2], None);
        if self.mid_block_add_attention {
            pass.holding(channels, |pass| {
                pass.attend(channels, pixels, [pixels, channels]);
            });
        }
        pass.resnet([channels; 2], None);
    }
}

fn resnets(pass: &mut Pass, [from, to]: [usize; 2], count: usize) {
    for layer in 0..count {
        pass.resnet([if layer == 0 { from } else { to }, to], None);
    }
}
