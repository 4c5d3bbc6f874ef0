//! Where a checkpoint's files lie: on the disk, or in memory.
//!
//! Both are addressed by paths, so that the code that reads a checkpoint, and what it says when something is wrong, are
//! the same for both.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use ip2p_core::{Error, Result};

/// Where files lie.
#[derive(Clone)]
pub(crate) enum Storage {
    /// On the disk.
    Disk,
    /// In memory, by their paths.
    Memory(Arc<BTreeMap<PathBuf, Cow<'static, [u8]>>>),
}

impl Storage {
    /// Files in memory, in a folder that is called `root`.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if a name leads out of the folder, or two are the same.
    pub(crate) fn memory<N, B>(root: &Path, files: impl IntoIterator<Item = (N, B)>) -> Result<Self>
    where
        N: AsRef<str>,
        B: Into<Cow<'static, [u8]>>,
    {
        let mut all = BTreeMap::new();
        for (name, bytes) in files {
            let name = Path::new(name.as_ref());
            let path = root.join(name);
            let is_normal = |part| matches!(part, Component::Normal(_));
            if name.as_os_str().is_empty() || !name.components().all(is_normal) {
                let reason =
                    "must be a path within the checkpoint's folder, such as unet/config.json";
                return Err(Error::checkpoint(path, reason));
            }
            if all.insert(path.clone(), bytes.into()).is_some() {
                return Err(Error::checkpoint(path, "is given twice"));
            }
        }
        Ok(Self::Memory(Arc::new(all)))
    }

    /// Whether there is a file.
    pub(crate) fn is_file(&self, path: &Path) -> bool {
        match self {
            Self::Disk => path.is_file(),
            Self::Memory(files) => files.contains_key(path),
        }
    }

    /// Whether there is a folder.
    pub(crate) fn is_dir(&self, path: &Path) -> bool {
        match self {
            Self::Disk => path.is_dir(),
            Self::Memory(files) => files
                .keys()
                .any(|file| file != path && file.starts_with(path)),
        }
    }

    /// The names of what lies in a folder.
    pub(crate) fn names(&self, folder: &Path) -> Result<BTreeSet<String>> {
        let failed = |source| Error::io(folder, source);
        match self {
            Self::Disk => fs::read_dir(folder)
                .map_err(failed)?
                .map(|entry| {
                    let entry = entry.map_err(failed)?;
                    Ok(entry.file_name().to_string_lossy().into_owned())
                })
                .collect(),
            Self::Memory(files) => Ok(files
                .keys()
                .filter_map(|file| file.strip_prefix(folder).ok()?.components().next())
                .map(|part| part.as_os_str().to_string_lossy().into_owned())
                .collect()),
        }
    }

    /// All that a file holds.
    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let bytes = match self {
            Self::Disk => fs::read(path),
            Self::Memory(_) => self.in_memory(path).map(<[u8]>::to_vec),
        };
        bytes.map_err(|source| Error::io(path, source))
    }

    /// All that a text file holds.
    pub(crate) fn read_text(&self, path: &Path) -> Result<String> {
        String::from_utf8(self.read(path)?)
            .map_err(|_| Error::checkpoint(path, "is not UTF-8 text"))
    }

    /// The length of a file, in bytes.
    pub(crate) fn length(&self, path: &Path) -> Result<u64> {
        let length = match self {
            Self::Disk => fs::metadata(path).map(|metadata| metadata.len()),
            Self::Memory(_) => self.in_memory(path).map(|bytes| bytes.len() as u64),
        };
        length.map_err(|source| Error::io(path, source))
    }

    /// Opens a file, to be read in parts.
    pub(crate) fn open(&self, path: &Path) -> io::Result<Opened<'_>> {
        match self {
            Self::Disk => File::open(path).map(Opened::File),
            Self::Memory(_) => {
                let bytes = self.in_memory(path)?;
                Ok(Opened::Memory(Cursor::new(bytes)))
            }
        }
    }

    fn in_memory(&self, path: &Path) -> io::Result<&[u8]> {
        let found = match self {
            Self::Disk => None,
            Self::Memory(files) => files.get(path),
        };
        found
            .map(|bytes| &**bytes)
            .ok_or_else(|| ErrorKind::NotFound.into())
    }
}

/// The names, not the bytes.
impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk => f.write_str("Disk"),
            Self::Memory(files) => f.debug_tuple("Memory").field(&files.keys()).finish(),
        }
    }
}

/// A file that is being read.
#[derive(Debug)]
pub(crate) enum Opened<'a> {
    /// On the disk.
    File(File),
    /// In memory.
    Memory(Cursor<&'a [u8]>),
}

impl Read for Opened<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Memory(bytes) => bytes.read(buffer),
        }
    }
}

impl Seek for Opened<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Memory(bytes) => bytes.seek(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &[(&str, &[u8])] = &[("a.txt", b"first"), ("b/c.txt", b"second"), ("b/d/e", b"")];

    /// The same files in memory and on the disk.
    fn both() -> (tempfile::TempDir, Storage) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("b/d")).unwrap();
        for (name, bytes) in FILES {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let memory = Storage::memory(folder.path(), FILES.iter().copied()).unwrap();
        (folder, memory)
    }

    #[test]
    fn memory_answers_as_the_disk_does() {
        let (folder, memory) = both();
        for name in ["", "a.txt", "b", "b/c.txt", "b/d", "b/d/e", "b/none", "a"] {
            let path = folder.path().join(name);
            let answers = |storage: &Storage| {
                (
                    storage.is_file(&path),
                    storage.is_dir(&path),
                    storage.read(&path).ok(),
                    storage
                        .is_file(&path)
                        .then(|| storage.length(&path).unwrap()),
                    storage.is_dir(&path).then(|| storage.names(&path).unwrap()),
                )
            };
            assert_eq!(answers(&memory), answers(&Storage::Disk), "{name}");
        }
        let none = folder.path().join("none");
        let messages = [&memory, &Storage::Disk].map(|storage| storage.read(&none).unwrap_err());
        assert_eq!(messages[0].to_string(), messages[1].to_string());
    }

    #[test]
    fn a_file_is_read_from_where_one_wants() {
        let (folder, memory) = both();
        for storage in [memory, Storage::Disk] {
            let mut file = storage.open(&folder.path().join("b/c.txt")).unwrap();
            file.seek(SeekFrom::Start(2)).unwrap();
            let mut rest = String::new();
            file.read_to_string(&mut rest).unwrap();
            assert_eq!(rest, "cond");
        }
    }

    #[test]
    fn names_that_are_no_files_of_the_folder_are_refused() {
        for name in ["", "/a", "../a", "b/../a", "."] {
            let refused = Storage::memory(Path::new("box"), [(name, b"x".as_slice())]);
            assert!(refused.is_err(), "{name}");
        }
        let twice = [("a/b", Vec::new()), ("a//b", Vec::new())];
        let error = Storage::memory(Path::new("box"), twice).unwrap_err();
        assert_eq!(error.to_string(), "box/a//b: is given twice");
    }

    #[test]
    fn what_is_shown_of_files_in_memory_are_their_names() {
        let storage = Storage::memory(Path::new("box"), FILES.iter().copied()).unwrap();
        let shown = format!("{storage:?}");
        assert!(shown.contains("a.txt") && shown.len() < 100, "{shown}");
    }
}
