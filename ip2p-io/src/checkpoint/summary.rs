//! What a checkpoint is, for people to read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use ip2p_core::{CheckpointProfile, Precision, Result};
use safetensors::Dtype;
use serde::Serialize;
use serde_json::Value;

use super::folder::has_part;
use super::header::Format;
use super::{Checkpoint, Component, Weights, WeightsChoice};

/// What a checkpoint's U-Net was made for, by the number of channels that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelKind {
    /// Noisy latents and a picture's: 8 channels.
    InstructPix2Pix,
    /// Noisy latents alone: 4.
    TextToImage,
    /// Noisy latents, a masked picture's and its mask: 9.
    Inpainting,
    /// Noisy latents and a depth map: 5.
    DepthToImage,
    /// Noisy latents and a small picture: 7.
    Upscaler,
    /// Something else, of this many channels.
    Other(u64),
}

impl ModelKind {
    pub(crate) fn from_in_channels(channels: u64) -> Self {
        match channels {
            8 => Self::InstructPix2Pix,
            4 => Self::TextToImage,
            9 => Self::Inpainting,
            5 => Self::DepthToImage,
            7 => Self::Upscaler,
            other => Self::Other(other),
        }
    }

    /// The number of channels that the U-Net takes.
    #[must_use]
    pub fn in_channels(self) -> u64 {
        match self {
            Self::InstructPix2Pix => 8,
            Self::TextToImage => 4,
            Self::Inpainting => 9,
            Self::DepthToImage => 5,
            Self::Upscaler => 7,
            Self::Other(channels) => channels,
        }
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InstructPix2Pix => "an InstructPix2Pix model",
            Self::TextToImage => "a text-to-image Stable Diffusion model",
            Self::Inpainting => "an inpainting Stable Diffusion model",
            Self::DepthToImage => "a depth-to-image Stable Diffusion model",
            Self::Upscaler => "an upscaling Stable Diffusion model",
            Self::Other(_) => "a model of an unknown kind",
        })
    }
}

/// What a checkpoint is and holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckpointSummary {
    /// The folder, or what one in memory is called.
    pub folder: PathBuf,
    /// The pipeline's class in diffusers.
    pub pipeline: Option<String>,
    /// What its U-Net was made for.
    pub kind: ModelKind,
    /// Its conventions.
    pub profile: CheckpointProfile,
    /// See [`Checkpoint::fingerprint`].
    pub fingerprint: String,
    /// Its networks, in the order in which an edit needs them.
    pub components: Vec<ComponentSummary>,
    /// What a user might not expect.
    pub notes: Vec<String>,
}

/// A network of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentSummary {
    /// Which one.
    pub component: Component,
    /// Its class in diffusers or transformers.
    pub class: Option<String>,
    /// The files that would be read.
    pub files: Vec<FileSummary>,
    /// The number of numbers in its tensors.
    pub parameters: u64,
    /// The number of tensors of each type, as safetensors names them.
    pub dtypes: BTreeMap<String, usize>,
    /// Its tensors, sorted by name.
    pub tensors: Vec<TensorSummary>,
}

/// A file of weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSummary {
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// A tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorSummary {
    /// The name that the file gives it.
    pub name: String,
    /// Its type, as safetensors names it.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

impl Checkpoint {
    /// What the checkpoint is and holds, in the files that serve `precision`.
    ///
    /// It need not be an InstructPix2Pix model: the summary says what it is. `profile` is its [`Self::profile`].
    ///
    /// # Errors
    ///
    /// As [`Weights::open`].
    pub fn summary(
        &self,
        precision: Precision,
        profile: CheckpointProfile,
    ) -> Result<CheckpointSummary> {
        let mut notes = self.notes();
        let mut components = Vec::new();
        for component in self.components() {
            let weights = self.weights(component, precision)?;
            if precision == Precision::F32 && only_half(&weights) {
                notes.push(format!(
                    "the {component} is stored in 16 bits: f32 computes more precisely, but the weights stay rounded"
                ));
            }
            components.push(self.summarise(&weights)?);
        }
        Ok(CheckpointSummary {
            folder: self.folder().unwrap_or(&self.root).to_owned(),
            pipeline: self.pipeline_class().map(str::to_owned),
            kind: self.kind()?,
            profile,
            fingerprint: self.fingerprint(precision)?,
            components,
            notes,
        })
    }

    fn summarise(&self, weights: &Weights) -> Result<ComponentSummary> {
        let tensors: Vec<_> = weights
            .tensors
            .iter()
            .map(|(name, stored)| TensorSummary {
                name: name.clone(),
                dtype: stored.info.format.to_string(),
                shape: stored.info.shape.clone(),
            })
            .collect();
        let mut dtypes = BTreeMap::new();
        for tensor in &tensors {
            *dtypes.entry(tensor.dtype.clone()).or_insert(0) += 1;
        }
        let files = weights.files.iter().map(|path| {
            Ok(FileSummary {
                path: path.clone(),
                bytes: weights.storage.length(path)?,
            })
        });
        let class = self.model_index.get(weights.component.name());
        Ok(ComponentSummary {
            component: weights.component,
            class: class
                .and_then(|entry| entry.get(1))
                .and_then(Value::as_str)
                .map(str::to_owned),
            files: files.collect::<Result<_>>()?,
            parameters: tensors
                .iter()
                .map(|tensor| tensor.shape.iter().product::<usize>() as u64)
                .sum(),
            dtypes,
            tensors,
        })
    }

    /// Parts of the folder that an edit does not use.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let has_average = self.storage.is_dir(&self.root.join("unet_ema"));
        if has_average && self.unet_folder == Component::Unet.name() {
            notes.push("unet_ema/ is not used: the U-Net is the one in unet/".into());
        }
        if let Some(single) = &self.single {
            notes.extend(single.notes.iter().cloned());
        }
        if let Some(choice) = self.choice {
            let other = match choice {
                WeightsChoice::Ema => "raw",
                WeightsChoice::Raw => "ema",
            };
            let used = choice.name();
            notes.push(format!(
                "of two sets of weights the {used} ones are used: --weights {other} takes the others"
            ));
        }
        for part in ["safety_checker", "image_encoder"] {
            if has_part(&self.model_index, part) {
                notes.push(format!("the {part} is not used"));
            }
        }
        notes
    }
}

fn only_half(weights: &Weights) -> bool {
    let mut formats = weights.tensors.values().map(|stored| stored.info.format);
    !formats.any(|format| {
        matches!(
            format,
            Format::Plain(Dtype::F32 | Dtype::F64) | Format::Quantized(_)
        )
    })
}
