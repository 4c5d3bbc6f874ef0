//! Pictures of a data set: where they are, how large, and their pixels.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::PathBuf;

use image::codecs::tiff::TiffDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, RgbImage};
use ip2p_core::Size;

/// The most pixels of a picture: a file of a few bytes can claim to have terabytes of them.
const MOST_PIXELS: u64 = 1 << 28;
/// The most bytes of a file, and of what it is decoded to.
const MOST_BYTES: u64 = 2 << 30;
/// How much of a file is read to learn its size.
const BEGINNING: u64 = 1 << 16;
/// How many times as long as short a picture may be: more would be cropped to a small part of it.
const MOST_OBLONG: u32 = 8;

/// A picture that is not decoded.
#[derive(Debug)]
pub(super) struct Picture {
    /// How messages name it: its file, or its column.
    name: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl Picture {
    /// The picture in a file.
    pub(super) fn file(path: PathBuf) -> Self {
        Self {
            name: path.display().to_string(),
            content: Content::File(path),
        }
    }

    /// The picture whose file has these bytes.
    pub(super) fn bytes(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            content: Content::Bytes(bytes),
        }
    }

    /// The pixels, upright and on white.
    pub(super) fn decode(&self) -> Result<RgbImage, String> {
        self.read(MOST_BYTES)
            .and_then(|bytes| decode(&bytes))
            .map_err(|reason| self.named(&reason))
    }

    /// The size of what [`decode`](Self::decode) gives, from the beginning of the file if that tells.
    pub(super) fn size(&self) -> Result<Size, String> {
        let beginning = self.read(BEGINNING).map_err(|reason| self.named(&reason))?;
        // Of these two what turns the picture comes before its pixels, so that the beginning has it if it has the size.
        if matches!(
            image::guess_format(&beginning),
            Ok(ImageFormat::Jpeg | ImageFormat::Png)
        ) && let Ok(size) = size(&beginning)
        {
            return Ok(size);
        }
        self.read(MOST_BYTES)
            .and_then(|bytes| size(&bytes))
            .map_err(|reason| self.named(&reason))
    }

    /// The first `most` bytes.
    fn read(&self, most: u64) -> Result<Cow<'_, [u8]>, String> {
        match &self.content {
            Content::Bytes(bytes) => {
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                Ok(Cow::Borrowed(&bytes[..bytes.len().min(most)]))
            }
            Content::File(path) => {
                let mut bytes = Vec::new();
                File::open(path)
                    .and_then(|file| file.take(most).read_to_end(&mut bytes))
                    .map_err(|error| format!("cannot be read: {error}"))?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    fn named(&self, reason: &str) -> String {
        format!("{} {reason}", self.name)
    }
}

fn size(bytes: &[u8]) -> Result<Size, String> {
    let mut decoder = open(bytes)?;
    let (width, height) = decoder.dimensions();
    let turned = matches!(
        decoder.orientation(),
        Ok(Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH)
    );
    Ok(if turned {
        Size::new(height, width)
    } else {
        Size::new(width, height)
    })
}

fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    if image::guess_format(bytes).is_ok_and(|format| format == ImageFormat::Jpeg)
        && !has_end_of_image(bytes)
    {
        // The decoder would fill the rest with grey.
        return Err("is a JPEG that is cut off: it has no end-of-image marker".to_owned());
    }
    let mut decoder = open(bytes)?;
    // A picture whose EXIF data are damaged is still a picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = decoder
        .set_limits(limits())
        .and_then(|()| DynamicImage::from_decoder(decoder))
        .map_err(|error| format!("cannot be decoded: {error}"))?;
    picture.apply_orientation(orientation);
    Ok(on_white(picture))
}

/// A decoder that has read the header, and found a size that is not too large.
fn open(bytes: &[u8]) -> Result<Box<dyn ImageDecoder + '_>, String> {
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| format!("cannot be read: {error}"))?;
    if reader.format().is_none() {
        return Err("is not a picture: none of JPEG, PNG, WebP, TIFF, GIF, BMP".to_owned());
    }
    let decoder = decoder(reader).map_err(|error| format!("cannot be decoded: {error}"))?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width, height);
    if size.is_empty() {
        return Err(format!("has no pixels: its size is {size}"));
    }
    if size.pixels() > MOST_PIXELS || decoder.total_bytes() > MOST_BYTES {
        return Err(format!(
            "has a size of {size}, more than {MOST_PIXELS} pixels or {MOST_BYTES} bytes"
        ));
    }
    if u64::from(size.longer()) > u64::from(size.shorter()) * u64::from(MOST_OBLONG) {
        return Err(format!(
            "has a size of {size}: more than {MOST_OBLONG} times as long as short"
        ));
    }
    Ok(decoder)
}

fn decoder<'a>(
    mut reader: ImageReader<Cursor<&'a [u8]>>,
) -> ImageResult<Box<dyn ImageDecoder + 'a>> {
    if reader.format() == Some(ImageFormat::Tiff) {
        // Limits that are set before its tags are read let them be no longer than the pixels (image 0.25.10).
        return Ok(Box::new(TiffDecoder::new(reader.into_inner())?));
    }
    reader.limits(limits());
    Ok(Box::new(reader.into_decoder()?))
}

fn limits() -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(MOST_BYTES);
    limits
}

