//! The cache: where things lie in it, and what there is.
//!
//! ```text
//! models--ORG--NAME/blobs/SUM               what files hold, by git's SHA-1 or SHA-256
//! models--ORG--NAME/blobs/SUM.incomplete    the part of one that has arrived
//! models--ORG--NAME/refs/main               the commit that a branch or tag was last
//! models--ORG--NAME/snapshots/COMMIT/…      the files of a commit: links to blobs
//! .locks/models--ORG--NAME/SUM.lock         who writes a blob holds this
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use ip2p_core::{Error, Result};
use serde::Serialize;

use crate::id::{ModelId, is_commit};
use crate::listing::repo;

/// A cache of models that tools share.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

/// A model in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CachedModel {
    /// `ORG/NAME`.
    pub id: String,
    /// Its revisions, the one that `main` names first.
    pub revisions: Vec<CachedRevision>,
    /// What all of it takes on the disk, in bytes; what revisions share counts once.
    pub bytes: u64,
    /// The part of this that has arrived of files that are not whole yet.
    pub incomplete_bytes: u64,
}

/// A revision of a model in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CachedRevision {
    /// The commit.
    pub commit: String,
    /// The branches and tags that were this commit when they were last asked for.
    pub refs: Vec<String>,
    /// Where its files are.
    pub folder: PathBuf,
    /// What they hold, in bytes.
    pub bytes: u64,
}

impl Cache {
    /// The cache in this folder, which need not exist yet.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The models that it holds, by their names.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be read; one that does not exist holds nothing.
    pub fn models(&self) -> Result<Vec<CachedModel>> {
        let mut models = Vec::new();
        for name in names(&self.folder)? {
            let id = name
                .strip_prefix("models--")
                .map(|id| id.replace("--", "/"));
            let Some(id) = id else { continue };
            if let Some(model) = model(&id, &self.folder.join(&name))? {
                models.push(model);
            }
        }
        models.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(models)
    }

    /// Where a revision of a model lies, if the cache has it, whole or in part. No request is made.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if what is there cannot be read.
    pub fn find(&self, id: &ModelId) -> Result<Option<PathBuf>> {
        let commit = self.commit(id)?;
        let folder = commit.map(|commit| self.snapshot(id, &commit));
        Ok(folder.filter(|folder| folder.is_dir()))
    }

    /// The folder of a model.
    pub(crate) fn root(&self, id: &ModelId) -> PathBuf {
        self.folder.join(repo(id).folder_name())
    }

    /// The folder of a commit's files.
    pub(crate) fn snapshot(&self, id: &ModelId, commit: &str) -> PathBuf {
        let cache = hf_hub::Cache::new(self.folder.clone());
        cache.repo(repo(id)).pointer_path(commit)
    }

    /// What a file holds lies here.
    pub(crate) fn blob(&self, id: &ModelId, etag: &str) -> PathBuf {
        let cache = hf_hub::Cache::new(self.folder.clone());
        cache.repo(repo(id)).blob_path(etag)
    }

    /// The locks of a model.
    pub(crate) fn locks(&self, id: &ModelId) -> PathBuf {
        self.folder.join(".locks").join(repo(id).folder_name())
    }

