//! The settings of a training of the edit.

use std::path::PathBuf;

use ip2p::core::ModelFamily;
use ip2p::{Error, Model, Precision, Result};
use serde::{Deserialize, Serialize};

use super::save_every;
use super::widen::Widened;
use crate::check;
use crate::edit::EditLoss;
use crate::lora::LoraOptions;
use crate::pool::PoolOptions;
use crate::source::SourceOptions;
use crate::trainer::TrainerOptions;

/// The settings of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditRun {
    /// The checkpoint to begin with, a folder in diffusers' layout. Its autoencoder is used as it is; a U-Net or a text
    /// encoder without weights begins at random, if it is trained.
    pub model: PathBuf,
    /// Where the training's state, its log and the trained checkpoint go.
    pub output: PathBuf,
    /// Where the examples come from.
    #[serde(default)]
    pub data: Vec<SourceOptions>,
    /// Examples in a batch; `trainer.accumulate` of them make a step.
    pub batch: usize,
    /// All that is random in the training follows from this.
    #[serde(default)]
    pub seed: u64,
    /// Whether the text encoder learns too; if not, sentences are encoded once. Default not.
    #[serde(default)]
    pub train_text_encoder: bool,
    /// Leaves the weights as they are and learns what is added to some of them: default none.
    #[serde(default)]
    pub lora: Option<LoraOptions>,
    /// Whether the way back computes again what it needs of the cheap layers, and less is held meanwhile. Default not.
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// What the networks compute in; the weights that learn, their average and the optimiser are `f32` in any case. Default `f32`.
    #[serde(default)]
    pub precision: Precision,
    /// The encoded examples that are held.
    #[serde(default)]
    pub pool: PoolOptions,
    /// What is learnt.
    #[serde(default)]
    pub loss: EditLoss,
    /// How it is learnt.
    pub trainer: TrainerOptions,
    /// Steps from one saved state to the next: default 500.
    #[serde(default = "save_every")]
    pub save_every: u64,
    /// Edits of other examples of the sources, made with every saved state and put on a sheet: default 8.
    #[serde(default = "samples")]
    pub samples: usize,
}

fn samples() -> usize {
    8
}

impl EditRun {
    /// What a user might not expect of this training, a line each.
    ///
    /// # Errors
    ///
    /// Those of opening the checkpoint; its weights are not read.
    pub fn notes(&self) -> Result<Vec<String>> {
        let widened = Widened::open(&self.model)?;
        let note = widened.from.map(|from| {
            format!(
                "the U-Net of {} takes {} channels; it gets as many more for the picture, at first of no effect",
                self.model.display(),
                from.in_channels
            )
        });
        Ok(note.into_iter().collect())
    }

    /// Whether the settings make sense, and suit the checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] that names the first that does not.
    pub(super) fn check(&self, model: &Model) -> Result<()> {
        let profile = model.profile();
        if profile.family == ModelFamily::Sdxl || profile.edm.is_some() {
            let expected = "a checkpoint of Stable Diffusion 1 or 2: those of XL, and those trained without betas, edit, and are not \
                            trained here";
            return Err(Error::setting("model", expected, self.model.display()));
        }
        let pool = &self.pool;
        check::at_least_one(&[
            ("batch", self.batch as u64),
            ("pool.shard", pool.shard as u64),
            ("pool.shards", pool.shards as u64),
            ("pool.stride", pool.stride),
            ("pool.size", u64::from(pool.size)),
            ("save_every", self.save_every),
        ])?;
        check::trainer(&self.trainer)?;
        if let Some(lora) = &self.lora {
            lora.check()?;
        }
        if matches!(self.precision, Precision::F16 | Precision::Int8) {
            let expected = "f32 or bf16, for gradients of f16 would vanish, and int8 has none";
            return Err(Error::setting("precision", expected, self.precision));
        }
        check::within(
            "loss.condition_dropout",
            self.loss.condition_dropout,
            0.0,
            1.0 / 3.0,
        )?;
        check::within("loss.edit_weight", self.loss.edit_weight, 0.0, 1e4)?;
        check::within("loss.mask_weight", self.loss.mask_weight, 0.0, 1e4)?;
        let step = model.size_step().required;
        if !pool.size.is_multiple_of(step) {
            let expected = format!("a multiple of {step}, as the networks ask for");
            return Err(Error::setting("pool.size", expected, pool.size));
        }
        if let Some(found) = pool.bucket_step
            && (found == 0 || !found.is_multiple_of(step) || !pool.size.is_multiple_of(found))
        {
            let expected = format!(
                "a multiple of {step}, as the networks ask for, that pool.size {} is a multiple of",
                pool.size
            );
            return Err(Error::setting("pool.bucket_step", expected, found));
        }
        let prediction = profile.prediction;
        if self.loss.prediction != prediction {
            // As the file spells them.
            let name = |prediction| serde_json::json!(prediction);
            let expected = format!("{}, as the checkpoint's scheduler says", name(prediction));
            let got = name(self.loss.prediction);
            return Err(Error::setting("loss.prediction", expected, got));
        }
        Ok(())
    }
}
