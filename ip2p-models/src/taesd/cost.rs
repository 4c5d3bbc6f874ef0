//! What a pass through either half of the small autoencoder costs.

use super::AutoencoderTinyConfig;
use crate::cost::{Cost, Pass};

impl AutoencoderTinyConfig {
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
        let channels = self.encoder_block_out_channels[0];
        for (stage, &count) in self.num_encoder_blocks.iter().enumerate() {
            match stage {
                0 => pass.conv([self.in_channels, channels], 3),
                _ => pass.halve(channels, 1),
            }
            blocks(&mut pass, channels, count);
        }
        pass.conv([channels, self.latent_channels], 3);
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
        let channels = self.decoder_block_out_channels[0];
        pass.conv([self.latent_channels, channels], 3);
        let last = self.num_decoder_blocks.len() - 1;
        for (stage, &count) in self.num_decoder_blocks.iter().enumerate() {
            blocks(&mut pass, channels, count);
            if stage == last {
                pass.conv([channels, self.out_channels], 3);
            } else {
                let before = pass.hold(channels);
                pass.grow_to(pass.size().map(|side| 2 * side));
                pass.conv([channels; 2], 3);
                pass.release(before);
            }
        }
        pass
    }
}

/// Blocks of three convolutions.
fn blocks(pass: &mut Pass, channels: usize, count: usize) {
    for _ in 0..count {
        pass.holding(channels, |pass| {
            for _ in 0..3 {
                pass.conv([channels; 2], 3);
            }
        });
    }
}
