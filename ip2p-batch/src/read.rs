//! The photos of a chunk, read beside the work.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ip2p::region::Mask;
use ip2p::{Error, Photo, PhotoFile, Result};

use crate::plan::{Chunk, Member, Plan, mask_in};
use crate::worker::said;

/// What is read of a job.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) photo: Photo,
    pub(crate) mask: Option<Mask>,
    /// SHA-256 of the photo's file.
    pub(crate) sum: String,
}

/// The same, or why there is none.
pub(crate) type Loaded = Result<Read, String>;

/// Reads what a chunk needs.
pub(crate) fn read(plan: &Plan, chunk: &Chunk) -> Vec<Loaded> {
    let load = |member: &Member| {
        let job = &plan.jobs[member.job].job;
        let file = PhotoFile::open(&job.input)?;
        Ok(Read {
            photo: file.decode()?,
            mask: job.mask.as_deref().map(mask_in).transpose()?,
            sum: file.sha256(),
        })
    };
    let one = |member| match catch_unwind(AssertUnwindSafe(|| load(member))) {
        Ok(read) => read.map_err(|error: Error| error.with_causes()),
        // A decoder that panics is one photo's affair.
        Err(panic) => Err(said(panic.as_ref())),
    };
    chunk.members.iter().map(one).collect()
}
