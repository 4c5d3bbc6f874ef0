//! Writing a checkpoint: as a folder that diffusers reads, or as one file with the names of CompVis, which every tool reads, in the
//! form of safetensors or of GGUF.
//!
//! Tensors go from file to file one at a time, so that no more than one of them is in memory, with whatever is added to it. What
//! a single file has no place for, the networks' shapes and a tokenizer of its own, goes into its metadata: such a file opens here as
//! the folder does, and elsewhere the metadata is passed over.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use ip2p_core::{Error, Precision, Result};
use serde_json::{Value, json};

use super::compvis::{UnetBlocks, vae_levels, vae_to_compvis};
use super::folder::{has_part, tokenizers};
use super::format::{Target, WeightFormat};
use super::gguf::{Setting, gguf_frame};
use super::open_clip;
use super::origin::Origin;
use super::profile::PROFILE_FILE;
use super::single::{self, METADATA};
use super::stream::{Frame, Planned, safetensors_frame, write_tensors};
use super::{Checkpoint, Component, Weights};
use crate::whole::write_whole;

/// The parts of a pipeline that are written.
const PARTS: [&str; 7] = [
    "unet",
    "vae",
    "text_encoder",
    "text_encoder_2",
    "tokenizer",
    "tokenizer_2",
    "scheduler",
];

/// How far a checkpoint has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SaveProgress {
    /// Bytes of tensors that have been written.
    pub done_bytes: u64,
    /// Bytes of tensors in all.
    pub total_bytes: u64,
}

/// A network that is written: its tensors, and where each comes from.
struct Network {
    weights: Weights,
    tensors: Vec<Planned>,
    /// Where each comes from, by the names that are written.
    origins: BTreeMap<String, Origin>,
}

/// What all the files that are written have in common.
struct Writer<'a> {
    device: &'a Device,
    at: SaveProgress,
    progress: &'a mut dyn FnMut(SaveProgress),
}

