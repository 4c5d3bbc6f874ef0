//! What a single file is, if it is no checkpoint that can be read.

use std::collections::BTreeMap;
use std::path::Path;

use ip2p_core::{Error, Result};

use super::{TensorInfo, text};
use crate::checkpoint::other_vae::is_half;
use crate::lora::is_lora_key;

/// Names by which files are known, or how names begin in them, and what they are; the first that fits.
const KINDS: [(&str, &str); 17] = [
    (
        "conditioner.embedders.0.model.",
        "a refiner of Stable Diffusion XL, which edits nothing by itself",
    ),
    (
        "model.diffusion_model.joint_blocks.",
        "a checkpoint of Stable Diffusion 3, which edits by other means",
    ),
    (
        "model.diffusion_model.double_blocks.",
        "a checkpoint of Flux, which edits by other means",
    ),
    (
        "double_blocks.",
        "a transformer of Flux, which edits by other means",
    ),
    ("control_model.", "a ControlNet, which is not used here"),
    (
        "controlnet_cond_embedding.",
        "a ControlNet, which is not used here",
    ),
    (
        "first_stage_model.",
        "an autoencoder alone; give it by --vae beside a model",
    ),
    (
        "decoder.conv_in.weight",
        "an autoencoder alone; give it by --vae beside a model",
    ),
    (
        "decoder.layers.",
        "a tiny autoencoder alone; give it by --vae beside a model",
    ),
    (
        "taesd_decoder.",
        "a tiny autoencoder alone; give it by --vae beside a model",
    ),
    ("text_model.", "a text encoder alone"),
    ("cond_stage_model.", "a text encoder alone"),
    (
        "conditioner.",
        "the text encoders of Stable Diffusion XL alone",
    ),
    (
        "down_blocks.",
        "a U-Net in diffusers' names, which is read as a part of a folder, unet/diffusion_pytorch_model.safetensors",
    ),
    ("emb_params", "a textual inversion, not a model"),
    ("string_to_param", "a textual inversion, not a model"),
    ("string_to_token", "a textual inversion, not a model"),
];

/// Refuses a file that is no checkpoint of Stable Diffusion 1, 2 or XL, and says what it is instead.
pub(super) fn check(path: &Path, tensors: &BTreeMap<String, TensorInfo>) -> Result<()> {
    let has = |start: &str| {
        tensors
            .range(start.to_owned()..)
            .next()
            .is_some_and(|(name, _)| name.starts_with(start))
    };
    let is_unet = has("model.diffusion_model.input_blocks.0.0.weight");
    let described = KINDS
        .iter()
        // What comes with a U-Net is no other kind of file, but the first, which is of another text encoder.
        .enumerate()
        .find(|(index, (start, _))| has(start) && (!is_unet || *index < 1))
        .map(|(_, (_, what))| (*what).to_owned());
    if is_unet && described.is_none() {
        if has(text::CLIP) || has(text::OPEN_CLIP) || (has(text::FIRST) && has(text::SECOND)) {
            return Ok(());
        }
        let reason = format!(
            "holds a U-Net and not its text encoder, whose weights are called {}… in Stable Diffusion 1, {}… in 2, and {}… and {}… \
             in XL",
            text::CLIP,
            text::OPEN_CLIP,
            text::FIRST,
            text::SECOND
        );
        return Err(Error::checkpoint(path, reason));
    }
    let what = if tensors.keys().any(|name| is_lora_key(name)) {
        "a file of low-rank adaptations; give it by --lora beside a model".to_owned()
    } else if is_half(tensors) {
        "one half of a tiny autoencoder; give it by --vae beside a model".to_owned()
    } else {
        described.unwrap_or_else(|| {
            let first = tensors.keys().next().map_or("nothing", String::as_str);
            format!("something else: of the weights of a U-Net, model.diffusion_model.…, it has none, but {first}")
        })
    };
    Err(Error::checkpoint(path, format!("is {what}")))
}
