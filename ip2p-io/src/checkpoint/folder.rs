//! The small files of a folder in diffusers' layout.

use std::path::Path;

use ip2p_core::{Error, Result};
use serde_json::{Map, Value};

use crate::storage::Storage;

pub(super) fn check_folder(folder: &Path) -> Result<()> {
    let expected = "expected a folder in diffusers' layout, with model_index.json, unet/, vae/, text_encoder/, \
                    tokenizer/ and scheduler/";
    let reason = if folder.is_dir() {
        return Ok(());
    } else if folder.is_file() {
        format!("is a file; {expected}")
    } else {
        format!("does not exist; {expected}")
    };
    Err(Error::checkpoint(folder, reason))
}

pub(super) fn read_model_index(storage: &Storage, folder: &Path) -> Result<Map<String, Value>> {
    let path = folder.join("model_index.json");
    if !storage.is_file(&path) {
        let reason = "has no model_index.json, so it is not a pipeline that diffusers saved";
        return Err(Error::checkpoint(folder, reason));
    }
    let index: Map<String, Value> = serde_json::from_str(&storage.read_text(&path)?)
        .map_err(|error| Error::checkpoint(&path, format!("is no JSON object: {error}")))?;
    for part in ["transformer", "text_encoder_3", "prior"] {
        if has_part(&index, part) {
            let class = index.get("_class_name").and_then(Value::as_str);
            let reason = format!(
                "{part}: a {} is not of the architecture of Stable Diffusion 1, 2 or XL, which is all that is supported",
                class.unwrap_or("pipeline with this part")
            );
            return Err(Error::checkpoint(&path, reason));
        }
    }
    for part in ["unet", "vae", "text_encoder", "tokenizer", "scheduler"] {
        if !has_part(&index, part) {
            let reason = format!("{part}: the pipeline has no such part, which an edit needs");
            return Err(Error::checkpoint(&path, reason));
        }
    }
    Ok(index)
}

/// The folders of the tokenizers, one for each text encoder.
pub(super) fn tokenizers(two: bool) -> &'static [&'static str] {
    if two {
        &["tokenizer", "tokenizer_2"]
    } else {
        &["tokenizer"]
    }
}

/// Whether `model_index.json` lists a part: `["library", "Class"]`, and `[null, null]` for one that was left out.
pub(super) fn has_part(index: &Map<String, Value>, part: &str) -> bool {
    index
        .get(part)
        .and_then(|entry| entry.get(1))
        .is_some_and(Value::is_string)
}

pub(super) fn read_part(
    storage: &Storage,
    folder: &Path,
    part: &str,
    file: &str,
) -> Result<String> {
    let path = folder.join(part).join(file);
    if storage.is_file(&path) {
        storage.read_text(&path)
    } else {
        Err(missing_part(folder, part, &format!("{part}/{file}")))
    }
}

pub(super) fn missing_part(folder: &Path, part: &str, file: &str) -> Error {
    let reason = format!("the {part} is missing: no {file}");
    Error::checkpoint(folder, reason)
}
