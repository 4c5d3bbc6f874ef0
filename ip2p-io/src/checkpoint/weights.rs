//! The weights of one component: its files, opened and checked, and the tensors that they hold.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use ip2p_core::{Error, Precision, Result};
use sha2::{Digest, Sha256};

use super::Component;
use super::convert::{Layout, read_tensor};
use super::files::WeightFiles;
use super::gguf::{self, parse_gguf};
use super::header::{Header, LENGTH_BYTES, TensorInfo, header_length, parse_header};
use super::names::canonical;
use super::torch::{is_torch, parse_torch};
use super::transplant::Transplant;
use crate::lora::Patch;
use crate::storage::{Opened, Storage};

/// Bytes of each tensor that its checkpoint's fingerprint depends on.
const FINGERPRINT_BYTES: u64 = 4096;

/// The weights of one component, whose files have been found and whose headers have been checked.
#[derive(Debug)]
pub struct Weights {
    pub(crate) storage: Storage,
    pub(crate) component: Component,
    pub(crate) folder: PathBuf,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) tensors: BTreeMap<String, Stored>,
    /// What is added to them, by canonical names.
    pub(crate) patches: BTreeMap<String, Vec<Patch>>,
    pub(crate) transplants: Vec<Arc<Transplant>>,
}

/// A tensor and the file that holds it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Index into [`Weights::files`].
    pub(crate) file: usize,
    pub(crate) info: TensorInfo,
}

impl Weights {
    /// Finds the weights of `component` in its `folder`, the ones that best serve `precision`, and checks their headers.
    ///
    /// A folder that holds `diffusion_pytorch_model[.fp16][-0000n-of-0000m].safetensors` (`model….safetensors` for the
    /// text encoder), with or without an index, is understood; it need not be part of a [`Checkpoint`].
    ///
    /// [`Checkpoint`]: super::Checkpoint
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read, [`Error::Checkpoint`] if there are no weights, a shard is missing, a
    /// tensor is in two shards or a file is damaged.
    pub fn open(
        folder: impl AsRef<Path>,
        component: Component,
        precision: Precision,
    ) -> Result<Self> {
        Self::open_in(&Storage::Disk, folder.as_ref(), component, precision)
    }

    /// As [`Self::open`], wherever the files lie.
    pub(crate) fn open_in(
        storage: &Storage,
        folder: &Path,
        component: Component,
        precision: Precision,
    ) -> Result<Self> {
        let found = WeightFiles::find(storage, folder, component, precision)?;
        let mut tensors: BTreeMap<String, Stored> = BTreeMap::new();
        for (file, path) in found.paths.iter().enumerate() {
            for (name, info) in read_header(storage, path)?.into_tensors() {
                let stored = Stored { file, info };
                if let Some(other) = tensors.insert(name.clone(), stored) {
                    let first = found.paths[other.file].display();
                    let reason = format!("holds tensor {name}, which {first} holds too");
                    return Err(Error::checkpoint(path, reason));
                }
            }
        }
        let weights = Self {
            storage: storage.clone(),
            component,
            folder: folder.to_owned(),
            files: found.paths,
            tensors,
            patches: BTreeMap::new(),
            transplants: Vec::new(),
        };
        if let Some(index) = found.index {
            weights.check_index(&index.path, &index.weight_map)?;
        }
        Ok(weights)
    }

    /// The weights of a component that are in files on the disk, at least one, by diffusers' names.
    pub(crate) fn of_files(
        component: Component,
        files: Vec<PathBuf>,
        tensors: BTreeMap<String, Stored>,
    ) -> Self {
        Self {
            storage: Storage::Disk,
            component,
            folder: files.first().cloned().unwrap_or_default(),
            files,
            tensors,
            patches: BTreeMap::new(),
            transplants: Vec::new(),
        }
    }

    /// The component whose weights these are.
    #[must_use]
    pub fn component(&self) -> Component {
        self.component
    }

