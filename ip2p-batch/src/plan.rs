//! What is to be done, in which batches.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ip2p::region::Mask;
use ip2p::{
    Compat, EditOptions, EditRecord, Error, MemoryEdit, Model, Photo, PhotoFile, Precision, Result,
    Size,
};

use crate::batch::{Batch, Existing};
use crate::conflict::{Standing, standing};
use crate::jobs::{Failure, Job};
use crate::manifest::{Lines, fingerprint, lines_in};
use crate::shard::Shard;

/// What of a batch is done, what is to do, and what cannot be done.
#[derive(Debug)]
pub struct Plan {
    pub(crate) folder: PathBuf,
    pub(crate) shard: Shard,
    pub(crate) precision: Precision,
    pub(crate) model_hash: String,
    pub(crate) jobs: Vec<Planned>,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) failures: Vec<Failure>,
    already: usize,
    replaced: usize,
}

/// A job whose photo can be read.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) job: Job,
    /// The photo's size.
    pub(crate) photo: Size,
    /// The place in the list, from 0.
    pub(crate) row: usize,
    /// For each variation, whether it is still to be made.
    pub(crate) to_make: Vec<bool>,
}

/// Pictures that run together: the model works on all at one size, with the same options but for the seed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) members: Vec<Member>,
}

/// Variations of one job that run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    /// The index in [`Plan::jobs`].
    pub(crate) job: usize,
    /// The first variation, from 0, and how many there are.
    pub(crate) first: usize,
    pub(crate) count: usize,
}

impl Member {
    pub(crate) fn variations(self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }
}

impl Plan {
    /// How many pictures are there already.
    #[must_use]
    pub fn already(&self) -> usize {
        self.already
    }

    /// How many pictures are to be made.
    #[must_use]
    pub fn to_make(&self) -> usize {
        let todo = self.jobs.iter().flat_map(|planned| &planned.to_make);
        todo.filter(|todo| **todo).count()
    }

    /// How many of these replace another that is there, by [`Existing::Redo`].
    #[must_use]
    pub fn replaced(&self) -> usize {
        self.replaced
    }

    /// What cannot be done: rows that make no sense, photos that cannot be read, settings that the model does not take.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// What is still to be made, as [`Model::plan_memory`] asks for it: one edit for all pictures that run together.
    pub fn memory_edits(&self) -> impl Iterator<Item = MemoryEdit<'_>> {
        self.chunks.iter().filter_map(|chunk| {
            let members = || chunk.members.iter();
            let jobs = || members().map(|member| &self.jobs[member.job]);
            let largest = jobs().max_by_key(|planned| planned.photo.pixels())?;
            let edit = MemoryEdit::new(largest.photo, &largest.job.options)
                .with_count(members().map(|member| member.count).sum())
                .with_mask(jobs().any(|planned| planned.job.mask.is_some()));
            Some(edit)
        })
    }

    /// Whether any of a chunk's pictures is still to be made.
    fn is_open(jobs: &[Planned], chunk: &Chunk) -> bool {
        let members = chunk.members.iter();
        members.into_iter().any(|member| {
            let to_make = &jobs[member.job].to_make;
            member.variations().any(|variation| to_make[variation])
        })
    }
}

/// What is known while the rows are gone through.
struct Planner<'a> {
    model: &'a Model,
    precision: Precision,
    model_hash: &'a str,
    folder: &'a Path,
    lines: Lines,
    already: usize,
    /// The pictures that are others, each with why.
    others: Vec<(PathBuf, String)>,
}

/// See [`Batch::plan`].
pub(crate) fn plan(batch: Batch, model: &Model, precision: Precision) -> Result<Plan> {
    check_photos_are_safe(&batch)?;
    let model_hash = model.fingerprint(precision)?;
    let mut planner = Planner {
        model,
        precision,
        model_hash: &model_hash,
        folder: &batch.folder,
        lines: lines_in(&batch.folder)?,
        already: 0,
        others: Vec::new(),
    };
    let (mut jobs, mut keys, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for (row, job) in batch.jobs.rows().iter().enumerate() {
        if !batch.shard.has(row) {
            continue;
        }
        let planned = job.clone().and_then(|job| {
            let failed = |why: Error| {
                let failure = Failure::new(&job.place, why.with_causes());
                failure.with_outputs(job.outputs.clone())
            };
            let (photo, to_make, key) = planner.job(&job).map_err(failed)?;
            let planned = Planned {
                job,
                photo,
                row,
                to_make,
            };
            Ok((planned, key))
        });
        match planned {
            Ok((planned, key)) => {
                keys.push(key);
                jobs.push(planned);
            }
            Err(failure) => failures.push(failure),
        }
    }
    let (already, others) = (planner.already, planner.others);
    if batch.existing == Existing::Refuse {
        refuse(&others)?;
    }
    let mut chunks = chunks(&jobs, &keys, batch.size);
    chunks.retain(|chunk| Plan::is_open(&jobs, chunk));
    Ok(Plan {
        folder: batch.folder,
        shard: batch.shard,
        precision,
        model_hash,
        jobs,
        chunks,
        failures,
        already,
        replaced: others.len(),
    })
}

impl Planner<'_> {
    /// The photo's size, which variations are still to be made, and what other jobs must have in common with this one to run with it.
    fn job(&mut self, job: &Job) -> Result<(Size, Vec<bool>, String)> {
        let file = PhotoFile::open(&job.input)?;
        let (size, photo) = (file.size()?, file.sha256());
        let mask = job.mask.as_deref().map(mask_in).transpose()?;
        let mut to_make = Vec::new();
        let mut model_size = None;
        for (variation, output) in job.outputs.iter().enumerate() {
            let options = variation_of(&job.options, variation);
            let record = self.model.record(
                size,
                mask.as_ref(),
                &job.instruction,
                &options,
                self.precision,
            )?;
            model_size = record.model_size;
            let record = EditRecord {
                model_hash: Some(self.model_hash.to_owned()),
                ..record
            };
            let lines = self.lines.get(output).map_or(&[][..], Vec::as_slice);
            let picture = self.folder.join(output);
            if picture.is_dir() {
                return Err(Error::image(picture, "is a folder, not a file"));
            }
            let fingerprint = fingerprint(&photo, &record)?;
            let standing = standing(&picture, lines, &fingerprint, &record)?;
            to_make.push(standing != Standing::Made);
            match standing {
                Standing::Missing => {}
                Standing::Made => self.already += 1,
                Standing::Other(why) => self.others.push((picture, why)),
            }
        }
        let mut common = job.options.clone().with_seed(0);
        // In diffusers' mode the pictures of a call share one generator: they are those of the job and no others.
        if job.options.compat == Compat::Diffusers {
            common.seed = job.options.seed;
            let key = format!("{:?} of {}", common, job.outputs[0]);
            return Ok((size, to_make, key));
        }
        Ok((size, to_make, format!("{model_size:?} {common:?}")))
    }
}

