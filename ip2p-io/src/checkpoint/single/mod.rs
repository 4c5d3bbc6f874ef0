//! Checkpoints in one file: the names of CompVis' code and of Stability's after it, and the networks' shapes from the weights
//! themselves.
//!
//! Such a file holds the weights of all networks and none of the small files that a folder has beside them. These come from
//! a folder that the caller names, or from the file's metadata, if it was written here, or are those of Stable Diffusion 1, 2 or XL,
//! if the weights are of their shapes.

mod config;
mod family;
mod kind;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ip2p_core::{Error, Result};
use serde_json::Value;

use super::compvis::{UnetBlocks, vae_levels, vae_to_diffusers};
use super::folder::check_folder;
use super::header::TensorInfo;
use super::weights::{Stored, Weights, read_tensors};
use super::{Checkpoint, Component};
use crate::storage::Storage;

pub(super) use self::config::is_clip;
pub(super) use self::text::FIRST;

/// Where a file that was written here has the texts of its small files, as a JSON object.
pub(super) const METADATA: &str = "ip2p.files";

/// What stands before the names of a network's weights; those of a text encoder that is the only one.
pub(super) const fn prefix(component: Component) -> &'static str {
    match component {
        Component::Unet => "model.diffusion_model.",
        Component::Vae => "first_stage_model.",
        Component::TextEncoder => text::CLIP,
        Component::TextEncoder2 => text::SECOND,
    }
}

/// What stands before the names of the averaged weights of the U-Net, which are written without points.
const AVERAGED: &str = "model_ema.";

/// How the names begin that a training leaves behind, that are no weights, or that say how the training was.
const NO_WEIGHTS: [&str; 23] = [
    AVERAGED,
    "alphas_cumprod",
    "betas",
    "sqrt_",
    "log_one_minus_alphas_cumprod",
    "posterior_",
    "lvlb_weights",
    "logvar",
    "scale_factor",
    "first_stage_model.loss.",
    "first_stage_model.model_ema.",
    "cond_stage_model.logit_scale",
    "cond_stage_model.transformer.logit_scale",
    "cond_stage_model.model.logit_scale",
    "cond_stage_model.model.attn_mask",
    "conditioner.embedders.0.transformer.logit_scale",
    "conditioner.embedders.1.model.logit_scale",
    "conditioner.embedders.1.model.attn_mask",
    "denoiser.",
    family::EDM,
    family::VELOCITY,
    family::ZERO_SNR,
    "global_step",
];

/// Whether a tensor is nothing that a network is made of.
pub(super) fn is_no_weight(name: &str) -> bool {
    NO_WEIGHTS.iter().any(|start| name.starts_with(start))
}

/// Which of a checkpoint's two sets of weights run, where it holds both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightsChoice {
    /// The average over the training (EMA), with which the original repository edits.
    Ema,
    /// Those of the last step.
    Raw,
}

impl WeightsChoice {
    /// The name, as the command and the records of edits spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ema => "ema",
            Self::Raw => "raw",
        }
    }
}

impl std::str::FromStr for WeightsChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Ema, Self::Raw]
            .into_iter()
            .find(|choice| choice.name() == text)
            .ok_or_else(|| Error::setting("weights", "ema or raw", text))
    }
}

/// How a checkpoint is opened, where its files leave a choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Which weights of the U-Net run, where there are two sets: default the averaged ones of a single file, and of a folder those in
    /// `unet/`.
    pub weights: Option<WeightsChoice>,
    /// A file with another autoencoder: default the checkpoint's own.
    ///
    /// In diffusers' or CompVis' names, of the same shape, or a tiny one, TAESD: as diffusers has it, or one of the two files
    /// `taesd_encoder` and `taesd_decoder`, beside which the other is.
    pub vae: Option<PathBuf>,
    /// A folder with the small files of a single file: default its own.
    pub config: Option<PathBuf>,
}

/// The weights of a single file, by network and diffusers' names.
#[derive(Debug)]
pub(super) struct Single {
    pub(super) path: PathBuf,
    networks: BTreeMap<Component, BTreeMap<String, TensorInfo>>,
    pub(super) notes: Vec<String>,
}

impl Single {
    /// The weights of a network.
    pub(super) fn weights(&self, component: Component) -> Weights {
        let tensors = self.networks.get(&component).into_iter().flatten();
        let stored = |(name, info): (&String, &TensorInfo)| {
            let info = info.clone();
            (name.clone(), Stored { file: 0, info })
        };
        let files = vec![self.path.clone()];
        Weights::of_files(component, files, tensors.map(stored).collect())
    }
}

impl Checkpoint {
    /// Opens a checkpoint, a folder in diffusers' layout or a single file, with a say in what its files leave open.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::open`]; [`Error::InvalidSetting`] if the weights that are asked for are not there, or a folder is given
    /// another's configs; [`Error::Checkpoint`] if a single file is no InstructPix2Pix model, and says what it is.
    pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        let path = path.as_ref();
        let checkpoint = if path.is_file() {
            open_file(path, options)?
        } else {
            open_folder(path, options)?
        };
        match &options.vae {
            Some(vae) => checkpoint.with_vae(vae),
            None => Ok(checkpoint),
        }
    }

    /// The file that the autoencoder is taken from, if it is not the checkpoint's own.
    #[must_use]
    pub fn vae_path(&self) -> Option<&Path> {
        let vae = self.other_vae.as_ref()?;
        vae.files.first().map(PathBuf::as_path)
    }

    /// The folder that the configs and the tokenizer of a single file are taken from, if they are not its own.
    #[must_use]
    pub fn config_path(&self) -> Option<&Path> {
        let single = self.single.as_ref()?;
        (self.root != single.path).then_some(&*self.root)
    }
}

