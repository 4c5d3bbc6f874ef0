//! Low-rank adaptations (LoRA): files of small matrices, whose products are added to a model's weights while these are loaded.
//!
//! What is added is part of the weights from then on and costs no step anything. The small matrices stay on the disk: those of a
//! layer are read when its weight is. Which layer a key means is decided against the weights that there are, in every spelling that
//! trainers use, and a key that means none is an error: an adaptation that is half there is worse than none.

mod alpha;
mod apply;
mod factors;
mod fit;
mod key;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::TensorData;
use ip2p_core::{Error, Precision, Result};
use sha2::{Digest, Sha256};

use self::alpha::Alphas;
use self::factors::{Factors, Parts};
use self::key::{Key, Part};
use crate::checkpoint::{
    Component, LENGTH_BYTES, Layout, TensorInfo, is_torch, read_tensor, read_tensors,
};

pub(crate) use self::apply::Patch;
pub(crate) use self::fit::{family, fit};
pub(crate) use self::key::is_lora_key;

/// Hexadecimal digits of an adaptation's hash: as many as AUTOMATIC1111 shows.
const HASH_DIGITS: usize = 12;

/// A file of low-rank adaptations, opened and checked, with the weight that it counts with.
///
/// kohya's, diffusers' and PEFT's files are understood, of the U-Net and the text encoder, for linear layers and convolutions: LoRA,
/// LoCon, LoHa, LoKr, `DoRA` and full differences. See [`Checkpoint::with_lora`](crate::Checkpoint::with_lora).
#[derive(Debug, Clone)]
pub struct Lora(Arc<Opened>);

/// What a [`Lora`] shares between its clones.
#[derive(Debug)]
struct Opened {
    path: PathBuf,
    name: String,
    weight: f64,
    hash: String,
    layers: Vec<Layer>,
    /// Keys that are of no spelling that is known.
    unknown: Vec<String>,
    /// The architecture that a key of the file is of, if it is not Stable Diffusion.
    other: Option<(String, &'static str)>,
    /// A key that only files for Stable Diffusion XL have.
    xl: Option<String>,
    notes: Vec<String>,
}

/// What is added to one layer.
#[derive(Debug)]
struct Layer {
    component: Component,
    /// The layer as the file spells it.
    name: String,
    /// One of its keys, for errors.
    key: String,
    factors: Option<Factors>,
    /// What the product of the factors counts.
    scale: f64,
    bias: Option<Bias>,
    magnitude: Option<Magnitude>,
}

/// What is added to a layer's bias.
#[derive(Debug)]
struct Bias {
    info: TensorInfo,
    scale: f64,
}

/// The lengths that the rows or columns of the sum are brought to: `DoRA`; Liu et al. (2024), <https://arxiv.org/abs/2402.09353>.
#[derive(Debug)]
struct Magnitude {
    info: TensorInfo,
    /// LyCORIS may have one for each input, where the paper has one for each output.
    is_per_input: bool,
}

impl Lora {
    /// Opens a file of low-rank adaptations, safetensors or PyTorch's, to count `weight` times: 1 as it was trained, 0 not at all.
    ///
    /// Its factors are not read yet. PEFT's own files have rank and alpha in `adapter_config.json` beside them.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the weight is no number; [`Error::Io`] if the file cannot be read; [`Error::Checkpoint`] if it is
    /// damaged, holds no low-rank adaptation, or has a factor without the one that it is multiplied with.
    pub fn open(path: impl AsRef<Path>, weight: f64) -> Result<Self> {
        let path = path.as_ref();
        if !weight.is_finite() {
            return Err(Error::setting(
                "lora",
                "a file with a finite weight",
                weight,
            ));
        }
        let (tensors, metadata) = read_tensors(path)?;
        let alphas = Alphas::find(path, &metadata)?;
        let mut groups: BTreeMap<(Component, String), Parts> = BTreeMap::new();
        let mut unknown = Vec::new();
        let mut other = None;
        let mut xl = None;
        for (key, info) in tensors {
            if !info.format.is_float() {
                let reason = format!("tensor {key} is of type {}, not a float type", info.format);
                return Err(Error::checkpoint(path, reason));
            }
            let architecture = key::other_architecture(&key);
            let parsed = Key::parse(&key).filter(|_| architecture.is_none());
            other = other.or(architecture.map(|architecture| (key.clone(), architecture)));
            xl = xl.or_else(|| key::is_of_xl(&key).then(|| key.clone()));
            let Some(Key {
                component,
                layer,
                part,
            }) = parsed
            else {
                unknown.push(key);
                continue;
            };
            let parts = groups.entry((component, layer)).or_default();
            if let Some((twice, _)) = parts.insert(part, (key.clone(), info)) {
                let reason = format!("says the same twice, as {twice} and as {key}");
                return Err(Error::checkpoint(path, reason));
            }
        }
        if groups.is_empty() && other.is_none() {
            return Err(Error::checkpoint(path, no_adaptation(&unknown)));
        }
        let mut file = open(path)?;
        let layers = groups
            .into_iter()
            .map(|((component, name), parts)| {
                layer(path, &mut file, &alphas, component, name, parts)
            })
            .collect::<Result<_>>()?;
        Ok(Self(Arc::new(Opened {
            path: path.to_owned(),
            name: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            weight,
            hash: hash(path, &mut file)?,
            layers,
            unknown,
            other,
            xl,
            notes: alphas.notes,
        })))
    }

