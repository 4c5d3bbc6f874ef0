//! From what the user calls a model to a path on the disk.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::DecimalBytes;
use ip2p::hub::{Hub, HubProgress, ModelId, Snapshot};
use ip2p::{Checkpoint, Error, Precision, Result};

use super::env;
use crate::args::HubArgs;
use crate::exit;
use crate::progress::Progress;

/// How a model is asked for.
pub(crate) struct Asked<'a> {
    pub(crate) args: &'a HubArgs,
    /// Which of its weights.
    pub(crate) precision: Precision,
    /// Refuses what is of no use before its weights are fetched.
    pub(crate) check: fn(&Checkpoint) -> Result<()>,
    pub(crate) quiet: bool,
    /// Set when the user wants no more.
    pub(crate) stop: &'a AtomicBool,
}

/// Where a model is.
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// What it is called on the hub, if it came from there: `ORG/NAME@COMMIT`.
    pub(crate) name: Option<String>,
}

/// What is on the disk is itself; what is not, and is called `ORG/NAME`, comes from the hub or its cache.
pub(crate) fn find(path: &Path, asked: &Asked<'_>) -> Result<Found> {
    let Some(id) = id(path, asked.args)? else {
        return Ok(Found {
            path: path.to_owned(),
            name: None,
        });
    };
    let hub = Hub::new(env::options(asked.args.offline)?)?;
    let snapshot = fetch(&hub, &id, asked).map_err(nor_a_path)?;
    if let Some(note) = snapshot.note().filter(|_| !asked.quiet) {
        exit::tell(&format!("{note}; using the revision of {id} in the cache"));
    }
    Ok(Found {
        path: snapshot.folder().to_owned(),
        name: Some(snapshot.name()),
    })
}

/// Who meant a path is told that there is none.
fn nor_a_path(error: Error) -> Error {
    match error {
        Error::Hub { model, reason } => {
            let reason = format!("{reason} (there is no file or folder of this name here)");
            Error::hub(model, reason)
        }
        error => error,
    }
}

/// A revision, whole, with a bar while it is not.
pub(super) fn fetch(hub: &Hub, id: &ModelId, asked: &Asked<'_>) -> Result<Snapshot> {
    let bar = Progress::new(asked.quiet).bytes("fetching");
    let mut watch = |at: &HubProgress<'_>| {
        bar.set_length(at.total_bytes);
        bar.set_position(at.done_bytes);
        if asked.stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let snapshot = hub.snapshot(id, asked.precision, &mut watch);
    let fetched = snapshot.and_then(|snapshot| {
        (asked.check)(&Checkpoint::open(snapshot.folder())?)?;
        let missing = snapshot.missing_bytes();
        if missing > 0 && !asked.quiet {
            let (bytes, cache) = (DecimalBytes(missing), hub.cache().folder().display());
            bar.suspend(|| exit::tell(&format!("fetching {id}, {bytes}, to {cache}")));
        }
        hub.fetch_weights(&snapshot, &mut watch)?;
        Ok(snapshot)
    });
    bar.finish_and_clear();
    fetched
}

/// As [`find`], in the cache alone.
pub(crate) fn cached(path: &Path, args: &HubArgs) -> Result<PathBuf> {
    let Some(id) = id(path, args)? else {
        return Ok(path.to_owned());
    };
    let hub = Hub::new(env::options(true)?)?;
    hub.cache().find(&id)?.ok_or_else(|| {
        let folder = hub.cache().folder().display();
        let reason = format!(
            "is neither a path here nor in the cache {folder}; `ip2p pull {id}` fetches it"
        );
        Error::hub(&id, reason)
    })
}

/// The model's name on the hub, if this is not a path.
fn id(path: &Path, args: &HubArgs) -> Result<Option<ModelId>> {
    let id = path.to_str().filter(|_| !path.exists());
    let Some(Ok(id)) = id.map(str::parse::<ModelId>) else {
        return match &args.revision {
            None => Ok(None),
            Some(revision) => {
                let expected = format!(
                    "left out: {} is not the name of a model on the hub, ORG/NAME",
                    path.display()
                );
                Err(Error::setting("revision", expected, revision))
            }
        };
    };
    match &args.revision {
        Some(revision) => id.with_revision(revision).map(Some),
        None => Ok(Some(id)),
    }
}
