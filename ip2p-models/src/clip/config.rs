//! What `text_encoder/config.json` says.

use burn::tensor::{Device, Tensor};
use ip2p_core::{Error, Fields, Result};
use serde::Deserialize;

use super::{CLIPTextModel, CLIPTextModelWithProjection};
use crate::layers::ops;

/// The network's name in errors, where there is but one.
const NETWORK: &str = "text_encoder";

/// The fields of a config that change nothing: names, training settings, the token ids that only the tokenizer needs,
/// and what generation code of transformers reads.
const IGNORED: [&str; 18] = [
    "architectures",
    "attention_dropout",
    "bos_token_id",
    "dropout",
    "dtype",
    "gradient_checkpointing",
    "id2label",
    "initializer_factor",
    "initializer_range",
    "label2id",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "problem_type",
    "return_dict",
    "torch_dtype",
    "transformers_version",
    "use_cache",
];

/// The activation between the two layers of the feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenAct {
    /// `x · sigmoid(1.702 x)`: the original CLIP, and so Stable Diffusion 1.
    #[default]
    QuickGelu,
    /// `x · Φ(x)`, exact: OpenCLIP's ViT-H/14, and so Stable Diffusion 2.
    Gelu,
}

impl HiddenAct {
    pub(super) fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::QuickGelu => ops::quick_gelu(x),
            Self::Gelu => ops::gelu(x),
        }
    }
}

/// The shape of a [`CLIPTextModel`].
///
/// The fields are spelt as in `config.json`, and [`Default`] is what transformers gives those that are missing there.
#[derive(Debug, Clone, PartialEq)]
pub struct CLIPTextConfig {
    /// How many tokens there are: 49408 in every CLIP.
    pub vocab_size: usize,
    /// The width of a state: 768 in ViT-L/14.
    pub hidden_size: usize,
    /// The width inside the feed-forward part: 3072 in ViT-L/14.
    pub intermediate_size: usize,
    /// How many layers: 12 in ViT-L/14.
    pub num_hidden_layers: usize,
    /// How many heads share the width: 12 in ViT-L/14.
    pub num_attention_heads: usize,
    /// The longest sentence in tokens, its begin and end included: 77.
    pub max_position_embeddings: usize,
    /// The activation of the feed-forward part.
    pub hidden_act: HiddenAct,
    /// What the layer norms add to the variance.
    pub layer_norm_eps: f64,
    /// The width of the pooled state after its projection, where the model has one: 1280 in ViT-bigG/14.
    pub projection_dim: usize,
    /// The token that ends a sentence, whose state is the pooled one. What older files say, 2, is no such token: there
    /// it is the token of the highest id.
    pub eos_token_id: i64,
}

impl Default for CLIPTextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: HiddenAct::QuickGelu,
            layer_norm_eps: 1e-5,
            projection_dim: 512,
            eos_token_id: 49407,
        }
    }
}

impl CLIPTextConfig {
    /// Reads `text_encoder/config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is not JSON, describes another network than a CLIP text model, or has a field or value
    /// that would change the network in a way that we do not know.
    pub fn from_json(json: &str) -> Result<Self> {
        Self::from_json_of(NETWORK, json)
    }