    /// The commit that a revision is, or was when it was last asked for.
    pub(crate) fn commit(&self, id: &ModelId) -> Result<Option<String>> {
        if is_commit(id.revision()) {
            return Ok(Some(id.revision().to_owned()));
        }
        let path = self.root(id).join("refs").join(id.revision());
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|commit| is_commit(commit))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(Error::io(path, error)),
        }
    }

    /// Remembers which commit a revision is, whole or not at all.
    pub(crate) fn remember(&self, id: &ModelId, commit: &str) -> Result<()> {
        if id.revision() == commit || self.commit(id)?.as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.root(id).join("refs").join(id.revision());
        let beside = path.with_added_extension(format!("{}.tmp", std::process::id()));
        make_folder(&path)?;
        let done = fs::write(&beside, commit).and_then(|()| fs::rename(&beside, &path));
        done.map_err(|error| Error::io(&path, error))
    }

    /// Puts a blob into a snapshot: a link to it where the file system has links, else the file itself.
    pub(crate) fn link(blob: &Path, pointer: &Path, is_new: bool) -> Result<()> {
        make_folder(pointer)?;
        match fs::remove_file(pointer) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io(pointer, error));
            }
            _ => {}
        }
        match symlink(&relative(blob, pointer), pointer) {
            Ok(()) => return Ok(()),
            // Whoever was quicker made the same link.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
            Err(_) => {}
        }
        place(blob, pointer, is_new).map_err(|error| Error::io(pointer, error))
    }
}

/// What a model's folder holds; nothing if that is nothing.
fn model(id: &str, root: &Path) -> Result<Option<CachedModel>> {
    let mut refs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, commit) in references(&root.join("refs"))? {
        refs.entry(commit).or_default().push(name);
    }
    let mut revisions = Vec::new();
    for commit in names(&root.join("snapshots"))? {
        let folder = root.join("snapshots").join(&commit);
        let bytes = files(&folder)?.iter().map(|file| length(file)).sum();
        revisions.push(CachedRevision {
            refs: refs.remove(&commit).unwrap_or_default(),
            folder,
            bytes,
            commit,
        });
    }
    let main = |revision: &CachedRevision| {
        !(revision.refs.iter()).any(|name| name == ModelId::DEFAULT_REVISION)
    };
    revisions.sort_by_key(main);
    let (bytes, incomplete_bytes) = sizes(root)?;
    let found = !revisions.is_empty() || bytes > 0;
    Ok(found.then(|| CachedModel {
        id: id.to_owned(),
        revisions,
        bytes,
        incomplete_bytes,
    }))
}

/// Without links the file itself goes there; one that was a blob before may be another snapshot's too.
fn place(blob: &Path, pointer: &Path, is_new: bool) -> io::Result<()> {
    if is_new {
        fs::rename(blob, pointer)
    } else {
        fs::copy(blob, pointer).map(|_| ())
    }
}

/// The folder that a file is to be in.
pub(crate) fn make_folder(file: &Path) -> Result<()> {
    let folder = file.parent().expect("files of the cache lie in folders");
    fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))
}

/// The length of what a path leads to; nothing of a link that leads nowhere.
pub(crate) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// The names in a folder, none of one that is not there.
pub(crate) fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let failed = |error| Error::io(folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(BTreeSet::new()),
        Err(error) => return Err(failed(error)),
    };
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().into_string().ok());
    let names: io::Result<Vec<Option<String>>> = entries.map(name).collect();
    Ok(names.map_err(failed)?.into_iter().flatten().collect())
}

/// The files beneath a folder; links are files, whatever they lead to.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for name in names(folder)? {
        let path = folder.join(name);
        let kind = fs::symlink_metadata(&path).map_err(|error| Error::io(&path, error))?;
        if kind.is_dir() {
            all.extend(files(&path)?);
        } else {
            all.push(path);
        }
    }
    Ok(all)
}

/// The branches and tags, each with its commit.
pub(crate) fn references(folder: &Path) -> Result<Vec<(String, String)>> {
    let all = files(folder)?.into_iter().filter_map(|path| {
        let name = path.strip_prefix(folder).ok()?.to_str()?.replace('\\', "/");
        let commit = fs::read_to_string(&path).ok()?;
        Some((name, commit.trim().to_owned()))
    });
    Ok(all.collect())
}

