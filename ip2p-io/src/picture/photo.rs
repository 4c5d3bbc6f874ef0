//! A photo: pixels, and what a file says besides.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use ip2p_core::{Error, Region, Result, Size};

use super::decode::{Limits, decode};
use super::encode::{SaveOptions, encode};
use super::save::save;
use super::{PictureFormat, RgbPicture};
use crate::EditRecord;

/// A photo, upright.
///
/// The colours are those of the file's numbers: a colour profile is kept and written back, never applied.
///
/// # Examples
///
/// ```no_run
/// use ip2p_core::{FitPolicy, SizeStep, TargetSize};
/// use ip2p_io::{Photo, fit, restore};
///
/// let photo = Photo::open("photo.jpg")?;
/// let plan = FitPolicy::Contain.plan(photo.size(), TargetSize::Side(512), SizeStep::default())?;
/// let picture = fit(&photo, &plan)?;
/// // Here the model would edit the picture.
/// restore(&picture, &plan, &photo)?.save("edited.png", None)?;
/// # Ok::<(), ip2p_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Photo {
    rgb: RgbPicture,
    alpha: Option<Vec<u8>>,
    icc_profile: Option<Vec<u8>>,
    format: Option<PictureFormat>,
}

impl Photo {
    /// Reads a photo: PNG, JPEG, WebP, BMP, TIFF or GIF (the first frame), as its content says, whatever its name.
    ///
    /// The EXIF orientation is applied. 16-bit channels are reduced to 8 by their high byte; grey, palette and CMYK
    /// become RGB.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; [`Error::Image`] if it is not a whole picture of these formats, or
    /// exceeds [`Limits::default`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &Limits::default())
    }

    /// As [`Photo::open`], with limits of the caller's.
    ///
    /// # Errors
    ///
    /// Those of [`Photo::open`].
    pub fn open_with(path: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        let path = path.as_ref();
        decode(&read_file(path, limits)?, path, limits)
    }

    /// Decodes a photo from the content of a file, as [`Photo::open`] does; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`Error::Image`] as for [`Photo::open`].
    pub fn decode(bytes: &[u8], name: impl AsRef<Path>) -> Result<Self> {
        Self::decode_with(bytes, name, &Limits::default())
    }

    /// As [`Photo::decode`], with limits of the caller's.
    ///
    /// # Errors
    ///
    /// Those of [`Photo::decode`].
    pub fn decode_with(bytes: &[u8], name: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        decode(bytes, name.as_ref(), limits)
    }

    pub(super) fn from_parts(
        rgb: RgbPicture,
        alpha: Option<Vec<u8>>,
        icc_profile: Option<Vec<u8>>,
        format: Option<PictureFormat>,
    ) -> Self {
        Self {
            rgb,
            alpha,
            icc_profile,
            format,
        }
    }

    /// Width and height, upright.
    #[must_use]
    pub fn size(&self) -> Size {
        self.rgb.size()
    }

    /// The colours.
    #[must_use]
    pub fn rgb(&self) -> &RgbPicture {
        &self.rgb
    }

    /// How opaque each pixel is, row by row: 255 is opaque. `None` if all are.
    #[must_use]
    pub fn alpha(&self) -> Option<&[u8]> {
        self.alpha.as_deref()
    }

    /// The ICC profile that says what the numbers look like; without one they are taken as sRGB.
    #[must_use]
    pub fn icc_profile(&self) -> Option<&[u8]> {
        self.icc_profile.as_deref()
    }

    /// The format of the file that the photo was read from.
    #[must_use]
    pub fn format(&self) -> Option<PictureFormat> {
        self.format
    }

    /// The same photo with other colours: transparency, profile and format stay.
    ///
    /// # Panics
    ///
    /// If the size differs.
    #[must_use]
    pub fn with_rgb(&self, rgb: RgbPicture) -> Self {
        assert_eq!(rgb.size(), self.size(), "the colours of every pixel");
        Self {
            rgb,
            alpha: self.alpha.clone(),
            icc_profile: self.icc_profile.clone(),
            format: self.format,
        }
    }

    /// The pixels of `region` and their transparency, with the profile and format of the whole.
    ///
    /// # Panics
    ///
    /// If the region is empty or not within the photo.
    #[must_use]
    pub fn part(&self, region: Region) -> Self {
        let Region { x, y, size } = region;
        let width = self.size().width as usize;
        let alpha = self.alpha.as_ref().map(|alpha| {
            let rows = alpha.chunks_exact(width).skip(y as usize);
            let rows = rows.take(size.height as usize);
            let columns = x as usize..(x + size.width) as usize;
            rows.flat_map(|row| &row[columns.clone()])
                .copied()
                .collect()
        });
        Self {
            rgb: self.rgb.part(region),
            alpha,
            icc_profile: self.icc_profile.clone(),
            format: self.format,
        }
    }

    /// Writes the photo, with how it was made inside; the file's ending says the format.
    ///
    /// The file is written beside its place and then renamed, so that there is always the whole new one or the whole
    /// old one. Returns what the format could not keep: a JPEG or BMP has no transparency, and is laid on white; a BMP has
    /// no room for the record.
    ///
    /// # Errors
    ///
    /// [`Error::Image`] if the ending is not that of PNG, JPEG, WebP, TIFF or BMP, or the format cannot hold the size;
    /// [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, record: Option<&EditRecord>) -> Result<Vec<String>> {
        self.save_with(path, record, SaveOptions::default())
    }

    /// The content of a PNG file of the photo: what it holds comes back from [`Photo::decode`] to the byte.
    ///
    /// # Errors
    ///
    /// [`Error::Image`] if the format cannot hold the size.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let (format, options) = (PictureFormat::Png, SaveOptions::default());
        let encoded = encode(
            self,
            format,
            None,
            options,
            Path::new("a picture in memory"),
        )?;
        Ok(encoded.bytes)
    }

    /// As [`Photo::save`], with a JPEG quality of the caller's.
    ///
    /// # Errors
    ///
    /// Those of [`Photo::save`]; [`Error::InvalidSetting`] if the quality is not in its range.
    pub fn save_with(
        &self,
        path: impl AsRef<Path>,
        record: Option<&EditRecord>,
        options: SaveOptions,
    ) -> Result<Vec<String>> {
        save(self, path.as_ref(), record, options)
    }
}

