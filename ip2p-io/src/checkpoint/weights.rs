//! The weights of one component: its files, opened and checked, and the tensors that they hold.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ip2p_core::{Error, Precision, Result};
use sha2::{Digest, Sha256};

use super::Component;
use super::files::WeightFiles;
use super::header::{LENGTH_BYTES, TensorInfo, header_length, parse_header};
use super::names::canonical;
use crate::storage::Storage;

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
            for (name, info) in read_header(storage, path)? {
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
        };
        if let Some(index) = found.index {
            weights.check_index(&index.path, &index.weight_map)?;
        }
        Ok(weights)
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

    /// The shape of a tensor, by the name that the file gives it.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors
            .get(name)
            .map(|stored| stored.info.shape.as_slice())
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
                digest.update(format!("{name} {} {:?}\n", info.dtype, info.shape));
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

fn read_header(storage: &Storage, path: &Path) -> Result<BTreeMap<String, TensorInfo>> {
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
    parse_header(path, &start, file_bytes).map(super::header::Header::into_tensors)
}
