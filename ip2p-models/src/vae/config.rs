//! What `vae/config.json` of an `AutoencoderKL` says.

use burn::tensor::Device;
use ip2p_core::{Error, Fields, Result};
use serde_json::Value;

use super::AutoencoderKL;

/// The network's name in errors.
pub(crate) const NETWORK: &str = "vae";

/// What the group norms add to the variance: a constant of the architecture, not a field.
pub(super) const NORM_EPS: f64 = 1e-6;

/// The shape of an [`AutoencoderKL`].
///
/// The fields are spelt as in `config.json`, and [`Default`] is what diffusers gives those that are missing there.
#[expect(clippy::struct_excessive_bools, reason = "the fields of config.json")]
#[derive(Debug, Clone, PartialEq)]
pub struct AutoencoderKLConfig {
    /// Channels of the picture that is encoded.
    pub in_channels: usize,
    /// Channels of the picture that is decoded.
    pub out_channels: usize,
    /// Channels at each resolution, from the picture inwards; each but the last is followed by a halving.
    pub block_out_channels: Vec<usize>,
    /// `ResNet` blocks at each resolution of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Groups of each group norm.
    pub norm_num_groups: usize,
    /// The side of the pictures that it was trained with, in pixels: the size of a tile in diffusers.
    pub sample_size: usize,
    /// What latents are multiplied by for the U-Net, and divided by for [`AutoencoderKL::decode`].
    pub scaling_factor: f64,
    /// Whether activations outgrow [`f16`](ip2p_core::Precision::F16), so that this precision needs weights that were
    /// made for it.
    pub force_upcast: bool,
    /// Whether a 1×1 convolution follows the encoder.
    pub use_quant_conv: bool,
    /// Whether a 1×1 convolution precedes the decoder.
    pub use_post_quant_conv: bool,
    /// Whether there is self-attention at the lowest resolution.
    pub mid_block_add_attention: bool,
}

impl Default for AutoencoderKLConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            block_out_channels: vec![64],
            layers_per_block: 1,
            latent_channels: 4,
            norm_num_groups: 32,
            sample_size: 32,
            scaling_factor: 0.18215,
            force_upcast: true,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
        }
    }
}

impl AutoencoderKLConfig {
    /// Reads `vae/config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is not JSON, describes another network than an `AutoencoderKL`, or has a field or value
    /// that would change the network in a way that we do not know.
    pub fn from_json(json: &str) -> Result<Self> {
        let default = Self::default();
        let mut fields = Fields::parse(NETWORK, json)?;
        fields.only("_class_name", &["AutoencoderKL".into()])?;
        fields.only("act_fn", &["silu".into(), "swish".into()])?;
        for name in ["shift_factor", "latents_mean", "latents_std"] {
            fields.only(name, &[Value::Null])?;
        }
        let config = Self {
            in_channels: fields.size("in_channels", default.in_channels)?,
            out_channels: fields.size("out_channels", default.out_channels)?,
            block_out_channels: fields.sizes("block_out_channels", &default.block_out_channels)?,
            layers_per_block: fields.size("layers_per_block", default.layers_per_block)?,
            latent_channels: fields.size("latent_channels", default.latent_channels)?,
            norm_num_groups: fields.size("norm_num_groups", default.norm_num_groups)?,
            sample_size: fields.size("sample_size", default.sample_size)?,
            scaling_factor: fields.number("scaling_factor", default.scaling_factor)?,
            force_upcast: fields.flag("force_upcast", default.force_upcast)?,
            use_quant_conv: fields.flag("use_quant_conv", default.use_quant_conv)?,
            use_post_quant_conv: fields.flag("use_post_quant_conv", default.use_post_quant_conv)?,
            mid_block_add_attention: fields
                .flag("mid_block_add_attention", default.mid_block_add_attention)?,
        };
        for (name, block) in [
            ("down_block_types", "DownEncoderBlock2D"),
            ("up_block_types", "UpDecoderBlock2D"),
        ] {
            // One for each resolution, all alike.
            let blocks = vec![block; config.block_out_channels.len()];
            fields.only(name, &[Value::from(blocks)])?;
        }
        fields.ignore(&[]);
        fields.finish()?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let undivided = |channels: &&usize| !channels.is_multiple_of(self.norm_num_groups);
        if let Some(channels) = self.block_out_channels.iter().find(undivided) {
            return Err(Error::config(
                NETWORK,
                format!(
                    "norm_num_groups is {}, which does not divide the {channels} of block_out_channels",
                    self.norm_num_groups
                ),
            ));
        }
        check_levels(self.block_out_channels.len())?;
        check_scaling_factor(self.scaling_factor)
    }

