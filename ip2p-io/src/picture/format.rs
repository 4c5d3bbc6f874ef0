//! The file formats of pictures.

use std::fmt;
use std::path::Path;

use image::ImageFormat;
use ip2p_core::{Error, Result};

/// A file format of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PictureFormat {
    /// Portable Network Graphics: lossless, with transparency.
    Png,
    /// JPEG: lossy, no transparency.
    Jpeg,
    /// WebP: written without loss, with transparency.
    WebP,
    /// Windows bitmap: uncompressed, and nowhere to say how a picture was made.
    Bmp,
    /// Tagged Image File Format: lossless, with transparency.
    Tiff,
    /// Graphics Interchange Format: read only, its first frame.
    Gif,
}

impl PictureFormat {
    /// Every format there is.
    pub const ALL: [Self; 6] = [
        Self::Png,
        Self::Jpeg,
        Self::WebP,
        Self::Bmp,
        Self::Tiff,
        Self::Gif,
    ];

    /// The format's name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Gif => "GIF",
        }
    }

    /// The endings of the format's files, the usual one first.
    #[must_use]
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Png => &["png"],
            Self::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
            Self::WebP => &["webp"],
            Self::Bmp => &["bmp"],
            Self::Tiff => &["tiff", "tif"],
            Self::Gif => &["gif"],
        }
    }

    /// The format of a file's content, whatever its name says.
    ///
    /// # Errors
    ///
    /// [`Error::Image`], with `name`, if it is none of ours.
    pub fn of_content(bytes: &[u8], name: &Path) -> Result<Self> {
        let refused = |reason: &str| Err(Error::image(name, reason));
        if bytes.is_empty() {
            return refused("the file is empty");
        }
        match image::guess_format(bytes) {
            Ok(ImageFormat::Png) => Ok(Self::Png),
            Ok(ImageFormat::Jpeg) => Ok(Self::Jpeg),
            Ok(ImageFormat::WebP) => Ok(Self::WebP),
            Ok(ImageFormat::Bmp) => Ok(Self::Bmp),
            Ok(ImageFormat::Tiff) => Ok(Self::Tiff),
            Ok(ImageFormat::Gif) => Ok(Self::Gif),
            // AVIF needs an AV1 decoder. Of those in Rust (2026-11), `rav1d` has only dav1d's unsafe C interface,
            // `avif-decode` 3 needs Rust 1.98 and, on x86, an assembler, and `zenavif` and `rav1d-safe` are AGPL;
            // `avif-parse`, the container's parser, passes over orientation and colour space.
            _ => match iso_media_brand(bytes) {
                Some(b"avif" | b"avis") => refused("AVIF is not supported; convert it to PNG"),
                Some(b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1") => {
                    refused("HEIC is not supported; convert it to PNG")
                }
                _ => {
                    let names = Self::ALL.map(Self::name).join(", ");
                    refused(&format!("not a picture: its content is none of {names}"))
                }
            },
        }
    }

    /// The format that a file's name asks for when written.
    ///
    /// # Errors
    ///
    /// [`Error::Image`] if the ending is not that of a format that can be written.
    pub fn of_output(path: &Path) -> Result<Self> {
        let ending = path
            .extension()
            .map(|ending| ending.to_string_lossy().to_lowercase());
        let known = Self::ALL.into_iter().find(|format| {
            ending
                .as_deref()
                .is_some_and(|ending| format.endings().contains(&ending))
        });
        let writable = "write .png, .jpg, .webp, .tiff or .bmp";
        match (known, ending) {
            (Some(Self::Gif), _) => {
                let reason = format!("GIF has too few colours for a photo; {writable}");
                Err(Error::image(path, reason))
            }
            (Some(format), _) => Ok(format),
            (None, Some(ending)) => {
                let reason = format!("the ending .{ending} is not known; {writable}");
                Err(Error::image(path, reason))
            }
            (None, None) => {
                let reason = format!("has no ending that says the format; {writable}");
                Err(Error::image(path, reason))
            }
        }
    }

    pub(super) fn of_image(self) -> ImageFormat {
        match self {
            Self::Png => ImageFormat::Png,
            Self::Jpeg => ImageFormat::Jpeg,
            Self::WebP => ImageFormat::WebP,
            Self::Bmp => ImageFormat::Bmp,
            Self::Tiff => ImageFormat::Tiff,
            Self::Gif => ImageFormat::Gif,
        }
    }
}

impl fmt::Display for PictureFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The major brand of a file of the ISO base media format.
fn iso_media_brand(bytes: &[u8]) -> Option<&[u8; 4]> {
    (bytes.get(4..8)? == b"ftyp").then_some(())?;
    bytes.get(8..12)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        PictureFormat::of_content(bytes, Path::new("photo.png"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_is_no_picture_is_refused_by_name() {
        assert_eq!(refusal(b""), "photo.png: the file is empty");
        assert_eq!(
            refusal(b"just a text\n"),
            "photo.png: not a picture: its content is none of PNG, JPEG, WebP, BMP, TIFF, GIF"
        );
        assert_eq!(
            refusal(b"\0\0\0\x1cftypavif\0\0\0\0"),
            "photo.png: AVIF is not supported; convert it to PNG"
        );
        assert!(refusal(b"\0\0\0\x1cftypheic\0\0\0\0").contains("HEIC"));
        assert!(refusal(b"\0\0\0\x1cftyp").contains("not a picture"));
    }

    #[test]
    fn the_ending_says_what_is_written() {
        for format in PictureFormat::ALL {
            for ending in format.endings() {
                let path = format!("a.b/c.{}", ending.to_uppercase());
                let got = PictureFormat::of_output(Path::new(&path)).ok();
                let writable = format != PictureFormat::Gif;
                assert_eq!(got, writable.then_some(format), "{path}");
            }
        }
        for path in ["photo", "photo.txt", ".png", "photo.avif"] {
            let error = PictureFormat::of_output(Path::new(path)).unwrap_err();
            assert!(error.to_string().contains(".webp"), "{error}");
        }
    }
}
