//! The small files that a single file does not have.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use ip2p_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::Networks;
use crate::checkpoint::Component;
use crate::storage::Storage;

/// How CLIP's tokens merge, the first to be merged first: `clip/bpe_simple_vocab_16e6.txt.gz` of openai/CLIP, the lines that it uses.
const MERGES: &str = include_str!("clip_merges.txt");

/// The first line of `merges.txt`.
const VERSION: &str = "#version: 0.2\n";

/// Whether a `merges.txt` is CLIP's.
pub(in crate::checkpoint) fn is_clip(merges: &str) -> bool {
    let lines = merges
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.is_empty());
    lines.eq(MERGES.lines())
}

/// The small files that whoever wrote the file put into its metadata.
pub(super) fn from_metadata(path: &Path, texts: &str) -> Result<Storage> {
    let mut files: BTreeMap<String, String> = serde_json::from_str(texts).map_err(|error| {
        Error::checkpoint(
            path,
            format!("{} in its metadata: {error}", super::METADATA),
        )
    })?;
    if !files.keys().any(|name| name.starts_with("tokenizer/")) {
        files.extend(clip_tokenizer());
    }
    Storage::memory(
        path,
        files
            .into_iter()
            .map(|(name, text)| (name, text.into_bytes())),
    )
}

/// The small files of Stable Diffusion 1, if the weights are of its shapes.
pub(super) fn of_stable_diffusion_1(path: &Path, networks: &Networks) -> Result<Storage> {
    let shape = |component: Component, name: &str| {
        let info = networks.get(&component)?.get(name)?;
        Some(info.shape.as_slice())
    };
    let text = |name: &str| {
        let old = name.strip_prefix("text_model.").unwrap_or(name);
        shape(Component::TextEncoder, name).or_else(|| shape(Component::TextEncoder, old))
    };
    let first = shape(Component::Unet, "conv_in.weight");
    let context = shape(
        Component::Unet,
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
    );
    let tokens = text("text_model.embeddings.token_embedding.weight");
    if let (Some(&[320, channels, 3, 3]), Some(&[320, 768]), Some(&[49408, 768])) =
        (first, context, tokens)
    {
        return Storage::memory(path, files(channels));
    }
    let words = |shape: Option<&[usize]>| shape.map_or("none".into(), |shape| format!("{shape:?}"));
    let reason = format!(
        "is of no known size: its first convolution is {}, its first cross-attention {}, its tokens {}, where those of Stable Diffusion 1 \
         are [320, 8, 3, 3], [320, 768] and [49408, 768]; give a folder with its configs by --config",
        words(first),
        words(context),
        words(tokens)
    );
    Err(Error::checkpoint(path, reason))
}

fn files(channels: usize) -> Vec<(String, Vec<u8>)> {
    let part = |library: &str, class: &str| json!([library, class]);
    let index = json!({
        "_class_name": "StableDiffusionInstructPix2PixPipeline",
        "feature_extractor": [null, null],
        "requires_safety_checker": false,
        "safety_checker": [null, null],
        "scheduler": part("diffusers", "EulerAncestralDiscreteScheduler"),
        "text_encoder": part("transformers", "CLIPTextModel"),
        "tokenizer": part("transformers", "CLIPTokenizer"),
        "unet": part("diffusers", "UNet2DConditionModel"),
        "vae": part("diffusers", "AutoencoderKL"),
    });
    // The files of timbrooks/instruct-pix2pix, without what is diffusers' default.
    let unet = json!({
        "_class_name": "UNet2DConditionModel",
        "attention_head_dim": 8,
        "block_out_channels": [320, 640, 1280, 1280],
        "cross_attention_dim": 768,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "in_channels": channels,
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "out_channels": 4,
        "sample_size": 64,
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    });
    let vae = json!({
        "_class_name": "AutoencoderKL",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
        "latent_channels": 4,
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "sample_size": 512,
        "scaling_factor": 0.18215,
        "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"],
    });
    let text = json!({
        "architectures": ["CLIPTextModel"],
        "hidden_act": "quick_gelu",
        "hidden_size": 768,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": 77,
        "model_type": "clip_text_model",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "vocab_size": 49408,
    });
    let scheduler = json!({
        "_class_name": "EulerAncestralDiscreteScheduler",
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "num_train_timesteps": 1000,
        "prediction_type": "epsilon",
        "steps_offset": 1,
    });
    let texts = [
        ("model_index.json", index),
        ("unet/config.json", unet),
        ("vae/config.json", vae),
        ("text_encoder/config.json", text),
        ("scheduler/scheduler_config.json", scheduler),
    ];
    let texts = texts
        .into_iter()
        .map(|(name, text)| (name.to_owned(), format!("{text:#}\n")));
    texts
        .chain(clip_tokenizer())
        .map(|(name, text)| (name, text.into_bytes()))
        .collect()
}

/// CLIP's tokenizer, in files as transformers reads them.
fn clip_tokenizer() -> [(String, String); 3] {
    let mut vocabulary = Map::new();
    let mut add = |token: String| {
        let id = Value::from(vocabulary.len());
        vocabulary.insert(token, id);
    };
    let bytes = byte_alphabet();
    for byte in &bytes {
        add(byte.to_string());
    }
    for byte in &bytes {
        add(format!("{byte}</w>"));
    }
    for pair in MERGES.lines() {
        add(pair.replacen(' ', "", 1));
    }
    add("<|startoftext|>".into());
    add("<|endoftext|>".into());
    let config = json!({
        "bos_token": "<|startoftext|>",
        "do_lower_case": true,
        "eos_token": "<|endoftext|>",
        "model_max_length": 77,
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": "<|endoftext|>",
    });
    let mut merges = VERSION.to_owned();
    let _ = write!(merges, "{MERGES}");
    [
        (
            "tokenizer/vocab.json".into(),
            Value::Object(vocabulary).to_string(),
        ),
        ("tokenizer/merges.txt".into(), merges),
        (
            "tokenizer/tokenizer_config.json".into(),
            format!("{config:#}\n"),
        ),
    ]
}

/// The printable characters that stand for the 256 bytes, in the order of their ids: `bytes_to_unicode` of
/// `clip/simple_tokenizer.py` in openai/CLIP.
fn byte_alphabet() -> Vec<char> {
    let printable = || ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ');
    let others = 256 - printable().count();
    printable().chain(('\u{100}'..).take(others)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokenizer;
    use crate::tokenizer::TokenizerFiles;

    #[test]
    fn the_tokenizer_is_clips() {
        let files = clip_tokenizer();
        let storage = Storage::memory(
            Path::new("x"),
            files
                .into_iter()
                .map(|(name, text)| (name, text.into_bytes())),
        );
        let files = TokenizerFiles::read_in(&storage.unwrap(), Path::new("x/tokenizer")).unwrap();
        let encoded = Tokenizer::from_bytes(&files)
            .unwrap()
            .encode("a photo of a cat")
            .unwrap();
        // As transformers' CLIPTokenizer of openai/clip-vit-large-patch14 gives them.
        assert_eq!(encoded.ids[..7], [49406, 320, 1125, 539, 320, 2368, 49407]);
        assert_eq!(encoded.ids[76], 49407);
        assert_eq!(byte_alphabet().len(), 256);
        assert!(is_clip(&format!("{VERSION}{MERGES}")) && !is_clip("a b\n"));
    }
}
