//! Which family of models a single file is of, and the configs of each: those of the folders on the hub, without what is
//! diffusers' default.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::Path;

use ip2p_core::{Error, Precision, Result};
use serde_json::{Value, json};

use super::{Networks, TensorInfo};
use crate::checkpoint::{Component, Layout, read_tensor};

/// The token that ends a sentence.
pub(super) const END: &str = "<|endoftext|>";

/// How the names begin that say the range of a noise without betas, in CosXL's files.
pub(super) const EDM: &str = "edm_vpred.";

/// What says that a model of Stable Diffusion XL predicts the velocity, and that its noise ends in nothing else.
pub(super) const VELOCITY: &str = "v_pred";
pub(super) const ZERO_SNR: &str = "ztsnr";

/// How far the biases of a norm vary from where on a model of Stable Diffusion 2 predicts the velocity: ComfyUI's rule,
/// `SD20` in its `supported_models.py`.
const VELOCITY_SPREAD: f64 = 0.09;

/// The norm in question.
const TELLING_NORM: &str = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias";

/// A family of models, and what its files leave open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Family {
    One {
        channels: usize,
    },
    Two {
        channels: usize,
        velocity: bool,
    },
    Xl {
        channels: usize,
        /// The least and the most noise, of a training without betas.
        edm: Option<[f64; 2]>,
        velocity: bool,
        zero_snr: bool,
    },
}

/// The shapes by which families are known.
#[derive(Debug)]
pub(super) struct Shapes<'a> {
    first: Option<&'a [usize]>,
    /// That of the first cross-attention.
    context: Option<&'a [usize]>,
    tokens: Option<&'a [usize]>,
    tokens_2: Option<&'a [usize]>,
}

impl<'a> Shapes<'a> {
    pub(super) fn of(networks: &'a Networks) -> Self {
        let shape = |component: Component, name: &str| {
            let info = networks.get(&component)?.get(name)?;
            Some(info.shape.as_slice())
        };
        let tokens = |component| {
            let name = "embeddings.token_embedding.weight";
            shape(component, &format!("text_model.{name}")).or_else(|| shape(component, name))
        };
        let context = |level: usize| {
            let name =
                format!("down_blocks.{level}.attentions.0.transformer_blocks.0.attn2.to_k.weight");
            shape(Component::Unet, &name)
        };
        Self {
            first: shape(Component::Unet, "conv_in.weight"),
            context: context(0).or_else(|| context(1)),
            tokens: tokens(Component::TextEncoder),
            tokens_2: tokens(Component::TextEncoder2),
        }
    }
}

impl fmt::Display for Shapes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words =
            |shape: Option<&[usize]>| shape.map_or("none".into(), |shape| format!("{shape:?}"));
        write!(
            f,
            "its first convolution is {}, its first cross-attention {}, its tokens {}",
            words(self.first),
            words(self.context),
            words(self.tokens)
        )
    }
}

impl Family {
    /// That of the weights, if they are of a known one.
    pub(super) fn find(
        path: &Path,
        networks: &Networks,
        tensors: &BTreeMap<String, TensorInfo>,
    ) -> Result<Option<Self>> {
        let Shapes {
            first,
            context,
            tokens,
            tokens_2,
        } = Shapes::of(networks);
        let Some(&[320, channels, 3, 3]) = first else {
            return Ok(None);
        };
        Ok(match (context, tokens, tokens_2) {
            (Some([320, 768]), Some([49408, 768]), None) => Some(Self::One { channels }),
            (Some([320, 1024]), Some([49408, 1024]), None) => Some(Self::Two {
                channels,
                velocity: predicts_velocity(path, networks)?,
            }),
            (Some([640, 2048]), Some([49408, 768]), Some([49408, 1280])) => Some(Self::Xl {
                channels,
                edm: edm(path, tensors)?,
                velocity: tensors.contains_key(VELOCITY),
                zero_snr: tensors.contains_key(ZERO_SNR),
            }),
            _ => None,
        })
    }

    pub(super) fn is_xl(self) -> bool {
        matches!(self, Self::Xl { .. })
    }

