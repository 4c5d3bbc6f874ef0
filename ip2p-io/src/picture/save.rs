//! Pictures into files.

use std::path::Path;

use ip2p_core::{Error, Result};

use super::encode::{Encoded, SaveOptions, encode};
use super::{Photo, PictureFormat};
use crate::EditRecord;
use crate::whole::Place;

/// Whether a picture can be written to `path`, as far as can be known before it is made.
///
/// # Errors
///
/// [`Error::Image`] if the ending is not that of a format that can be written, or there is a folder or a device at the path;
/// [`Error::Io`] if the folder that it is to be in does not exist.
pub fn check_output(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    PictureFormat::of_output(path)?;
    Place::of(path).map(|_| ())
}

pub(super) fn save(
    photo: &Photo,
    path: &Path,
    record: Option<&EditRecord>,
    options: SaveOptions,
) -> Result<Vec<String>> {
    let format = PictureFormat::of_output(path)?;
    let place = Place::of(path)?;
    let Encoded { bytes, warnings } = encode(photo, format, record, options, path)?;
    place
        .write(&bytes)
        .map_err(|error| Error::io(path, error))?;
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ip2p_core::Size;

    use super::*;
    use crate::RgbPicture;

    fn photo() -> Photo {
        RgbPicture::new(Size::new(2, 2), (0..12).collect())
            .unwrap()
            .into()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/out.png");
        for result in [check_output(&path), photo().save(&path, None).map(|_| ())] {
            let error = result.unwrap_err();
            let Error::Io { path, source } = &error else {
                panic!("{error:?}")
            };
            assert!(path.ends_with("missing"), "{error}");
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn folders_and_devices_are_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.png");
        fs::create_dir(&path).unwrap();
        assert!(check_output(&path).is_err());
        assert!(photo().save(&path, None).is_err());
        #[cfg(unix)]
        {
            let link = folder.path().join("null.png");
            std::os::unix::fs::symlink("/dev/null", &link).unwrap();
            assert!(check_output(&link).is_err());
        }
    }

    #[test]
    fn a_new_file_takes_the_place_of_the_old_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.png");
        fs::write(&path, "old").unwrap();
        photo().save(&path, None).unwrap();
        assert_eq!(Photo::open(&path).unwrap().rgb(), photo().rgb());
        assert_eq!(names(folder.path()), ["out.png"]);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_is_written_through_and_permissions_are_those_of_any_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (file, link, plain) = ["file.png", "link.png", "plain"]
            .map(|name| folder.path().join(name))
            .into();
        fs::write(&file, "old").unwrap();
        fs::write(&plain, "any").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        photo().save(&link, None).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(Photo::open(&file).unwrap().rgb(), photo().rgb());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&file), mode(&plain));
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.png");
        fs::write(&path, "old").unwrap();
        let too_wide = RgbPicture::new(Size::new(70_000, 1), vec![0; 210_000]).unwrap();
        let jpeg = folder.path().join("out.jpg");
        let error = Photo::from(too_wide).save(&jpeg, None).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("70000x1 cannot be written as JPEG"),
            "{error}"
        );
        assert_eq!(names(folder.path()), ["out.png"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    /// Run as root with `cargo test -p ip2p-io full_disk -- --ignored`.
    #[test]
    #[cfg(target_os = "linux")]
    #[ignore = "needs root: mounts a file system of 64 KiB"]
    fn a_full_disk_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let run = |command: &str, args: &[&str]| {
            let status = std::process::Command::new(command)
                .args(args)
                .status()
                .unwrap();
            assert!(status.success(), "{command} {args:?}");
        };
        let at = folder.path().to_str().unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs", at]);
        let path = folder.path().join("out.bmp");
        let result = std::panic::catch_unwind(|| {
            fs::write(&path, "old").unwrap();
            let large = RgbPicture::new(Size::new(300, 300), vec![7; 270_000]).unwrap();
            let error = Photo::from(large).save(&path, None).unwrap_err();
            let Error::Io { source, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
            assert_eq!(names(folder.path()), ["out.bmp"]);
            assert_eq!(fs::read(&path).unwrap(), b"old");
        });
        run("umount", &[at]);
        result.unwrap();
    }
}
