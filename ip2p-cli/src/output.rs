//! What the command gives: where pictures go when nobody says, and what is printed.

use std::io::{ErrorKind, Write, stdout};
use std::path::{Path, PathBuf};

use ip2p::{Error, Result};
use ip2p_batch::numbered;
use serde::Serialize;

/// The first of `photo-WHAT.png`, `photo-WHAT-2.png`, … that is not there yet, nor the numbered files of `count`.
pub(crate) fn default_output(input: &Path, what: &str, count: usize) -> PathBuf {
    let stem = input.file_stem().unwrap_or_default().to_string_lossy();
    let name = |attempt: usize| match attempt {
        1 => format!("{stem}-{what}.png"),
        _ => format!("{stem}-{what}-{attempt}.png"),
    };
    (1..usize::MAX)
        .map(|attempt| input.with_file_name(name(attempt)))
        .find(|path| numbered(path, count).iter().all(|path| !path.exists()))
        .expect("a folder has fewer files than there are numbers")
}

/// Writes to standard output; a reader that has seen enough, such as `head`, is no error.
pub(crate) fn write(print: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    match print(&mut stdout().lock()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::io("standard output", error))
        }
        _ => Ok(()),
    }
}

/// Writes one JSON object to standard output.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Error::other("writing JSON", error))?;
    write(|out| writeln!(out, "{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_never_over_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let photo = folder.path().join("photo.jpg");
        assert_eq!(
            default_output(&photo, "edited", 1),
            folder.path().join("photo-edited.png")
        );
        std::fs::write(folder.path().join("photo-edited.png"), "").unwrap();
        assert_eq!(
            default_output(&photo, "edited", 1),
            folder.path().join("photo-edited-2.png")
        );
        std::fs::write(folder.path().join("photo-edited-2-3.png"), "").unwrap();
        assert_eq!(
            default_output(&photo, "edited", 3),
            folder.path().join("photo-edited.png")
        );
    }
}
