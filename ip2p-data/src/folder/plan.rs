//! Which records make which batch.
//!
//! The order is a pure function of the seed and the epoch, and each epoch has the same number of batches, since the records of a
//! bucket stay the same: the number of a step is all that a run needs to go on where it stopped.

use ip2p_core::{Error, Result, Size};
use rand::seq::SliceRandom;

use super::{Broken, Buckets};
use crate::rng;

/// What becomes of the records of a bucket that do not fill its last batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LastBatch {
    /// They make a smaller batch, so that an epoch has every record once: the default.
    #[default]
    Keep,
    /// They are left out of the epoch, so that every batch is full: others in each epoch, but a bucket with fewer records
    /// than a batch is never used.
    Drop,
}

/// The records of a data set by the size that they are trained at, and the order of their batches.
#[derive(Debug, Clone)]
pub struct Plan {
    sizes: Vec<Size>,
    /// The records of each size, ascending.
    members: Vec<Vec<usize>>,
    unplaced: Vec<Broken>,
    last: LastBatch,
}

/// Records of one size that are learnt from at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The epoch, from 0: with the seed and the index it decides a record's crop.
    pub epoch: u64,
    /// The size that their pictures get.
    pub size: Size,
    /// The records.
    pub indices: Vec<usize>,
    /// Which of the plan's sizes it is.
    pub(super) bucket: usize,
}

impl Plan {
    /// Puts each record into the bucket nearest in shape, given the sizes of all, in order: see [`Folder::sizes`](super::Folder::sizes).
    ///
    /// Those whose size cannot be had are [`unplaced`](Self::unplaced) and in no batch.
    pub fn new(buckets: &Buckets, sizes: impl IntoIterator<Item = Result<Size, Broken>>) -> Self {
        let mut plan = Self::empty(buckets);
        for (index, size) in sizes.into_iter().enumerate() {
            match size {
                Ok(size) => plan.members[buckets.nearest(size)].push(index),
                Err(broken) => plan.unplaced.push(broken),
            }
        }
        plan
    }

    /// All `len` records in a square of this side, with no need to know their sizes.
    ///
    /// # Errors
    ///
    /// As [`Buckets::square`].
    pub fn square(resolution: u32, len: usize) -> Result<Self> {
        let mut plan = Self::empty(&Buckets::square(resolution)?);
        plan.members[0] = (0..len).collect();
        Ok(plan)
    }

    /// What becomes of the records that do not fill a batch.
    #[must_use]
    pub fn with_last_batch(mut self, last: LastBatch) -> Self {
        self.last = last;
        self
    }

    fn empty(buckets: &Buckets) -> Self {
        Self {
            sizes: buckets.sizes().to_vec(),
            members: vec![Vec::new(); buckets.sizes().len()],
            unplaced: Vec::new(),
            last: LastBatch::default(),
        }
    }

    /// The sizes, and how many records each has.
    pub fn counts(&self) -> impl Iterator<Item = (Size, usize)> + '_ {
        let counts = self.members.iter().map(Vec::len);
        self.sizes.iter().copied().zip(counts)
    }

    /// The records that are in no bucket, since their size cannot be had.
    #[must_use]
    pub fn unplaced(&self) -> &[Broken] {
        &self.unplaced
    }

    /// The records of a batch's bucket, ascending.
    pub(super) fn bucket(&self, batch: &Batch) -> &[usize] {
        &self.members[batch.bucket]
    }

    /// How many batches of `batch` records an epoch has: the same for each epoch.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if `batch` is 0 or no bucket fills one.
    pub fn batches(&self, batch: usize) -> Result<u64> {
        let refuse = |expected: String| Err(Error::setting("batch size", expected, batch));
        if batch == 0 {
            return refuse("at least 1".to_owned());
        }
        let of = |members: &Vec<usize>| match self.last {
            LastBatch::Keep => members.len().div_ceil(batch),
            LastBatch::Drop => members.len() / batch,
        };
        let batches = self.members.iter().map(of).sum::<usize>() as u64;
        let most = self.members.iter().map(Vec::len).max().unwrap_or(0);
        match batches {
            0 if most == 0 => refuse("for a data set with a record that is not broken".to_owned()),
            0 => refuse(format!(
                "at most {most}, the records of the largest bucket, where incomplete batches are dropped"
            )),
            batches => Ok(batches),
        }
    }

    /// The batches of an epoch, in order: the records of each bucket shuffled and cut into batches, then all batches shuffled.
    ///
    /// # Errors
    ///
    /// As [`batches`](Self::batches).
    pub fn epoch(&self, seed: u64, epoch: u64, batch: usize) -> Result<Vec<Batch>> {
        self.batches(batch)?;
        let mut rng = rng(derive(seed, ORDER), epoch);
        let mut batches = Vec::new();
        for (bucket, members) in self.members.iter().enumerate() {
            let mut members = members.clone();
            members.shuffle(&mut rng);
            let full = |part: &&[usize]| self.last == LastBatch::Keep || part.len() == batch;
            batches.extend(members.chunks(batch).filter(full).map(|indices| Batch {
                epoch,
                size: self.sizes[bucket],
                indices: indices.to_vec(),
                bucket,
            }));
        }
        batches.shuffle(&mut rng);
        Ok(batches)
    }

    /// The batches of one epoch after another without end, from step `from` on: those that a run would have come to that began at 0.
    ///
    /// # Errors
    ///
    /// As [`batches`](Self::batches).
    pub fn steps(&self, seed: u64, batch: usize, from: u64) -> Result<Steps<'_>> {
        let per_epoch = self.batches(batch)?;
        let epoch = from / per_epoch;
        let mut rest = self.epoch(seed, epoch, batch)?.into_iter();
        for _ in 0..from % per_epoch {
            rest.next();
        }
        Ok(Steps {
            plan: self,
            seed,
            batch,
            epoch,
            rest,
        })
    }
}

