//! From the bytes of a file to pixels.
//!
//! The decoders are those of the `image` crate and their pixels are taken as Pillow gives them, so that the model sees
//! what it would see elsewhere: 16-bit channels keep their high byte, grey becomes three equal channels, CMYK becomes
//! RGB without a colour profile.

use std::io::Cursor;
use std::path::Path;

use image::codecs::tiff::TiffDecoder;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageReader, ImageResult};
use ip2p_core::{Error, Result, Size};

use super::rgb::{CHANNELS, RgbPicture};
use super::{Photo, PictureFormat};

/// How large a picture may be: a file of a few bytes can claim to be terabytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most pixels: default 2²⁸, 16384 × 16384.
    pub max_pixels: u64,
    /// The most bytes that the file, and what it is decoded to, may each have: default 2 GiB.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pixels: 1 << 28,
            max_bytes: 2 << 30,
        }
    }
}

impl Limits {
    /// # Errors
    ///
    /// [`Error::Image`] if the file is too long.
    pub(super) fn check_file(&self, name: &Path, bytes: u64) -> Result<()> {
        if bytes <= self.max_bytes {
            return Ok(());
        }
        let reason = format!(
            "has {bytes} bytes, more than the limit of {}",
            self.max_bytes
        );
        Err(Error::image(name, reason))
    }

    fn check_picture(&self, name: &Path, size: Size, bytes: u64) -> Result<()> {
        let reason = if size.is_empty() {
            format!("a picture of {size} has no pixels")
        } else if size.pixels() > self.max_pixels {
            let (pixels, limit) = (size.pixels(), self.max_pixels);
            format!("{size} are {pixels} pixels, more than the limit of {limit}")
        } else if bytes > self.max_bytes {
            format!(
                "{size} take {bytes} bytes, more than the limit of {}",
                self.max_bytes
            )
        } else {
            return Ok(());
        };
        Err(Error::image(name, reason))
    }
}

/// Decodes the content of a file, turned upright.
///
/// # Errors
///
/// [`Error::Image`], with `name`, if it is not a whole picture of a format that is read, or exceeds a limit.
pub(super) fn decode(bytes: &[u8], name: &Path, limits: &Limits) -> Result<Photo> {
    limits.check_file(name, bytes.len() as u64)?;
    let format = PictureFormat::of_content(bytes, name)?;
    if format == PictureFormat::Jpeg && !has_end_of_image(bytes) {
        // The decoder would fill the rest with grey.
        let reason = "the JPEG is cut off: it has no end-of-image marker";
        return Err(Error::image(name, reason));
    }
    let damaged = |error| damaged(name, format, error);
    let mut decoder = open_decoder(bytes, format, limits).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    limits.check_picture(name, Size::new(width, height), decoder.total_bytes())?;
    // A picture with a damaged profile or orientation is still a picture.
    let icc_profile = decoder
        .icc_profile()
        .ok()
        .flatten()
        .filter(|icc| is_rgb_profile(icc));
    let orientation = decoder.orientation().ok();
    decoder
        .set_limits(limits_of_image(limits))
        .map_err(damaged)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    let (rgb, alpha) = split(image);
    Ok(Photo::from_parts(rgb, alpha, icc_profile, Some(format)))
}

/// The size that [`decode`] would give, from the header alone.
///
/// # Errors
///
/// [`Error::Image`], with `name`, if the header is not one of a format that is read, or exceeds a limit.
pub(super) fn measure(bytes: &[u8], name: &Path, limits: &Limits) -> Result<Size> {
    let format = PictureFormat::of_content(bytes, name)?;
    let mut decoder =
        open_decoder(bytes, format, limits).map_err(|error| damaged(name, format, error))?;
    let (width, height) = decoder.dimensions();
    limits.check_picture(name, Size::new(width, height), decoder.total_bytes())?;
    let on_its_side = matches!(
        decoder.orientation(),
        Ok(Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH)
    );
    Ok(if on_its_side {
        Size::new(height, width)
    } else {
        Size::new(width, height)
    })
}

fn damaged(name: &Path, format: PictureFormat, error: ImageError) -> Error {
    let cause = match error {
        ImageError::IoError(error) => error.to_string(),
        error => error.to_string(),
    };
    Error::image(name, format!("cannot be read as {format}: {cause}"))
}

/// A decoder that has read the header.
///
/// # Errors
///
/// If the header is not that of the format.
pub(crate) fn open_decoder<'a>(
    bytes: &'a [u8],
    format: PictureFormat,
    limits: &Limits,
) -> ImageResult<Box<dyn ImageDecoder + 'a>> {
    let content = Cursor::new(bytes);
    if format == PictureFormat::Tiff {
        // Any limit that is set before its tags are read lets them be no longer than the pixels (image 0.25.10).
        return Ok(Box::new(TiffDecoder::new(content)?));
    }
    let mut reader = ImageReader::with_format(content, format.of_image());
    reader.limits(limits_of_image(limits));
    Ok(Box::new(reader.into_decoder()?))
}

fn limits_of_image(limits: &Limits) -> image::Limits {
    let mut of_image = image::Limits::no_limits();
    of_image.max_alloc = Some(limits.max_bytes);
    of_image
}

/// Whether a colour profile is one of red, green and blue: a grey or CMYK photo's does not fit what it becomes here.
fn is_rgb_profile(icc: &[u8]) -> bool {
    icc.get(16..20) == Some(b"RGB ")
}

