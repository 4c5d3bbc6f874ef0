//! `ip2p models` and `ip2p rm`: what the cache holds.

use std::io::Write;

use indicatif::DecimalBytes;
use ip2p::hub::{Cache, CachedModel, CachedRevision, ModelId, Removed};
use ip2p::{CheckpointProfile, ModelKind, Result, identify};
use serde::Serialize;

use super::env;
use crate::args::{ModelsArgs, RmArgs};
use crate::output;

/// Digits of a commit that are shown.
const SHORT: usize = 12;

/// What `ip2p models --json` prints of a model.
#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    bytes: u64,
    incomplete_bytes: u64,
    revisions: Vec<Revision<'a>>,
}

#[derive(Serialize)]
struct Revision<'a> {
    #[serde(flatten)]
    cached: &'a CachedRevision,
    /// Null where ip2p does not know what it is.
    kind: Option<ModelKind>,
    profile: Option<CheckpointProfile>,
}

/// What `ip2p rm --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    id: &'a str,
    #[serde(flatten)]
    removed: &'a Removed,
}

/// Runs `ip2p models`.
pub(crate) fn models(args: &ModelsArgs) -> Result<()> {
    let cache = Cache::new(env::options(true)?.cache);
    let models = cache.models()?;
    let models: Vec<_> = models.iter().map(described).collect();
    if args.json {
        return output::json(&models);
    }
    output::write(|out| {
        if models.is_empty() {
            writeln!(out, "no models in {}", cache.folder().display())?;
        }
        models.iter().try_for_each(|model| print(out, model))
    })
}

fn described(model: &CachedModel) -> Model<'_> {
    Model {
        id: &model.id,
        bytes: model.bytes,
        incomplete_bytes: model.incomplete_bytes,
        revisions: model.revisions.iter().map(identified).collect(),
    }
}

fn identified(revision: &CachedRevision) -> Revision<'_> {
    let (kind, profile) = identify(&revision.folder).ok().unzip();
    Revision {
        cached: revision,
        kind,
        profile,
    }
}

fn print(out: &mut dyn Write, model: &Model<'_>) -> std::io::Result<()> {
    let incomplete = match model.incomplete_bytes {
        0 => String::new(),
        bytes => format!(", {} of it not whole yet", DecimalBytes(bytes)),
    };
    writeln!(
        out,
        "{}  {}{incomplete}",
        model.id,
        DecimalBytes(model.bytes)
    )?;
    for Revision {
        cached: revision,
        kind,
        profile,
    } in &model.revisions
    {
        let commit = revision.commit.get(..SHORT).unwrap_or(&revision.commit);
        let mut refs = revision.refs.join(", ");
        if !refs.is_empty() {
            refs = format!(" ({refs})");
        }
        let what = match (kind, profile) {
            (Some(kind), Some(profile)) => format!("{kind}, {:?}", profile.family),
            _ => "not a pipeline that ip2p reads".to_owned(),
        };
        writeln!(
            out,
            "  {commit}{refs}  {}  {what}",
            DecimalBytes(revision.bytes)
        )?;
    }
    Ok(())
}

/// Runs `ip2p rm`.
pub(crate) fn rm(args: &RmArgs) -> Result<()> {
    let mut id: ModelId = args.id.parse()?;
    if let Some(revision) = &args.revision {
        id = id.with_revision(revision)?;
    }
    let removed = Cache::new(env::options(true)?.cache).remove(&id)?;
    if args.json {
        return output::json(&Report {
            id: id.name(),
            removed: &removed,
        });
    }
    output::write(|out| {
        writeln!(
            out,
            "removed {id}: {} are free again",
            DecimalBytes(removed.bytes)
        )?;
        if removed.shared > 0 {
            let shared = removed.shared;
            writeln!(
                out,
                "{shared} files were shared with other models; `hf cache prune` frees what none of them uses"
            )?;
        }
        Ok(())
    })
}
