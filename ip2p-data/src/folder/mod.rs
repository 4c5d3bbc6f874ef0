//! Data sets on disk, in the layouts that people have for InstructPix2Pix.
//!
//! - **The original repository's**: `seeds.json` lists folders and the seeds of each; a folder has `prompt.json` with the
//!   instruction as `edit`, and `{seed}_0.jpg` and `{seed}_1.jpg` for each seed.
//! - **Parquet**, as on the Hugging Face hub: a column with the picture, one with the instruction, one with the edited
//!   picture. A record is read from its row group alone, page by page: no file is ever held in memory.
//! - **JSONL**: a line names two pictures, relative to its file, and gives the instruction.
//!
//! [`Folder::open`] finds out which it is. Records on disk are broken in many ways, and one of them must not end a training
//! run: [`Folder::record`] gives a [`Broken`], which names the record and says what is wrong, and [`Loader`] takes another in its place and
//! counts it. Pictures have many shapes, and a batch has one: [`Buckets`] are the shapes, a [`Plan`] says which records make which
//! batch, and both are pure functions of the seed and the number of the step, so that a run resumes from that number.
//!
//! ```no_run
//! use ip2p_data::folder::{Buckets, Folder, FolderOptions, Loader, Plan, View};
//!
//! # fn main() -> ip2p_core::Result<()> {
//! let folder = Folder::open("instructpix2pix-1000-samples", &FolderOptions::default())?;
//! let plan = Plan::new(&Buckets::new(256, 64)?, folder.sizes());
//! let loader = Loader::new(folder, plan, 0, View::TRAINING);
//! for batch in loader.plan().steps(0, 16, 0)?.take(10_000) {
//!     let examples = loader.load(&batch)?;
//! }
//! eprintln!("{} broken records left out", loader.broken().len());
//! # Ok(())
//! # }
//! ```

mod broken;
mod bucket;
mod find;
mod jsonl;
mod loader;
mod options;
mod original;
mod parquet;
mod picture;
mod plan;
mod source;
mod view;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use image::RgbImage;
use ip2p_core::{Error, Result, Size};

pub use broken::Broken;
pub use bucket::Buckets;
pub use loader::Loader;
pub use options::{FolderOptions, Split};
pub use plan::{Batch, LastBatch, Plan, Steps};
pub use source::FolderSource;
pub use view::{Flips, View};

use picture::Picture;

/// A data set on disk.
pub struct Folder {
    layout: Box<dyn Layout>,
    /// Which records of the layout are those of the split.
    records: Range<usize>,
}

/// A record of a data set: a picture, a sentence, and the picture that the sentence asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where it is from: the file and the row, or the folder and the seed.
    pub name: String,
    /// The picture before.
    pub input: RgbImage,
    /// The picture after: of the input's shape to within rounding, perhaps in another resolution.
    pub edited: RgbImage,
    /// The sentence, without white space around it.
    pub instruction: String,
}

/// A way of keeping records. Reasons are those of a [`Broken`], without the record's name.
trait Layout: fmt::Debug + Send + Sync {
    /// How many records there are.
    fn len(&self) -> usize;

    /// Where record `index` is.
    fn name(&self, index: usize) -> String;

    /// Reads record `index`; where that has several pairs of pictures, the one that `pick` names.
    fn read(&self, index: usize, pick: u64) -> Result<RawRecord, String>;

    /// The inputs of the records in `range`, in order.
    fn inputs(&self, range: Range<usize>)
    -> Box<dyn Iterator<Item = Result<Picture, String>> + '_>;
}

/// A record whose pictures are not decoded.
#[derive(Debug)]
struct RawRecord {
    /// Which pair of the record it is, where there are several.
    pair: Option<String>,
    input: Picture,
    edited: Picture,
    instruction: String,
}

impl Folder {
    /// Opens a data set: a folder, or a file of one.
    ///
    /// A folder with `seeds.json` has the original repository's layout; otherwise it is the `*.parquet` files that count, and
    /// then the `*.jsonl` files, in the folder itself and in folders in it that are named `data` or after a split. Files in the name order of
    /// their paths. See [`Split`] for the records that belong to a split.
    ///
    /// Only what lists the records is read: `seeds.json`, the parquet files' footers, where the lines of JSONL files begin.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if there is no data set, none of the split, or a parquet file lacks a column or is damaged;
    /// [`Error::Io`] if a file cannot be read.
    pub fn open(path: impl AsRef<Path>, options: &FolderOptions) -> Result<Self> {
        Self::of(find::in_path(path.as_ref())?, options)
    }

