//! What to do, and how to go about it.

use std::path::{Path, PathBuf};

use ip2p::{Error, Model, Precision, Result};

use crate::jobs::Jobs;
use crate::plan::{self, Plan};
use crate::shard::Shard;

/// What happens to pictures that lie where others are to go: those of other photos or settings, those that were changed
/// since, and those that no batch made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// They are an error before anything is done.
    #[default]
    Refuse,
    /// They are made again.
    Redo,
}

/// Jobs, the folder for their results, and how to go about them.
#[derive(Debug, Clone)]
pub struct Batch {
    pub(crate) jobs: Jobs,
    pub(crate) folder: PathBuf,
    pub(crate) size: usize,
    pub(crate) shard: Shard,
    pub(crate) existing: Existing,
}

impl Batch {
    /// These jobs, with their results in this folder, which is made if it does not exist.
    #[must_use]
    pub fn new(jobs: Jobs, folder: impl AsRef<Path>) -> Self {
        Self {
            jobs,
            folder: folder.as_ref().to_owned(),
            size: 1,
            shard: Shard::default(),
            existing: Existing::default(),
        }
    }

    /// Runs at most so many pictures together: default 1.
    ///
    /// It is more work at a time for a GPU and takes more memory. A picture is the same but for the last digits of sums
    /// in another order.
    #[must_use]
    pub fn with_size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// Does only this shard's rows.
    #[must_use]
    pub fn with_shard(mut self, shard: Shard) -> Self {
        self.shard = shard;
        self
    }

    /// Says what happens to pictures that lie where others are to go: default [`Existing::Refuse`].
    #[must_use]
    pub fn with_existing(mut self, existing: Existing) -> Self {
        self.existing = existing;
        self
    }

    /// Finds out what of it is done, what is to do and what cannot be done: reads every photo and every picture that is
    /// there, and nothing else.
    ///
    /// # Errors
    ///
    /// [`Error::Image`] if a picture lies where another is to go, or would go where one of the photos lies;
    /// [`Error::InvalidSetting`] if the size is not between 1 and 64; those of a damaged manifest. What concerns one photo
    /// alone is among [`Plan::failures`].
    pub fn plan(self, model: &Model, precision: Precision) -> Result<Plan> {
        if !(1..=MAX_SIZE).contains(&self.size) {
            let expected = format!("between 1 and {MAX_SIZE}");
            return Err(Error::setting("batch", expected, self.size));
        }
        plan::plan(self, model, precision)
    }
}

/// The most pictures that run together.
const MAX_SIZE: usize = 64;