/// The mask that a picture shows.
pub(crate) fn mask_in(path: &Path) -> Result<Mask> {
    Ok(Mask::from_photo(&Photo::open(path)?))
}

/// The options of one variation.
pub(crate) fn variation_of(options: &EditOptions, variation: usize) -> EditOptions {
    let seed = options.seed.wrapping_add(variation as u64);
    options.clone().with_seed(seed)
}

/// Puts together what runs together, in the order of the list: from the list alone, not from what is done already.
fn chunks(jobs: &[Planned], keys: &[String], size: usize) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    // The chunk of each key that still has room, and how much.
    let mut open = BTreeMap::<&str, (usize, usize)>::new();
    for (job, (planned, key)) in jobs.iter().zip(keys).enumerate() {
        let all = planned.to_make.len();
        let shared = planned.job.options.compat == Compat::Diffusers;
        let size = if shared { all } else { size };
        let mut first = 0;
        while first < all {
            let (chunk, room) = open.entry(key).or_insert_with(|| {
                chunks.push(Chunk {
                    members: Vec::new(),
                });
                (chunks.len() - 1, size)
            });
            let count = (all - first).min(*room);
            chunks[*chunk].members.push(Member { job, first, count });
            first += count;
            *room -= count;
            if *room == 0 {
                open.remove(key.as_str());
            }
        }
    }
    chunks
}

/// Refuses to write over pictures.
fn refuse(others: &[(PathBuf, String)]) -> Result<()> {
    let Some((path, why)) = others.first() else {
        return Ok(());
    };
    let more = match others.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more are not what they are to be either"),
    };
    let reason = format!("{why}{more}; --redo makes them again, another folder leaves them");
    Err(Error::image(path, reason))
}

/// Refuses a folder in which a picture would take the place of a photo.
fn check_photos_are_safe(batch: &Batch) -> Result<()> {
    let Ok(folder) = fs::canonicalize(&batch.folder) else {
        return Ok(());
    };
    let jobs = || batch.jobs.rows().iter().flatten();
    let photos: BTreeSet<_> = jobs()
        .filter_map(|job| fs::canonicalize(&job.input).ok())
        .collect();
    for job in jobs() {
        for output in &job.outputs {
            let picture = folder.join(output);
            let picture = fs::canonicalize(&picture).unwrap_or(picture);
            if photos.contains(&picture) {
                let reason = format!("{}: the result would take the place of a photo", job.place);
                return Err(Error::image(picture, reason));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(counts: &[usize]) -> Vec<Planned> {
        let job = |(row, &count): (usize, &usize)| Planned {
            job: Job {
                place: String::new(),
                input: PathBuf::new(),
                instruction: String::new(),
                options: EditOptions::default(),
                mask: None,
                outputs: vec![String::new(); count],
            },
            photo: Size::new(8, 8),
            row,
            to_make: vec![true; count],
        };
        counts.iter().enumerate().map(job).collect()
    }

    fn sizes(counts: &[usize], keys: &[&str], size: usize) -> Vec<Vec<(usize, usize, usize)>> {
        let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        let chunks = chunks(&planned(counts), &keys, size);
        let member = |member: &Member| (member.job, member.first, member.count);
        chunks
            .iter()
            .map(|chunk| chunk.members.iter().map(member).collect())
            .collect()
    }

    #[test]
    fn what_has_a_key_in_common_runs_together_up_to_the_size() {
        assert_eq!(
            sizes(&[1, 1, 1, 1], &["a", "b", "a", "a"], 2),
            [vec![(0, 0, 1), (2, 0, 1)], vec![(1, 0, 1)], vec![(3, 0, 1)]]
        );
        assert_eq!(
            sizes(&[3, 2], &["a", "a"], 2),
            [vec![(0, 0, 2)], vec![(0, 2, 1), (1, 0, 1)], vec![(1, 1, 1)]]
        );
    }

    #[test]
    fn every_picture_is_in_one_chunk() {
        for size in 1..7 {
            let chunks = sizes(&[4, 1, 5, 2], &["a", "b", "a", "a"], size);
            let mut all: Vec<_> = chunks
                .iter()
                .flatten()
                .flat_map(|&(job, first, count)| (first..first + count).map(move |v| (job, v)))
                .collect();
            assert!(
                chunks.iter().all(|chunk| {
                    (1..=size).contains(&chunk.iter().map(|member| member.2).sum())
                })
            );
            let many = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!((all.len(), many), (12, 12));
        }
    }
}