    /// How many pixels of the picture, across and down, make one of the latents: 8 in Stable Diffusion.
    #[must_use]
    pub fn vae_scale_factor(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    /// The channels at the lowest resolution.
    pub(super) fn lowest_channels(&self) -> usize {
        self.block_out_channels[self.block_out_channels.len() - 1]
    }

    /// A model of this shape whose weights have still to be loaded.
    #[must_use]
    pub fn init(&self, device: &Device) -> AutoencoderKL {
        AutoencoderKL::new(self, device)
    }
}

/// The most levels: with them a picture of 4096 pixels a side is one value of the latents.
const MAX_LEVELS: usize = 13;

/// Refuses more levels than a picture can be halved for.
pub(crate) fn check_levels(levels: usize) -> Result<()> {
    if levels <= MAX_LEVELS {
        return Ok(());
    }
    let reason = format!("has {levels} levels, supported is at most {MAX_LEVELS}");
    Err(Error::config(NETWORK, reason))
}

/// Refuses a factor that latents cannot be divided by.
pub(crate) fn check_scaling_factor(scaling_factor: f64) -> Result<()> {
    if scaling_factor.is_finite() && scaling_factor != 0.0 {
        return Ok(());
    }
    let reason = format!("scaling_factor is {scaling_factor}, supported is a number other than 0");
    Err(Error::config(NETWORK, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `vae/config.json` of the Stable Diffusion 1.5 folders on the hub.
    const SD15: &str = r#"{
        "_class_name": "AutoencoderKL", "_diffusers_version": "0.6.0", "act_fn": "silu",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
        "in_channels": 3, "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3,
        "sample_size": 512,
        "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"] }"#;

    #[test]
    fn the_config_of_stable_diffusion_1_is_read() {
        let config = AutoencoderKLConfig::from_json(SD15).unwrap();
        let expected = AutoencoderKLConfig {
            block_out_channels: vec![128, 256, 512, 512],
            layers_per_block: 2,
            sample_size: 512,
            ..AutoencoderKLConfig::default()
        };
        assert_eq!(config, expected);
        assert_eq!(config.vae_scale_factor(), 8);
    }

    #[test]
    fn what_would_be_another_network_is_refused_by_name() {
        let cases = [
            (r#"{"act_fn": "relu"}"#, "act_fn is \"relu\""),
            (r#"{"_class_name": "AutoencoderTiny"}"#, "_class_name is"),
            (r#"{"shift_factor": 0.1}"#, "shift_factor is 0.1"),
            (r#"{"latents_mean": [0]}"#, "latents_mean is [0]"),
            (
                r#"{"down_block_types": ["AttnDownEncoderBlock2D"]}"#,
                "down_block_types is [\"AttnDown",
            ),
            (
                r#"{"up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"]}"#,
                "up_block_types is",
            ),
            (r#"{"norm_num_groups": 48}"#, "norm_num_groups is 48"),
            (r#"{"scaling_factor": 0}"#, "scaling_factor is 0"),
            (
                r#"{"block_out_channels": [32,32,32,32,32,32,32,32,32,32,32,32,32,32]}"#,
                "has 14 levels",
            ),
            (r#"{"double_z": false}"#, "double_z = false"),
        ];
        for (json, message) in cases {
            let error = AutoencoderKLConfig::from_json(json)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("vae config: ") && error.contains(message),
                "{error}"
            );
        }
    }
}