/// What a model takes on the disk, and what of that is incomplete.
fn sizes(root: &Path) -> Result<(u64, u64)> {
    let (mut all, mut incomplete) = (0, 0);
    for path in files(root)? {
        let bytes = fs::symlink_metadata(&path)
            .map_or(0, |found| if found.is_file() { found.len() } else { 0 });
        all += bytes;
        if path
            .extension()
            .is_some_and(|ending| ending == "incomplete")
        {
            incomplete += bytes;
        }
    }
    Ok((all, incomplete))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The way from a link to what it links to; both lie in the model's folder.
fn relative(blob: &Path, pointer: &Path) -> PathBuf {
    let from: Vec<_> = pointer.components().collect();
    let to: Vec<_> = blob.components().collect();
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Path::new("..").as_os_str(), from.len() - common - 1);
    up.chain(to[common..].iter().map(|part| part.as_os_str()))
        .collect()
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// A lock that is held as long as this lives. [`None`] if another holds it; where the file system has no locks it
/// is held by all, and the sums find what comes of that.
pub(crate) fn try_lock(path: &Path) -> Result<Option<File>> {
    make_folder(path)?;
    let mut options = fs::OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|error| Error::io(path, error))?;
    match file.try_lock() {
        Ok(()) | Err(fs::TryLockError::Error(_)) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_the_snapshot_to_the_blob() {
        let (blob, pointer) = (
            Path::new("/c/m/blobs/x"),
            Path::new("/c/m/snapshots/y/unet/z"),
        );
        assert_eq!(relative(blob, pointer), Path::new("../../../blobs/x"));
        assert_eq!(
            relative(blob, Path::new("/c/m/snapshots/y/z")),
            Path::new("../../blobs/x")
        );
    }

    #[test]
    fn the_layout_is_the_one_that_all_tools_use() {
        let cache = Cache::new("/c");
        let id: ModelId = "a/b-c".parse().unwrap();
        assert_eq!(cache.root(&id), Path::new("/c/models--a--b-c"));
        assert_eq!(cache.blob(&id, "x"), Path::new("/c/models--a--b-c/blobs/x"));
        assert_eq!(
            cache.snapshot(&id, "y"),
            Path::new("/c/models--a--b-c/snapshots/y")
        );
        assert_eq!(cache.locks(&id), Path::new("/c/.locks/models--a--b-c"));
    }

    #[test]
    fn a_reference_is_remembered_and_nonsense_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let id: ModelId = "a/b@refs/pr/1".parse().unwrap();
        assert_eq!(cache.commit(&id).unwrap(), None);
        let commit = "0123456789abcdef0123456789abcdef01234567";
        cache.remember(&id, commit).unwrap();
        assert_eq!(cache.commit(&id).unwrap().as_deref(), Some(commit));
        assert_eq!(
            names(&folder.path().join("models--a--b/refs/refs/pr")).unwrap(),
            BTreeSet::from(["1".into()])
        );
        fs::write(folder.path().join("models--a--b/refs/refs/pr/1"), "../../x").unwrap();
        assert_eq!(cache.commit(&id).unwrap(), None);
        let pinned = id.at(commit);
        assert_eq!(cache.commit(&pinned).unwrap().as_deref(), Some(commit));
    }

    #[test]
    fn a_link_takes_the_place_of_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let (blob, pointer) = (folder.path().join("blobs/x"), folder.path().join("s/y/z"));
        make_folder(&blob).unwrap();
        fs::write(&blob, "what").unwrap();
        for _ in 0..2 {
            Cache::link(&blob, &pointer, false).unwrap();
            assert_eq!(fs::read_to_string(&pointer).unwrap(), "what");
        }
        assert!(blob.exists());
    }

    #[test]
    fn without_links_the_file_itself_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (blob, pointer) = (folder.path().join("x"), folder.path().join("y"));
        for (is_new, stays) in [(false, true), (true, false)] {
            fs::write(&blob, "what").unwrap();
            place(&blob, &pointer, is_new).unwrap();
            assert_eq!(fs::read_to_string(&pointer).unwrap(), "what");
            assert_eq!(blob.exists(), stays);
        }
    }
}
