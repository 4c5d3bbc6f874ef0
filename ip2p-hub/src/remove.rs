//! Taking a model out of the cache.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use ip2p_core::{Error, Result};
use serde::Serialize;

use crate::cache::{Cache, files, names, references, try_lock};
use crate::id::ModelId;

/// What a removal came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The commits that are gone.
    pub commits: Vec<String>,
    /// What is free again on the disk, in bytes.
    pub bytes: u64,
    /// Files that were links into a store that `huggingface_hub` shares between models: what they held stays there until
    /// `hf cache prune`.
    pub shared: usize,
}

impl Cache {
    /// Removes a model, or the revision that is named, with what only it used.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] if it is not there, or is being fetched just now; [`Error::Io`] if it cannot be removed.
    pub fn remove(&self, id: &ModelId) -> Result<Removed> {
        let root = self.root(id);
        if !root.is_dir() {
            let reason = format!("is not in the cache {}", self.folder().display());
            return Err(Error::hub(id, reason));
        }
        let locks = self.lock_all(id)?;
        let all = names(&root.join("snapshots"))?;
        let gone = if id.is_pinned() {
            BTreeSet::from([self.removable(id, &all)?])
        } else {
            all.clone()
        };
        let before = contents(&root)?;
        if gone == all {
            // References go first: what is left of a removal that was stopped refers to nothing that is not there.
            remove_folder(&root.join("refs"))?;
            remove_folder(&root)?;
        } else {
            for commit in &gone {
                remove_revision(&root, commit)?;
            }
        }
        drop(locks);
        if !root.is_dir() {
            // Empty files, which say nothing any more; one that another program has just opened may stay.
            let _ = fs::remove_dir_all(self.locks(id));
        }
        let after = contents(&root)?;
        Ok(Removed {
            commits: gone.into_iter().collect(),
            bytes: before.bytes - after.bytes,
            shared: before.shared - after.shared,
        })
    }

    /// The commit that is to go.
    fn removable(&self, id: &ModelId, all: &BTreeSet<String>) -> Result<String> {
        let commit = self.commit(id)?.filter(|commit| all.contains(commit));
        commit.ok_or_else(|| {
            let there: Vec<_> = all.iter().map(String::as_str).collect();
            let reason = format!(
                "is not in the cache, which has these commits: {}",
                there.join(", ")
            );
            Error::hub(id, reason)
        })
    }

    /// Holds all the model's locks: who fetches it has one of them.
    fn lock_all(&self, id: &ModelId) -> Result<Vec<File>> {
        let mut held = Vec::new();
        for path in files(&self.locks(id))? {
            let lock = try_lock(&path)?.ok_or_else(|| {
                let reason = "is being fetched by another program; remove it when that is done";
                Error::hub(id, reason)
            })?;
            held.push(lock);
        }
        Ok(held)
    }
}

/// What a model holds on the disk.
#[derive(Default)]
struct Contents {
    bytes: u64,
    shared: usize,
}

fn contents(root: &Path) -> Result<Contents> {
    let mut found = Contents::default();
    for path in files(root)? {
        let kind = fs::symlink_metadata(&path).map_err(|error| Error::io(&path, error))?;
        if kind.is_file() {
            found.bytes += kind.len();
        } else if path
            .parent()
            .is_some_and(|folder| folder.ends_with("blobs"))
        {
            found.shared += 1;
        }
    }
    Ok(found)
}

/// Removes a revision's references, its files, and the blobs that no other revision links to.
fn remove_revision(root: &Path, commit: &str) -> Result<()> {
    let refs = root.join("refs");
    for (name, at) in references(&refs)? {
        if at == commit {
            remove_file(&refs.join(name))?;
        }
    }
    let snapshots = root.join("snapshots");
    let mut unused = blobs(&snapshots.join(commit))?;
    for other in names(&snapshots)?.iter().filter(|other| *other != commit) {
        for blob in blobs(&snapshots.join(other))? {
            unused.remove(&blob);
        }
    }
    for folder in ["snapshots", ".no_exist"] {
        remove_folder(&root.join(folder).join(commit))?;
    }
    let listing = root.join("trees").join(format!("{commit}.json"));
    if listing.is_file() {
        remove_file(&listing)?;
    }
    let folder = root.join("blobs");
    for name in unused {
        remove_file(&folder.join(name))?;
    }
    Ok(())
}

/// The names of the blobs that a snapshot links to.
fn blobs(snapshot: &Path) -> Result<BTreeSet<PathBuf>> {
    let target = |path: PathBuf| {
        let target = fs::read_link(path).ok()?;
        let is_blob = target.parent()?.ends_with("blobs");
        is_blob.then(|| target.file_name().map(PathBuf::from))?
    };
    Ok(files(snapshot)?.into_iter().filter_map(target).collect())
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}

fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}
