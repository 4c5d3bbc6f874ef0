//! Checkpoints: the folders that diffusers saves a pipeline to, on the disk or built into a program, and single files.
//!
//! ```text
//! model_index.json                            which parts there are
//! unet/config.json                            the network's shape, read as text: ip2p-models knows what it means
//! unet/diffusion_pytorch_model.safetensors    its weights; also .fp16, and shards with or without an index
//! vae/                                        likewise
//! text_encoder/config.json, model.safetensors
//! tokenizer/                                  see [`Tokenizer`](crate::Tokenizer)
//! scheduler/scheduler_config.json             how it was trained, from which [`Checkpoint::profile`] is found
//! ip2p.json                                   optional: fields of the profile that the other files cannot say, and the
//!                                             settings that an edit has by default
//! ```
//!
//! Opening a checkpoint reads the small files. Weights are found and read later, each network by itself and each tensor
//! by itself, so that no more than one network and one tensor need be in memory. Whatever a file says is checked before
//! it is relied on, and a network is loaded strictly: one weight too few, too many or of another shape is an error.
//!
//! Three spellings are understood beside the one that diffusers writes today: text encoders with and without the prefix
//! `text_model.`; `position_ids` buffers, which are no weights; and the VAE attention's old names `query`, `key`, `value`
//! and `proj_attn`, whether stored as linear layers or as convolutions of one pixel.

mod adapt;
mod compvis;
mod convert;
mod export;
mod files;
mod folder;
mod gguf;
mod header;
mod load;
mod names;
mod profile;
mod save;
mod single;
mod stream;
mod summary;
#[cfg(test)]
pub(crate) mod testing;
mod torch;
mod transplant;
mod weights;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::Module;
use ip2p_core::{Error, Precision, Result};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub(crate) use self::compvis::UnetBlocks;
pub(crate) use self::convert::{Layout, read_tensor};
pub use self::export::SaveProgress;
use self::folder::{check_folder, missing_part, read_model_index, read_part};
pub use self::gguf::parse_gguf;
pub use self::header::{Header, parse_header};
pub(crate) use self::header::{LENGTH_BYTES, TensorInfo};
pub use self::load::{LoadProgress, LoadReport};
pub use self::names::{ParameterName, parameter_names};
pub use self::save::save_weights;
use self::single::Single;
pub use self::single::{OpenOptions, WeightsChoice};
pub use self::summary::{
    CheckpointSummary, ComponentSummary, FileSummary, ModelKind, TensorSummary,
};
pub(crate) use self::torch::is_torch;
pub use self::torch::parse_torch;
use self::transplant::Transplant;
use self::weights::Stored;
pub use self::weights::Weights;
pub(crate) use self::weights::read_tensors;
use crate::Tokenizer;
use crate::lora::Lora;
use crate::storage::Storage;
use crate::tokenizer::TokenizerFiles;

/// A network of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// CLIP's text encoder.
    TextEncoder,
    /// The network that predicts the noise.
    Unet,
    /// The autoencoder between pictures and latents.
    Vae,
}

impl Component {
    /// Every component, in the order in which an edit needs them.
    pub const ALL: [Self; 3] = [Self::TextEncoder, Self::Vae, Self::Unet];

    /// The name of its folder and in errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TextEncoder => "text_encoder",
            Self::Unet => "unet",
            Self::Vae => "vae",
        }
    }

    /// How the names of its weight files begin.
    const fn stem(self) -> &'static str {
        match self {
            Self::TextEncoder => "model",
            Self::Unet | Self::Vae => "diffusion_pytorch_model",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A checkpoint: a folder in diffusers' layout, on the disk or in memory, whose small files have been read.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    storage: Storage,
    root: PathBuf,
    model_index: Map<String, Value>,
    text_encoder: String,
    unet: String,
    vae: String,
    scheduler: String,
    loras: Vec<Lora>,
    transplants: Vec<Arc<Transplant>>,
    lora_notes: Vec<String>,
    /// The file that all weights are in, if it is not a folder.
    single: Option<Arc<Single>>,
    /// Another autoencoder than its own.
    vae_weights: Option<Arc<OtherVae>>,
    /// Where the weights of the U-Net lie in the folder.
    unet_folder: &'static str,
    /// Which of two sets of weights these are.
    choice: Option<WeightsChoice>,
}

