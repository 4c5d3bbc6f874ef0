//! An autoencoder of its own file in the place of the checkpoint's.
//!
//! Of the same shape, in diffusers' or CompVis' names, or TAESD: the tiny autoencoder, whose latents are those of the other, scaled.
//! TAESD comes as diffusers' `AutoencoderTiny`, as two files of which either is named, `taesd_encoder` and `taesd_decoder`, with the
//! names of madebyollin/taesd, or as both of these in one, as ComfyUI puts them together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ip2p_core::{CheckpointProfile, Error, Result};
use serde_json::{Value, json};

use super::compvis::{vae_levels, vae_to_diffusers};
use super::header::TensorInfo;
use super::profile::scaling_factor;
use super::single::{is_no_weight, prefix};
use super::weights::{Stored, read_tensors};
use super::{Checkpoint, Component, parse_config};

/// An autoencoder that was put in the place of a checkpoint's.
#[derive(Debug)]
pub(super) struct OtherVae {
    pub(super) files: Vec<PathBuf>,
    /// By diffusers' names.
    pub(super) tensors: BTreeMap<String, Stored>,
    /// The config of the one whose place it took, if it is of another class.
    pub(super) replaced: Option<String>,
}

/// The class of a tiny autoencoder in diffusers.
pub(super) const TINY: &str = "AutoencoderTiny";

/// The halves of TAESD, as its files and ComfyUI call them, and what diffusers' names begin with.
const HALVES: [(&str, &str); 2] = [
    ("taesd_encoder.", "encoder.layers."),
    ("taesd_decoder.", "decoder.layers."),
];

impl Checkpoint {
    /// Takes the autoencoder from a file of its own: one of the same shape, or a tiny one.
    pub(super) fn with_vae(mut self, path: &Path) -> Result<Self> {
        let (tensors, _) = read_tensors(path)?;
        let other = if is_half(&tensors) {
            of_two_files(path, tensors)?
        } else {
            of_one_file(path, tensors)?
        };
        let is_tiny = other
            .tensors
            .keys()
            .any(|name| name.starts_with("decoder.layers."));
        let replaced = if is_tiny {
            let config = tiny_config(path, &other.tensors)?;
            self.check_latents(path, &config)?;
            let index = json!(["diffusers", TINY]);
            self.model_index.insert(Component::Vae.name().into(), index);
            self.configs.insert(Component::Vae, format!("{config:#}\n"))
        } else {
            None
        };
        self.other_vae = Some(Arc::new(OtherVae { replaced, ..other }));
        Ok(self)
    }

    /// The config of the autoencoder that the checkpoint was trained with.
    pub(super) fn trained_vae(&self) -> &str {
        let other = self.other_vae.as_ref();
        let replaced = other.and_then(|other| other.replaced.as_deref());
        replaced.unwrap_or_else(|| self.config(Component::Vae))
    }

    /// Changes the scales of latents from those of the autoencoder that the checkpoint was trained with to those of the one that took
    /// its place, whose latents are the other's times the ratio of the two `scaling_factor`s.
    ///
    /// So the U-Net sees what it was trained with. ComfyUI's `TAESD.encode` divides likewise.
    pub(super) fn rescale(&self, profile: &mut CheckpointProfile) -> Result<()> {
        if self
            .other_vae
            .as_ref()
            .is_some_and(|other| other.replaced.is_some())
        {
            let own = scaling_factor(self.config(Component::Vae))?;
            profile.image_latents_scale *= own / profile.scaling_factor;
            profile.scaling_factor = own;
        }
        Ok(())
    }