    /// What the first tokenizer pads with: OpenCLIP's text encoder was trained with zeros.
    pub(super) fn pads_with(self) -> &'static str {
        match self {
            Self::Two { .. } => "!",
            Self::One { .. } | Self::Xl { .. } => END,
        }
    }

    /// What was guessed, in words.
    pub(super) fn note(self) -> Option<String> {
        let Self::Two { velocity, .. } = self else {
            return None;
        };
        let what = if velocity {
            "the velocity"
        } else {
            "the noise"
        };
        Some(format!(
            "a file of Stable Diffusion 2 does not say what it predicts: by the spread of a norm it is {what}; a folder with its \
             configs, given by --config, says for certain"
        ))
    }

    /// The configs, by their names in a folder.
    pub(super) fn configs(self) -> Vec<(&'static str, Value)> {
        let mut configs = vec![
            ("model_index.json", self.model_index()),
            ("unet/config.json", self.unet()),
            ("vae/config.json", self.vae()),
            ("text_encoder/config.json", self.text_encoder()),
            ("scheduler/scheduler_config.json", self.scheduler()),
        ];
        if self.is_xl() {
            let second = text_encoder("CLIPTextModelWithProjection", "gelu", 1280, 32, 20);
            configs.push(("text_encoder_2/config.json", second));
        }
        configs
    }

    fn model_index(self) -> Value {
        let part = |library: &str, class: &str| json!([library, class]);
        let class = match self {
            Self::Xl { .. } => "StableDiffusionXLInstructPix2PixPipeline",
            Self::One { .. } | Self::Two { .. } => "StableDiffusionInstructPix2PixPipeline",
        };
        let scheduler = self.scheduler();
        let scheduler = scheduler["_class_name"].as_str().unwrap_or_default();
        let mut index = json!({
            "_class_name": class,
            "scheduler": part("diffusers", scheduler),
            "text_encoder": part("transformers", "CLIPTextModel"),
            "tokenizer": part("transformers", "CLIPTokenizer"),
            "unet": part("diffusers", "UNet2DConditionModel"),
            "vae": part("diffusers", "AutoencoderKL"),
        });
        if let Self::Xl { edm, .. } = self {
            index["text_encoder_2"] = part("transformers", "CLIPTextModelWithProjection");
            index["tokenizer_2"] = part("transformers", "CLIPTokenizer");
            index["force_zeros_for_empty_prompt"] = true.into();
            index["is_cosxl_edit"] = edm.is_some().into();
        } else {
            index["feature_extractor"] = json!([null, null]);
            index["requires_safety_checker"] = false.into();
            index["safety_checker"] = json!([null, null]);
        }
        index
    }

    fn unet(self) -> Value {
        let (down, up) = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D");
        let mut unet = json!({
            "_class_name": "UNet2DConditionModel",
            "attention_head_dim": 8,
            "block_out_channels": [320, 640, 1280, 1280],
            "cross_attention_dim": 768,
            "down_block_types": [down, down, down, "DownBlock2D"],
            "layers_per_block": 2,
            "norm_num_groups": 32,
            "out_channels": 4,
            "sample_size": 64,
            "up_block_types": ["UpBlock2D", up, up, up],
        });
        let channels = match self {
            Self::One { channels } => channels,
            Self::Two { channels, velocity } => {
                unet["attention_head_dim"] = json!([5, 10, 20, 20]);
                unet["cross_attention_dim"] = 1024.into();
                unet["use_linear_projection"] = true.into();
                unet["sample_size"] = if velocity { 96.into() } else { 64.into() };
                channels
            }
            Self::Xl { channels, .. } => {
                unet["addition_embed_type"] = "text_time".into();
                unet["addition_time_embed_dim"] = 256.into();
                unet["attention_head_dim"] = json!([5, 10, 20]);
                unet["block_out_channels"] = json!([320, 640, 1280]);
                unet["cross_attention_dim"] = 2048.into();
                unet["down_block_types"] = json!(["DownBlock2D", down, down]);
                unet["projection_class_embeddings_input_dim"] = 2816.into();
                unet["sample_size"] = 128.into();
                unet["transformer_layers_per_block"] = json!([1, 2, 10]);
                unet["up_block_types"] = json!([up, up, "UpBlock2D"]);
                unet["use_linear_projection"] = true.into();
                channels
            }
        };
        unet["in_channels"] = channels.into();
        unet
    }

    fn vae(self) -> Value {
        let mut vae = json!({
            "_class_name": "AutoencoderKL",
            "block_out_channels": [128, 256, 512, 512],
            "down_block_types": vec!["DownEncoderBlock2D"; 4],
            "latent_channels": 4,
            "layers_per_block": 2,
            "norm_num_groups": 32,
            "sample_size": 512,
            "scaling_factor": 0.18215,
            "up_block_types": vec!["UpDecoderBlock2D"; 4],
        });
        if self.is_xl() {
            vae["force_upcast"] = true.into();
            vae["sample_size"] = 1024.into();
            vae["scaling_factor"] = 0.13025.into();
        }
        vae
    }

    fn text_encoder(self) -> Value {
        match self {
            Self::One { .. } | Self::Xl { .. } => {
                text_encoder("CLIPTextModel", "quick_gelu", 768, 12, 12)
            }
            // Without the last of its 24 layers.
            Self::Two { .. } => text_encoder("CLIPTextModel", "gelu", 1024, 23, 16),
        }
    }

    fn scheduler(self) -> Value {
        let prediction = |velocity| if velocity { "v_prediction" } else { "epsilon" };
        let betas = |class: &str, velocity| {
            json!({
                "_class_name": class,
                "beta_end": 0.012,
                "beta_schedule": "scaled_linear",
                "beta_start": 0.00085,
                "num_train_timesteps": 1000,
                "prediction_type": prediction(velocity),
                "steps_offset": 1,
            })
        };
        match self {
            Self::One { .. } => betas("EulerAncestralDiscreteScheduler", false),
            Self::Two { velocity, .. } => betas("EulerAncestralDiscreteScheduler", velocity),
            Self::Xl {
                edm: None,
                velocity,
                zero_snr,
                ..
            } => {
                let mut scheduler = betas("EulerDiscreteScheduler", velocity);
                scheduler["timestep_spacing"] = "leading".into();
                scheduler["rescale_betas_zero_snr"] = zero_snr.into();
                scheduler
            }
            Self::Xl {
                edm: Some([min, max]),
                ..
            } => json!({
                "_class_name": "EDMEulerScheduler",
                "num_train_timesteps": 1000,
                "prediction_type": "v_prediction",
                "sigma_data": 1.0,
                "sigma_max": max,
                "sigma_min": min,
                "sigma_schedule": "exponential",
            }),
        }
    }
}

