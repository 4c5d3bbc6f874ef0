//! Files that are whole or not there.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use ip2p_core::{Error, Result};
use tempfile::NamedTempFile;

/// Writes a file beside its place and renames it: if that fails, an earlier one is what it was and nothing else is left.
///
/// # Errors
///
/// [`Error::Image`] if there is a folder or a device at the path; [`Error::Io`] if the folder that it is to be in does not exist, or
/// the file cannot be written.
pub fn write_whole(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    Place::of(path)?
        .write(bytes)
        .map_err(|error| Error::io(path, error))
}

/// As [`write_whole`], of what `fill` writes, which may fail for reasons of its own.
pub(crate) fn write_whole_with(
    path: &Path,
    fill: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let failed = |error| Error::io(path, error);
    let place = Place::of(path)?;
    let mut beside = temporary(&place.folder).map_err(failed)?;
    let mut buffered = BufWriter::new(beside.as_file_mut());
    fill(&mut buffered)?;
    buffered.flush().map_err(failed)?;
    drop(buffered);
    place.keep(beside).map_err(failed)
}

/// Where a file goes: links followed, so that one is written through and not replaced.
pub(crate) struct Place {
    file: PathBuf,
    folder: PathBuf,
}

impl Place {
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let file = match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                return Err(Error::image(path, "is a folder, not a file"));
            }
            // A rename would put a file in the place of a device.
            Ok(found) if !found.is_file() => return Err(Error::image(path, "is not a plain file")),
            Ok(_) => fs::canonicalize(path).map_err(|error| Error::io(path, error))?,
            Err(_) => path.to_owned(),
        };
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        match fs::metadata(&folder) {
            Ok(found) if found.is_dir() => Ok(Self { file, folder }),
            Ok(_) => Err(Error::image(&folder, "is not a folder")),
            Err(error) => Err(Error::io(&folder, error)),
        }
    }

    /// Writes beside the file, then renames; if that fails nothing is left, and an earlier file is what it was.
    pub(crate) fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut beside = temporary(&self.folder)?;
        beside.write_all(bytes)?;
        self.keep(beside)
    }

    fn keep(&self, beside: NamedTempFile) -> std::io::Result<()> {
        // A full disk or a lost share may show only now.
        beside.as_file().sync_all()?;
        beside.persist(&self.file).map_err(|error| error.error)?;
        Ok(())
    }
}

/// A file that vanishes unless persisted, with the permissions that any new file gets.
fn temporary(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ip2p-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}