impl From<RgbPicture> for Photo {
    fn from(rgb: RgbPicture) -> Self {
        Self::from_parts(rgb, None, None, None)
    }
}

impl fmt::Debug for Photo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Photo")
            .field("size", &self.size())
            .field("alpha", &self.alpha.is_some())
            .field("icc_profile", &self.icc_profile.is_some())
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// The content of a file no longer than the limit.
pub(crate) fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let cannot = |error| Error::io(path, error);
    let file = File::open(path).map_err(cannot)?;
    limits.check_file(path, file.metadata().map_err(cannot)?.len())?;
    // A device has no length, and perhaps no end.
    let mut bytes = Vec::new();
    let mut readable = file.take(limits.max_bytes.saturating_add(1));
    readable.read_to_end(&mut bytes).map_err(cannot)?;
    limits.check_file(path, bytes.len() as u64)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_comes_back_from_memory_to_the_byte() {
        let rgb = RgbPicture::new(Size::new(2, 3), (0..18).collect()).unwrap();
        let photo = Photo::from_parts(rgb, Some(vec![0, 50, 255, 9, 1, 77]), Some(vec![1]), None);
        let read = Photo::decode(&photo.to_png().unwrap(), "memory").unwrap();
        assert_eq!((read.rgb(), read.alpha()), (photo.rgb(), photo.alpha()));
    }

    #[test]
    fn a_part_has_its_own_transparency() {
        let rgb = RgbPicture::new(Size::new(3, 2), (0..18).collect()).unwrap();
        let photo = Photo::from_parts(rgb, Some(vec![0, 1, 2, 3, 4, 5]), None, None);
        let part = photo.part(Region {
            x: 1,
            y: 1,
            size: Size::new(2, 1),
        });
        assert_eq!(part.alpha(), Some(&[4, 5][..]));
        assert_eq!(part.rgb().pixels(), [12, 13, 14, 15, 16, 17]);
    }

    #[test]
    #[cfg(unix)]
    fn a_file_without_end_is_refused() {
        let limits = Limits {
            max_bytes: 1000,
            ..Limits::default()
        };
        let error = Photo::open_with("/dev/zero", &limits).unwrap_err();
        assert!(error.to_string().contains("the limit of 1000"), "{error}");
    }
}