fn text_encoder(class: &str, act: &str, width: usize, layers: usize, heads: usize) -> Value {
    let mut config = json!({
        "architectures": [class],
        "hidden_act": act,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": 77,
        "model_type": "clip_text_model",
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "vocab_size": 49408,
    });
    if class.ends_with("WithProjection") {
        config["eos_token_id"] = 49407.into();
        config["projection_dim"] = width.into();
    }
    config
}

/// Whether a model of Stable Diffusion 2 predicts the velocity, by ComfyUI's rule.
fn predicts_velocity(path: &Path, networks: &Networks) -> Result<bool> {
    let norm = networks.get(&Component::Unet);
    let Some(norm) = norm.and_then(|unet| unet.get(TELLING_NORM)) else {
        return Ok(false);
    };
    let biases = numbers(path, TELLING_NORM, norm)?;
    let count = biases.len().max(1) as f64;
    let mean = biases.iter().sum::<f64>() / count;
    let variance = biases.iter().map(|bias| (bias - mean).powi(2)).sum::<f64>() / count;
    Ok(variance.sqrt() > VELOCITY_SPREAD)
}

/// The range of noise that CosXL's file says.
fn edm(path: &Path, tensors: &BTreeMap<String, TensorInfo>) -> Result<Option<[f64; 2]>> {
    let sigma = |end: &str| {
        let name = format!("{EDM}{end}");
        let Some(info) = tensors.get(&name) else {
            return Ok(None);
        };
        if let [sigma] = numbers(path, &name, info)?[..] {
            return Ok(Some(sigma));
        }
        let reason = format!("holds {name} of the shape {:?}, not one number", info.shape);
        Err(Error::checkpoint(path, reason))
    };
    Ok(match (sigma("sigma_min")?, sigma("sigma_max")?) {
        (None, None) => None,
        (min, max) => Some([min.unwrap_or(0.002), max.unwrap_or(120.0)]),
    })
}

/// The numbers of a small tensor.
fn numbers(path: &Path, name: &str, info: &TensorInfo) -> Result<Vec<f64>> {
    if !info.format.is_float() {
        let reason = format!("tensor {name} is of type {}, not a float type", info.format);
        return Err(Error::checkpoint(path, reason));
    }
    let read = || {
        let mut file = File::open(path)?;
        read_tensor(&mut file, info, Layout::Same, Precision::F32, &info.shape)
    };
    let data = read().map_err(|error| Error::io(path, error))?;
    let numbers: Vec<f32> = data
        .try_to_vec()
        .map_err(|error| Error::other("reading a tensor's numbers", format!("{error:?}")))?;
    Ok(numbers.into_iter().map(shortest).collect())
}

/// The number that is written as the `f32` is: 0.002 for what is next to it.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}