    /// Refuses an autoencoder of other latents than the checkpoint's.
    fn check_latents(&self, path: &Path, tiny: &Value) -> Result<()> {
        let network = Component::Vae.name();
        let own = parse_config(network, self.config(Component::Vae))?;
        let channels = own.get("latent_channels").and_then(Value::as_u64);
        let [theirs, ours] = [tiny["latent_channels"].as_u64(), channels.or(Some(4))];
        if theirs != ours {
            let words = |channels: Option<u64>| channels.unwrap_or_default();
            let reason = format!(
                "is an autoencoder of latents of {} channels, such as those of Stable Diffusion 3 and Flux, where the model's have {}",
                words(theirs),
                words(ours)
            );
            return Err(Error::checkpoint(path, reason));
        }
        // diffusers' defaults.
        let (list, default) = match own.get("_class_name").and_then(Value::as_str) {
            Some(TINY) => ("num_decoder_blocks", 4),
            _ => ("block_out_channels", 1),
        };
        let levels = own.get(list).and_then(Value::as_array);
        let levels = levels.map_or(default, Vec::len);
        let found = tiny["num_decoder_blocks"].as_array().map_or(0, Vec::len);
        if found != levels {
            let reason = format!(
                "is an autoencoder of {found} resolutions, where the model's has {levels}: their latents are of other sizes"
            );
            return Err(Error::checkpoint(path, reason));
        }
        Ok(())
    }
}

/// Whether these are the names of one half of TAESD: layers by their numbers.
pub(super) fn is_half(tensors: &BTreeMap<String, TensorInfo>) -> bool {
    !tensors.is_empty() && tensors.keys().all(|name| layer(name).is_some())
}

/// The number of a layer, and the rest of its name with the point.
fn layer(name: &str) -> Option<(usize, &str)> {
    let end = name.find('.')?;
    Some((name[..end].parse().ok()?, &name[end..]))
}

/// A file with all of an autoencoder.
fn of_one_file(path: &Path, tensors: BTreeMap<String, TensorInfo>) -> Result<OtherVae> {
    let bare = |name: &str| {
        name.strip_prefix(prefix(Component::Vae))
            .unwrap_or(name)
            .to_owned()
    };
    let names: Vec<_> = tensors.keys().map(|name| bare(name)).collect();
    let levels = vae_levels(names.iter().map(String::as_str));
    let mut found = Found::default();
    for (name, info) in tensors {
        let is_left = ["loss.", "model_ema."]
            .iter()
            .any(|start| name.starts_with(start));
        if is_left || is_no_weight(&name) || matches!(&*name, "vae_scale" | "vae_shift") {
            continue;
        }
        let bare = bare(&name);
        let half = HALVES.iter().find_map(|(start, layers)| {
            let inner = bare.strip_prefix(start)?;
            in_diffusers(layers, inner)
        });
        // diffusers' names pass through: none of them is one of CompVis' with another meaning.
        let known = half
            .or_else(|| vae_to_diffusers(&bare, levels))
            .unwrap_or(bare);
        found.add(path, known, &name, Stored { file: 0, info })?;
    }
    Ok(found.finish(vec![path.to_owned()]))
}

/// The two halves of TAESD, of which one was named.
fn of_two_files(path: &Path, tensors: BTreeMap<String, TensorInfo>) -> Result<OtherVae> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let sides = ["encoder", "decoder"];
    let Some(own) = sides.iter().position(|side| name.contains(side)) else {
        let reason = "is one half of a tiny autoencoder, and which one is not in its name; name the halves taesd_encoder and \
                      taesd_decoder";
        return Err(Error::checkpoint(path, reason));
    };
    let other = path.with_file_name(name.replace(sides[own], sides[1 - own]));
    if !other.is_file() {
        let reason = format!(
            "is one half of a tiny autoencoder, and the other, {}, is not there",
            other.display()
        );
        return Err(Error::checkpoint(path, reason));
    }
    let (others, _) = read_tensors(&other)?;
    let mut found = Found::default();
    let halves = [(path, tensors, own), (&*other, others, 1 - own)];
    for (file, (path, tensors, side)) in halves.into_iter().enumerate() {
        for (name, info) in tensors {
            let known = in_diffusers(HALVES[side].1, &name).ok_or_else(|| {
                let reason = format!("is no half of a tiny autoencoder: it holds {name}");
                Error::checkpoint(path, reason)
            })?;
            found.add(path, known, &name, Stored { file, info })?;
        }
    }
    Ok(found.finish(vec![path.to_owned(), other]))
}

