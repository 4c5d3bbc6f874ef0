//! A session in one file.
//!
//! The file is one of [safetensors](https://github.com/huggingface/safetensors), which other tools can look into:
//!
//! | tensor | what it is |
//! | --- | --- |
//! | `photo` | `U8`: the photo's file, as it was |
//! | `latents` | `F32` `[1, channels, height, width]`: the photo's latents, as the autoencoder gives them |
//! | `turn.N.latents` | the same after turn *N* |
//! | `turn.N.mask` | `U8`: the turn's mask, a grey PNG of the photo's size; left out if there was none |
//!
//! Its metadata has one line, `ip2p-session`: the version (1), a sum over all else, and JSON with the turns' records, the
//! branches and the checkpoint. One line alone, for several have no order there. The file is written beside its place and renamed, so that whenever the process is
//! killed the file is the one before or the one after.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ip2p_core::{Error, Result};
use ip2p_io::{EditRecord, Photo, PhotoFile, sha256, write_whole};
use ip2p_region::Mask;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::{Branch, Cache, Fixed, ModelName, Session, Turn};
use crate::editor::Latents;
use crate::options::EditOptions;

/// The line of the metadata.
const LINE: &str = "ip2p-session";

/// Within so many bytes that line begins.
const BEGINNING: usize = 64;

/// The version that is written and read.
const VERSION: &str = "1";

/// What is not a tensor.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    /// The photo, as it was named.
    photo: PathBuf,
    fixed: Fixed,
    model: ModelName,
    turns: BTreeMap<u64, StoredTurn>,
    branches: BTreeMap<String, Branch>,
    current: String,
    next: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredTurn {
    record: EditRecord,
    /// Whether it has a mask.
    masked: bool,
    /// Whether that is where the sentence acts; files of before it was used do not say it.
    #[serde(default)]
    found: bool,
    warnings: Vec<String>,
}

/// A tensor's bytes with what says how to read them.
struct Part {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Part {
    fn bytes(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            dtype: Dtype::U8,
            shape: vec![bytes.len()],
            bytes,
        }
    }

    fn latents(name: impl Into<String>, latents: &Latents) -> Self {
        let numbers = latents.values.iter();
        Self {
            name: name.into(),
            dtype: Dtype::F32,
            shape: latents.shape.to_vec(),
            bytes: numbers.flat_map(|number| number.to_le_bytes()).collect(),
        }
    }
}

impl Session {
    /// Writes the session to a file, with the photo and all turns of all branches in it.
    ///
    /// Whatever happens meanwhile, the file is then the one before or the whole new one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_whole(path, &self.to_bytes()?)
    }

    /// Reads a session that [`Session::save`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; [`Error::Session`] if it is not a session, is of another version, or
    /// cut short or damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|error| Error::io(path, error))?;
        Self::from_bytes(path, &bytes)
    }

    /// The content of the file that [`Session::save`] writes.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] if a number is one that JSON cannot hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let stored = Stored {
            photo: self.file.path().to_owned(),
            fixed: self.fixed.clone(),
            model: self.model.clone(),
            turns: self.turns.iter().map(stored_turn).collect(),
            branches: self.branches.clone(),
            current: self.current.clone(),
            next: self.next,
        };
        let json = serde_json::to_string(&stored).map_err(writing)?;
        let parts = self.parts()?;
        let tensors = parts
            .iter()
            .map(|part| (&*part.name, &*part.shape, &*part.bytes));
        let line = format!("{VERSION} {} {json}", digest(&json, tensors));
        let metadata = HashMap::from([(LINE.to_owned(), line)]);
        let mut views = Vec::with_capacity(parts.len());
        for part in &parts {
            let view = TensorView::new(part.dtype, part.shape.clone(), &part.bytes);
            views.push((&part.name, view.map_err(writing)?));
        }
        safetensors::serialize(views, Some(metadata)).map_err(writing)
    }

    fn parts(&self) -> Result<Vec<Part>> {
        let mut parts = vec![
            Part::bytes("photo", self.file.bytes().to_vec()),
            Part::latents("latents", &self.first),
        ];
        for (number, turn) in &self.turns {
            parts.push(Part::latents(latents_name(*number), &turn.latents));
            if let Some(mask) = &turn.mask {
                let png = Photo::from(mask.to_picture()).to_png()?;
                parts.push(Part::bytes(mask_name(*number), png));
            }
        }
        Ok(parts)
    }

    /// Reads the content of a file that [`Session::save`] wrote; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// Those of [`Session::open`], but that there is no file.
    pub fn from_bytes(name: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        let content = Content::read(name.as_ref(), bytes)?;
        let stored: Stored = serde_json::from_str(&content.json)
            .map_err(|error| content.damaged(&error.to_string()))?;
        let file = PhotoFile::from_bytes(stored.photo, content.tensor("photo", Dtype::U8)?.1);
        let photo = Arc::new(file.decode()?);
        let first = content.latents("latents")?;
        let mut turns = BTreeMap::new();
        for (number, turn) in stored.turns {
            turns.insert(number, content.turn(number, turn, &photo)?);
        }
        let session = Self {
            file,
            photo,
            fixed: stored.fixed,
            model: stored.model,
            first,
            turns,
            branches: stored.branches,
            current: stored.current,
            next: stored.next,
            cache: Cache::default(),
        };
        match session.inconsistency() {
            None => Ok(session),
            Some(what) => Err(content.damaged(what)),
        }
    }

    /// What in the tree of turns cannot be.
    fn inconsistency(&self) -> Option<&'static str> {
        let branches = || self.branches.values();
        let mut numbers = branches().flat_map(|branch| &branch.turns);
        if !self.branches.contains_key(&self.current) {
            Some("the current branch is none of those that there are")
        } else if branches().any(|branch| branch.done > branch.turns.len()) {
            Some("a branch has fewer turns than count")
        } else if numbers.any(|number| !self.turns.contains_key(number)) {
            Some("a branch has a turn that there is not")
        } else if self.turns.keys().any(|&number| number >= self.next) {
            Some("a turn has the number of the next one")
        } else {
            None
        }
    }
}

