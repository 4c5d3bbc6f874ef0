//! From a picture in memory to one in its place, with its line in the manifest.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender};

use ip2p::{Edited, Error, PhotoFile, Result};

use crate::jobs::Failure;
use crate::manifest::{Made, Manifest, fingerprint};
use crate::plan::{Plan, Planned};
use crate::run::Written;
use crate::shard::Shard;

/// A picture that is to be written.
pub(crate) struct Picture {
    /// The index of its job.
    pub(crate) job: usize,
    pub(crate) variation: usize,
    /// The sum of its photo's file.
    pub(crate) photo: String,
    pub(crate) edited: Edited,
}

/// A folder, within that of the results, for what is not finished: what a kill leaves there the next run takes away.
pub(crate) struct Staging(PathBuf);

impl Staging {
    pub(crate) fn new(folder: &Path, shard: Shard) -> Result<Self> {
        let path = folder.join(shard.staging());
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|error| Error::io(&path, error))?;
        }
        fs::create_dir_all(&path).map_err(|error| Error::io(&path, error))?;
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // If it stays, the next run takes it away.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes pictures and the manifest.
pub(crate) struct Writer<'a> {
    jobs: &'a [Planned],
    /// As the file system knows it.
    folder: PathBuf,
    staging: &'a Path,
    manifest: &'a mut Manifest,
    device: Option<&'a str>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        plan: &'a Plan,
        staging: &'a Staging,
        manifest: &'a mut Manifest,
        device: Option<&'a str>,
    ) -> Result<Self> {
        let folder =
            fs::canonicalize(&plan.folder).map_err(|error| Error::io(&plan.folder, error))?;
        Ok(Self {
            jobs: &plan.jobs,
            folder,
            staging: &staging.0,
            manifest,
            device,
        })
    }

    /// Writes what comes until nothing more does.
    ///
    /// # Errors
    ///
    /// Those after which it makes no sense to go on: the disk is full, or the folder is gone.
    pub(crate) fn run(
        mut self,
        pictures: &Receiver<Picture>,
        written: &Sender<Written>,
    ) -> Result<()> {
        for picture in pictures {
            let planned = &self.jobs[picture.job];
            let output = planned.job.outputs[picture.variation].clone();
            let one = match self.write(picture, &output) {
                Ok(made) => Ok(made),
                // The format cannot hold this picture; it may hold others.
                Err(error @ Error::Image { .. }) => {
                    let failure = Failure::new(&planned.job.place, error.with_causes());
                    Err(failure.with_outputs(vec![output]))
                }
                Err(error) => return Err(error),
            };
            // Nobody listens after a panic alone.
            let _ = written.send(one);
        }
        Ok(())
    }

    /// The picture beside its place, its line, then its name: in this order, see the crate's documentation.
    fn write(&mut self, picture: Picture, output: &str) -> Result<Made> {
        let Planned { job, row, .. } = &self.jobs[picture.job];
        let mut edited = picture.edited;
        edited.record.input = Some(job.input.to_string_lossy().into_owned());
        edited.record.device = self.device.map(ToOwned::to_owned);
        let place = self.folder.join(output);
        let parent = place.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))?;

        let ending = place.extension().unwrap_or_default().to_string_lossy();
        let beside = self.staging.join(format!("picture.{ending}"));
        let mut warnings = edited.warnings.clone();
        warnings.extend(edited.save(&beside)?);
        let made = Made {
            format: Made::FORMAT,
            row: row + 1,
            output: output.to_owned(),
            input: seen_from(&self.folder, &job.input),
            fingerprint: fingerprint(&picture.photo, &edited.record)?,
            sha256: PhotoFile::open(&beside)?.sha256(),
            settings: edited.record,
            warnings,
        };
        self.manifest.append(&made)?;
        fs::rename(&beside, &place).map_err(|error| Error::io(&place, error))?;
        sync(parent);
        Ok(made)
    }
}

/// Sees to it that a rename in a folder outlives a loss of power, where the system can.
fn sync(folder: &Path) {
    #[cfg(unix)]
    if let Ok(folder) = fs::File::open(folder) {
        // Some file systems cannot; the file itself is on the disk.
        let _ = folder.sync_all();
    }
    #[cfg(not(unix))]
    let _ = folder;
}

/// A file's path as seen from a folder, with `/` between names; the whole path where there is no way.
fn seen_from(folder: &Path, file: &Path) -> String {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let shared = folder
        .components()
        .zip(file.components())
        .take_while(|(a, b)| a == b)
        .count();
    if shared == 0 {
        return file.to_string_lossy().into_owned();
    }
    let up = folder.components().skip(shared).map(|_| "..".to_owned());
    let down = file
        .components()
        .skip(shared)
        .map(|component| match component {
            Component::Normal(name) => name.to_string_lossy().into_owned(),
            other => other.as_os_str().to_string_lossy().into_owned(),
        });
    up.chain(down).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_is_seen_from_the_folder_of_the_results() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("in/deep")).unwrap();
        fs::create_dir_all(root.join("out")).unwrap();
        let photo = root.join("in/deep/a.png");
        fs::write(&photo, "").unwrap();
        assert_eq!(seen_from(&root.join("out"), &photo), "../in/deep/a.png");
        assert_eq!(seen_from(&root.join("in"), &photo), "deep/a.png");
        assert_eq!(seen_from(&root.join("in/deep"), &photo), "a.png");
    }

    #[test]
    fn what_a_kill_left_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(".ip2p-batch");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("picture.png"), "half").unwrap();
        let staging = Staging::new(folder.path(), Shard::default()).unwrap();
        assert_eq!(fs::read_dir(&left).unwrap().count(), 0);
        drop(staging);
        assert!(!left.exists());
    }
}