    /// Opens a data set of these files, all parquet or all JSONL.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`Error::InvalidSetting`] if there are no files, or of both kinds.
    pub fn open_files(files: &[PathBuf], options: &FolderOptions) -> Result<Self> {
        Self::of(find::in_files(files)?, options)
    }

    fn of(found: find::Found, options: &FolderOptions) -> Result<Self> {
        let (layout, split): (Box<dyn Layout>, Split) = match found {
            find::Found::Original(folder) => {
                (Box::new(original::Original::open(&folder)?), options.split)
            }
            find::Found::Parquet(files) => {
                let (files, split) = find::of_split(files, options.split)?;
                (Box::new(parquet::Parquet::open(&files, options)?), split)
            }
            find::Found::Jsonl(files) => {
                let (files, split) = find::of_split(files, options.split)?;
                (Box::new(jsonl::Jsonl::open(&files, options)?), split)
            }
        };
        let records = split.range(layout.len());
        if records.is_empty() {
            let expected = format!("a data set with records of the split {}", options.split);
            let got = format!("one of {} records in all", layout.len());
            return Err(Error::setting("data", expected, got));
        }
        Ok(Self { layout, records })
    }

    /// How many records there are.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "there is always one: opening fails otherwise"
    )]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Where record `index` is: the file and the row, or the folder.
    ///
    /// # Panics
    ///
    /// If there is no such record.
    #[must_use]
    pub fn name(&self, index: usize) -> String {
        self.layout.name(self.at(index))
    }

    /// Reads record `index`.
    ///
    /// Pictures are turned as their EXIF data say, laid on white where they are transparent, and made RGB of eight bits.
    /// A record of the original layout has several pairs of pictures for one instruction: `pick`, modulo their number, is
    /// the pair. Elsewhere it changes nothing.
    ///
    /// # Errors
    ///
    /// [`Broken`] if a picture or the instruction is missing, a picture cannot be decoded or is more than eight times as long
    /// as it is short, the instruction is empty, or the pictures' shapes differ by more than 2 % and more than a pixel.
    ///
    /// # Panics
    ///
    /// If there is no such record.
    pub fn record(&self, index: usize, pick: u64) -> Result<Record, Broken> {
        let at = self.at(index);
        let broken = |pair: Option<&str>, reason| self.broken(index, pair, reason);
        let raw = self
            .layout
            .read(at, pick)
            .map_err(|reason| broken(None, reason))?;
        let pair = raw.pair.clone();
        raw.decode(self.layout.name(at))
            .map_err(|reason| broken(pair.as_deref(), reason))
    }

    /// The sizes of the records' inputs as they will be read, in order, from as little of each file as tells: what a [`Plan`] needs.
    ///
    /// Of the original layout and JSONL this reads the beginning of each input; of parquet files the whole column of the inputs.
    pub fn sizes(&self) -> impl Iterator<Item = Result<Size, Broken>> + '_ {
        let inputs = self.layout.inputs(self.records.clone());
        inputs.enumerate().map(|(index, input)| {
            let size = input.and_then(|input| input.size());
            size.map_err(|reason| self.broken(index, None, reason))
        })
    }

    fn at(&self, index: usize) -> usize {
        assert!(
            index < self.len(),
            "record {index} of a data set of {}",
            self.len()
        );
        self.records.start + index
    }

    fn broken(&self, index: usize, pair: Option<&str>, reason: String) -> Broken {
        let name = named(self.layout.name(self.at(index)), pair);
        Broken {
            index,
            name,
            reason,
        }
    }
}

impl RawRecord {
    fn decode(self, name: String) -> Result<Record, String> {
        let instruction = self.instruction.trim();
        if instruction.is_empty() {
            return Err("the instruction is empty".to_owned());
        }
        let record = Record {
            name: named(name, self.pair.as_deref()),
            input: self.input.decode()?,
            edited: self.edited.decode()?,
            instruction: instruction.to_owned(),
        };
        view::check_shapes(record.input.dimensions(), record.edited.dimensions())?;
        Ok(record)
    }
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder")
            .field("layout", &self.layout)
            .field("records", &self.records)
            .finish()
    }
}

fn named(record: String, pair: Option<&str>) -> String {
    match pair {
        Some(pair) => format!("{record}, {pair}"),
        None => record,
    }
}
