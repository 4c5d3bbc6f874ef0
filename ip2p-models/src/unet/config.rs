//! What `unet/config.json` says.

use burn::tensor::Device;
use ip2p_core::{Error, Fields, Result};
use serde_json::Value;

use super::addition::Addition;
use super::levels::read_levels;
use super::{UNet2DConditionModel, UNetLevel};

/// The network's name in errors.
const NETWORK: &str = "unet";

/// Fields that must be null, or missing: each adds to the network what we do not have.
const ONLY_NULL: &[&str] = &[
    "class_embed_type",
    "cross_attention_norm",
    "encoder_hid_dim",
    "encoder_hid_dim_type",
    "num_attention_heads", // which diffusers refuses too: the number of heads is in `attention_head_dim`
    "num_class_embeds",
    "reverse_transformer_layers_per_block",
    "time_cond_proj_dim",
    "time_embedding_act_fn",
    "timestep_post_act",
];

/// Fields without a meaning for the networks that the other fields allow, and that may be null.
///
/// The last belongs to embeddings that are refused; the mid block that we have does not look at the first.
const IGNORED: &[&str] = &[
    "mid_block_only_cross_attention",
    "sample_size",
    "addition_embed_type_num_heads",
];

/// The shape of a [`UNet2DConditionModel`].
#[derive(Debug, Clone, PartialEq)]
pub struct UNet2DConditionConfig {
    /// Channels of the latents that come in: 8 in an InstructPix2Pix model, 4 of them the source picture's.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// The levels, from the size of the latents inwards; each but the last is followed by a halving.
    pub levels: Vec<UNetLevel>,
    /// The width of the context.
    pub cross_attention_dim: usize,
    /// How many groups the norms divide the channels into.
    pub norm_num_groups: usize,
    /// What the norms of the convolutional blocks add to the variance.
    pub norm_eps: f64,
    /// Whether the transformers' projections are stored as linear layers, not as convolutions.
    pub use_linear_projection: bool,
    /// The zeros around a picture that is halved.
    pub downsample_padding: usize,
    /// What the sums of the middle block's residuals are divided by.
    pub mid_block_scale_factor: f64,
    /// The width of the time embedding.
    pub time_embedding_dim: usize,
    /// What else is added to the time embedding, in Stable Diffusion XL.
    pub addition: Option<Addition>,
    /// Whether the cosines of the timestep come before the sines.
    pub flip_sin_to_cos: bool,
    /// See [`Timesteps`](crate::layers::Timesteps).
    pub freq_shift: f64,
    /// The side of the first convolution's kernel, odd.
    pub conv_in_kernel: usize,
    /// The side of the last convolution's kernel, odd.
    pub conv_out_kernel: usize,
}

impl UNet2DConditionConfig {
    /// Reads `unet/config.json`; a field that is missing has the value that diffusers gives it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is not JSON, describes another network than a `UNet2DConditionModel`, or has a field or
    /// value that would change the network in a way that we do not know.
    pub fn from_json(json: &str) -> Result<Self> {
        let mut fields = Fields::parse(NETWORK, json)?;
        fields.only("_class_name", &["UNet2DConditionModel".into()])?;
        for name in ONLY_NULL {
            fields.only(name, &[Value::Null])?;
        }
        let time_embedding_dim = match fields.or("time_embedding_dim", "a whole number", 0)? {
            0 => None,
            width => Some(width),
        };
        let addition = Addition::take(&mut fields)?;
        // Null in the folders of Stable Diffusion XL; attention is computed in f32 whatever it says.
        fields.flag("upcast_attention", false)?;
        fields.ignore(IGNORED);
        fields.no_null()?;
        check_constants(&mut fields)?;

        let (levels, cross_attention_dim) = read_levels(&mut fields)?;
        let config = Self {
            in_channels: fields.size("in_channels", 4)?,
            out_channels: fields.size("out_channels", 4)?,
            cross_attention_dim,
            norm_num_groups: fields.size("norm_num_groups", 32)?,
            norm_eps: fields.number("norm_eps", 1e-5)?,
            use_linear_projection: fields.flag("use_linear_projection", false)?,
            downsample_padding: fields.or("downsample_padding", "a whole number", 1)?,
            mid_block_scale_factor: fields.number("mid_block_scale_factor", 1.0)?,
            time_embedding_dim: time_embedding_dim.unwrap_or(4 * levels[0].channels),
            addition,
            flip_sin_to_cos: fields.flag("flip_sin_to_cos", true)?,
            freq_shift: fields.number("freq_shift", 0.0)?,
            conv_in_kernel: fields.size("conv_in_kernel", 3)?,
            conv_out_kernel: fields.size("conv_out_kernel", 3)?,
            levels,
        };
        fields.finish()?;
        config.check()?;
        Ok(config)
    }

    /// A model of this shape whose weights have still to be loaded.
    #[must_use]
    pub fn init(&self, device: &Device) -> UNet2DConditionModel {
        UNet2DConditionModel::new(self, device)
    }

