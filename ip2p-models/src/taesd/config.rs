//! What `config.json` of an `AutoencoderTiny` says.

use burn::tensor::Device;
use ip2p_core::{Error, Fields, Result};
use serde_json::Value;

use super::AutoencoderTiny;
use crate::vae::{NETWORK, check_levels, check_scaling_factor};

/// The shape of an [`AutoencoderTiny`].
///
/// The fields are spelt as in `config.json`, and [`Default`] is what diffusers gives those that are missing there.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoencoderTinyConfig {
    /// Channels of the picture that is encoded.
    pub in_channels: usize,
    /// Channels of the picture that is decoded.
    pub out_channels: usize,
    /// Channels at each resolution of the encoder: the same at all.
    pub encoder_block_out_channels: Vec<usize>,
    /// Channels at each resolution of the decoder: the same at all.
    pub decoder_block_out_channels: Vec<usize>,
    /// Blocks at each resolution of the encoder, 0 or more; before each but the first it halves.
    pub num_encoder_blocks: Vec<usize>,
    /// Blocks at each resolution of the decoder, 0 or more; after each but the last it grows.
    pub num_decoder_blocks: Vec<usize>,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// What latents are multiplied by for the U-Net, and divided by for [`AutoencoderTiny::decode`]: 1 in TAESD.
    pub scaling_factor: f64,
}

impl Default for AutoencoderTinyConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            encoder_block_out_channels: vec![64; 4],
            decoder_block_out_channels: vec![64; 4],
            num_encoder_blocks: vec![1, 3, 3, 3],
            num_decoder_blocks: vec![3, 3, 3, 1],
            latent_channels: 4,
            scaling_factor: 1.0,
        }
    }
}

impl AutoencoderTinyConfig {
    /// Reads `config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is not JSON, describes another network than an `AutoencoderTiny`, or has a field or value
    /// that would change the network in a way that we do not know.
    pub fn from_json(json: &str) -> Result<Self> {
        let default = Self::default();
        let mut fields = Fields::parse(NETWORK, json)?;
        fields.only("_class_name", &["AutoencoderTiny".into()])?;
        fields.only("act_fn", &["relu".into()])?;
        fields.only("upsample_fn", &["nearest".into()])?;
        fields.only("upsampling_scaling_factor", &[2.into()])?;
        fields.only("shift_factor", &[0.into(), 0.0.into(), Value::Null])?;
        let config = Self {
            in_channels: fields.size("in_channels", default.in_channels)?,
            out_channels: fields.size("out_channels", default.out_channels)?,
            encoder_block_out_channels: fields.sizes(
                "encoder_block_out_channels",
                &default.encoder_block_out_channels,
            )?,
            decoder_block_out_channels: fields.sizes(
                "decoder_block_out_channels",
                &default.decoder_block_out_channels,
            )?,
            num_encoder_blocks: fields.counts("num_encoder_blocks", &default.num_encoder_blocks)?,
            num_decoder_blocks: fields.counts("num_decoder_blocks", &default.num_decoder_blocks)?,
            latent_channels: fields.size("latent_channels", default.latent_channels)?,
            scaling_factor: fields.number("scaling_factor", default.scaling_factor)?,
        };
        // Two that `AutoencoderTiny.forward` needs to store latents as bytes, one that repeats the decoder's channels,
        // and one that diffusers always sets to false.
        fields.ignore(&[
            "latent_magnitude",
            "latent_shift",
            "block_out_channels",
            "force_upcast",
        ]);
        fields.finish()?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        for (half, channels, blocks) in [
            (
                "encoder",
                &self.encoder_block_out_channels,
                &self.num_encoder_blocks,
            ),
            (
                "decoder",
                &self.decoder_block_out_channels,
                &self.num_decoder_blocks,
            ),
        ] {
            if channels.len() != blocks.len() {
                return Err(Error::config(
                    NETWORK,
                    format!(
                        "{half}_block_out_channels has {} values and num_{half}_blocks {}, supported is as many",
                        channels.len(),
                        blocks.len()
                    ),
                ));
            }
            // The convolution between two resolutions keeps the channels, in diffusers too.
            if channels.iter().any(|&count| count != channels[0]) {
                return Err(Error::config(
                    NETWORK,
                    format!(
                        "{half}_block_out_channels is {channels:?}, supported is the same at each resolution"
                    ),
                ));
            }
        }
        if self.num_encoder_blocks.len() != self.num_decoder_blocks.len() {
            return Err(Error::config(
                NETWORK,
                "num_encoder_blocks and num_decoder_blocks differ in length: the picture would come back at another size",
            ));
        }
        check_levels(self.num_encoder_blocks.len())?;
        check_scaling_factor(self.scaling_factor)
    }

