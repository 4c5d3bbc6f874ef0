//! Which model the commands edit with.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use ip2p::{EditRecord, Error, Model, OpenOptions, Precision, Result};

use crate::args::{SharedArgs, WeightsArgs};
use crate::embedding::{EmbeddingFile, embeddings, with_embeddings};
#[cfg(feature = "hub")]
use crate::hub::{self, Asked};
use crate::lora::{LoraFile, loras, with_loras};

/// What the full model is, and where it is found.
#[cfg(feature = "hub")]
const FULL: &str =
    "the full one, 4.3 GB that are fetched once, is --model timbrooks/instruct-pix2pix";
#[cfg(not(feature = "hub"))]
const FULL: &str =
    "the full one is --model FOLDER, a copy of https://huggingface.co/timbrooks/instruct-pix2pix";

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
    /// What its weights are to serve.
    #[cfg(feature = "hub")]
    precision: Precision,
    #[cfg(feature = "hub")]
    hub: crate::args::HubArgs,
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
        #[cfg(feature = "hub")]
        let precision = args.precision.or(record.map(|record| record.precision));
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
            #[cfg(feature = "hub")]
            precision: precision.unwrap_or_default(),
            #[cfg(feature = "hub")]
            hub: args.weights.hub.clone(),
        })
    }

    /// Opens the checkpoint at a path, or of that name on the hub.
    #[cfg(feature = "hub")]
    fn open(&self, path: &Path, quiet: bool, stop: &AtomicBool) -> Result<Model> {
        let asked = Asked {
            args: &self.hub,
            precision: self.precision,
            check: ip2p::Checkpoint::check_kind,
            quiet,
            stop,
        };
        let found = hub::find(path, &asked)?;
        let model = Model::open_with(&found.path, &self.options)?;
        Ok(match found.name {
            Some(name) => model.with_source(name),
            None => model,
        })
    }

    /// Opens the checkpoint at a path.
    #[cfg(not(feature = "hub"))]
    fn open(&self, path: &Path, _quiet: bool, _stop: &AtomicBool) -> Result<Model> {
        Model::open_with(path, &self.options)
    }

    /// Whether it says nothing of a checkpoint.
    #[cfg(feature = "tiny")]
    fn is_plain(&self) -> bool {
        #[cfg(feature = "hub")]
        if self.hub.revision.is_some() {
            return false;
        }
        self.options == OpenOptions::default()
    }
}

/// Opens the checkpoint or the model that comes with the command, with what is added to it. A download ends where `stop` is
/// set.
pub(crate) fn open_model(choice: &ModelChoice, quiet: bool, stop: &AtomicBool) -> Result<Model> {
    let mut model = open(choice, quiet, stop)?;
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

/// The path of a checkpoint, wherever it lies; one that is on the hub alone is fetched.
#[cfg(feature = "hub")]
pub(crate) fn local(
    path: &Path,
    precision: Precision,
    quiet: bool,
    weights: Option<&WeightsArgs>,
) -> Result<PathBuf> {
    let asked = Asked {
        args: &weights.map(|args| args.hub.clone()).unwrap_or_default(),
        precision,
        check: |_| Ok(()),
        quiet,
        // Ctrl-C ends these commands; what has arrived is kept.
        stop: &AtomicBool::new(false),
    };
    Ok(hub::find(path, &asked)?.path)
}

/// The path of a checkpoint.
#[cfg(not(feature = "hub"))]
#[expect(clippy::unnecessary_wraps, reason = "with the hub it may fail")]
pub(crate) fn local(
    path: &Path,
    _precision: Precision,
    _quiet: bool,
    _weights: Option<&WeightsArgs>,
) -> Result<PathBuf> {
    Ok(path.to_owned())
}

/// The path of a checkpoint or a picture; nothing is fetched.
#[cfg(feature = "hub")]
pub(crate) fn in_cache(path: &Path) -> Result<PathBuf> {
    hub::cached(path, &crate::args::HubArgs::default())
}

/// The path of a checkpoint or a picture.
#[cfg(not(feature = "hub"))]
#[expect(clippy::unnecessary_wraps, reason = "with the hub it may fail")]
pub(crate) fn in_cache(path: &Path) -> Result<PathBuf> {
    Ok(path.to_owned())
}

/// Opens the checkpoint, or the model that comes with the command, and says so.
#[cfg(feature = "tiny")]
fn open(choice: &ModelChoice, quiet: bool, stop: &AtomicBool) -> Result<Model> {
    let Some(path) = &choice.path else {
        if !quiet {
            crate::exit::tell(&format!(
                "using the small model that comes with ip2p; {FULL}"
            ));
        }
        if !choice.is_plain() {
            let expected = "given with --weights, --vae, --config and --revision: the small model takes none of them";
            return Err(Error::setting("model", expected, "nothing"));
        }
        return Model::tiny();
    };
    choice.open(path, quiet, stop)
}

/// Opens the checkpoint.
#[cfg(not(feature = "tiny"))]
fn open(choice: &ModelChoice, quiet: bool, stop: &AtomicBool) -> Result<Model> {
    let path = choice.path.as_ref().ok_or_else(|| {
        let expected = format!(
            "a checkpoint, a folder in diffusers layout or a single file (or the variable IP2P_MODEL); {FULL}"
        );
        Error::setting("model", expected, "nothing")
    })?;
    choice.open(path, quiet, stop)
}