    /// The level with the smallest picture, where the middle block works.
    pub(super) fn lowest(&self) -> &UNetLevel {
        &self.levels[self.levels.len() - 1]
    }

    /// Whatever would make a layer panic.
    fn check(&self) -> Result<()> {
        let waves = self.levels[0].channels;
        require(waves.is_multiple_of(2), || {
            format!("the first of block_out_channels is {waves}, supported is an even number")
        })?;
        if let Some(addition) = &self.addition {
            addition.check(self.freq_shift)?;
        }
        require(waves as f64 / 2.0 > self.freq_shift, || {
            let half = waves / 2;
            format!(
                "freq_shift is {}, supported is a number below {half}",
                self.freq_shift
            )
        })?;
        require(self.norm_eps > 0.0, || {
            format!(
                "norm_eps is {}, supported is a number above 0",
                self.norm_eps
            )
        })?;
        require(self.mid_block_scale_factor != 0.0, || {
            "mid_block_scale_factor is 0, supported is any other number".into()
        })?;
        for (name, side) in [
            ("conv_in_kernel", self.conv_in_kernel),
            ("conv_out_kernel", self.conv_out_kernel),
        ] {
            require(side % 2 == 1, || {
                format!("{name} is {side}, supported is an odd number")
            })?;
        }
        self.levels
            .iter()
            .try_for_each(|level| self.check_level(level))
    }

    fn check_level(&self, level: &UNetLevel) -> Result<()> {
        let (channels, groups, heads) = (level.channels, self.norm_num_groups, level.heads);
        require(channels.is_multiple_of(groups), || {
            format!(
                "norm_num_groups is {groups}, which does not divide the {channels} of block_out_channels"
            )
        })?;
        let attends = level.attention_down || level.attention_up || level == self.lowest();
        require(!attends || channels.is_multiple_of(heads), || {
            format!(
                "attention_head_dim, the number of heads, is {heads}, which does not divide the {channels} of \
                 block_out_channels"
            )
        })
    }
}

/// # Errors
///
/// [`Error::Config`] with this reason if it does not hold.
pub(super) fn require(holds: bool, reason: impl FnOnce() -> String) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::config(NETWORK, reason()))
    }
}