/// diffusers' name of a weight of one half.
fn in_diffusers(layers: &str, name: &str) -> Option<String> {
    let (number, rest) = layer(name)?;
    // The first layer of the decoder keeps latents within a range, for which diffusers has no layer.
    let number = if layers.starts_with("decoder") {
        number.checked_sub(1)?
    } else {
        number
    };
    Some(format!("{layers}{number}{rest}"))
}

/// The tensors that were found so far, and what the files call them.
#[derive(Default)]
struct Found {
    tensors: BTreeMap<String, Stored>,
    names: BTreeMap<String, String>,
}

impl Found {
    fn add(&mut self, path: &Path, known: String, name: &str, stored: Stored) -> Result<()> {
        if let Some(other) = self.names.insert(known.clone(), name.to_owned()) {
            let reason = format!("holds the same weight twice, as {other} and as {name}");
            return Err(Error::checkpoint(path, reason));
        }
        self.tensors.insert(known, stored);
        Ok(())
    }

    fn finish(self, files: Vec<PathBuf>) -> OtherVae {
        OtherVae {
            files,
            tensors: self.tensors,
            replaced: None,
        }
    }
}

/// `config.json` of a tiny autoencoder, from the shapes of its weights.
fn tiny_config(path: &Path, tensors: &BTreeMap<String, Stored>) -> Result<Value> {
    let half = |layers: &str| {
        Half::find(tensors, layers).ok_or_else(|| {
            let reason = format!("is no tiny autoencoder: of its {layers}… some are missing");
            Error::checkpoint(path, reason)
        })
    };
    let (encoder, decoder) = (half(HALVES[0].1)?, half(HALVES[1].1)?);
    Ok(json!({
        "_class_name": TINY,
        "act_fn": "relu",
        "decoder_block_out_channels": vec![decoder.channels; decoder.blocks.len()],
        "encoder_block_out_channels": vec![encoder.channels; encoder.blocks.len()],
        "in_channels": encoder.inputs,
        "latent_channels": decoder.inputs,
        "num_decoder_blocks": decoder.blocks,
        "num_encoder_blocks": encoder.blocks,
        "out_channels": decoder.outputs,
        "scaling_factor": 1.0,
        "upsampling_scaling_factor": 2,
    }))
}

/// The shape of one half of a tiny autoencoder.
struct Half {
    inputs: usize,
    channels: usize,
    outputs: usize,
    /// Blocks at each resolution.
    blocks: Vec<usize>,
}

impl Half {
    fn find(tensors: &BTreeMap<String, Stored>, layers: &str) -> Option<Self> {
        // Layers by number: a block, or the shape of a convolution and whether it has a bias.
        let mut found: BTreeMap<usize, Option<(&[usize], bool)>> = BTreeMap::new();
        for (name, stored) in tensors.range(layers.to_owned()..) {
            let Some((number, rest)) = name.strip_prefix(layers).and_then(layer) else {
                continue;
            };
            if rest == ".weight" {
                let bias = tensors.contains_key(&format!("{layers}{number}.bias"));
                found.insert(number, Some((&stored.info.shape, bias)));
            } else if rest != ".bias" {
                found.insert(number, None);
            }
        }
        let (_, first) = found.pop_first()?;
        let (_, last) = found.pop_last()?;
        let (&[channels, inputs, ..], &[outputs, ..]) = (first?.0, last?.0) else {
            return None;
        };
        let mut blocks = vec![0];
        for layer in found.into_values() {
            match layer {
                None => *blocks.last_mut()? += 1,
                // Between two resolutions is a convolution without a bias.
                Some((_, false)) => blocks.push(0),
                Some((_, true)) => return None,
            }
        }
        Some(Self {
            inputs,
            channels,
            outputs,
            blocks,
        })
    }
}

#[cfg(test)]
mod tests;