/// Batches without end: see [`Plan::steps`].
#[derive(Debug, Clone)]
pub struct Steps<'a> {
    plan: &'a Plan,
    seed: u64,
    batch: usize,
    epoch: u64,
    /// Those of the epoch that are still to come.
    rest: std::vec::IntoIter<Batch>,
}

impl Iterator for Steps<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.rest.as_slice().is_empty() {
            self.epoch += 1;
            let batches = self.plan.epoch(self.seed, self.epoch, self.batch);
            self.rest = batches.expect("the batch size was checked").into_iter();
        }
        self.rest.next()
    }
}

/// What the seed for the order of records is derived by; those for their crops are derived by the epoch.
const ORDER: u64 = u64::MAX;

/// A seed for one use of another, unlike that of every other use (the finaliser of `SplitMix64`).
pub(super) fn derive(seed: u64, usage: u64) -> u64 {
    let mut mixed = seed ^ usage.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A plan of records in three shapes, some of them broken.
    fn plan(len: usize, last: LastBatch) -> Plan {
        let buckets = Buckets::new(128, 64).expect("a resolution");
        let sizes = (0..len).map(|index| match index % 7 {
            0..3 => Ok(Size::new(300, 300)),
            3..5 => Ok(Size::new(400, 100)),
            5 => Ok(Size::new(100, 500)),
            _ => Err(Broken {
                index,
                name: format!("record {index}"),
                reason: "is broken".to_owned(),
            }),
        });
        Plan::new(&buckets, sizes).with_last_batch(last)
    }

    proptest! {
        #[test]
        fn an_epoch_has_every_record_once_and_batches_of_one_shape(len in 1usize..200, batch in 1usize..20, seed: u64, epoch in 0u64..5) {
            let plan = plan(len, LastBatch::Keep);
            let batches = plan.epoch(seed, epoch, batch).expect("a record");
            prop_assert_eq!(batches.len() as u64, plan.batches(batch).expect("a record"));
            let mut indices: Vec<_> = batches.iter().flat_map(|batch| batch.indices.clone()).collect();
            indices.sort_unstable();
            let expected: Vec<_> = (0..len).filter(|index| index % 7 != 6).collect();
            prop_assert_eq!(indices, expected);
            for of_one in &batches {
                prop_assert!((1..=batch).contains(&of_one.indices.len()));
                prop_assert!(of_one.indices.iter().all(|index| plan.bucket(of_one).contains(index)));
            }
        }

        #[test]
        fn a_run_goes_on_from_the_number_of_its_step(len in 1usize..120, batch in 1usize..9, seed: u64, from in 0u64..200) {
            let plan = plan(len, LastBatch::Keep);
            let whole = plan.steps(seed, batch, 0).expect("a record").skip(usize::try_from(from).expect("few"));
            let resumed = plan.steps(seed, batch, from).expect("a record");
            prop_assert!(whole.take(60).eq(resumed.take(60)));
        }

        #[test]
        fn dropping_leaves_full_batches(len in 7usize..200, batch in 1usize..20) {
            let plan = plan(len, LastBatch::Drop);
            if let Ok(batches) = plan.epoch(3, 0, batch) {
                prop_assert_eq!(batches.len() as u64, plan.batches(batch).expect("some"));
                prop_assert!(batches.iter().all(|of_one| of_one.indices.len() == batch));
            } else {
                prop_assert!(plan.counts().all(|(_, count)| count < batch));
            }
        }
    }

    #[test]
    fn seeds_and_epochs_have_different_orders() {
        let plan = plan(100, LastBatch::Keep);
        let order = |seed, epoch| plan.epoch(seed, epoch, 8).expect("records");
        assert_eq!(order(1, 0), order(1, 0));
        let indices = |batches: Vec<Batch>| {
            batches
                .into_iter()
                .flat_map(|batch| batch.indices)
                .collect::<Vec<_>>()
        };
        let first = indices(order(1, 0));
        assert_ne!(first, indices(order(1, 1)));
        assert_ne!(first, indices(order(2, 0)));
    }

    #[test]
    fn the_shapes_are_mixed_within_an_epoch() {
        let plan = plan(700, LastBatch::Keep);
        let sizes: Vec<_> = plan
            .epoch(0, 0, 10)
            .expect("records")
            .iter()
            .map(|batch| batch.size)
            .collect();
        let changes = sizes.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(
            changes > 20,
            "{changes} changes of shape in {} batches",
            sizes.len()
        );
    }

    #[test]
    fn batches_that_cannot_be_are_refused() {
        assert!(plan(20, LastBatch::Keep).batches(0).is_err());
        let error = plan(20, LastBatch::Drop)
            .batches(100)
            .expect_err("too many")
            .to_string();
        assert!(
            error.contains("at most 9") && error.contains("got 100"),
            "{error}"
        );
        let none = Plan::new(&Buckets::square(64).expect("a side"), []);
        assert!(none.batches(1).is_err());
        assert_eq!(plan(20, LastBatch::Keep).unplaced().len(), 2);
    }
}