/// Whether the marker that ends a JPEG comes after the one that begins its pixels.
fn has_end_of_image(jpeg: &[u8]) -> bool {
    let mut at = 2;
    // The segments before the pixels, of which one may hold a whole JPEG as a thumbnail.
    while let Some(&[0xFF, marker, high, low]) = jpeg.get(at..at + 4) {
        match marker {
            0xDA => return jpeg[at..].windows(2).rev().any(|pair| pair == [0xFF, 0xD9]),
            0xFF => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    false
}

/// The picture in RGB of eight bits, over white where it is transparent.
fn on_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let picture = picture.into_rgba8();
    let mut rgb = RgbImage::new(picture.width(), picture.height());
    for (pixel, transparent) in rgb.pixels_mut().zip(picture.pixels()) {
        let [colour @ .., alpha] = transparent.0;
        let over = |value: u8| {
            let (value, alpha) = (u32::from(value), u32::from(alpha));
            // Rounded to the nearest.
            let mixed = (value * alpha + 255 * (255 - alpha) + 127) / 255;
            u8::try_from(mixed).expect("between the value and white")
        };
        pixel.0 = colour.map(over);
    }
    rgb
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbaImage};
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::folder::testing::{gradient, jpeg, jpeg_turned, png};

    fn refusal(bytes: &[u8]) -> String {
        Picture::bytes("it", bytes.to_vec())
            .decode()
            .expect_err("no picture")
    }

    #[test]
    fn a_picture_lies_on_white_where_it_is_transparent() {
        let rgba = [[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 255, 51]].concat();
        let rgba = RgbaImage::from_raw(3, 1, rgba).expect("three pixels");
        let pixels = decode(&png(&rgba.into())).expect("a picture");
        let expected = [[10, 20, 30], [255, 255, 255], [204, 224, 255]];
        assert!(pixels.pixels().eq(&expected.map(Rgb)));
    }

    #[test]
    fn grey_and_sixteen_bits_become_rgb_of_eight() {
        let grey = image::ImageBuffer::from_raw(2, 1, vec![0u16, 0xFFFF]).expect("two pixels");
        let pixels = decode(&png(&DynamicImage::ImageLuma16(grey))).expect("a picture");
        assert!(pixels.pixels().eq(&[Rgb([0; 3]), Rgb([255; 3])]));
    }

    #[test]
    fn a_photo_is_turned_upright_and_its_size_says_so() {
        let upright = gradient(40, 24);
        // 6: the camera was held so that the picture has to be turned clockwise.
        let lying = image::imageops::rotate270(&upright);
        let picture = Picture::bytes("it", jpeg_turned(&lying, 6));
        assert_eq!(picture.size(), Ok(Size::new(40, 24)));
        let read = picture.decode().expect("a photo");
        assert_eq!(read.dimensions(), (40, 24));
        let error = |(a, b): (&Rgb<u8>, &Rgb<u8>)| {
            (0..3).map(|c| a.0[c].abs_diff(b.0[c])).max().unwrap_or(0)
        };
        assert!(read.pixels().zip(upright.pixels()).map(error).max() < Some(24));
    }

    #[test]
    fn the_beginning_tells_the_size_and_a_long_header_does_not_hide_it() {
        let mut bytes = jpeg(&gradient(33, 17));
        // Comments of 64 KiB between the start and what follows.
        let comment = [vec![0xFF, 0xFE, 0xFF, 0xFF], vec![0; 65_533]].concat();
        bytes.splice(2..2, comment.repeat(2));
        let picture = Picture::bytes("it", bytes);
        assert_eq!(picture.size(), Ok(Size::new(33, 17)));
        assert!(picture.decode().is_ok());
    }

    #[test]
    fn what_is_no_usable_picture_is_refused_with_the_reason() {
        assert!(refusal(b"").starts_with("it is not a picture"));
        assert!(refusal(b"GIF89a").contains("cannot be decoded"));
        let whole = jpeg(&gradient(64, 64));
        assert!(refusal(&whole[..whole.len() / 2]).contains("cut off"));
        let strip = png(&RgbImage::new(90, 10).into());
        assert!(refusal(&strip).contains("90x10: more than 8 times"));
        let missing = Picture::file("missing.jpg".into());
        assert!(
            missing
                .decode()
                .expect_err("no file")
                .starts_with("missing.jpg cannot be read")
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Cut and changed files of each format are decoded or refused.
        #[test]
        fn no_bytes_panic(cut: Index, changes: Vec<(Index, u8)>) {
            for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Gif, ImageFormat::Bmp] {
                let mut bytes = Cursor::new(Vec::new());
                DynamicImage::from(gradient(24, 16)).write_to(&mut bytes, format).expect("written");
                let mut bytes = bytes.into_inner();
                let length = bytes.len();
                for (place, value) in changes.iter().take(6) {
                    bytes[place.index(length)] = *value;
                }
                let cut = cut.index(length);
                for bytes in [&bytes[..], &bytes[..cut]] {
                    let picture = Picture::bytes("it", bytes.to_vec());
                    let decoded = picture.decode();
                    if let (Ok(size), Ok(pixels)) = (picture.size(), &decoded) {
                        prop_assert_eq!((size.width, size.height), pixels.dimensions());
                    }
                }
            }
        }
    }
}
