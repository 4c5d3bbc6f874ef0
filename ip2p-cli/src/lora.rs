//! `--lora FILE[:WEIGHT]`.

use std::path::PathBuf;
use std::str::FromStr;

use ip2p::{EditRecord, Error, Model, Result};

use crate::exit;

/// A file of low-rank adaptations, and how much it counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LoraFile {
    pub(crate) file: PathBuf,
    pub(crate) weight: f64,
}

impl FromStr for LoraFile {
    type Err = Error;

    /// What comes after the last colon is the weight, if it is a number: a file's name may have colons too.
    fn from_str(text: &str) -> Result<Self> {
        let weighted = text
            .rsplit_once(':')
            .and_then(|(file, weight)| Some((file, weight.parse::<f64>().ok()?)));
        let (file, weight) = weighted.unwrap_or((text, 1.0));
        if file.is_empty() || !weight.is_finite() {
            let expected = "a file, or FILE:WEIGHT with a finite number";
            return Err(Error::setting("lora", expected, text));
        }
        Ok(Self {
            file: file.into(),
            weight,
        })
    }
}

/// Adds the files to the model, and tells what a user might not expect of them.
pub(crate) fn with_loras(mut model: Model, loras: &[LoraFile], quiet: bool) -> Result<Model> {
    for LoraFile { file, weight } in loras {
        model = model.with_lora(file, *weight)?;
    }
    if !quiet {
        for note in model.lora_notes() {
            exit::tell(&format!("warning: {note}"));
        }
    }
    Ok(model)
}

/// The files of the command line, or else those of the edit that is repeated.
pub(crate) fn loras(given: &[LoraFile], record: Option<&EditRecord>) -> Result<Vec<LoraFile>> {
    let recorded = record.map_or(&[][..], |record| &record.loras);
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    recorded
        .iter()
        .map(|lora| {
            let path = lora.path.as_ref().ok_or_else(|| {
                let expected = format!(
                    "the file of {}, with which the picture was made and which it does not name",
                    lora.name
                );
                Error::setting("lora", expected, "none")
            })?;
            Ok(LoraFile {
                file: path.into(),
                weight: lora.weight,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_comes_after_the_last_colon() {
        for (text, file, weight) in [
            ("a.safetensors", "a.safetensors", 1.0),
            ("a.safetensors:0.8", "a.safetensors", 0.8),
            ("C:\\a.safetensors:-1", "C:\\a.safetensors", -1.0),
            ("C:\\a.safetensors", "C:\\a.safetensors", 1.0),
        ] {
            let expected = LoraFile {
                file: file.into(),
                weight,
            };
            assert_eq!(text.parse::<LoraFile>().unwrap(), expected);
        }
        for text in ["", ":1", "a:nan", "a:inf"] {
            assert!(text.parse::<LoraFile>().is_err(), "{text}");
        }
    }
}
