//! What the products of a file count that says it beside its tensors and not among them: diffusers' and PEFT's.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ip2p_core::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::checkpoint::Component;

/// Where diffusers puts the settings of the training, in the metadata of the file.
const METADATA: &str = "lora_adapter_metadata";

/// Where PEFT puts them, beside the file.
const CONFIG: &str = "adapter_config.json";

/// The name that PEFT gives the file that the config is of.
const PEFT_FILE: &str = "adapter_model.safetensors";

/// What the products count.
#[derive(Debug, Default)]
pub(super) struct Alphas {
    settings: BTreeMap<Component, Settings>,
    pub(super) notes: Vec<String>,
}

/// The settings of one network's adaptation, as PEFT's `LoraConfig` names them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Settings {
    lora_alpha: Option<f64>,
    #[serde(deserialize_with = "nullable")]
    alpha_pattern: BTreeMap<String, f64>,
    use_rslora: bool,
}

fn nullable<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, f64>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Alphas {
    /// Looks into the file's metadata and beside it.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if what is said there is not understood; [`Error::Io`] if it cannot be read.
    pub(super) fn find(path: &Path, metadata: &BTreeMap<String, String>) -> Result<Self> {
        let mut found = Self::default();
        if let Some(text) = metadata.get(METADATA) {
            let wrong = |error: serde_json::Error| {
                Error::checkpoint(path, format!("{METADATA} in its metadata: {error}"))
            };
            let fields: Map<String, Value> = serde_json::from_str(text).map_err(wrong)?;
            for component in Component::ALL {
                if component == Component::Vae {
                    continue;
                }
                let prefix = format!("{component}.");
                let own: Map<String, Value> = fields
                    .iter()
                    .filter_map(|(key, value)| {
                        Some((key.strip_prefix(&prefix)?.to_owned(), value.clone()))
                    })
                    .collect();
                let settings = serde_json::from_value(Value::Object(own)).map_err(wrong)?;
                found.settings.insert(component, settings);
            }
        } else if path.file_name().is_some_and(|name| name == PEFT_FILE) {
            let config = path.with_file_name(CONFIG);
            if config.is_file() {
                let text =
                    fs::read_to_string(&config).map_err(|error| Error::io(&config, error))?;
                let settings: Settings = serde_json::from_str(&text).map_err(|error| {
                    Error::checkpoint(&config, format!("is no config of PEFT: {error}"))
                })?;
                found.settings.insert(Component::Unet, settings.clone());
                found.settings.insert(Component::TextEncoder, settings);
            } else {
                found.notes.push(format!(
                    "{}: there is no {CONFIG} beside it, which says its alpha: it counts as much as its rank",
                    path.display()
                ));
            }
        }
        for settings in found.settings.values() {
            settings.check(path)?;
        }
        Ok(found)
    }

    /// What a layer's product of this rank counts.
    pub(super) fn scale(&self, component: Component, layer: &str, rank: usize) -> f64 {
        let rank = rank as f64;
        let Some(settings) = self.settings.get(&component) else {
            return 1.0;
        };
        let named = settings
            .alpha_pattern
            .iter()
            .find(|(pattern, _)| is_of(pattern, layer));
        let alpha = named
            .map(|(_, &alpha)| alpha)
            .or(settings.lora_alpha)
            .unwrap_or(rank);
        alpha
            / if settings.use_rslora {
                rank.sqrt()
            } else {
                rank
            }
    }
}

impl Settings {
    fn check(&self, path: &Path) -> Result<()> {
        let is_plain =
            |pattern: &&String| !pattern.contains(['*', '+', '?', '[', '(', '{', '|', '\\']);
        match self.alpha_pattern.keys().find(|pattern| !is_plain(pattern)) {
            None => Ok(()),
            Some(pattern) => {
                let reason = format!(
                    "alpha_pattern: {pattern} is a regular expression; only names of layers are understood"
                );
                Err(Error::checkpoint(path, reason))
            }
        }
    }
}

/// Whether a layer is meant: PEFT's rule, a whole name or its last parts.
fn is_of(pattern: &str, layer: &str) -> bool {
    let plain = pattern.trim_end_matches('$');
    let (plain, is_whole) = match plain.strip_prefix('^') {
        Some(plain) => (plain, true),
        None => (plain, false),
    };
    // The text encoder's layers are known here without this.
    let plain = plain.strip_prefix("text_model.").unwrap_or(plain);
    let before = layer.strip_suffix(plain);
    before.is_some_and(|before| before.is_empty() || (!is_whole && before.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(json: &str) -> Result<Alphas> {
        let metadata = BTreeMap::from([(METADATA.to_owned(), json.to_owned())]);
        Alphas::find(Path::new("x.safetensors"), &metadata)
    }

    #[test]
    fn alpha_is_divided_by_the_rank_or_its_root() {
        let alphas = with(r#"{"unet.lora_alpha": 8, "text_encoder.lora_alpha": 8, "text_encoder.use_rslora": true, "unet.alpha_pattern": null}"#).unwrap();
        assert_eq!(alphas.scale(Component::Unet, "conv_in", 4), 2.0);
        assert_eq!(alphas.scale(Component::TextEncoder, "mlp.fc1", 4), 4.0);
        assert_eq!(Alphas::default().scale(Component::Unet, "conv_in", 4), 1.0);
    }

    #[test]
    fn a_pattern_is_a_name_or_its_last_parts() {
        let alphas =
            with(r#"{"unet.lora_alpha": 4, "unet.alpha_pattern": {"to_q": 2, "^a.to_k": 1}}"#)
                .unwrap();
        for (layer, expected) in [
            ("a.to_q", 0.5),
            ("a.auto_q", 1.0),
            ("a.to_k", 0.25),
            ("b.a.to_k", 1.0),
        ] {
            assert_eq!(alphas.scale(Component::Unet, layer, 4), expected, "{layer}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (json, words) in [
            ("[]", "lora_adapter_metadata"),
            (r#"{"unet.lora_alpha": "x"}"#, "lora_adapter_metadata"),
            (
                r#"{"unet.alpha_pattern": {"to_[qk]": 2}}"#,
                "to_[qk] is a regular expression",
            ),
        ] {
            let message = with(json).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}
