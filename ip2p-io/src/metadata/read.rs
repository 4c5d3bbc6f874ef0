//! From a picture's file to how it was made.

use std::io::Cursor;
use std::path::Path;

use image::ImageDecoder;
use ip2p_core::{Error, Result};

use super::{EditRecord, PNG_JSON_KEYWORD, PNG_PARAMETERS_KEYWORD, exif, xmp};
use crate::picture::{open_decoder, read_file};
use crate::{Limits, PictureFormat};

/// The most memory that metadata may take: a chunk of a few bytes can claim to be gigabytes.
const MAX_METADATA: usize = 64 << 20;

/// What a file says about how it was made, in the two forms.
#[derive(Default)]
struct Texts {
    parameters: Option<String>,
    json: Option<String>,
}

impl EditRecord {
    /// Reads how a picture was made: one of ours, or one that holds AUTOMATIC1111's parameters.
    ///
    /// `None` if the picture does not say.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; [`Error::Image`] if it is not a picture, or its record is damaged or of
    /// a newer form than this.
    pub fn read(path: impl AsRef<Path>) -> Result<Option<Self>> {
        let path = path.as_ref();
        Self::decode(&read_file(path, &Limits::default())?, path)
    }

    /// As [`EditRecord::read`], from the content of a file; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`Error::Image`] as for [`EditRecord::read`].
    pub fn decode(bytes: &[u8], name: impl AsRef<Path>) -> Result<Option<Self>> {
        let name = name.as_ref();
        let format = PictureFormat::of_content(bytes, name)?;
        let texts = match format {
            PictureFormat::Png => png_texts(bytes),
            _ => other_texts(bytes, format),
        };
        let texts = texts
            .map_err(|error| Error::image(name, format!("cannot be read as {format}: {error}")))?;
        if let Some(json) = texts.json {
            let damaged = |error: Error| Error::image(name, error.to_string());
            return Self::parse_json(&json).map(Some).map_err(damaged);
        }
        Ok(texts
            .parameters
            .and_then(|text| Self::parse_parameters(&text)))
    }
}

/// Any decoder's error.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn png_texts(bytes: &[u8]) -> Result<Texts, Failure> {
    let limits = png::Limits {
        bytes: MAX_METADATA,
    };
    let reader = png::Decoder::new_with_limits(Cursor::new(bytes), limits).read_info()?;
    let info = reader.info();
    let find = |keyword: &str| {
        let plain = info.uncompressed_latin1_text.iter();
        let compressed = info.compressed_latin1_text.iter();
        let international = info.utf8_text.iter();
        plain
            .filter(|chunk| chunk.keyword == keyword)
            .map(|chunk| chunk.text.clone())
            .chain(
                international
                    .filter(|chunk| chunk.keyword == keyword)
                    .filter_map(|chunk| chunk.get_text().ok()),
            )
            .chain(
                compressed
                    .filter(|chunk| chunk.keyword == keyword)
                    .filter_map(|chunk| chunk.get_text().ok()),
            )
            .next()
    };
    Ok(Texts {
        parameters: find(PNG_PARAMETERS_KEYWORD),
        json: find(PNG_JSON_KEYWORD),
    })
}

fn other_texts(bytes: &[u8], format: PictureFormat) -> Result<Texts, Failure> {
    let mut decoder = open_decoder(bytes, format, &Limits::default())?;
    // Metadata that cannot be read is as if it were not there: cameras write strange things.
    let exif = decoder.exif_metadata().ok().flatten();
    let packet = decoder.xmp_metadata().ok().flatten();
    Ok(Texts {
        parameters: exif.and_then(|block| exif::parse_user_comment(&block)),
        json: packet.and_then(|packet| xmp::parse_packet(&packet)),
    })
}
