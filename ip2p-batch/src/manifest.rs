//! The journal of a batch: one line of JSON for each picture that was made.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use ip2p::io::sha256;
use ip2p::{EditRecord, Error, PhotoFile, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::shard::Shard;

/// A line of the manifest: a picture that was made.
///
/// The line is written before the picture gets its name, so that a picture without one is never ours. A line whose
/// picture is not there, or has another [`Made::sha256`], is of a run that was killed in between, and does not count. Of
/// several lines for one picture the one with its sum counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Made {
    /// The version of this form: 1.
    pub format: u32,
    /// The place in the list, from 1.
    pub row: usize,
    /// The picture, under the folder of the manifest, with `/` between names.
    pub output: String,
    /// The photo: as seen from that folder if there is a way, with `/` between names.
    pub input: String,
    /// What the picture is made of: SHA-256 over the photo's bytes and every setting.
    pub fingerprint: String,
    /// SHA-256 of the picture's file.
    pub sha256: String,
    /// Every setting, as the picture itself holds it.
    pub settings: EditRecord,
    /// What a user should know.
    pub warnings: Vec<String>,
}

impl Made {
    /// The version of the form that is written, and the newest that is read.
    pub const FORMAT: u32 = 1;
}

/// What a picture is made of: the photo and the settings that count.
pub(crate) fn fingerprint(photo: &str, settings: &EditRecord) -> Result<String> {
    let settings = Value::Object(what_counts(settings)?);
    Ok(sha256(format!("{photo}\n{settings}").as_bytes()))
}

/// The settings that change a picture and are not at their default: a field that a later version adds changes nothing.
pub(crate) fn what_counts(settings: &EditRecord) -> Result<Map<String, Value>> {
    // Where things lie, and where and with which version they were made.
    const ASIDE: [&str; 6] = [
        "input",
        "model_path",
        "vae_path",
        "config_path",
        "device",
        "version",
    ];
    let mut settings = settings.clone();
    settings.loras.iter_mut().for_each(|lora| lora.path = None);
    let embeddings = settings.embeddings.iter_mut();
    embeddings.for_each(|embedding| embedding.path = None);
    let mut fields = object(&settings)?;
    let defaults = object(&EditRecord::default())?;
    fields
        .retain(|name, value| !ASIDE.contains(&name.as_str()) && defaults.get(name) != Some(value));
    Ok(fields)
}

fn object(record: &EditRecord) -> Result<Map<String, Value>> {
    match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => unreachable!("a struct becomes an object"),
        Err(error) => Err(Error::other("writing the settings of an edit", error)),
    }
}

/// The lines of a folder's manifests, by output.
pub(crate) type Lines = BTreeMap<String, Vec<Made>>;

/// The lines of all manifests in a folder: each shard has one of its own.
pub(crate) fn lines_in(folder: &Path) -> Result<Lines> {
    let mut lines = Lines::new();
    for path in manifests(folder)? {
        for made in read(&path)?.0 {
            lines.entry(made.output.clone()).or_default().push(made);
        }
    }
    Ok(lines)
}

/// The pictures that a folder's manifests say were made, and that are there, in the order of the list.
///
/// # Errors
///
/// [`Error::Io`] if something cannot be read; [`Error::Image`] if a manifest is damaged or of a newer version.
pub fn made_in(folder: impl AsRef<Path>) -> Result<Vec<Made>> {
    let folder = folder.as_ref();
    let mut made = Vec::new();
    for (output, lines) in lines_in(folder)? {
        made.extend(standing(&folder.join(output), lines));
    }
    made.sort_by(|a, b| (a.row, &a.output).cmp(&(b.row, &b.output)));
    Ok(made)
}

/// The line that says how the picture that is there was made.
fn standing(picture: &Path, mut lines: Vec<Made>) -> Option<Made> {
    if lines.len() == 1 && picture.is_file() {
        return lines.pop();
    }
    let sum = PhotoFile::open(picture).ok()?.sha256();
    lines.into_iter().rfind(|made| made.sha256 == sum)
}

fn manifests(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| Error::io(folder, error))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Error::io(folder, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let shard = name
            .strip_prefix("manifest-")
            .and_then(|rest| rest.strip_suffix(".jsonl"))
            .and_then(|rest| rest.replace("-of-", "/").parse::<Shard>().ok());
        if name == "manifest.jsonl" || shard.is_some() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The whole lines of a manifest, and how many bytes they are: a line that a kill cut short comes after them.
fn read(path: &Path) -> Result<(Vec<Made>, u64)> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        bytes => bytes.map_err(|error| Error::io(path, error))?,
    };
    let whole = bytes.iter().rposition(|&byte| byte == b'\n');
    let whole = &bytes[..whole.map_or(0, |last| last + 1)];
    let mut lines = Vec::new();
    for (index, line) in whole.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let wrong = |why: String| Error::image(path, format!("line {}: {why}", index + 1));
        let made: Made = serde_json::from_slice(line)
            .map_err(|error| wrong(format!("is not one of a manifest: {error}")))?;
        if made.format > Made::FORMAT {
            return Err(wrong("was written by a newer ip2p".into()));
        }
        lines.push(made);
    }
    Ok((lines, whole.len() as u64))
}