/// An autoencoder's file, and its tensors by diffusers' names.
type OtherVae = (PathBuf, BTreeMap<String, Stored>);

impl Checkpoint {
    /// Opens a checkpoint and reads its configs; no weights are read.
    ///
    /// A folder in diffusers' layout, or a single safetensors file with the names of CompVis' code.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if `path` is neither, if a part is missing, or if it is of another architecture; [`Error::Io`] if a file
    /// cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &OpenOptions::default())
    }

    fn open_folder(folder: &Path) -> Result<Self> {
        check_folder(folder)?;
        Self::open_in(Storage::Disk, folder)
    }

    /// Opens a checkpoint whose files are in memory: built into the program, or fetched.
    ///
    /// `files` are the names of its files, paths as in the folder (`unet/config.json`), with what they hold. `name` stands
    /// before them in errors, and is the checkpoint's name if it has no other.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::open`]; [`Error::Checkpoint`] too if a name leads out of the folder or is there twice.
    ///
    /// # Examples
    ///
    /// ```
    /// use ip2p_io::Checkpoint;
    ///
    /// const FILES: &[(&str, &[u8])] = &[("model_index.json", b"{}")];
    /// let error = Checkpoint::from_memory("box", FILES.iter().copied()).unwrap_err();
    /// assert!(error.to_string().starts_with("box/model_index.json: unet:"));
    /// ```
    pub fn from_memory<N, B>(name: &str, files: impl IntoIterator<Item = (N, B)>) -> Result<Self>
    where
        N: AsRef<str>,
        B: Into<Cow<'static, [u8]>>,
    {
        let root = Path::new(name);
        Self::open_in(Storage::memory(root, files)?, root)
    }

    fn open_in(storage: Storage, root: &Path) -> Result<Self> {
        let model_index = read_model_index(&storage, root)?;
        let config =
            |component: Component| read_part(&storage, root, component.name(), "config.json");
        if !storage.is_dir(&root.join("tokenizer")) {
            return Err(missing_part(root, "tokenizer", "tokenizer/"));
        }
        Ok(Self {
            text_encoder: config(Component::TextEncoder)?,
            unet: config(Component::Unet)?,
            vae: config(Component::Vae)?,
            scheduler: read_part(&storage, root, "scheduler", "scheduler_config.json")?,
            root: root.to_owned(),
            storage,
            model_index,
            loras: Vec::new(),
            transplants: Vec::new(),
            lora_notes: Vec::new(),
            single: None,
            vae_weights: None,
            unet_folder: Component::Unet.name(),
            choice: None,
        })
    }

    /// The folder or file, if it is on the disk.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.single {
            Some(single) => Some(&single.path),
            None => matches!(self.storage, Storage::Disk).then_some(&*self.root),
        }
    }

    /// Which of its two sets of weights run, if it holds two.
    #[must_use]
    pub fn weights_choice(&self) -> Option<WeightsChoice> {
        self.choice
    }

    /// Reads the tokenizer.
    ///
    /// # Errors
    ///
    /// Those of [`Tokenizer::open`].
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let folder = self.root.join("tokenizer");
        Tokenizer::from_bytes(&TokenizerFiles::read_in(&self.storage, &folder)?)
    }

    /// The pipeline's class in diffusers, as `model_index.json` names it.
    #[must_use]
    pub fn pipeline_class(&self) -> Option<&str> {
        self.model_index.get("_class_name").and_then(Value::as_str)
    }

    /// The text of a network's `config.json`.
    #[must_use]
    pub fn config(&self, component: Component) -> &str {
        match component {
            Component::TextEncoder => &self.text_encoder,
            Component::Unet => &self.unet,
            Component::Vae => &self.vae,
        }
    }

    /// Takes a network's config from here, not from its file: for a network that is made from another, and is not yet on the
    /// disk.
    #[must_use]
    pub fn with_config(mut self, component: Component, json: impl Into<String>) -> Self {
        let config = match component {
            Component::TextEncoder => &mut self.text_encoder,
            Component::Unet => &mut self.unet,
            Component::Vae => &mut self.vae,
        };
        *config = json.into();
        self
    }

    /// The text of `scheduler_config.json`.
    #[must_use]
    pub fn scheduler_config(&self) -> &str {
        &self.scheduler
    }

    /// Refuses a checkpoint whose U-Net does not take a picture beside the latents.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] that says what the checkpoint is instead.
    pub fn check_kind(&self) -> Result<()> {
        let kind = self.kind()?;
        if kind == ModelKind::InstructPix2Pix {
            return Ok(());
        }
        let reason = format!(
            "in_channels is {}, so this is {kind}, not an InstructPix2Pix model, whose U-Net takes 8: 4 of noisy latents \
             and 4 of the picture's; use an InstructPix2Pix checkpoint, such as timbrooks/instruct-pix2pix",
            kind.in_channels()
        );
        Err(Error::checkpoint(
            self.root.join("unet/config.json"),
            reason,
        ))
    }

    /// What its U-Net was made for.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the U-Net's config does not say it in a number.
    pub fn kind(&self) -> Result<ModelKind> {
        let config = parse_config(Component::Unet.name(), &self.unet)?;
        match config.get("in_channels") {
            // diffusers' default.
            None | Some(Value::Null) => Ok(ModelKind::from_in_channels(4)),
            Some(value) => value
                .as_u64()
                .map(ModelKind::from_in_channels)
                .ok_or_else(|| {
                    let reason = format!("in_channels must be a whole number, got {value}");
                    Error::config(Component::Unet.name(), reason)
                }),
        }
    }

    /// Finds the files of a network's weights, those that best serve `precision`, and checks their headers.
    ///
    /// # Errors
    ///
    /// As [`Weights::open`].
    pub fn weights(&self, component: Component, precision: Precision) -> Result<Weights> {
        let folder = match component {
            Component::Unet => self.unet_folder,
            other => other.name(),
        };
        let mut weights = match (&self.vae_weights, &self.single) {
            (Some(vae), _) if component == Component::Vae => {
                Weights::of_file(component, &vae.0, vae.1.clone())
            }
            (_, Some(single)) => single.weights(component),
            _ => Weights::open_in(&self.storage, &self.root.join(folder), component, precision)?,
        };
        self.adapt(&mut weights)?;
        Ok(weights)
    }

    /// Fills a network with its weights, converted to `precision` a tensor at a time.
    ///
    /// Beside the module, whose parameters need not have values yet, no more is in memory than one tensor, twice.
    /// `progress` is called after each tensor.
    ///
    /// # Errors
    ///
    /// As [`Weights::open`] and [`Weights::load`]; a U-Net must be an InstructPix2Pix one ([`Self::check_kind`]).
    pub fn load<M: Module>(
        &self,
        module: M,
        component: Component,
        precision: Precision,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<(M, LoadReport)> {
        if component == Component::Unet {
            self.check_kind()?;
        }
        self.weights(component, precision)?
            .load(module, precision, progress)
    }

    /// A name for these weights, different for every training: 64 hexadecimal digits.
    ///
    /// SHA-256 over the names, types and shapes of all tensors and the first 4096 bytes of each, in the files that serve
    /// `precision`. Training and merging change every tensor from its start, and reading a few megabytes takes
    /// milliseconds where gigabytes take many seconds; only a tensor that was edited further in goes unnoticed. It is
    /// not the hash of a file that other tools show. Low-rank adaptations count with their hashes and weights.
    ///
    /// # Errors
    ///
    /// As [`Weights::open`].
    pub fn fingerprint(&self, precision: Precision) -> Result<String> {
        self.fingerprint_of(&Component::ALL, precision)
    }

    /// As [`Self::fingerprint`], of some of the networks, in the order in which they are given.
    ///
    /// # Errors
    ///
    /// As [`Weights::open`].
    pub fn fingerprint_of(&self, components: &[Component], precision: Precision) -> Result<String> {
        let mut digest = Sha256::new();
        for &component in components {
            self.weights(component, precision)?.digest(&mut digest)?;
        }
        self.digest_added(&mut digest)?;
        let hexadecimal = |text: String, byte: &u8| text + &format!("{byte:02x}");
        Ok(digest.finalize().iter().fold(String::new(), hexadecimal))
    }
}

/// Parses a config as a JSON object.
fn parse_config(network: &'static str, text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text)
        .map_err(|error| Error::config(network, format!("is no JSON object: {error}")))
}

#[cfg(test)]
mod tests;
