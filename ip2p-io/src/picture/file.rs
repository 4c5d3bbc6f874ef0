//! A picture's file, before it is decoded.

use std::path::{Path, PathBuf};

use ip2p_core::{Result, Size};
use sha2::{Digest, Sha256};

use super::decode::{Limits, decode, measure};
use super::photo::read_file;
use super::{Photo, PictureFormat};

/// The content of a picture's file: its size and its fingerprint are known without decoding it.
///
/// # Examples
///
/// ```no_run
/// use ip2p_io::PhotoFile;
///
/// let file = PhotoFile::open("photo.jpg")?;
/// println!("{} pixels, SHA-256 {}", file.size()?, file.sha256());
/// let photo = file.decode()?;
/// assert_eq!(photo.size(), file.size()?);
/// # Ok::<(), ip2p_core::Error>(())
/// ```
#[derive(Clone)]
pub struct PhotoFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl PhotoFile {
    /// Reads the file, whatever it holds.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](ip2p_core::Error::Io) if it cannot be read, [`Error::Image`](ip2p_core::Error::Image) if it exceeds
    /// [`Limits::default`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Ok(Self {
            bytes: read_file(path, &Limits::default())?,
            path: path.to_owned(),
        })
    }

    /// Content that is already in memory; `name` is what errors call it.
    #[must_use]
    pub fn from_bytes(name: impl Into<PathBuf>, bytes: Vec<u8>) -> Self {
        Self {
            path: name.into(),
            bytes,
        }
    }

    /// The content.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The picture's width and height, upright, as its header says.
    ///
    /// # Errors
    ///
    /// [`Error::Image`](ip2p_core::Error::Image) if the header is not one of a format that is read. What comes after it
    /// may be damaged all the same.
    pub fn size(&self) -> Result<Size> {
        measure(&self.bytes, &self.path, &Limits::default())
    }

    /// The picture's format, as its content says.
    ///
    /// # Errors
    ///
    /// [`Error::Image`](ip2p_core::Error::Image) if it is none of ours.
    pub fn format(&self) -> Result<PictureFormat> {
        PictureFormat::of_content(&self.bytes, &self.path)
    }

    /// The photo, as [`Photo::open`] gives it.
    ///
    /// # Errors
    ///
    /// Those of [`Photo::decode`].
    pub fn decode(&self) -> Result<Photo> {
        decode(&self.bytes, &self.path, &Limits::default())
    }

    /// SHA-256 of the file's bytes: 64 hexadecimal digits.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256(&self.bytes)
    }
}

impl std::fmt::Debug for PhotoFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PhotoFile")
            .field("path", &self.path)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// SHA-256: 64 hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    let hexadecimal = |text: String, byte: &u8| text + &format!("{byte:02x}");
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), hexadecimal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RgbPicture;

    #[test]
    fn a_fingerprint_is_that_of_other_tools() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
    }

    #[test]
    fn the_header_says_the_size_of_what_is_decoded_in_every_format() {
        let folder = tempfile::tempdir().unwrap();
        let rgb = RgbPicture::new(Size::new(3, 5), vec![9; 45]).unwrap();
        for ending in ["png", "jpg", "webp", "bmp", "tiff"] {
            let path = folder.path().join(format!("a.{ending}"));
            Photo::from(rgb.clone()).save(&path, None).unwrap();
            let file = PhotoFile::open(&path).unwrap();
            assert_eq!(file.size().unwrap(), Size::new(3, 5), "{ending}");
            assert_eq!(file.decode().unwrap().size(), Size::new(3, 5), "{ending}");
        }
    }

    #[test]
    fn the_size_is_that_of_the_upright_photo() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        let rgb = RgbPicture::new(Size::new(3, 5), vec![9; 45]).unwrap();
        Photo::from(rgb).save(&path, None).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        // After the start of the image: an EXIF segment whose one entry is the orientation.
        for orientation in 1..=8_u8 {
            let mut segment =
                b"\xFF\xE1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
            segment.extend([orientation, 0, 0, 0, 0, 0, 0]);
            let turned = [&bytes[..2], &segment, &bytes[2..]].concat();
            std::fs::write(&path, turned).unwrap();
            let file = PhotoFile::open(&path).unwrap();
            let decoded = file.decode().unwrap().size();
            assert_eq!(file.size().unwrap(), decoded, "{orientation}");
            assert_eq!(decoded.width, if orientation < 5 { 3 } else { 5 });
        }
    }

    #[test]
    fn what_is_no_picture_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "no picture").unwrap();
        let error = PhotoFile::open(&path).unwrap().size().unwrap_err();
        assert!(error.to_string().contains("notes.txt"), "{error}");
        assert!(PhotoFile::open(folder.path().join("missing.png")).is_err());
    }
}