/// A manifest that is written to, by this process alone.
#[derive(Debug)]
pub(crate) struct Manifest {
    path: PathBuf,
    file: File,
}

impl Manifest {
    /// Opens a shard's manifest, in a folder that is made if it does not exist, and takes off what a kill left of a line.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or another process writes it.
    pub(crate) fn open(folder: &Path, shard: Shard) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
        let path = folder.join(shard.manifest());
        let cannot = |error| Error::io(&path, error);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let reason = "another ip2p writes to this folder: wait for it, or give each a --shard of its own";
                return Err(Error::image(&path, reason));
            }
            // Some network file systems have no locks.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        let (_, whole) = read(&path)?;
        file.set_len(whole).map_err(cannot)?;
        Ok(Self { path, file })
    }

    /// Appends a line, and returns when it is on the disk.
    pub(crate) fn append(&mut self, made: &Made) -> Result<()> {
        let mut line = serde_json::to_vec(made)
            .map_err(|error| Error::other("writing a line of the manifest", error))?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| Error::io(&self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(output: &str, sha256: &str) -> Made {
        Made {
            format: Made::FORMAT,
            row: 1,
            output: output.into(),
            input: "photo.png".into(),
            fingerprint: "f".into(),
            sha256: sha256.into(),
            settings: EditRecord::default(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_line_that_was_cut_short_is_taken_off_and_the_rest_kept() {
        let folder = tempfile::tempdir().unwrap();
        let shard = Shard::default();
        let mut manifest = Manifest::open(folder.path(), shard).unwrap();
        manifest.append(&made("a.png", "1")).unwrap();
        let path = folder.path().join("manifest.jsonl");
        let whole = fs::read(&path).unwrap();
        manifest.append(&made("b.png", "2")).unwrap();
        drop(manifest);
        let two = fs::read(&path).unwrap();
        for length in whole.len()..two.len() {
            fs::write(&path, &two[..length]).unwrap();
            assert_eq!(lines_in(folder.path()).unwrap().len(), 1);
            let mut manifest = Manifest::open(folder.path(), shard).unwrap();
            manifest.append(&made("b.png", "2")).unwrap();
            assert_eq!(fs::read(&path).unwrap(), two, "cut at {length}");
        }
    }

    #[test]
    fn one_process_at_a_time_writes_a_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let first = Manifest::open(folder.path(), Shard::default()).unwrap();
        let error = Manifest::open(folder.path(), Shard::default()).unwrap_err();
        assert!(error.to_string().contains("another ip2p"), "{error}");
        Manifest::open(folder.path(), Shard::new(1, 2).unwrap()).unwrap();
        drop(first);
        Manifest::open(folder.path(), Shard::default()).unwrap();
    }

    #[test]
    fn the_line_with_the_pictures_sum_counts() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.png"), "picture").unwrap();
        let sum = sha256(b"picture");
        for shard in ["1/2", "2/2"] {
            let shard: Shard = shard.parse().unwrap();
            let mut manifest = Manifest::open(folder.path(), shard).unwrap();
            for sum in ["old", &sum, "never renamed"] {
                manifest.append(&made("a.png", sum)).unwrap();
            }
            manifest.append(&made("missing.png", "x")).unwrap();
        }
        let found = made_in(folder.path()).unwrap();
        assert_eq!(found, [made("a.png", &sum)]);
    }

    #[test]
    fn what_is_no_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let line = serde_json::to_string(&made("a.png", "1")).unwrap();
        let newer = line.replace("\"format\":1,\"row\"", "\"format\":2,\"row\"");
        for (text, expected) in [("{}\n".into(), "line 2"), (newer + "\n", "a newer ip2p")] {
            let text = format!("{line}\n{text}");
            fs::write(folder.path().join("manifest.jsonl"), text).unwrap();
            let error = made_in(folder.path()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_fingerprint_changes_with_the_photo_and_with_what_changes_a_picture() {
        let record = EditRecord::default();
        let of = |record: &EditRecord| fingerprint("photo", record).unwrap();
        let first = of(&record);
        assert_ne!(first, fingerprint("other", &record).unwrap());
        let moved = EditRecord {
            input: Some("elsewhere.png".into()),
            device: Some("cuda".into()),
            model_path: Some("/models".into()),
            version: "ip2p 9.0.0".into(),
            ..EditRecord::default()
        };
        assert_eq!(first, of(&moved));
        let changed = [
            EditRecord {
                seed: 1,
                ..record.clone()
            },
            EditRecord {
                steps: 21,
                ..record.clone()
            },
            EditRecord {
                model_hash: Some("other".into()),
                ..record.clone()
            },
            EditRecord {
                instruction: "night".into(),
                ..record
            },
        ];
        for record in changed {
            assert_ne!(first, of(&record));
        }
    }
}