impl Checkpoint {
    /// Writes the checkpoint, with all that is added to its weights, in `format`: to one file if `output` ends in `.safetensors` or
    /// `.gguf`, else to a folder in diffusers' layout.
    ///
    /// The quantised formats are for GGUF, and for the matrices of the networks: in such a file convolutions and embeddings are `f16`,
    /// biases and norms `f32`, much as stable-diffusion.cpp has them. Sums are computed on `device`. A safety checker and the like are
    /// left behind. Where a folder cannot be written whole, its `model_index.json` is not there, without which it is no checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if there is something at `output`, or it cannot be in that format; [`Error::Checkpoint`] if a network
    /// has no names in CompVis' code, which is where single files have theirs from, or a weight is too large for the format;
    /// [`Error::Io`]; those of [`Weights::open`] and of reading.
    pub fn save(
        &self,
        output: impl AsRef<Path>,
        format: impl Into<WeightFormat>,
        device: &Device,
        progress: &mut dyn FnMut(SaveProgress),
    ) -> Result<()> {
        let (output, format) = (output.as_ref(), format.into());
        let target = Target::of(output, format)?;
        let is_empty_folder =
            || fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none());
        if output.exists() && (target.is_file() || !is_empty_folder()) {
            let expected = "a file or folder that does not exist yet";
            return Err(Error::setting("output", expected, output.display()));
        }
        let networks: Vec<_> = self
            .components()
            .into_iter()
            .map(|component| self.network(component, target, format))
            .collect::<Result<_>>()?;
        let bytes = |network: &Network| network.tensors.iter().map(Planned::bytes).sum::<u64>();
        let writer = &mut Writer {
            device,
            at: SaveProgress {
                done_bytes: 0,
                total_bytes: networks.iter().map(bytes).sum(),
            },
            progress,
        };
        if target.is_file() {
            self.save_file(output, target, format, &networks, writer)
        } else {
            self.save_folder(output, &networks, writer)
        }
    }

    /// The tensors of a network, by the names that they will have.
    fn network(
        &self,
        component: Component,
        target: Target,
        format: WeightFormat,
    ) -> Result<Network> {
        let in_file = target.is_file();
        let weights = self.weights(component, Precision::F32)?;
        if in_file && component == Component::TextEncoder2 {
            return self.open_clip(weights, target, format);
        }
        let names = weights.by_canonical_name()?;
        let spell = |name: &str| {
            if in_file {
                self.name_in_file(component, name, &names)
            } else {
                Ok(in_folder(component, name))
            }
        };
        let mut tensors = Vec::new();
        let mut origins = BTreeMap::new();
        for (name, key) in &names {
            let written = spell(name)?;
            let stored = weights.shape(key).unwrap_or_default();
            let shape = shape(component, name, stored, in_file);
            origins.insert(written.clone(), Origin::Same(name.clone()));
            tensors.push(Planned {
                format: target.tensor_format(format, &written, &shape),
                name: written,
                shape,
            });
        }
        Ok(Network {
            weights,
            tensors,
            origins,
        })
    }

    /// The tensors of the second text encoder in OpenCLIP's names.
    fn open_clip(&self, weights: Weights, target: Target, format: WeightFormat) -> Result<Network> {
        let names = weights.by_canonical_name()?;
        let shape = |name: &str| names.get(name).and_then(|key| weights.shape(key));
        let mut tensors = Vec::new();
        let mut origins = BTreeMap::new();
        for name in names.keys() {
            let written = open_clip::of_transformers(name, &shape).ok_or_else(|| {
                let component = weights.component();
                Error::checkpoint(&self.root, no_name(component, name))
            })?;
            // What is joined to another is written with that.
            let Some((written, shape, origin)) = written else {
                continue;
            };
            let name = format!("{}{written}", single::prefix(Component::TextEncoder2));
            origins.insert(name.clone(), origin);
            tensors.push(Planned {
                format: target.tensor_format(format, &name, &shape),
                name,
                shape,
            });
        }
        Ok(Network {
            weights,
            tensors,
            origins,
        })
    }

    /// CompVis' name of a weight, with what says whose it is.
    fn name_in_file(
        &self,
        component: Component,
        name: &str,
        names: &BTreeMap<String, &str>,
    ) -> Result<String> {
        let keys = || names.keys().map(String::as_str);
        let spelt = match component {
            Component::Unet => {
                let has_attention = |level: usize| {
                    let prefix = format!("up_blocks.{level}.attentions.");
                    names
                        .range(prefix.clone()..)
                        .next()
                        .is_some_and(|(name, _)| name.starts_with(&prefix))
                };
                UnetBlocks::of_diffusers(keys()).to_compvis(name, has_attention)
            }
            Component::Vae => vae_to_compvis(name, vae_levels(keys())),
            // OpenCLIP's encoder has names of its own in such files, and its projections in one.
            Component::TextEncoder if names.contains_key("encoder.layers.22.mlp.fc1.weight") => {
                None
            }
            Component::TextEncoder => Some(format!("text_model.{name}")),
            Component::TextEncoder2 => None,
        };
        let spelt = spelt.ok_or_else(|| Error::checkpoint(&self.root, no_name(component, name)))?;
        let prefix = match component {
            Component::TextEncoder if self.has(Component::TextEncoder2) => single::FIRST,
            _ => single::prefix(component),
        };
        Ok(format!("{prefix}{spelt}"))
    }

    fn save_file(
        &self,
        output: &Path,
        target: Target,
        format: WeightFormat,
        networks: &[Network],
        writer: &mut Writer<'_>,
    ) -> Result<()> {
        let mut files = self.small_files()?;
        for tokenizer in tokenizers(self.has(Component::TextEncoder2)) {
            if files
                .get(&format!("{tokenizer}/merges.txt"))
                .is_some_and(|merges| single::is_clip(merges))
            {
                // What it pads with is not the same in all.
                let config = format!("{tokenizer}/tokenizer_config.json");
                let special = format!("{tokenizer}/special_tokens_map.json");
                let own = format!("{tokenizer}/");
                files.retain(|name, _| {
                    !name.starts_with(&own) || *name == config || *name == special
                });
            }
        }
        let files = serde_json::to_string(&files)
            .map_err(|error| Error::other("writing the checkpoint's configs", error))?;
        let tensors: Vec<_> = networks
            .iter()
            .flat_map(|network| network.tensors.clone())
            .collect();
        let frame = if target == Target::Gguf {
            // By these names ComfyUI-GGUF knows the U-Nets of Stable Diffusion.
            let architecture = if self.has(Component::TextEncoder2) {
                "sdxl"
            } else {
                "sd1"
            };
            let settings = [
                ("general.architecture", Setting::Text(architecture.into())),
                ("general.name", Setting::Text(self.name())),
                ("general.file_type", Setting::Number(format.file_type())),
                ("general.quantization_version", Setting::Number(2)),
                (METADATA, Setting::Text(files)),
            ];
            gguf_frame(&tensors, &settings)
        } else {
            let mut metadata = metadata();
            metadata.insert(METADATA.to_owned(), files);
            safetensors_frame(&tensors, &metadata)?
        };
        writer.write(output, &frame, &tensors, networks)
    }

    fn save_folder(
        &self,
        output: &Path,
        networks: &[Network],
        writer: &mut Writer<'_>,
    ) -> Result<()> {
        let mut files = self.small_files()?;
        let index = files.remove("model_index.json").unwrap_or_default();
        for (name, text) in files {
            let path = output.join(name);
            let folder = path.parent().unwrap_or(output);
            fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
            write_whole(&path, text.as_bytes())?;
        }
        for network in networks {
            let component = network.weights.component();
            let path = output.join(format!("{component}/{}.safetensors", component.stem()));
            let frame = safetensors_frame(&network.tensors, &metadata())?;
            let own = std::slice::from_ref(network);
            writer.write(&path, &frame, &network.tensors, own)?;
        }
        write_whole(output.join("model_index.json"), index.as_bytes())
    }

    /// The texts of all files but the weights, by their names in a folder.
    fn small_files(&self) -> Result<BTreeMap<String, String>> {
        let mut files = BTreeMap::from([
            ("model_index.json".to_owned(), self.index_without_extras()?),
            (
                "scheduler/scheduler_config.json".to_owned(),
                self.scheduler.clone(),
            ),
        ]);
        for component in self.components() {
            files.insert(
                format!("{component}/config.json"),
                self.config(component).to_owned(),
            );
        }
        for tokenizer in tokenizers(self.has(Component::TextEncoder2)) {
            let folder = self.root.join(tokenizer);
            for name in self.storage.names(&folder)? {
                if self.storage.is_file(&folder.join(&name)) {
                    let text = self.storage.read_text(&folder.join(&name))?;
                    files.insert(format!("{tokenizer}/{name}"), text);
                }
            }
        }
        if let Some(profile) = self.profile_file()? {
            files.insert(PROFILE_FILE.to_owned(), profile);
        }
        Ok(files)
    }

    /// `model_index.json` of a pipeline that has no more than an edit needs.
    fn index_without_extras(&self) -> Result<String> {
        let mut index = self.model_index.clone();
        let extras: Vec<_> = index
            .keys()
            .filter(|part| has_part(&index, part) && !PARTS.contains(&part.as_str()))
            .cloned()
            .collect();
        for extra in extras {
            index.insert(extra, json!([null, null]));
        }
        if index.contains_key("requires_safety_checker") {
            index.insert("requires_safety_checker".into(), Value::Bool(false));
        }
        serde_json::to_string_pretty(&index)
            .map_err(|error| Error::other("writing model_index.json", error))
    }
}