fn writing(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::other("writing the session", error)
}

fn stored_turn((number, turn): (&u64, &Turn)) -> (u64, StoredTurn) {
    let stored = StoredTurn {
        record: turn.record.clone(),
        masked: turn.mask.is_some(),
        found: turn.found,
        warnings: turn.warnings.clone(),
    };
    (*number, stored)
}

fn latents_name(turn: u64) -> String {
    format!("turn.{turn}.latents")
}

fn mask_name(turn: u64) -> String {
    format!("turn.{turn}.mask")
}

/// A sum over all that a file says but this sum.
fn digest<'a>(
    json: &str,
    tensors: impl Iterator<Item = (&'a str, &'a [usize], &'a [u8])>,
) -> String {
    let mut sums: Vec<_> = tensors
        .map(|(name, shape, bytes)| format!("{name} {shape:?} {}\n", sha256(bytes)))
        .collect();
    sums.sort();
    sha256((sums.concat() + json).as_bytes())
}

/// A file whose format, version and sum are right.
struct Content<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    json: String,
}

impl<'a> Content<'a> {
    fn read(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let refuse = |reason: &str| Error::session(path, reason);
        let not_ours = "is not a session of ip2p";
        let cut = "is cut short or damaged: the session in it cannot be gone on with; take an earlier copy";
        // The format and version come first: a newer one may differ in all else.
        let Ok((_, header)) = SafeTensors::read_metadata(bytes) else {
            let begins = bytes.get(..BEGINNING).unwrap_or(bytes);
            let ours = begins.windows(LINE.len()).any(|at| at == LINE.as_bytes());
            return Err(refuse(if ours { cut } else { not_ours }));
        };
        let metadata = header.metadata().as_ref();
        let Some(line) = metadata.and_then(|metadata| metadata.get(LINE)) else {
            return Err(refuse(not_ours));
        };
        let (version, rest) = line.split_once(' ').unwrap_or((line, ""));
        if version != VERSION {
            return Err(refuse(&format!(
                "is a session of version {version}, and this ip2p reads version {VERSION}: open it with the ip2p that \
                 wrote it"
            )));
        }
        let (sum, json) = rest.split_once(' ').unwrap_or_default();
        let tensors = SafeTensors::deserialize(bytes).map_err(|_| refuse(cut))?;
        let views = tensors.tensors();
        let sums = views
            .iter()
            .map(|(name, view)| (&**name, view.shape(), view.data()));
        if sum != digest(json, sums) {
            return Err(refuse(
                "is damaged: its content is not what was written; take an earlier copy",
            ));
        }
        Ok(Self {
            path,
            json: json.to_owned(),
            tensors,
        })
    }

    /// The error of a file whose sum is right and whose content makes no sense all the same.
    fn damaged(&self, what: &str) -> Error {
        Error::session(self.path, format!("is damaged: {what}"))
    }

    /// The shape and the bytes of a tensor.
    fn tensor(&self, name: &str, dtype: Dtype) -> Result<(Vec<usize>, Vec<u8>)> {
        match self.tensors.tensor(name) {
            Ok(view) if view.dtype() == dtype => Ok((view.shape().to_vec(), view.data().to_vec())),
            _ => Err(self.damaged(&format!("it has no tensor {name} of {dtype:?}"))),
        }
    }

    fn latents(&self, name: &str) -> Result<Latents> {
        let (shape, bytes) = self.tensor(name, Dtype::F32)?;
        let shape = shape
            .try_into()
            .map_err(|_| self.damaged(&format!("{name} does not have four axes")))?;
        let (numbers, _) = bytes.as_chunks::<4>();
        let values = numbers.iter().copied().map(f32::from_le_bytes).collect();
        Ok(Latents { shape, values })
    }

    fn turn(&self, number: u64, stored: StoredTurn, photo: &Photo) -> Result<Turn> {
        let mask = mask_name(number);
        let mask = if stored.masked {
            let (_, png) = self.tensor(&mask, Dtype::U8)?;
            let mask = Mask::from_photo(&Photo::decode(&png, &mask)?);
            if mask.size() != photo.size() {
                return Err(self.damaged("a mask is not of the photo's size"));
            }
            Some(Arc::new(mask))
        } else {
            None
        };
        Ok(Turn {
            options: EditOptions::from_record(&stored.record)?,
            record: stored.record,
            mask,
            found: stored.found,
            warnings: stored.warnings,
            latents: self.latents(&latents_name(number))?,
        })
    }
}