    /// As [`Self::from_json`], of the network that errors are to name, such as `text_encoder_2`.
    ///
    /// # Errors
    ///
    /// Those of [`Self::from_json`].
    pub fn from_json_of(network: &'static str, json: &str) -> Result<Self> {
        let default = Self::default();
        let mut fields = Fields::parse(network, json)?;
        // First, so that the config of a whole CLIP, or of another model, is told as such.
        fields.only("model_type", &["clip_text_model".into()])?;
        let config = Self {
            vocab_size: fields.size("vocab_size", default.vocab_size)?,
            hidden_size: fields.size("hidden_size", default.hidden_size)?,
            intermediate_size: fields.size("intermediate_size", default.intermediate_size)?,
            num_hidden_layers: fields.size("num_hidden_layers", default.num_hidden_layers)?,
            num_attention_heads: fields.size("num_attention_heads", default.num_attention_heads)?,
            max_position_embeddings: fields
                .size("max_position_embeddings", default.max_position_embeddings)?,
            hidden_act: fields.or(
                "hidden_act",
                "\"quick_gelu\" or \"gelu\"",
                default.hidden_act,
            )?,
            layer_norm_eps: fields.number("layer_norm_eps", default.layer_norm_eps)?,
            projection_dim: fields.size("projection_dim", default.projection_dim)?,
            eos_token_id: fields.or("eos_token_id", "a whole number", default.eos_token_id)?,
        };
        fields.ignore(&IGNORED);
        fields.finish()?;
        config.check(network)?;
        Ok(config)
    }

    fn check(&self, network: &'static str) -> Result<()> {
        if self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Ok(());
        }
        Err(Error::config(
            network,
            format!(
                "num_attention_heads is {}, supported is a divisor of hidden_size, {}",
                self.num_attention_heads, self.hidden_size
            ),
        ))
    }

    /// A model of this shape whose weights have still to be loaded.
    #[must_use]
    pub fn init(&self, device: &Device) -> CLIPTextModel {
        CLIPTextModel::new(self, device)
    }

    /// A model of this shape with the projection of the pooled state, whose weights have still to be loaded.
    #[must_use]
    pub fn init_with_projection(&self, device: &Device) -> CLIPTextModelWithProjection {
        CLIPTextModelWithProjection::new(self, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text_encoder/config.json` of the Stable Diffusion 1.5 folders on the hub.
    const SD15: &str = r#"{
        "_name_or_path": "openai/clip-vit-large-patch14", "architectures": ["CLIPTextModel"],
        "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2, "hidden_act": "quick_gelu",
        "hidden_size": 768, "initializer_factor": 1.0, "initializer_range": 0.02, "intermediate_size": 3072,
        "layer_norm_eps": 1e-05, "max_position_embeddings": 77, "model_type": "clip_text_model",
        "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 1, "projection_dim": 768,
        "torch_dtype": "float32", "transformers_version": "4.22.0.dev0", "vocab_size": 49408 }"#;

    #[test]
    fn the_config_of_stable_diffusion_1_is_vit_l_14() {
        let expected = CLIPTextConfig {
            vocab_size: 49408,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            max_position_embeddings: 77,
            hidden_act: HiddenAct::QuickGelu,
            layer_norm_eps: 1e-5,
            projection_dim: 768,
            eos_token_id: 2,
        };
        assert_eq!(CLIPTextConfig::from_json(SD15).unwrap(), expected);
    }

    #[test]
    fn an_empty_config_has_the_defaults_of_transformers() {
        assert_eq!(
            CLIPTextConfig::from_json("{}").unwrap(),
            CLIPTextConfig::default()
        );
    }

    #[test]
    fn errors_name_the_network() {
        let error = CLIPTextConfig::from_json_of("text_encoder_2", r#"{"num_attention_heads": 7}"#);
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("text_encoder_2 config: "), "{error}");
    }

    #[test]
    fn what_would_be_another_network_is_refused_by_name() {
        let cases = [
            (r#"{"hidden_act": "relu"}"#, "hidden_act is \"relu\""),
            (r#"{"model_type": "clip"}"#, "model_type is \"clip\""),
            (r#"{"num_attention_heads": 7}"#, "num_attention_heads is 7"),
            (r#"{"rope_theta": 10000}"#, "rope_theta = 10000"),
            (r#"{"hidden_size": 7.5}"#, "hidden_size is 7.5"),
        ];
        for (json, message) in cases {
            let error = CLIPTextConfig::from_json(json).unwrap_err().to_string();
            assert!(
                error.starts_with("text_encoder config: ") && error.contains(message),
                "{error}"
            );
        }
    }
}