    /// The files that hold them.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// How many numbers there are in all tensors, and in the largest of them.
    #[must_use]
    pub fn numbers(&self) -> (u64, u64) {
        let tensors = self.tensors.values();
        let sizes = tensors.map(|stored| stored.info.shape.iter().product::<usize>() as u64);
        sizes.fold((0, 0), |(all, most), size| (all + size, most.max(size)))
    }

    /// How many numbers there are in the tensors of whose canonical names and shapes `of` holds.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if two tensors have the same name.
    pub fn numbers_of(&self, of: impl Fn(&str, &[usize]) -> bool) -> Result<u64> {
        let shapes = self.by_canonical_name()?.into_iter();
        let shapes = shapes.map(|(name, key)| (name, &self.tensors[key].info.shape));
        let wanted = shapes.filter(|(name, shape)| of(name, shape));
        Ok(wanted
            .map(|(_, shape)| shape.iter().product::<usize>() as u64)
            .sum())
    }

    /// How many bytes their tensors are in the files.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.tensors.values().map(|stored| stored.info.bytes).sum()
    }

    /// The shape of a tensor, by the name that the file gives it.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors
            .get(name)
            .map(|stored| stored.info.shape.as_slice())
    }

    /// The numbers of a tensor, by diffusers' name for it, in PyTorch's layout, with what adaptations add to it.
    ///
    /// Sums are computed on `device`.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if there is no such tensor, it is not of a float type or a file ends early; [`Error::Io`].
    pub fn read(&self, name: &str, device: &Device) -> Result<Vec<f32>> {
        let name = canonical(self.component, name).unwrap_or_default();
        let names = self.by_canonical_name()?;
        let key = names
            .get(&name)
            .ok_or_else(|| Error::checkpoint(self.path(), format!("holds no tensor {name}")))?;
        let stored = &self.tensors[*key];
        let path = &self.files[stored.file];
        let mut file = self
            .storage
            .open(path)
            .map_err(|error| Error::io(path, error))?;
        self.read_adapted(&mut file, stored, &name, device)
    }

    /// As [`Self::read`], of a tensor that has been found, from its file.
    pub(crate) fn read_adapted(
        &self,
        file: &mut Opened<'_>,
        stored: &Stored,
        name: &str,
        device: &Device,
    ) -> Result<Vec<f32>> {
        let info = &stored.info;
        self.check_float(stored, name)?;
        let base = read_tensor(file, info, Layout::Same, Precision::F32, &info.shape)
            .map_err(|error| self.read_error(stored, name, error))?;
        let mut sum: Vec<f32> = base
            .try_into_vec()
            .map_err(|error| Error::other("reading a tensor's numbers", format!("{error:?}")))?;
        if !self.is_adapted(name) {
            return Ok(sum);
        }
        let patches = self.patches.get(name).map_or(&[][..], Vec::as_slice);
        // The tensor as the checkpoint has it, where something depends on that.
        let base = patches.iter().any(Patch::needs_base).then(|| sum.clone());
        let rows = info.shape.first().copied().unwrap_or(1);
        for transplant in &self.transplants {
            transplant.add(self.component, name, rows, &mut sum, device)?;
        }
        for patch in patches {
            patch.add(base.as_deref(), rows, &mut sum, device)?;
        }
        Ok(sum)
    }

    /// Whether something is added to a tensor.
    pub(crate) fn is_adapted(&self, name: &str) -> bool {
        !self.transplants.is_empty() || self.patches.contains_key(name)
    }

    /// Refuses what is no weight.
    pub(crate) fn check_float(&self, stored: &Stored, name: &str) -> Result<()> {
        let format = stored.info.format;
        if format.is_float() {
            return Ok(());
        }
        let reason =
            format!("tensor {name} is of type {format}; weights must be F64, F32, F16 or BF16");
        Err(Error::checkpoint(&self.files[stored.file], reason))
    }

    /// Says which tensor could not be read.
    pub(crate) fn read_error(&self, stored: &Stored, name: &str, source: io::Error) -> Error {
        let path = &self.files[stored.file];
        match source.kind() {
            io::ErrorKind::UnexpectedEof => {
                let reason = format!("ended within tensor {name} while it was read");
                Error::checkpoint(path, reason)
            }
            io::ErrorKind::InvalidData => {
                Error::checkpoint(path, format!("tensor {name} holds {source}"))
            }
            _ => Error::io(path, source),
        }
    }

    /// What errors about these weights name: the file, or the folder of the shards.
    pub(crate) fn path(&self) -> &Path {
        match self.files.as_slice() {
            [file] => file,
            _ => &self.folder,
        }
    }

    /// The tensors by their canonical names, with the names that the files give them.
    pub(crate) fn by_canonical_name(&self) -> Result<BTreeMap<String, &str>> {
        let mut names: BTreeMap<String, &str> = BTreeMap::new();
        for key in self.tensors.keys() {
            let Some(name) = canonical(self.component, key) else {
                continue;
            };
            if let Some(other) = names.insert(name, key) {
                let reason = format!("holds the same weight twice, as {other} and as {key}");
                return Err(Error::checkpoint(self.path(), reason));
            }
        }
        Ok(names)
    }

    fn check_index(&self, path: &Path, weight_map: &BTreeMap<String, String>) -> Result<()> {
        for (name, shard) in weight_map {
            let holds = self
                .tensors
                .get(name)
                .is_some_and(|stored| self.files[stored.file].file_name() == Some(shard.as_ref()));
            if !holds {
                let reason = format!("says that {shard} holds tensor {name}, which it does not");
                return Err(Error::checkpoint(path, reason));
            }
        }
        Ok(())
    }

    /// Feeds `digest` with every header and the first bytes of every tensor.
    pub(crate) fn digest(&self, digest: &mut Sha256) -> Result<()> {
        digest.update(self.component.name());
        for (file, path) in self.files.iter().enumerate() {
            let failed = |source| Error::io(path, source);
            let mut opened = self.storage.open(path).map_err(failed)?;
            let mut placed: Vec<_> = self
                .tensors
                .iter()
                .filter(|(_, stored)| stored.file == file)
                .collect();
            placed.sort_by_key(|(_, stored)| stored.info.offset);
            let mut start = Vec::new();
            for (name, Stored { info, .. }) in placed {
                digest.update(format!("{name} {} {:?}\n", info.format, info.shape));
                opened.seek(SeekFrom::Start(info.offset)).map_err(failed)?;
                start.clear();
                (&mut opened)
                    .take(info.bytes.min(FINGERPRINT_BYTES))
                    .read_to_end(&mut start)
                    .map_err(failed)?;
                digest.update(&start);
            }
        }
        Ok(())
    }
}

