//! Pictures of a folder, decoded and made smaller.

use std::fs;
use std::path::{Path, PathBuf};

use image::imageops::{FilterType, resize};
use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};
use ip2p_core::{Error, Result};

use super::Photo;

/// What the decoded pictures of a folder take at most, in bytes: 1 GiB.
pub const MEMORY: usize = 1 << 30;

/// The longer side of a kept picture, at most.
const LONGEST: u32 = 1024;
/// The longer side below which pictures are not shrunk to fit into the memory.
const SHORTEST: u32 = 256;

/// The pictures of a folder, by name, and the errors of those that cannot be read.
pub(super) fn folder(folder: &Path) -> Result<(Vec<Photo>, Vec<Error>)> {
    let paths = pictures_in(folder)?;
    if paths.is_empty() {
        return Err(no_pictures(folder, "none"));
    }
    let longest = longest_side(paths.len())?;
    let (mut photos, mut skipped) = (Vec::new(), Vec::new());
    for path in paths {
        match decode(&path) {
            Ok(picture) => photos.push(Photo {
                picture: shrink(picture, longest),
                path,
            }),
            Err(error) => skipped.push(Error::image(path, format!("cannot be read: {error}"))),
        }
    }
    if photos.is_empty() {
        let got = format!(
            "{} that cannot be read, the first being {}",
            skipped.len(),
            skipped[0]
        );
        return Err(no_pictures(folder, got));
    }
    Ok((photos, skipped))
}

fn no_pictures(folder: &Path, got: impl ToString) -> Error {
    let expected = format!(
        "a folder with JPEG or PNG pictures, and {} is not",
        folder.display()
    );
    Error::setting("photos", expected, got)
}

fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_picture = |path: &PathBuf| {
        let extension = path.extension().unwrap_or_default();
        ["jpg", "jpeg", "png"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    };
    let entries = fs::read_dir(folder).map_err(|source| Error::io(folder, source))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| Error::io(folder, source))?;
    paths.retain(is_picture);
    paths.sort();
    Ok(paths)
}

/// The longer side that `count` pictures may have to fit into [`MEMORY`] were they square, the worst case.
fn longest_side(count: usize) -> Result<u32> {
    let fits = (MEMORY / 3 / count).isqrt();
    let longest = u32::try_from(fits).map_or(LONGEST, |side| side.min(LONGEST));
    if longest < SHORTEST {
        let most = MEMORY / 3 / (SHORTEST * SHORTEST) as usize;
        return Err(Error::setting(
            "photos",
            format!("at most {most} pictures"),
            count,
        ));
    }
    Ok(longest)
}

/// Reads a picture and turns it upright.
fn decode(path: &Path) -> image::ImageResult<RgbImage> {
    let mut decoder = ImageReader::open(path)?
        .with_guessed_format()?
        .into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

/// The picture with its longer side at most `longest`.
fn shrink(picture: RgbImage, longest: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    if width.max(height) <= longest {
        return picture;
    }
    let shorter =
        |side: u32| (u64::from(side) * u64::from(longest) / u64::from(width.max(height))).max(1);
    let fit = |side| u32::try_from(shorter(side)).expect("no longer than `longest`");
    resize(&picture, fit(width), fit(height), FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pictures_are_kept_smaller_and_never_beyond_the_memory() {
        assert_eq!(longest_side(1).expect("one fits"), LONGEST);
        for count in [340, 1000, 5000] {
            let side = longest_side(count).expect("these fit") as usize;
            assert!(side * side * 3 * count <= MEMORY && side >= SHORTEST as usize);
        }
        assert!(longest_side(6000).is_err());
    }

    #[test]
    fn shrinking_keeps_the_shape() {
        let shrunk = |width, height| shrink(RgbImage::new(width, height), 100).dimensions();
        assert_eq!(shrunk(400, 300), (100, 75));
        assert_eq!(shrunk(1, 400), (1, 100));
        assert_eq!(shrunk(80, 60), (80, 60));
    }
}
