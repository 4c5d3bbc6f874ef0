//! Which model the commands edit with.

use std::path::PathBuf;

use ip2p::{EditRecord, Error, Model, OpenOptions, Result};

use crate::args::SharedArgs;
use crate::embedding::{EmbeddingFile, embeddings, with_embeddings};
use crate::lora::{LoraFile, loras, with_loras};

/// What the full model is, and where it is found.
const FULL: &str =
    "a copy of timbrooks/instruct-pix2pix (https://huggingface.co/timbrooks/instruct-pix2pix)";

/// Which checkpoint, and what is added to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ModelChoice {
    /// None for the model that comes with the command.
    pub(crate) path: Option<PathBuf>,
    pub(crate) options: OpenOptions,
    pub(crate) loras: Vec<LoraFile>,
    pub(crate) embeddings: Vec<EmbeddingFile>,
    /// A known model's name.
    pub(crate) profile: Option<String>,
}

impl ModelChoice {
    /// What the command line says, and where it does not the record of the edit that is repeated.
    pub(crate) fn of(args: &SharedArgs, record: Option<&EditRecord>) -> Result<Self> {
        let path = record.and_then(|record| record.model_path.clone());
        // Another model has another autoencoder and other configs.
        let given = args.model.as_ref().map(|model| model.to_string_lossy());
        let is_same = given.is_none() || given.as_deref() == path.as_deref();
        let of_model = record.filter(|_| is_same);
        let weights = record.and_then(|record| record.weights.as_deref());
        Ok(Self {
            path: args.model.clone().or(path.map(PathBuf::from)),
            options: OpenOptions {
                weights: match (args.weights.weights, weights) {
                    (Some(weights), _) => Some(weights),
                    (None, weights) => weights.map(str::parse).transpose()?,
                },
                vae: or_recorded(args.weights.vae.as_ref(), of_model, |record| {
                    &record.vae_path
                }),
                config: or_recorded(args.weights.config.as_ref(), of_model, |record| {
                    &record.config_path
                }),
            },
            loras: loras(&args.weights.lora, record)?,
            embeddings: embeddings(&args.prompt.embedding, record)?,
            profile: (args.profile.clone()).or_else(|| record?.profile.clone()),
        })
    }
}

/// Opens the checkpoint or the model that comes with the command, with what is added to it.
pub(crate) fn open_model(choice: &ModelChoice, quiet: bool) -> Result<Model> {
    let mut model = open(choice, quiet)?;
    if let Some(name) = &choice.profile {
        model = model.with_known_profile(name)?;
    }
    let model = with_loras(model, &choice.loras, quiet)?;
    with_embeddings(model, &choice.embeddings)
}

/// A path of the command line, or else of the edit that is repeated.
fn or_recorded(
    given: Option<&PathBuf>,
    record: Option<&EditRecord>,
    recorded: fn(&EditRecord) -> &Option<String>,
) -> Option<PathBuf> {
    let recorded = || recorded(record?).as_ref().map(PathBuf::from);
    given.cloned().or_else(recorded)
}

/// Opens the checkpoint, or the model that comes with the command, and says so.
#[cfg(feature = "tiny")]
fn open(choice: &ModelChoice, quiet: bool) -> Result<Model> {
    let Some(path) = &choice.path else {
        if !quiet {
            crate::exit::tell(&format!(
                "using the small model that comes with ip2p; for the full one give {FULL} by --model MODEL"
            ));
        }
        if choice.options != OpenOptions::default() {
            let expected =
                "given with --weights, --vae and --config: the small model takes none of them";
            return Err(Error::setting("model", expected, "nothing"));
        }
        return Model::tiny();
    };
    Model::open_with(path, &choice.options)
}

/// Opens the checkpoint.
#[cfg(not(feature = "tiny"))]
fn open(choice: &ModelChoice, _quiet: bool) -> Result<Model> {
    let path = choice.path.as_ref().ok_or_else(|| {
        let expected = format!(
            "a checkpoint, a folder in diffusers layout or a single file (or the variable IP2P_MODEL), such as {FULL}"
        );
        Error::setting("model", expected, "nothing")
    })?;
    Model::open_with(path, &choice.options)
}