    /// Keys that are of no spelling that is known.
    pub(crate) fn unknown(&self) -> &[String] {
        &self.0.unknown
    }

    /// What a user might not expect of the file.
    pub(crate) fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The file's name without its ending, by which pictures name it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How much it counts.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.0.weight
    }

    /// The first 12 hexadecimal digits of the SHA-256 of the file's tensors, as AUTOMATIC1111 names adaptations
    /// (`addnet_hash_safetensors` in its `modules/hashes.py`).
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.0.hash
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Error::io(path, error))
}

fn no_adaptation(keys: &[String]) -> String {
    let instead = match keys.first() {
        Some(key) => format!("its first tensor is {key}"),
        None => "it holds no tensors".into(),
    };
    format!(
        "is no low-rank adaptation, whose tensors are called …lora_down.weight, …lora_A.weight, …hada_w1_a and the like: {instead}"
    )
}

/// Puts the parts of a layer together.
fn layer(
    path: &Path,
    file: &mut File,
    alphas: &Alphas,
    component: Component,
    name: String,
    mut parts: Parts,
) -> Result<Layer> {
    let key = parts
        .values()
        .next()
        .map_or_else(String::new, |(key, _)| key.clone());
    let wrong = |reason: String| Error::checkpoint(path, format!("layer {name} {reason}"));
    let alpha = match parts.remove(&Part::Alpha) {
        Some((_, info)) => Some(number(path, file, &info)?),
        None => None,
    };
    let factors = Factors::take(&mut parts).map_err(wrong)?;
    let scale = match factors.as_ref().and_then(Factors::rank) {
        Some(rank) => match alpha {
            Some(alpha) => alpha / rank as f64,
            None => alphas.scale(component, &name, rank),
        },
        None => 1.0,
    };
    if !scale.is_finite() {
        return Err(wrong(format!("has the alpha {}", alpha.unwrap_or(scale))));
    }
    let mut bias = |part, scale| parts.remove(&part).map(|(_, info)| Bias { info, scale });
    let bias = bias(Part::DiffBias, 1.0).or_else(|| bias(Part::UpBias, scale));
    let magnitude = magnitude(&mut parts);
    if let Some((_, (left, _))) = parts.pop_first() {
        return Err(wrong(format!(
            "has {left} beside others that it does not go with"
        )));
    }
    if factors.is_none() && (bias.is_none() || magnitude.is_some()) {
        return Err(wrong(format!(
            "has {key} and nothing that it could count for"
        )));
    }
    Ok(Layer {
        component,
        name,
        key,
        factors,
        scale,
        bias,
        magnitude,
    })
}

fn magnitude(parts: &mut Parts) -> Option<Magnitude> {
    if let Some((_, info)) = parts.remove(&Part::Magnitude) {
        return Some(Magnitude {
            info,
            is_per_input: false,
        });
    }
    let (_, info) = parts.remove(&Part::DoraScale)?;
    let is_per_input = matches!(info.shape[..], [1, columns, ..] if columns > 1);
    Some(Magnitude { info, is_per_input })
}

/// The numbers of a tensor.
fn numbers(path: &Path, file: &mut File, info: &TensorInfo) -> Result<Vec<f32>> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::InvalidData => {
            Error::checkpoint(path, format!("has a factor that holds {error}"))
        }
        _ => Error::io(path, error),
    };
    let data =
        read_tensor(file, info, Layout::Same, Precision::F32, &info.shape).map_err(failed)?;
    into_numbers(data)
}

fn into_numbers(data: TensorData) -> Result<Vec<f32>> {
    data.try_into_vec()
        .map_err(|error| Error::other("reading a tensor's numbers", format!("{error:?}")))
}

/// The number of a tensor that holds one.
fn number(path: &Path, file: &mut File, info: &TensorInfo) -> Result<f64> {
    if let [number] = numbers(path, file, info)?[..] {
        return Ok(number.into());
    }
    let reason = format!("has an alpha of the shape {:?}, not one number", info.shape);
    Err(Error::checkpoint(path, reason))
}

/// SHA-256 of what comes after the header, or of a whole file of PyTorch's, shortened.
fn hash(path: &Path, file: &mut File) -> Result<String> {
    let mut hash = || -> std::io::Result<String> {
        let mut length = [0; LENGTH_BYTES];
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut length)?;
        let start = if is_torch(&length) {
            0
        } else {
            u64::from_le_bytes(length).saturating_add(LENGTH_BYTES as u64)
        };
        file.seek(SeekFrom::Start(start))?;
        let mut digest = Sha256::new();
        let mut chunk = vec![0; 1 << 20];
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                count => digest.update(&chunk[..count]),
            }
        }
        let hexadecimal = |text: String, byte: &u8| text + &format!("{byte:02x}");
        let digits = digest.finalize().iter().fold(String::new(), hexadecimal);
        Ok(digits[..HASH_DIGITS].to_owned())
    };
    hash().map_err(|error| Error::io(path, error))
}

#[cfg(test)]
mod tests;
