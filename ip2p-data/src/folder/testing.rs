//! Tiny data sets for tests.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// Red grows from the left, green from the top.
pub(super) fn gradient(width: u32, height: u32) -> RgbImage {
    let part = |at: u32, of: u32| u8::try_from(at * 255 / of.max(2)).expect("a part of 255");
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([part(x, width), part(y, height), 90])
    })
}

pub(super) fn png(picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .expect("written to memory");
    bytes.into_inner()
}

pub(super) fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 95)
        .encode_image(picture)
        .expect("written to memory");
    bytes
}

/// A JPEG whose EXIF data give this orientation.
pub(super) fn jpeg_turned(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    let tiff = [
        &b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..],
        &[orientation, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let length = u8::try_from(2 + 6 + tiff.len()).expect("short");
    let segment = [&[0xFF, 0xE1, 0, length][..], b"Exif\0\0", &tiff].concat();
    let mut bytes = jpeg(picture);
    bytes.splice(2..2, segment);
    bytes
}

/// A row of a parquet file: the bytes of two pictures, of which each may be null, and the instruction.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) input: Option<Vec<u8>>,
    pub(super) prompt: Option<String>,
    pub(super) edited: Option<Vec<u8>>,
}

impl Row {
    /// A whole row, with pictures that differ by its number.
    pub(super) fn whole(number: u32) -> Self {
        let picture = |width| Some(png(&gradient(width, 16).into()));
        Self {
            input: picture(16 + number),
            prompt: Some(format!("make it {number}")),
            edited: picture(16 + number),
        }
    }
}

/// How a parquet file of [`Row`]s is written.
pub(super) struct Style {
    /// The names of the three columns.
    pub(super) columns: [&'static str; 3],
    pub(super) compression: Compression,
    pub(super) rows_per_group: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            columns: ["original_image", "edit_prompt", "edited_image"],
            compression: Compression::SNAPPY,
            rows_per_group: 4,
        }
    }
}

/// Writes a parquet file as the hub's own writer does, but with a page every two rows.
pub(super) fn write_parquet(path: &Path, rows: &[Row], style: &Style) {
    let [input, prompt, edited] = style.columns;
    let picture = |name| {
        format!("optional group {name} {{ optional binary bytes; optional binary path (UTF8); }}")
    };
    let schema = format!(
        "message schema {{ {} optional binary {prompt} (UTF8); {} optional int64 other; }}",
        picture(input),
        picture(edited)
    );
    let schema = parse_message_type(&schema).expect("a schema");
    let properties = WriterProperties::builder()
        .set_compression(style.compression)
        .set_data_page_row_count_limit(2)
        .set_write_batch_size(1)
        .build();
    let file = File::create(path).expect("a file");
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).expect("a writer");
    for rows in rows.chunks(style.rows_per_group) {
        let mut group = writer.next_row_group().expect("a group");
        let pictures = |of: fn(&Row) -> &Option<Vec<u8>>| {
            rows.iter().map(|row| of(row).clone()).collect::<Vec<_>>()
        };
        let nulls = || vec![None; rows.len()];
        let prompts = rows
            .iter()
            .map(|row| row.prompt.clone().map(String::into_bytes))
            .collect();
        let columns = [
            (pictures(|row| &row.input), 2),
            (nulls(), 2),
            (prompts, 1),
            (pictures(|row| &row.edited), 2),
            (nulls(), 2),
        ];
        for (values, defined) in columns {
            let mut column = group.next_column().expect("a writer").expect("a column");
            let levels: Vec<i16> = values
                .iter()
                .map(|value| {
                    if value.is_some() {
                        defined
                    } else {
                        defined - 1
                    }
                })
                .collect();
            let values: Vec<ByteArray> =
                values.into_iter().flatten().map(ByteArray::from).collect();
            let written = column
                .typed::<ByteArrayType>()
                .write_batch(&values, Some(&levels), None);
            written.expect("written");
            column.close().expect("closed");
        }
        let mut other = group.next_column().expect("a writer").expect("a column");
        let levels = vec![0; rows.len()];
        let written =
            other
                .typed::<parquet::data_type::Int64Type>()
                .write_batch(&[], Some(&levels), None);
        written.expect("written");
        other.close().expect("closed");
        group.close().expect("closed");
    }
    writer.close().expect("closed");
}

/// Writes a folder of the original layout: each prompt has these seeds, whose inputs are `16 + seed` pixels wide.
pub(super) fn write_original(folder: &Path, prompts: &[&[u32]]) {
    let mut seeds = Vec::new();
    for (number, of_one) in prompts.iter().enumerate() {
        let name = format!("{number:07}");
        let prompt = folder.join(&name);
        fs::create_dir_all(&prompt).expect("a folder");
        let text = format!(r#"{{"caption": "a", "edit": " make it {number} ", "output": "b"}}"#);
        fs::write(prompt.join("prompt.json"), text).expect("a prompt");
        for seed in *of_one {
            let bytes = jpeg(&gradient(16 + seed, 16));
            for side in 0..2 {
                fs::write(prompt.join(format!("{seed}_{side}.jpg")), &bytes).expect("a picture");
            }
        }
        // As `prepare_dataset.py` writes them: strings.
        let of_one: Vec<_> = of_one.iter().map(u32::to_string).collect();
        seeds.push((name, of_one));
    }
    let seeds = serde_json::to_vec(&seeds).expect("JSON");
    fs::write(folder.join("seeds.json"), seeds).expect("the list");
}
