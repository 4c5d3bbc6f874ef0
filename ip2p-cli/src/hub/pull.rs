//! `ip2p pull`.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use ip2p::hub::{Hub, ModelId};
use ip2p::{Error, Result};
use serde::Serialize;

use super::env;
use super::find::{Asked, fetch};
use crate::args::PullArgs;
use crate::output;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    id: &'a str,
    commit: &'a str,
    folder: &'a Path,
}

/// Runs the command.
pub(crate) fn pull(args: &PullArgs) -> Result<()> {
    let mut id: ModelId = args.id.parse()?;
    if let Some(revision) = &args.hub.revision {
        id = id.with_revision(revision)?;
    }
    let hub = Hub::new(env::options(args.hub.offline)?)?;
    let asked = Asked {
        args: &args.hub,
        precision: args.precision.unwrap_or_default(),
        check: |_| Ok(()),
        quiet: args.report.quiet,
        // Ctrl-C ends the command; what has arrived is kept.
        stop: &AtomicBool::new(false),
    };
    let snapshot = fetch(&hub, &id, &asked)?;
    if let Some(note) = snapshot.note() {
        let reason = format!("{note}; the revision that is in the cache is as it was");
        return Err(Error::hub(&id, reason));
    }
    if args.report.json {
        return output::json(&Report {
            id: id.name(),
            commit: snapshot.commit(),
            folder: snapshot.folder(),
        });
    }
    output::write(|out| writeln!(out, "{}", snapshot.folder().display()))
}
