//! The layout of the original repository.
//!
//! Made by `dataset_creation/generate_img_dataset.py` and `prepare_dataset.py`, read by `edit_dataset.py`
//! (`timothybrooks/instruct-pix2pix` at `0dffd1e`). `prepare_dataset.py` writes seeds as strings; numbers are read too.
//! Training draws one of a folder's seeds each time, so that an epoch sees each instruction once however many pairs it has.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ip2p_core::{Error, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::find::SEEDS;
use super::picture::Picture;
use super::{Layout, RawRecord};

#[derive(Debug)]
pub(super) struct Original {
    folder: PathBuf,
    entries: Vec<Entry>,
}

/// An entry of `seeds.json`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Entry {
    /// A folder, and the seeds of its pairs.
    Prompt(String, Vec<Seed>),
    /// Something else: a broken record.
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Seed {
    Text(String),
    Number(u64),
}

/// `prompt.json`, of which `input` and `output` describe the pictures in words.
#[derive(Deserialize)]
struct Prompt {
    edit: String,
}

impl Original {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(SEEDS);
        let json = fs::read(&path).map_err(|source| Error::io(&path, source))?;
        let entries = serde_json::from_slice(&json).map_err(|error| {
            let expected = format!(
                "a folder whose {SEEDS} is a list of [folder, [seed, …]], and that of {} is not",
                folder.display()
            );
            Error::setting("data", expected, error)
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            entries,
        })
    }

    /// The folder of a record and the seed of the pair that `pick` names.
    fn pair(&self, index: usize, pick: u64) -> Result<(PathBuf, String), String> {
        let Entry::Prompt(name, seeds) = &self.entries[index] else {
            return Err("is not a list of a folder's name and its seeds".to_owned());
        };
        let Some(pick) = pick.checked_rem(seeds.len() as u64) else {
            return Err("has no seeds".to_owned());
        };
        let pick = usize::try_from(pick).expect("below the number of seeds");
        let seed = match &seeds[pick] {
            Seed::Text(seed) => seed.clone(),
            Seed::Number(seed) => seed.to_string(),
        };
        Ok((self.folder.join(name), seed))
    }
}

impl Layout for Original {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn name(&self, index: usize) -> String {
        match &self.entries[index] {
            Entry::Prompt(name, _) => self.folder.join(name).display().to_string(),
            Entry::Other(_) => format!("{}, entry {index}", self.folder.join(SEEDS).display()),
        }
    }

    fn read(&self, index: usize, pick: u64) -> Result<RawRecord, String> {
        let (folder, seed) = self.pair(index, pick)?;
        let prompt = fs::read(folder.join("prompt.json"))
            .map_err(|error| format!("prompt.json cannot be read: {error}"))?;
        let prompt: Prompt = serde_json::from_slice(&prompt)
            .map_err(|error| format!("prompt.json has no instruction as `edit`: {error}"))?;
        Ok(RawRecord {
            pair: Some(format!("seed {seed}")),
            input: Picture::file(folder.join(format!("{seed}_0.jpg"))),
            edited: Picture::file(folder.join(format!("{seed}_1.jpg"))),
            instruction: prompt.edit,
        })
    }

    /// Of each record the first pair's: they have one size.
    fn inputs(
        &self,
        range: Range<usize>,
    ) -> Box<dyn Iterator<Item = Result<Picture, String>> + '_> {
        Box::new(range.map(|index| {
            let (folder, seed) = self.pair(index, 0)?;
            Ok(Picture::file(folder.join(format!("{seed}_0.jpg"))))
        }))
    }
}
