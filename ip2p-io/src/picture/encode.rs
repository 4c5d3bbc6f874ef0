//! From a photo to the bytes of a file.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::Path;

use image::codecs::bmp::BmpEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use ip2p_core::{Error, Result, Size};
use tiff::encoder::{Compression, DeflateLevel, Predictor, TiffEncoder, TiffValue, colortype};
use tiff::tags::{ExtraSamples, Tag, Type};

use super::rgb::CHANNELS;
use super::{Photo, PictureFormat};
use crate::EditRecord;
use crate::metadata::{MAX_JPEG_SEGMENT, PNG_JSON_KEYWORD, PNG_PARAMETERS_KEYWORD, exif, xmp};

/// How a photo is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SaveOptions {
    /// The quality of a JPEG, 1 to 100: default 95.
    pub quality: u8,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self { quality: 95 }
    }
}

impl SaveOptions {
    /// Sets [`SaveOptions::quality`].
    #[must_use]
    pub fn with_quality(mut self, quality: u8) -> Self {
        self.quality = quality;
        self
    }

    fn check(self) -> Result<()> {
        if (1..=100).contains(&self.quality) {
            Ok(())
        } else {
            Err(Error::setting("quality", "from 1 to 100", self.quality))
        }
    }
}

/// The content of a file, and what it does not keep of the photo.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) warnings: Vec<String>,
}

/// How a picture was made, in the two forms that files hold it in.
struct Texts {
    /// The text that other tools read.
    parameters: String,
    /// Every setting.
    json: String,
}

/// Encodes a photo.
///
/// # Errors
///
/// [`Error::Image`] if the format cannot hold it; [`Error::InvalidSetting`] if an option is out of range.
pub(super) fn encode(
    photo: &Photo,
    format: PictureFormat,
    record: Option<&EditRecord>,
    options: SaveOptions,
    path: &Path,
) -> Result<Encoded> {
    options.check()?;
    let mut warnings = Vec::new();
    let mut texts = record
        .map(|record| {
            Ok::<_, Error>(Texts {
                parameters: record.to_parameters(),
                json: record.to_json()?,
            })
        })
        .transpose()?;
    let has_alpha = !matches!(format, PictureFormat::Jpeg | PictureFormat::Bmp);
    if photo.alpha().is_some() && !has_alpha {
        warnings.push(format!(
            "{format} has no transparency: the picture is laid on white"
        ));
    }
    if texts.as_ref().is_some_and(|texts| !has_room(format, texts)) {
        warnings.push(format!(
            "{format} has no room for how the picture was made: it is left out"
        ));
        texts = None;
    }
    let texts = texts.as_ref();
    let encoded = match format {
        PictureFormat::Png => png(photo, texts),
        PictureFormat::Jpeg => jpeg(photo, texts, options.quality),
        PictureFormat::WebP => webp(photo, texts),
        PictureFormat::Tiff => tiff(photo, texts),
        PictureFormat::Bmp => bmp(photo),
        PictureFormat::Gif => Err("GIF is only read".into()),
    };
    let bytes = encoded.map_err(|error| {
        Error::image(
            path,
            format!("{} cannot be written as {format}: {error}", photo.size()),
        )
    })?;
    Ok(Encoded { bytes, warnings })
}

/// Any encoder's error.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn has_room(format: PictureFormat, texts: &Texts) -> bool {
    match format {
        PictureFormat::Bmp => false,
        PictureFormat::Jpeg => {
            exif::user_comment(&texts.parameters).len() <= MAX_JPEG_SEGMENT
                && xmp::packet(&texts.json).len() <= MAX_JPEG_SEGMENT
        }
        _ => true,
    }
}

