//! What a training writes besides weights.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use ip2p::{Error, Result};

use crate::trainer::StepReport;

/// Adds a step to `metrics.jsonl`.
pub(super) fn log(output: &Path, report: &StepReport, seconds: f64) -> Result<()> {
    let path = output.join("metrics.jsonl");
    let mut value = serde_json::to_value(report).expect("numbers");
    value["seconds"] = seconds.into();
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| Error::io(&path, error))?;
    writeln!(file, "{value}").map_err(|error| Error::io(&path, error))
}

/// Copies a checkpoint without its weights, and without a safety checker, which would be nothing without them.
pub(super) fn copy_small_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|error| Error::io(to, error))?;
    for entry in fs::read_dir(from).map_err(|error| Error::io(from, error))? {
        let path = entry.map_err(|error| Error::io(from, error))?.path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.ends_with("safety_checker") {
            continue;
        }
        if path.is_dir() {
            copy_small_files(&path, &target)?;
        } else if path
            .extension()
            .is_some_and(|end| end == "json" || end == "txt")
        {
            fs::copy(&path, &target).map_err(|error| Error::io(&path, error))?;
        }
    }
    Ok(())
}
