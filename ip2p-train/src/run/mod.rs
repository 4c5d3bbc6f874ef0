//! Whole trainings, from their settings to the trained checkpoint.
//!
//! A training is described by a JSON file and leaves in its output folder: `state.safetensors`, from which it resumes;
//! `metrics.jsonl`, a line for each step; and the trained checkpoint, in diffusers' layout, under `model/`. What a low-rank
//! adaptation has learnt is in that checkpoint, and by itself in `pytorch_lora_weights.safetensors`.

mod autoencoder;
mod edit;
mod files;
mod settings;
mod start;
mod widen;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use ip2p::{Error, Result};
use serde::{Deserialize, Serialize};

pub use self::autoencoder::AutoencoderRun;
pub use self::edit::EditTraining;
pub use self::settings::EditRun;
use crate::source;
use crate::trainer::StepReport;

/// Is told of each step, and says whether there is to be another.
pub type Progress<'a> = dyn FnMut(&StepReport) -> ControlFlow<()> + 'a;

/// What is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum Run {
    /// The small autoencoder, which comes first.
    Autoencoder(AutoencoderRun),
    /// The edit.
    Edit(EditRun),
}

impl Run {
    /// Reads the settings of a training.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; [`Error::Checkpoint`] that names the file, the line and what is wrong there.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
        serde_json::from_str(&text)
            .map_err(|error| Error::checkpoint(path, format!("is no training: {error}")))
    }

    /// Steps in all.
    #[must_use]
    pub fn steps(&self) -> u64 {
        match self {
            Self::Autoencoder(run) => run.trainer.steps,
            Self::Edit(run) => run.trainer.steps,
        }
    }

    /// Where the training's files go.
    #[must_use]
    pub fn output(&self) -> &PathBuf {
        match self {
            Self::Autoencoder(run) => &run.output,
            Self::Edit(run) => &run.output,
        }
    }

    /// What a user might not expect of this training, a line each.
    ///
    /// # Errors
    ///
    /// If the checkpoint cannot be read.
    pub fn notes(&self) -> Result<Vec<String>> {
        match self {
            Self::Autoencoder(_) => Ok(Vec::new()),
            Self::Edit(run) => run.notes(),
        }
    }

    /// Trains to the end, from where an earlier run stopped, calling `progress` after each step.
    ///
    /// The weights are on the first of `devices`; the others compute some of the batches of each step. Returns what of the data
    /// was broken and passed over.
    ///
    /// # Errors
    ///
    /// If the data or the checkpoint cannot be read, or something cannot be written; [`Error::InvalidSetting`] if there is no device
    /// or more than a step has batches; [`Error::Stopped`] if `progress` asked to stop, once the state is saved.
    pub fn train(&self, devices: &[Device], progress: &mut Progress<'_>) -> Result<Vec<String>> {
        let Some((device, further)) = devices.split_first() else {
            return Err(Error::setting("devices", "at least one", "none"));
        };
        let (data, seed) = match self {
            Self::Autoencoder(run) => (&run.data, run.seed),
            Self::Edit(run) => (&run.data, run.seed),
        };
        let source = source::open(data, seed)?;
        match self {
            Self::Autoencoder(run) => run.train(source.as_ref(), devices, progress)?,
            Self::Edit(run) => EditTraining::open(run.clone(), device)?
                .with_devices(further)?
                .train(source.as_ref(), progress)?,
        }
        Ok(source.skipped())
    }
}

fn save_every() -> u64 {
    500
}
