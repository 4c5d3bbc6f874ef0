//! From batches of indices to examples, past the records that are broken.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ip2p_core::{Error, Result, Size};

use super::plan::derive;
use super::{Batch, Broken, Buckets, Folder, Plan, View};
use crate::{Example, rng};

/// Reads batches of a data set.
///
/// What it gives is a pure function of the data set, the seed and the batch; several threads may load at once. It remembers
/// which records it found broken, to count them; what it gives does not depend on that.
#[derive(Debug)]
pub struct Loader {
    folder: Folder,
    plan: Plan,
    seed: u64,
    view: View,
    broken: Mutex<BTreeMap<usize, Broken>>,
}

impl Loader {
    /// Reads the records of `folder` by a plan that was made for it.
    #[must_use]
    pub fn new(folder: Folder, plan: Plan, seed: u64, view: View) -> Self {
        let unplaced = plan.unplaced().iter().cloned();
        let broken = unplaced.map(|broken| (broken.index, broken)).collect();
        Self {
            folder,
            plan,
            seed,
            view,
            broken: Mutex::new(broken),
        }
    }

    /// The data set.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Which records make which batch.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The records that were found broken up to now, each once, by index.
    #[must_use]
    pub fn broken(&self) -> Vec<Broken> {
        self.met().values().cloned().collect()
    }

    /// The examples of a batch, in its order. Their [`edits`](Example::edits) are empty: a data set does not name them.
    ///
    /// In place of a broken record comes the next one of its bucket by index that is not broken, so that the batch is as large
    /// as it was planned; after the last the first.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] with the [`Broken`] record, if its bucket has none that is not broken.
    pub fn load(&self, batch: &Batch) -> Result<Vec<Example>> {
        let load = |&index| self.first_whole(batch, index);
        batch.indices.iter().map(load).collect()
    }

    /// Record `index` as epoch `epoch` sees it at this size.
    ///
    /// # Errors
    ///
    /// [`Broken`] as [`Folder::record`].
    ///
    /// # Panics
    ///
    /// If there is no such record.
    pub fn example(&self, index: usize, epoch: u64, size: Size) -> Result<Example, Broken> {
        self.seen(index, epoch, |_| size)
    }

    /// Record `index` as epoch `epoch` sees it, in the one of these sizes that is nearest to the shape of its input.
    ///
    /// # Errors
    ///
    /// As [`example`](Self::example).
    ///
    /// # Panics
    ///
    /// If there is no such record.
    pub fn example_in(
        &self,
        index: usize,
        epoch: u64,
        buckets: &Buckets,
    ) -> Result<Example, Broken> {
        self.seen(index, epoch, |input| buckets.nearest_size(input))
    }

    /// A record in the size that is chosen by its input's.
    fn seen(
        &self,
        index: usize,
        epoch: u64,
        size: impl Fn(Size) -> Size,
    ) -> Result<Example, Broken> {
        let mut rng = rng(derive(self.seed, epoch), index as u64);
        let record = self.folder.record(index, self.view.pick(&mut rng));
        if let Err(broken) = &record {
            self.met().insert(index, broken.clone());
        }
        record.map(|record| {
            let (width, height) = record.input.dimensions();
            let size = size(Size::new(width, height));
            self.view.see(record, size, &mut rng)
        })
    }

    /// The first whole record of the batch's bucket from `index` on.
    fn first_whole(&self, batch: &Batch, index: usize) -> Result<Example> {
        let members = self.plan.bucket(batch);
        let place = members.partition_point(|&member| member < index);
        let (before, from) = members.split_at(place);
        let mut first = None;
        for &index in from.iter().chain(before) {
            match self.example(index, batch.epoch, batch.size) {
                Ok(example) => return Ok(example),
                Err(broken) => first = first.or(Some(broken)),
            }
        }
        let not_ours = || Error::setting("batch", "one of the loader's plan", index);
        Err(first.map_or_else(not_ours, Error::from))
    }

    fn met(&self) -> MutexGuard<'_, BTreeMap<usize, Broken>> {
        // Nothing is left half done where a thread panics: an entry is there or not.
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