fn png(photo: &Photo, texts: Option<&Texts>) -> Result<Vec<u8>, Failure> {
    let Size { width, height } = photo.size();
    let (pixels, color) = match photo.alpha() {
        Some(alpha) => (interleave(photo, alpha), png::ColorType::Rgba),
        None => (photo.rgb().pixels().to_vec(), png::ColorType::Rgb),
    };
    let mut info = png::Info::with_size(width, height);
    info.color_type = color;
    info.bit_depth = png::BitDepth::Eight;
    info.icc_profile = photo.icc_profile().map(Into::into);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::with_info(&mut bytes, info)?;
    // A photo hardly becomes smaller by more, and takes many times as long.
    encoder.set_compression(png::Compression::Fast);
    if let Some(texts) = texts {
        // As Pillow chooses, whose chunks other tools expect.
        let parameters = texts.parameters.clone();
        if parameters.chars().all(|c| u32::from(c) < 256) {
            encoder.add_text_chunk(PNG_PARAMETERS_KEYWORD.into(), parameters)?;
        } else {
            encoder.add_itxt_chunk(PNG_PARAMETERS_KEYWORD.into(), parameters)?;
        }
        encoder.add_itxt_chunk(PNG_JSON_KEYWORD.into(), texts.json.clone())?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

fn jpeg(photo: &Photo, texts: Option<&Texts>, quality: u8) -> Result<Vec<u8>, Failure> {
    let Size { width, height } = photo.size();
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    if let Some(icc) = photo.icc_profile() {
        encoder.set_icc_profile(icc.to_vec())?;
    }
    if let Some(texts) = texts {
        encoder.set_exif_metadata(exif::user_comment(&texts.parameters))?;
    }
    let pixels = on_white(photo);
    encoder.write_image(&pixels, width, height, ExtendedColorType::Rgb8)?;
    if let Some(texts) = texts {
        xmp::insert_into_jpeg(&mut bytes, &texts.json);
    }
    Ok(bytes)
}

fn webp(photo: &Photo, texts: Option<&Texts>) -> Result<Vec<u8>, Failure> {
    let Size { width, height } = photo.size();
    let mut bytes = Vec::new();
    let mut encoder = image_webp::WebPEncoder::new(&mut bytes);
    if let Some(icc) = photo.icc_profile() {
        encoder.set_icc_profile(icc.to_vec());
    }
    if let Some(texts) = texts {
        encoder.set_exif_metadata(exif::user_comment(&texts.parameters));
        encoder.set_xmp_metadata(xmp::packet(&texts.json).into_bytes());
    }
    let (pixels, color) = match photo.alpha() {
        Some(alpha) => (interleave(photo, alpha), image_webp::ColorType::Rgba8),
        None => (photo.rgb().pixels().to_vec(), image_webp::ColorType::Rgb8),
    };
    encoder.encode(&pixels, width, height, color)?;
    Ok(bytes)
}

fn tiff(photo: &Photo, texts: Option<&Texts>) -> Result<Vec<u8>, Failure> {
    match photo.alpha() {
        Some(alpha) => tiff_of::<colortype::RGBA8>(photo, &interleave(photo, alpha), texts),
        None => tiff_of::<colortype::RGB8>(photo, photo.rgb().pixels(), texts),
    }
}

fn tiff_of<C: colortype::ColorType<Inner = u8>>(
    photo: &Photo,
    pixels: &[u8],
    texts: Option<&Texts>,
) -> Result<Vec<u8>, Failure> {
    let Size { width, height } = photo.size();
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes)?
        .with_compression(Compression::Deflate(DeflateLevel::Balanced))
        .with_predictor(Predictor::Horizontal);
    let mut image = encoder.new_image::<C>(width, height)?;
    let tags = image.encoder();
    if photo.alpha().is_some() {
        // Not by `extra_samples`, whose channel the predictor does not count (tiff 0.11.3).
        tags.write_tag(
            Tag::ExtraSamples,
            &[ExtraSamples::UnassociatedAlpha.to_u16()][..],
        )?;
    }
    if let Some(icc) = photo.icc_profile() {
        tags.write_tag(Tag::IccProfile, icc)?;
    }
    if let Some(texts) = texts {
        tags.write_tag(Tag::ImageDescription, Description(&texts.parameters))?;
        let packet = xmp::packet(&texts.json);
        tags.write_tag(Tag::Unknown(xmp::TIFF_TAG), packet.as_bytes())?;
    }
    image.write_data(pixels)?;
    Ok(bytes.into_inner())
}

/// A TIFF's description: ASCII by the standard, and where that does not do, UTF-8.
struct Description<'a>(&'a str);

impl TiffValue for Description<'_> {
    const BYTE_LEN: u8 = 1;
    const FIELD_TYPE: Type = Type::ASCII;

    fn count(&self) -> usize {
        self.0.len() + 1
    }

    fn data(&self) -> Cow<'_, [u8]> {
        [self.0.as_bytes(), b"\0"].concat().into()
    }
}

fn bmp(photo: &Photo) -> Result<Vec<u8>, Failure> {
    let Size { width, height } = photo.size();
    let mut bytes = Vec::new();
    let pixels = on_white(photo);
    BmpEncoder::new(&mut bytes).write_image(&pixels, width, height, ExtendedColorType::Rgb8)?;
    Ok(bytes)
}

/// Red, green, blue and alpha of each pixel.
fn interleave(photo: &Photo, alpha: &[u8]) -> Vec<u8> {
    let pixels = photo.rgb().pixels().chunks_exact(CHANNELS);
    pixels
        .zip(alpha)
        .flat_map(|(pixel, &alpha)| [pixel[0], pixel[1], pixel[2], alpha])
        .collect()
}

/// The colours of the photo laid on a white page.
fn on_white(photo: &Photo) -> Vec<u8> {
    let Some(alpha) = photo.alpha() else {
        return photo.rgb().pixels().to_vec();
    };
    let over_white = |value: u8, alpha: u8| {
        let (value, alpha) = (u16::from(value), u16::from(alpha));
        let sum = value * alpha + 255 * (255 - alpha);
        u8::try_from((sum + 127) / 255).expect("a mean of bytes")
    };
    let pixels = photo.rgb().pixels().chunks_exact(CHANNELS);
    pixels
        .zip(alpha)
        .flat_map(|(pixel, &alpha)| pixel.iter().map(move |&value| over_white(value, alpha)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RgbPicture;

    #[test]
    fn what_is_transparent_becomes_white_and_what_is_opaque_stays() {
        let rgb =
            RgbPicture::new(Size::new(3, 1), vec![0, 9, 255, 0, 9, 255, 0, 100, 255]).unwrap();
        let photo = Photo::from_parts(rgb, Some(vec![255, 0, 127]), None, None);
        assert_eq!(on_white(&photo), [0, 9, 255, 255, 255, 255, 128, 178, 255]);
    }

    #[test]
    fn a_quality_out_of_range_is_refused() {
        for (quality, fine) in [(0, false), (1, true), (100, true), (101, false)] {
            assert_eq!(
                SaveOptions::default().with_quality(quality).check().is_ok(),
                fine
            );
        }
    }
}