fn open_folder(path: &Path, options: &OpenOptions) -> Result<Checkpoint> {
    if let Some(config) = &options.config {
        let expected = "left out: a folder has its own configs";
        return Err(Error::setting("config", expected, config.display()));
    }
    let mut checkpoint = Checkpoint::open_folder(path)?;
    let averaged = path.join("unet_ema");
    match options.weights {
        Some(WeightsChoice::Ema) if averaged.is_dir() => {
            checkpoint.unet_folder = "unet_ema";
            checkpoint.choice = Some(WeightsChoice::Ema);
        }
        Some(WeightsChoice::Ema) => {
            let expected = "left out: the folder has no unet_ema/, and what is in unet/ is what whoever saved it chose";
            return Err(Error::setting("weights", expected, "ema"));
        }
        Some(WeightsChoice::Raw) => {
            checkpoint.choice = averaged.is_dir().then_some(WeightsChoice::Raw);
        }
        None => {}
    }
    Ok(checkpoint)
}

fn open_file(path: &Path, options: &OpenOptions) -> Result<Checkpoint> {
    let (tensors, metadata) = read_tensors(path)?;
    kind::check(path, &tensors)?;
    let (networks, choice, mut notes) = sort(path, &tensors, options.weights)?;
    let (storage, root) = match (&options.config, metadata.get(METADATA)) {
        (Some(folder), _) => {
            check_folder(folder)?;
            (Storage::Disk, folder.clone())
        }
        (None, Some(texts)) => (config::from_metadata(path, texts)?, path.to_owned()),
        (None, None) => {
            let (storage, note) = config::of_known_family(path, &networks, &tensors)?;
            notes.extend(note);
            (storage, path.to_owned())
        }
    };
    let mut checkpoint = Checkpoint::open_in(storage, &root)?;
    let name = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    // A name that the file has from elsewhere says more than its own.
    if options.config.is_some() || !metadata.contains_key(METADATA) {
        checkpoint
            .model_index
            .insert("_name_or_path".into(), Value::String(name));
    }
    checkpoint.choice = choice;
    checkpoint.single = Some(Arc::new(Single {
        path: path.to_owned(),
        networks,
        notes,
    }));
    Ok(checkpoint)
}

type Networks = BTreeMap<Component, BTreeMap<String, TensorInfo>>;

/// Gives each network its weights, by diffusers' names.
fn sort(
    path: &Path,
    tensors: &BTreeMap<String, TensorInfo>,
    weights: Option<WeightsChoice>,
) -> Result<(Networks, Option<WeightsChoice>, Vec<String>)> {
    let within = |prefix: &'static str| {
        tensors
            .keys()
            .filter_map(move |name| name.strip_prefix(prefix))
    };
    let blocks = UnetBlocks::of_compvis(within(prefix(Component::Unet)));
    let levels = vae_levels(within(prefix(Component::Vae)));
    let has_average = within(AVERAGED).any(|name| name.starts_with("diffusion_model"));
    let choice = match weights {
        Some(WeightsChoice::Ema) if !has_average => {
            return Err(Error::setting(
                "weights",
                "left out: the file holds no averaged weights",
                "ema",
            ));
        }
        chosen => has_average.then(|| chosen.unwrap_or(WeightsChoice::Ema)),
    };
    let text = text::Encoders::of(tensors);
    let mut networks = Networks::new();
    let mut origins = BTreeMap::new();
    let mut other = Vec::new();
    for (name, info) in tensors {
        let bare = |component| name.strip_prefix(prefix(component));
        let (component, known) = if let Some(bare) = bare(Component::Unet) {
            let known = blocks.to_diffusers(bare);
            let info = match choice {
                Some(WeightsChoice::Ema) if known.is_some() => averaged(path, tensors, name)?,
                _ => info,
            };
            let known = known.map(|known| (known, info.clone()));
            (Component::Unet, known.into_iter().collect())
        } else if let Some(bare) = bare(Component::Vae) {
            let known = vae_to_diffusers(bare, levels).map(|known| (known, info.clone()));
            (Component::Vae, known.into_iter().collect())
        } else {
            text.weights(name, info)
        };
        if known.is_empty() && !text.is_left_away(name) && !is_no_weight(name) {
            other.push(name.clone());
        }
        let network = networks.entry(component).or_default();
        for (known, info) in known {
            if let Some(first) = origins.insert((component, known.clone()), name) {
                let reason = format!("holds the same weight twice, as {first} and as {name}");
                return Err(Error::checkpoint(path, reason));
            }
            network.insert(known, info);
        }
    }
    Ok((networks, choice, notes(&other)))
}

/// The averaged weight beside one of the U-Net.
fn averaged<'a>(
    path: &Path,
    tensors: &'a BTreeMap<String, TensorInfo>,
    name: &str,
) -> Result<&'a TensorInfo> {
    // `LitEma` of CompVis' code: the name without `model.` and without points.
    let plain = name.strip_prefix("model.").unwrap_or(name).replace('.', "");
    let found = tensors.get(&format!("{AVERAGED}{plain}"));
    found.ok_or_else(|| {
        let reason =
            format!("has averaged weights, but none of {name}; --weights raw takes the others");
        Error::checkpoint(path, reason)
    })
}

fn notes(other: &[String]) -> Vec<String> {
    let Some(first) = other.first() else {
        return Vec::new();
    };
    let rest = match other.len() - 1 {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    vec![format!(
        "the file holds what is of no network, and is not used: {first}{rest}"
    )]
}
