//! Checkpoints: the folders that diffusers saves a pipeline to, on the disk or built into a program, and single files.
//!
//! ```text
//! model_index.json                            which parts there are
//! unet/config.json                            the network's shape, read as text: ip2p-models knows what it means
//! unet/diffusion_pytorch_model.safetensors    its weights; also .fp16, and shards with or without an index
//! vae/                                        likewise
//! text_encoder/config.json, model.safetensors
//! tokenizer/                                  see [`Tokenizer`](crate::Tokenizer)
//! text_encoder_2/, tokenizer_2/               the second text encoder of Stable Diffusion XL and its tokenizer
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
mod component;
mod compvis;
mod convert;
mod export;
mod files;
mod folder;
mod format;
mod gguf;
mod header;
mod load;
mod names;
mod open_clip;
mod origin;
mod other_vae;
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
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::{Module, ModuleMapper};
use ip2p_core::{Error, Precision, Result};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use self::component::Component;
pub(crate) use self::compvis::UnetBlocks;
pub(crate) use self::convert::{Layout, read_tensor};
pub use self::export::SaveProgress;
use self::folder::{check_folder, has_part, missing_part, read_model_index, read_part, tokenizers};
pub use self::format::WeightFormat;
pub use self::gguf::parse_gguf;
pub use self::header::{Header, parse_header};
pub(crate) use self::header::{LENGTH_BYTES, TensorInfo};
pub use self::load::{LoadProgress, LoadReport};
pub use self::names::{ParameterName, parameter_names};
use self::other_vae::OtherVae;
pub use self::save::save_weights;
use self::single::Single;
pub use self::single::{OpenOptions, WeightsChoice};
pub use self::summary::{
    CheckpointSummary, ComponentSummary, FileSummary, ModelKind, TensorSummary,
};
pub(crate) use self::torch::is_torch;
pub use self::torch::parse_torch;
use self::transplant::Transplant;
pub use self::weights::Weights;
pub(crate) use self::weights::read_tensors;
use crate::Tokenizer;
use crate::lora::Lora;
use crate::storage::Storage;
use crate::tokenizer::TokenizerFiles;

/// A checkpoint: a folder in diffusers' layout, on the disk or in memory, whose small files have been read.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    storage: Storage,
    root: PathBuf,
    model_index: Map<String, Value>,
    /// The configs of the networks that there are.
    configs: BTreeMap<Component, String>,
    scheduler: String,
    loras: Vec<Lora>,
    transplants: Vec<Arc<Transplant>>,
    lora_notes: Vec<String>,
    /// The file that all weights are in, if it is not a folder.
    single: Option<Arc<Single>>,
    /// Another autoencoder than its own.
    other_vae: Option<Arc<OtherVae>>,
    /// Where the weights of the U-Net lie in the folder.
    unet_folder: &'static str,
    /// Which of two sets of weights these are.
    choice: Option<WeightsChoice>,
}

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
        let mut configs = BTreeMap::new();
        let second = Component::TextEncoder2;
        for component in Component::ALL {
            if component == second && !has_part(&model_index, second.name()) {
                continue;
            }
            let config = read_part(&storage, root, component.name(), "config.json")?;
            configs.insert(component, config);
        }
        for tokenizer in tokenizers(configs.contains_key(&second)) {
            if !storage.is_dir(&root.join(tokenizer)) {
                return Err(missing_part(root, tokenizer, &format!("{tokenizer}/")));
            }
        }
        Ok(Self {
            configs,
            scheduler: read_part(&storage, root, "scheduler", "scheduler_config.json")?,
            root: root.to_owned(),
            storage,
            model_index,
            loras: Vec::new(),
            transplants: Vec::new(),
            lora_notes: Vec::new(),
            single: None,
            other_vae: None,
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
        self.read_tokenizer("tokenizer")
    }

    /// Reads the tokenizer of the second text encoder, if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`Tokenizer::open`].
    pub fn tokenizer_2(&self) -> Result<Option<Tokenizer>> {
        let second = self.has(Component::TextEncoder2);
        second
            .then(|| self.read_tokenizer("tokenizer_2"))
            .transpose()
    }

    fn read_tokenizer(&self, name: &str) -> Result<Tokenizer> {
        let folder = self.root.join(name);
        Tokenizer::from_bytes(&TokenizerFiles::read_in(&self.storage, &folder)?)
    }

    /// The networks that it has, in the order in which an edit needs them.
    #[must_use]
    pub fn components(&self) -> Vec<Component> {
        let all = Component::ALL.into_iter();
        all.filter(|component| self.has(*component)).collect()
    }

    /// Whether it has this network: all have all but the second text encoder.
    #[must_use]
    pub fn has(&self, component: Component) -> bool {
        self.configs.contains_key(&component)
    }

    /// The pipeline's class in diffusers, as `model_index.json` names it.
    #[must_use]
    pub fn pipeline_class(&self) -> Option<&str> {
        self.model_index.get("_class_name").and_then(Value::as_str)
    }

    /// The text of a network's `config.json`, empty for a network that it does not have.
    #[must_use]
    pub fn config(&self, component: Component) -> &str {
        self.configs.get(&component).map_or("", String::as_str)
    }

    /// Takes a network's config from here, not from its file: for a network that is made from another, and is not yet on the
    /// disk.
    #[must_use]
    pub fn with_config(mut self, component: Component, json: impl Into<String>) -> Self {
        self.configs.insert(component, json.into());
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
        let config = parse_config(Component::Unet.name(), self.config(Component::Unet))?;
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
        let mut weights = match (&self.other_vae, &self.single) {
            (Some(vae), _) if component == Component::Vae => {
                Weights::of_files(component, vae.files.clone(), vae.tensors.clone())
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
        self.checked_weights(component, precision)?
            .load(module, precision, progress)
    }

    /// As [`Weights::load_mapped`], of one of the networks.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn load_mapped<M: Module>(
        &self,
        module: M,
        component: Component,
        precision: Precision,
        progress: &mut dyn FnMut(LoadProgress),
        then: &mut impl ModuleMapper,
    ) -> Result<(M, LoadReport)> {
        self.checked_weights(component, precision)?
            .load_mapped(module, precision, progress, then)
    }

    /// The weights of a network, of a kind that is supported.
    fn checked_weights(&self, component: Component, precision: Precision) -> Result<Weights> {
        if component == Component::Unet {
            self.check_kind()?;
        }
        self.weights(component, precision)
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
        self.fingerprint_of(&self.components(), precision)
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