/// The tensors of a file, and what it says of itself.
pub(crate) type Tensors = (BTreeMap<String, TensorInfo>, BTreeMap<String, String>);

/// Finds the tensors of a file on the disk, whatever its format.
pub(crate) fn read_tensors(path: &Path) -> Result<Tensors> {
    let failed = |error| Error::io(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let mut start = Vec::new();
    (&mut file)
        .take(LENGTH_BYTES as u64)
        .read_to_end(&mut start)
        .map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let header = if is_torch(&start) {
        parse_torch(path, &mut file, length)?
    } else if start.starts_with(gguf::MAGIC) {
        parse_gguf(path, &mut file, length)?
    } else {
        read_header(&Storage::Disk, path)?
    };
    let metadata = header.metadata().clone();
    Ok((header.into_tensors(), metadata))
}

/// Reads the header of a file, and nothing else of it.
fn read_header(storage: &Storage, path: &Path) -> Result<Header> {
    let failed = |source| Error::io(path, source);
    let file_bytes = storage.length(path)?;
    let mut file = storage.open(path).map_err(failed)?;
    let mut start = Vec::new();
    (&mut file)
        .take(LENGTH_BYTES as u64)
        .read_to_end(&mut start)
        .map_err(failed)?;
    let length = header_length(path, &start, file_bytes)?;
    file.take(length as u64)
        .read_to_end(&mut start)
        .map_err(failed)?;
    parse_header(path, &start, file_bytes)
}
