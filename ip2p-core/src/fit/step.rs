//! What the sides of a model's picture are multiples of.

use super::MAX_MODEL_SIDE;
use crate::{Error, Result};

/// What the sides of a model's picture are multiples of, in pixels.
///
/// [`Default`] is Stable Diffusion's: 8 in any case, 64 where we choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SizeStep {
    /// In any case: the pixels, across or down, that make one of the latents.
    pub required: u32,
    /// Where we choose the size, and the least side there is: the pixels that make one value at the U-Net's lowest level,
    /// so that no level has a remainder.
    pub chosen: u32,
}

impl SizeStep {
    /// The steps of a model whose autoencoder makes one of the latents from `vae_scale_factor` pixels, across and down,
    /// and whose U-Net has `unet_levels` levels, each half as wide as the one above it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if no picture of at most [`MAX_MODEL_SIDE`] pixels a side would do.
    ///
    /// # Examples
    ///
    /// ```
    /// use ip2p_core::SizeStep;
    ///
    /// assert_eq!(SizeStep::new(8, 4)?, SizeStep::default());
    /// assert_eq!(SizeStep::new(4, 3)?, SizeStep { required: 4, chosen: 16 });
    /// # Ok::<(), ip2p_core::Error>(())
    /// ```
    pub fn new(vae_scale_factor: usize, unet_levels: usize) -> Result<Self> {
        let halvings = u32::try_from(unet_levels.saturating_sub(1)).unwrap_or(u32::MAX);
        let required = u32::try_from(vae_scale_factor).unwrap_or(u32::MAX);
        let chosen = 2_u32
            .checked_pow(halvings)
            .and_then(|lowest| lowest.checked_mul(required))
            .filter(|chosen| (1..=MAX_MODEL_SIDE).contains(chosen));
        chosen
            .map(|chosen| Self { required, chosen })
            .ok_or_else(|| {
                let reason = format!(
                    "block_out_channels has {unet_levels} levels; with an autoencoder that halves to 1 / {vae_scale_factor} \
                     the lowest would be empty for a picture of {MAX_MODEL_SIDE} pixels"
                );
                Error::config("unet", reason)
            })
    }
}

impl Default for SizeStep {
    fn default() -> Self {
        Self {
            required: 8,
            chosen: 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_leave_nothing_of_a_picture_are_refused() {
        assert!(SizeStep::new(8, 10).is_ok());
        for (factor, levels) in [(8, 11), (8, 70), (usize::MAX, 1), (0, 1)] {
            let error = SizeStep::new(factor, levels).unwrap_err().to_string();
            assert!(
                error.starts_with("unet config: block_out_channels"),
                "{error}"
            );
        }
    }
}