    /// How many pixels of the picture, across and down, make one of the latents: 8 in TAESD.
    #[must_use]
    pub fn vae_scale_factor(&self) -> usize {
        1 << (self.num_encoder_blocks.len() - 1)
    }

    /// A model of this shape whose weights have still to be loaded.
    #[must_use]
    pub fn init(&self, device: &Device) -> AutoencoderTiny {
        AutoencoderTiny::new(self, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `config.json` of `madebyollin/taesd` on the hub.
    const TAESD: &str = r#"{
        "_class_name": "AutoencoderTiny", "_diffusers_version": "0.20.0.dev0", "act_fn": "relu",
        "decoder_block_out_channels": [64, 64, 64, 64], "encoder_block_out_channels": [64, 64, 64, 64],
        "force_upcast": false, "in_channels": 3, "latent_channels": 4, "latent_magnitude": 3, "latent_shift": 0.5,
        "num_decoder_blocks": [3, 3, 3, 1], "num_encoder_blocks": [1, 3, 3, 3], "out_channels": 3,
        "scaling_factor": 1.0, "upsampling_scaling_factor": 2 }"#;

    #[test]
    fn the_config_of_taesd_has_the_defaults_of_diffusers() {
        let config = AutoencoderTinyConfig::from_json(TAESD).unwrap();
        assert_eq!(config, AutoencoderTinyConfig::default());
        assert_eq!(config.vae_scale_factor(), 8);
    }

    #[test]
    fn a_level_may_be_without_blocks() {
        let json = r#"{"_class_name": "AutoencoderTiny", "scaling_factor": 1.0,
            "encoder_block_out_channels": [32, 32, 32], "num_encoder_blocks": [1, 1, 3],
            "decoder_block_out_channels": [48, 48, 48], "num_decoder_blocks": [3, 2, 0]}"#;
        let config = AutoencoderTinyConfig::from_json(json).unwrap();
        assert_eq!(config.num_decoder_blocks, [3, 2, 0]);
        assert_eq!(config.vae_scale_factor(), 4);
    }

    #[test]
    fn what_would_be_another_network_is_refused_by_name() {
        let cases = [
            (r#"{"act_fn": "silu"}"#, "act_fn is \"silu\""),
            (r#"{"_class_name": "AutoencoderKL"}"#, "_class_name is"),
            (r#"{"upsample_fn": "bilinear"}"#, "upsample_fn is"),
            (
                r#"{"upsampling_scaling_factor": 3}"#,
                "upsampling_scaling_factor is 3",
            ),
            (
                r#"{"num_encoder_blocks": [1, 1]}"#,
                "encoder_block_out_channels has 4 values and num_encoder_blocks 2",
            ),
            (
                r#"{"decoder_block_out_channels": [64, 64, 64, 32]}"#,
                "decoder_block_out_channels is [64, 64, 64, 32]",
            ),
            (
                r#"{"num_decoder_blocks": [1], "decoder_block_out_channels": [64]}"#,
                "differ in length",
            ),
            (r#"{"scaling_factor": 0}"#, "scaling_factor is 0"),
            (r#"{"midblock_gn": true}"#, "midblock_gn = true"),
        ];
        for (json, message) in cases {
            let error = AutoencoderTinyConfig::from_json(json)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("vae config: ") && error.contains(message),
                "{error}"
            );
        }
    }
}