/// Fields that may have one value only.
fn check_constants(fields: &mut Fields) -> Result<()> {
    fields.only("act_fn", &["silu".into(), "swish".into()])?; // two names of one function
    fields.only("attention_type", &["default".into()])?;
    fields.only("mid_block_type", &["UNetMidBlock2DCrossAttn".into()])?;
    fields.only("resnet_out_scale_factor", &[1.into(), 1.0.into()])?;
    fields.only("resnet_time_scale_shift", &["default".into()])?;
    fields.only("time_embedding_type", &["positional".into()])?;
    for name in [
        "center_input_sample",
        "class_embeddings_concat",
        "dual_cross_attention",
        "resnet_skip_time_act",
    ] {
        fields.only(name, &[false.into()])?;
    }
    // Dropout is for training.
    fields.number("dropout", 0.0)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the hub's InstructPix2Pix folder says, but for fields without effect.
    const INSTRUCT_PIX2PIX: &str = r#"{
        "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.13.0.dev0",
        "act_fn": "silu", "attention_head_dim": 8, "block_out_channels": [320, 640, 1280, 1280],
        "center_input_sample": false, "class_embed_type": null, "cross_attention_dim": 768,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "downsample_padding": 1, "dual_cross_attention": false, "flip_sin_to_cos": true, "freq_shift": 0,
        "in_channels": 8, "layers_per_block": 2, "mid_block_scale_factor": 1,
        "mid_block_type": "UNetMidBlock2DCrossAttn", "norm_eps": 1e-05, "norm_num_groups": 32,
        "num_class_embeds": null, "only_cross_attention": false, "out_channels": 4,
        "resnet_time_scale_shift": "default", "sample_size": 64,
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "upcast_attention": false, "use_linear_projection": false
    }"#;

    /// The config above with one field set.
    fn with(name: &str, value: impl Into<Value>) -> Result<UNet2DConditionConfig> {
        let mut config: Value = serde_json::from_str(INSTRUCT_PIX2PIX).unwrap();
        config[name] = value.into();
        UNet2DConditionConfig::from_json(&config.to_string())
    }

    #[test]
    fn an_instruct_pix2pix_config_is_the_default_but_for_channels_and_context() {
        let config = UNet2DConditionConfig::from_json(INSTRUCT_PIX2PIX).unwrap();
        let default = UNet2DConditionConfig::from_json("{}").unwrap();
        let expected = UNet2DConditionConfig {
            in_channels: 8,
            cross_attention_dim: 768,
            ..default
        };
        assert_eq!(config, expected);
        assert_eq!(config.time_embedding_dim, 1280);
        let attention = config
            .levels
            .iter()
            .map(|l| (l.attention_down, l.attention_up));
        let expected = [(true, true), (true, true), (true, true), (false, false)];
        assert!(attention.eq(expected));
    }

    #[test]
    fn a_field_may_have_one_value_for_each_level() {
        let config = with("attention_head_dim", vec![5, 10, 20, 20]).unwrap();
        assert!(
            config
                .levels
                .iter()
                .map(|level| level.heads)
                .eq([5, 10, 20, 20])
        );
        let config = with("layers_per_block", vec![1, 2, 3, 4]).unwrap();
        assert!(
            config
                .levels
                .iter()
                .map(|level| level.layers)
                .eq([1, 2, 3, 4])
        );
        let config = with("only_cross_attention", vec![true, true, true, false]).unwrap();
        assert!(config.levels[0].only_cross_attention && !config.levels[3].only_cross_attention);
    }

    #[test]
    fn the_way_up_is_given_from_the_lowest_level() {
        let types = ["UpBlock2D", "UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"];
        let config = with("up_block_types", types.to_vec()).unwrap();
        let up = config.levels.iter().map(|level| level.attention_up);
        assert!(up.eq([false, true, false, false]));
    }

    #[test]
    fn a_value_that_changes_the_network_is_refused_by_name() {
        let cases: [(&str, Value); 28] = [
            ("_class_name", "UNet2DModel".into()),
            ("act_fn", "mish".into()),
            ("attention_head_dim", 7.into()),
            ("attention_head_dim", vec![8, 8].into()),
            ("attention_head_dim", 0.into()),
            ("attention_type", "gated".into()),
            ("block_out_channels", Vec::<usize>::new().into()),
            ("block_out_channels", vec![32, 64, 96, 100].into()),
            ("center_input_sample", true.into()),
            ("class_embed_type", "timestep".into()),
            ("conv_in_kernel", 2.into()),
            ("cross_attention_dim", vec![768, 768, 768, 1024].into()),
            ("down_block_types", vec!["DownBlock2D"].into()),
            ("down_block_types", vec!["AttnDownBlock2D"; 4].into()),
            ("dual_cross_attention", true.into()),
            ("freq_shift", 160.into()),
            ("in_channels", 0.into()),
            ("mid_block_scale_factor", 0.into()),
            ("mid_block_type", "UNetMidBlock2D".into()),
            ("mid_block_type", Value::Null),
            ("norm_eps", "small".into()),
            ("norm_num_groups", 7.into()),
            ("norm_num_groups", Value::Null),
            ("num_attention_heads", 8.into()),
            ("resnet_time_scale_shift", "scale_shift".into()),
            ("time_cond_proj_dim", 256.into()),
            ("transformer_layers_per_block", vec![vec![1, 2]; 4].into()),
            ("an_unknown_field", true.into()),
        ];
        for (name, value) in cases {
            let error = with(name, value.clone()).unwrap_err().to_string();
            assert!(
                error.starts_with("unet config: ") && error.contains(name),
                "{name} = {value}: {error}"
            );
        }
    }

    #[test]
    fn the_additions_of_stable_diffusion_xl_are_read() {
        let with_all = |fields: &[(&str, Value)]| {
            let mut config: Value = serde_json::from_str(INSTRUCT_PIX2PIX).unwrap();
            for (name, value) in fields {
                config[*name] = value.clone();
            }
            UNet2DConditionConfig::from_json(&config.to_string())
        };
        let kind = ("addition_embed_type", Value::from("text_time"));
        let time = ("addition_time_embed_dim", Value::from(256));
        let input = ("projection_class_embeddings_input_dim", Value::from(2816));
        let config = with_all(&[kind.clone(), time.clone(), input.clone()]).unwrap();
        let addition = config.addition.unwrap();
        assert_eq!((addition.time_embed_dim, addition.input_dim), (256, 2816));
        assert_eq!(addition.text_dim(), 1280);
        let cases = [
            (
                vec![kind.clone(), time.clone()],
                "projection_class_embeddings_input_dim",
            ),
            (vec![kind.clone(), input.clone()], "addition_time_embed_dim"),
            (
                vec![kind.clone(), ("addition_time_embed_dim", 512.into()), input],
                "projection_class_embeddings_input_dim is 2816",
            ),
            (
                vec![("addition_embed_type", "image".into())],
                "addition_embed_type is \"image\"",
            ),
        ];
        for (fields, words) in cases {
            let error = with_all(&fields).unwrap_err().to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn a_value_without_effect_passes() {
        let expected = UNet2DConditionConfig::from_json(INSTRUCT_PIX2PIX).unwrap();
        let cases: [(&str, Value); 9] = [
            ("_name_or_path", "somewhere".into()),
            ("act_fn", "swish".into()),
            ("addition_time_embed_dim", 256.into()),
            ("dropout", 0.1.into()),
            ("mid_block_only_cross_attention", Value::Null),
            ("resnet_out_scale_factor", 1.into()),
            ("sample_size", vec![32, 64].into()),
            ("time_embedding_dim", Value::Null),
            ("upcast_attention", true.into()),
        ];
        for (name, value) in cases {
            assert_eq!(with(name, value).unwrap(), expected, "{name}");
        }
    }
}