/// Whether the marker that ends a JPEG comes after the one that begins its pixels.
fn has_end_of_image(bytes: &[u8]) -> bool {
    let mut at = 2;
    // The segments before the pixels, of which one may hold a whole JPEG as a thumbnail.
    while let Some(&[0xFF, marker, high, low]) = bytes.get(at..at + 4) {
        match marker {
            0xDA => {
                return bytes[at..]
                    .windows(2)
                    .rev()
                    .any(|pair| pair == [0xFF, 0xD9]);
            }
            0xFF => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    false
}

/// Takes transparency apart from colour; one that is opaque everywhere is none.
fn split(image: DynamicImage) -> (RgbPicture, Option<Vec<u8>>) {
    let size = Size::new(image.width(), image.height());
    let color = image.color();
    let (pixels, alpha) = match color {
        ColorType::Rgb8 => (image.into_bytes(), None),
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            split_channels(&high_bytes(image), color)
        }
        ColorType::L8 | ColorType::La8 | ColorType::Rgba8 => {
            split_channels(&image.into_bytes(), color)
        }
        // Floats, which Pillow does not read: 0 to 1.
        _ => split_channels(&image.into_rgba8().into_raw(), ColorType::Rgba8),
    };
    let alpha = alpha.filter(|alpha| alpha.iter().any(|&value| value != u8::MAX));
    (RgbPicture::from_pixels(size, pixels), alpha)
}

fn high_bytes(image: DynamicImage) -> Vec<u8> {
    let high = |values: Vec<u16>| {
        values
            .into_iter()
            .map(|value| value.to_be_bytes()[0])
            .collect()
    };
    match image {
        DynamicImage::ImageLuma16(image) => high(image.into_raw()),
        DynamicImage::ImageLumaA16(image) => high(image.into_raw()),
        DynamicImage::ImageRgb16(image) => high(image.into_raw()),
        DynamicImage::ImageRgba16(image) => high(image.into_raw()),
        other => other.into_bytes(),
    }
}

fn split_channels(bytes: &[u8], color: ColorType) -> (Vec<u8>, Option<Vec<u8>>) {
    let channels = usize::from(color.channel_count());
    let pixels = bytes.chunks_exact(channels);
    let alpha = color
        .has_alpha()
        .then(|| pixels.clone().map(|pixel| pixel[channels - 1]).collect());
    let rgb = if color.has_color() {
        pixels
            .flat_map(|pixel| &pixel[..CHANNELS])
            .copied()
            .collect()
    } else {
        pixels.flat_map(|pixel| [pixel[0]; CHANNELS]).collect()
    };
    (rgb, alpha)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8], limits: &Limits) -> String {
        decode(bytes, Path::new("photo"), limits)
            .unwrap_err()
            .to_string()
    }

    /// The first bytes of a PNG that claims this size.
    fn png_header(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
        encoder.set_color(png::ColorType::Rgb);
        encoder
            .write_header()
            .unwrap()
            .write_image_data(&[1, 2, 3])
            .unwrap();
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                if crc & 1 == 1 {
                    (crc >> 1) ^ 0xEDB8_8320
                } else {
                    crc >> 1
                }
            })
        })
    }

    #[test]
    fn a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded() {
        let error = refusal(&png_header(30_000, 30_000), &Limits::default());
        assert_eq!(
            error,
            "photo: 30000x30000 are 900000000 pixels, more than the limit of 268435456"
        );
        let few_bytes = Limits {
            max_bytes: 1000,
            ..Limits::default()
        };
        let error = refusal(&png_header(20, 20), &few_bytes);
        assert!(error.contains("the limit of 1000"), "{error}");
        let error = refusal(&vec![0; 1001], &few_bytes);
        assert!(error.contains("has 1001 bytes"), "{error}");
    }

    #[test]
    fn a_picture_without_pixels_is_refused() {
        for (width, height) in [(0, 0), (0, 5), (5, 0)] {
            let error = refusal(&png_header(width, height), &Limits::default());
            assert!(error.starts_with("photo: "), "{error}");
        }
    }

    #[test]
    fn a_jpeg_ends_after_its_pixels_begin() {
        assert!(!has_end_of_image(b""));
        assert!(!has_end_of_image(&[0xFF, 0xD8]));
        // A thumbnail's end is not the photo's.
        let thumbnail = [
            0xFF, 0xD8, 0xFF, 0xE1, 0, 4, 0xFF, 0xD9, 0xFF, 0xDA, 0, 2, 1,
        ];
        assert!(!has_end_of_image(&thumbnail));
        assert!(has_end_of_image(&[&thumbnail[..], &[0xFF, 0xD9]].concat()));
    }

    #[test]
    fn sixteen_bits_keep_their_high_byte_and_grey_becomes_three_channels() {
        let grey = image::ImageBuffer::from_raw(2, 1, vec![0x12FF_u16, 0xFF00]).unwrap();
        let (rgb, alpha) = split(DynamicImage::ImageLuma16(grey));
        assert_eq!(rgb.pixels(), [0x12, 0x12, 0x12, 0xFF, 0xFF, 0xFF]);
        assert_eq!(alpha, None);
    }

    #[test]
    fn transparency_is_kept_apart_unless_all_is_opaque() {
        let picture = |last| {
            let pixels = vec![1, 2, 3, 255, 4, 5, 6, last];
            split(DynamicImage::ImageRgba8(
                image::RgbaImage::from_raw(2, 1, pixels).unwrap(),
            ))
        };
        assert_eq!(picture(9).0.pixels(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(picture(9).1, Some(vec![255, 9]));
        assert_eq!(picture(255).1, None);
    }
}