impl Writer<'_> {
    fn write(
        &mut self,
        path: &Path,
        frame: &Frame,
        tensors: &[Planned],
        networks: &[Network],
    ) -> Result<()> {
        let Self {
            device,
            at,
            progress,
        } = self;
        let mut read = |tensor: &Planned| {
            let found = networks.iter().find_map(|network| {
                let origin = network.origins.get(&tensor.name)?;
                Some(origin.read(&network.weights, device))
            });
            found.expect("the tensors that are written are those of the networks")
        };
        let mut wrote = |bytes| {
            at.done_bytes += bytes;
            progress(*at);
        };
        write_tensors(path, frame, tensors, &mut read, &mut wrote)
    }
}

fn no_name(component: Component, name: &str) -> String {
    format!(
        "the {component} has {name}, which has no name in single files; write a folder, with an OUTPUT that ends in neither \
         .safetensors nor .gguf"
    )
}

/// What diffusers wants to read of a file before it reads it.
fn metadata() -> BTreeMap<String, String> {
    BTreeMap::from([("format".to_owned(), "pt".to_owned())])
}

/// The name of a weight in a folder: as every folder on the hub has it.
fn in_folder(component: Component, name: &str) -> String {
    match component {
        Component::TextEncoder2 if name.starts_with("text_projection.") => name.to_owned(),
        Component::TextEncoder | Component::TextEncoder2 => format!("text_model.{name}"),
        Component::Unet | Component::Vae => name.to_owned(),
    }
}

/// The shape that a tensor is written with: the projections of the autoencoder's attention are convolutions of one pixel in CompVis'
/// code, and linear layers in diffusers'.
fn shape(component: Component, name: &str, stored: &[usize], in_file: bool) -> Vec<usize> {
    let is_projection = component == Component::Vae
        && name.ends_with(".weight")
        && [".to_q.", ".to_k.", ".to_v.", ".to_out.0."]
            .iter()
            .any(|part| name.contains(part));
    match *stored {
        [rows, columns] if is_projection && in_file => vec![rows, columns, 1, 1],
        [rows, columns, 1, 1] if is_projection && !in_file => vec![rows, columns],
        _ => stored.to_vec(),
    }
}
