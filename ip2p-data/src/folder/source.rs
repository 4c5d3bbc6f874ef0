//! A data set as an endless supply of examples, squares or in buckets.

use std::sync::{Mutex, PoisonError};

use ip2p_core::{Error, Result, Size};
use rand::seq::SliceRandom;

use super::plan::derive;
use super::{Broken, Buckets, Folder, Loader, Plan, View};
use crate::{Example, Source, rng};

/// Goes through a data set again and again, each time in another order.
///
/// Examples are squares of whatever size is asked for, or in the [`Buckets`] nearest to their shapes. For batches that are planned by
/// epochs see [`Loader`].
#[derive(Debug)]
pub struct FolderSource {
    loader: Loader,
    seed: u64,
    /// The epoch that was asked for last, and its order.
    order: Mutex<(u64, Vec<usize>)>,
}

impl FolderSource {
    /// Reads `folder` in an order that follows from `seed`.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] with the first broken record, if there is none that is whole.
    pub fn new(folder: Folder, seed: u64, view: View) -> Result<Self> {
        let len = folder.len();
        // The plan is for batches, which are not asked for here.
        let loader = Loader::new(folder, Plan::square(SMALLEST, len)?, seed, view);
        let source = Self {
            loader,
            seed,
            order: Mutex::new((0, order(seed, 0, len))),
        };
        let mut first = None;
        for index in 0..len {
            match source.loader.example(index, 0, square(SMALLEST)) {
                Ok(_) => return Ok(source),
                Err(broken) => first = first.or(Some(broken)),
            }
        }
        Err(match first {
            Some(broken) => Error::other("every record of the data set is broken", broken),
            None => Error::setting("data set", "at least one record", "none"),
        })
    }

    fn record(&self, index: u64) -> (u64, usize) {
        let len = self.loader.folder().len();
        let (epoch, at) = (index / len as u64, index % len as u64);
        let at = usize::try_from(at).expect("below a length");
        let mut known = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != epoch {
            *known = (epoch, order(self.seed, epoch, len));
        }
        (epoch, known.1[at])
    }
}

/// What the seed for the order is derived by: not what a plan's is.
const ORDER: u64 = u64::MAX - 1;

/// A size that every picture can be cropped to.
const SMALLEST: u32 = 64;

fn square(side: u32) -> Size {
    Size {
        width: side,
        height: side,
    }
}

fn order(seed: u64, epoch: u64, len: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..len).collect();
    order.shuffle(&mut rng(derive(seed, ORDER), epoch));
    order
}

impl FolderSource {
    /// Example `index` as it is read, or the next one that can be.
    ///
    /// # Panics
    ///
    /// If the files have changed since, and none is whole any more.
    fn whole(&self, index: u64, read: impl Fn(usize, u64) -> Result<Example, Broken>) -> Example {
        let (epoch, first) = self.record(index);
        let len = self.loader.folder().len();
        (0..len)
            .find_map(|step| read((first + step) % len, epoch).ok())
            .expect("at least one record was whole when the data set was opened")
    }
}

/// In place of a broken record comes the next one that is whole; it is a panic if the files have changed since the data set was
/// opened, and none is whole any more.
impl Source for FolderSource {
    fn example(&self, index: u64, size: u32) -> Example {
        self.whole(index, |record, epoch| {
            self.loader.example(record, epoch, square(size))
        })
    }

    fn example_in(&self, index: u64, buckets: &Buckets) -> Example {
        self.whole(index, |record, epoch| {
            self.loader.example_in(record, epoch, buckets)
        })
    }

    fn skipped(&self) -> Vec<String> {
        let broken = self.loader.broken();
        broken.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Row, Style, write_parquet};
    use super::super::{FolderOptions, Split};
    use super::*;

    /// The folder is read from as long as the source is used.
    fn source(rows: &[Row]) -> Result<(tempfile::TempDir, FolderSource)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        write_parquet(&path, rows, &Style::default());
        let options = FolderOptions::default().with_split(Split::All);
        let source = FolderSource::new(Folder::open(&path, &options)?, 3, View::Evaluation)?;
        Ok((folder, source))
    }

    fn broken() -> Row {
        Row {
            prompt: None,
            ..Row::whole(9)
        }
    }

    #[test]
    fn each_epoch_has_every_whole_record_in_another_order() {
        let rows: Vec<_> = (0..6).map(Row::whole).collect();
        let (_folder, source) = source(&rows).unwrap();
        let epoch = |epoch: u64| -> Vec<String> {
            let examples = (0..6).map(|at| source.example(epoch * 6 + at, 64));
            examples.map(|example| example.instruction).collect()
        };
        let (first, second) = (epoch(0), epoch(1));
        assert_ne!(first, second);
        assert_eq!(first, epoch(0));
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        assert_eq!(sorted(first), sorted(second));
        assert!(source.skipped().is_empty());
    }

    #[test]
    fn an_example_gets_the_size_nearest_to_its_shape() {
        // 16 pixels high, and from 16 to 64 wide.
        let rows: Vec<_> = (0..4).map(|at| Row::whole(16 * at)).collect();
        let (_folder, source) = source(&rows).unwrap();
        let buckets = Buckets::new(64, 16).unwrap();
        let mut sizes: Vec<_> = (0..4)
            .map(|index| source.example_in(index, &buckets))
            .map(|example| {
                assert_eq!(example.input.dimensions(), example.edited.dimensions());
                example.input.dimensions()
            })
            .collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [(64, 64), (80, 48), (96, 32), (128, 32)]);
    }

    #[test]
    fn a_broken_record_is_passed_over_and_named() {
        let (_folder, source) = source(&[Row::whole(0), broken(), Row::whole(2)]).unwrap();
        for index in 0..6 {
            assert_eq!(source.example(index, 64).input.dimensions(), (64, 64));
        }
        assert_eq!(source.skipped().len(), 1, "{:?}", source.skipped());
        assert!(source.skipped()[0].contains("rows.parquet"));
    }

    #[test]
    fn a_data_set_without_a_whole_record_is_refused() {
        let error = source(&[broken(), broken()]).unwrap_err().to_string();
        assert!(error.contains("every record"), "{error}");
    }
}
