//! From a picture in memory to one in its place, with its line in the manifest.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use ip2p::{Edited, Error, PhotoFile, Result};

use crate::jobs::Failure;
use crate::manifest::{Made, Manifest, fingerprint};
use crate::plan::{Plan, Planned};
use crate::shard::Shard;

/// A picture that is to be written.
#[derive(Debug)]
pub(crate) struct Picture {
    /// The index of its job.
    pub(crate) job: usize,
    pub(crate) variation: usize,
    /// The sum of its photo's file.
    pub(crate) photo: String,
    pub(crate) edited: Edited,
}

/// A folder, within that of the results, for what is not finished: what a kill leaves there the next run takes away.
#[derive(Debug)]
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

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // If it stays, the next run takes it away.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a device's pictures beside their places.
#[derive(Debug)]
pub(crate) struct Writer {
    plan: Arc<Plan>,
    /// As the file system knows it.
    folder: PathBuf,
    staging: PathBuf,
    /// The index of the device: each writes files of its own.
    of: usize,
    /// What the pictures' records call the devices.
    device: Option<String>,
}

impl Writer {
    pub(crate) fn new(
        plan: &Arc<Plan>,
        staging: &Staging,
        of: usize,
        device: Option<String>,
    ) -> Result<Self> {
        let folder =
            fs::canonicalize(&plan.folder).map_err(|error| Error::io(&plan.folder, error))?;
        Ok(Self {
            plan: Arc::clone(plan),
            folder,
            staging: staging.path().to_owned(),
            of,
            device,
        })
    }

    /// Writes a picture beside its place; or says that its format cannot hold it: it may hold others.
    ///
    /// # Errors
    ///
    /// Those after which it makes no sense to go on: the disk is full, or the folder is gone.
    pub(crate) fn write(&self, picture: Picture) -> Result<Result<Beside, Failure>> {
        let planned = &self.plan.jobs[picture.job];
        let output = planned.job.outputs[picture.variation].clone();
        match self.beside(planned, picture, &output) {
            Ok(beside) => Ok(Ok(beside)),
            Err(error @ Error::Image { .. }) => {
                let failure = Failure::new(&planned.job.place, error.with_causes());
                Ok(Err(failure.with_outputs(vec![output])))
            }
            Err(error) => Err(error),
        }
    }

    fn beside(&self, planned: &Planned, picture: Picture, output: &str) -> Result<Beside> {
        let (job, mut edited) = (&planned.job, picture.edited);
        edited.record.input = Some(job.input.to_string_lossy().into_owned());
        edited.record.device.clone_from(&self.device);
        let place = self.folder.join(output);
        let ending = place.extension().unwrap_or_default().to_string_lossy();
        let name = format!("{}-{}-{}", self.of, picture.job, picture.variation);
        let file = self.staging.join(format!("{name}.{ending}"));
        let mut warnings = edited.warnings.clone();
        warnings.extend(edited.save(&file)?);
        let made = Made {
            format: Made::FORMAT,
            row: planned.row + 1,
            output: output.to_owned(),
            input: seen_from(&self.folder, &job.input),
            fingerprint: fingerprint(&picture.photo, &edited.record)?,
            sha256: PhotoFile::open(&file)?.sha256(),
            settings: edited.record,
            warnings,
        };
        Ok(Beside { made, file, place })
    }
}

/// A picture that lies beside its place.
#[derive(Debug)]
pub(crate) struct Beside {
    made: Made,
    file: PathBuf,
    place: PathBuf,
}

impl Beside {
    /// Its line, then its name: in this order, see the crate's documentation.
    pub(crate) fn put(self, manifest: &mut Manifest) -> Result<Made> {
        let Self { made, file, place } = self;
        let parent = place.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))?;
        manifest.append(&made)?;
        fs::rename(&file, &place).map_err(|error| Error::io(&place, error))?;
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
