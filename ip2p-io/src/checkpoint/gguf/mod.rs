//! GGUF, the format of ggml, in which stable-diffusion.cpp keeps checkpoints: plain or quantised numbers under CompVis' names.
//!
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3.

mod quant;
mod quantize;
mod write;

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use ip2p_core::{Error, Result};
use safetensors::Dtype;

pub(super) use self::quant::Quant;
pub(super) use self::quantize::{append_q4_0, append_q8_0};
pub(super) use self::write::{Setting, gguf_frame};
use super::header::{Format, Header, TensorInfo};

/// How a file begins.
pub(super) const MAGIC: &[u8; 4] = b"GGUF";

/// The versions that are read.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;

/// What the data and each tensor of it are aligned to, where the file does not say.
const ALIGNMENT: u64 = 32;

/// The most bytes of names and settings that are read: a tokenizer may be among them.
const MAX_HEADER_BYTES: u64 = 256 << 20;

/// The most tensors or settings of a file: a checkpoint has some thousands.
const MAX_COUNT: u64 = 1 << 20;

/// The most axes that ggml knows.
const MAX_AXES: u32 = 4;

/// Why a header cannot be read.
enum Wrong {
    Io(io::Error),
    Reason(String),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Reason(
                "ends within its GGUF header; it is damaged or was not fetched whole".into(),
            ),
            _ => Self::Io(error),
        }
    }
}

impl From<String> for Wrong {
    fn from(reason: String) -> Self {
        Self::Reason(reason)
    }
}

/// Reads the header of a GGUF file: which tensors it holds, and where.
///
/// - `path`: named in errors, not opened
/// - `file`: is read from its start
/// - `file_bytes`: the length of the file
///
/// # Errors
///
/// [`Error::Checkpoint`] if the header is cut short, of an unknown version or not of the right form, or a tensor is listed twice, of
/// a format that is not known, or does not lie in the file; [`Error::Io`] if it cannot be read.
pub fn parse_gguf(path: &Path, file: &mut (impl Read + Seek), file_bytes: u64) -> Result<Header> {
    parse(file, file_bytes).map_err(|wrong| match wrong {
        Wrong::Io(error) => Error::io(path, error),
        Wrong::Reason(reason) => Error::checkpoint(path, reason),
    })
}

fn parse(file: &mut (impl Read + Seek), file_bytes: u64) -> Result<Header, Wrong> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = Reader {
        inner: io::BufReader::new(file.take(file_bytes.min(MAX_HEADER_BYTES))),
        at: 0,
    };
    if reader.array()? != *MAGIC {
        return Err("is no GGUF file".to_owned().into());
    }
    let version = reader.u32()?;
    if !VERSIONS.contains(&version) {
        return Err(format!(
            "is of GGUF version {version}; 2 and 3 are read, in the little-endian form"
        )
        .into());
    }
    let (tensors, settings) = (reader.u64()?, reader.u64()?);
    for (count, what) in [(tensors, "tensors"), (settings, "settings")] {
        if count > MAX_COUNT {
            let reason =
                format!("states {count} {what}, more than the {MAX_COUNT} allowed: it is damaged");
            return Err(reason.into());
        }
    }
    let mut alignment = ALIGNMENT;
    let mut metadata = BTreeMap::new();
    for _ in 0..settings {
        let name = reader.text()?;
        match reader.setting()? {
            Some(Setting::Text(text)) => {
                metadata.insert(name, text);
            }
            Some(Setting::Number(number)) if name == "general.alignment" => {
                alignment = Some(u64::from(number))
                    .filter(|number| number.is_power_of_two())
                    .ok_or("has an alignment that is no power of two".to_owned())?;
            }
            _ => {}
        }
    }
    let mut listed = BTreeMap::new();
    for _ in 0..tensors {
        let (name, tensor) = reader.tensor()?;
        if listed.insert(name.clone(), tensor).is_some() {
            return Err(format!("lists tensor {name} twice").into());
        }
    }
    let start = reader.at.next_multiple_of(alignment);
    let tensors = place(listed, start, alignment, file_bytes)?;
    Ok(Header::new(tensors, metadata))
}

/// Turns offsets behind the header into offsets within the file, and checks that each tensor lies in it by itself.
fn place(
    mut tensors: BTreeMap<String, TensorInfo>,
    start: u64,
    alignment: u64,
    file_bytes: u64,
) -> Result<BTreeMap<String, TensorInfo>, String> {
    for (name, info) in &mut tensors {
        if !info.offset.is_multiple_of(alignment) {
            return Err(format!(
                "has tensor {name} at {}, which is no multiple of {alignment}: it is damaged",
                info.offset
            ));
        }
        let end = start.checked_add(info.offset).and_then(|offset| {
            info.offset = offset;
            offset.checked_add(info.bytes)
        });
        if end.is_none_or(|end| end > file_bytes) {
            return Err(format!(
                "ends at byte {file_bytes}, within tensor {name}; the file was not fetched whole"
            ));
        }
    }
    let mut by_offset: Vec<_> = tensors.iter().collect();
    by_offset.sort_by_key(|(_, info)| (info.offset, info.bytes));
    for pair in by_offset.windows(2) {
        let [(before, first), (name, info)] = pair else {
            continue;
        };
        if first.offset + first.bytes > info.offset {
            return Err(format!(
                "has tensor {name} within tensor {before}: it is damaged"
            ));
        }
    }
    Ok(tensors)
}

/// A file that is read from its start.
struct Reader<R> {
    inner: R,
    /// Bytes that have been read.
    at: u64,
}

impl<R: Read> Reader<R> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Wrong> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Wrong> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<String, Wrong> {
        let length = self.u64()?;
        let mut bytes = Vec::new();
        (&mut self.inner).take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.at += length;
        String::from_utf8(bytes).map_err(|_| "has a name that is no UTF-8 text".to_owned().into())
    }

    /// A setting, if it is a text or a whole number of 32 bits; others are passed over.
    fn setting(&mut self) -> Result<Option<Setting>, Wrong> {
        match self.u32()? {
            4 => self.u32().map(Setting::Number).map(Some),
            8 => self.text().map(Setting::Text).map(Some),
            kind => self.skip_value(kind, 0).map(|()| None),
        }
    }

    fn skip_value(&mut self, kind: u32, depth: usize) -> Result<(), Wrong> {
        match kind {
            0 | 1 | 7 => drop(self.array::<1>()?),
            2 | 3 => drop(self.array::<2>()?),
            4..=6 => drop(self.array::<4>()?),
            10..=12 => drop(self.array::<8>()?),
            8 => drop(self.text()?),
            9 if depth < 4 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                for _ in 0..count {
                    self.skip_value(kind, depth + 1)?;
                }
            }
            _ => {
                return Err(format!("has a setting of the type {kind}, which is not known").into());
            }
        }
        Ok(())
    }

    /// A tensor's name, and where it lies behind the header.
    fn tensor(&mut self) -> Result<(String, TensorInfo), Wrong> {
        let name = self.text()?;
        let axes = self.u32()?;
        if axes > MAX_AXES {
            return Err(format!("tensor {name} has {axes} axes").into());
        }
        let mut shape = Vec::new();
        for _ in 0..axes {
            let axis = usize::try_from(self.u64()?);
            shape.push(axis.map_err(|_| format!("tensor {name} is too large"))?);
        }
        // ggml counts axes from the one whose numbers lie side by side.
        shape.reverse();
        let (kind, offset) = (self.u32()?, self.u64()?);
        let format = format(kind)
            .ok_or_else(|| format!("tensor {name} is of ggml's type {kind}, which is not read"))?;
        let numbers = shape
            .iter()
            .try_fold(1_u64, |product, &axis| product.checked_mul(axis as u64));
        let rows_are_whole = |numbers: u64| {
            shape
                .last()
                .is_none_or(|&row| (row as u64).is_multiple_of(numbers))
        };
        let bytes = numbers.and_then(|count| match format {
            Format::Quantized(quant) if !rows_are_whole(quant.numbers() as u64) => None,
            _ => format.bytes(count),
        });
        let bytes = bytes.ok_or_else(|| {
            format!("tensor {name} has the impossible shape {shape:?} of type {format}")
        })?;
        Ok((
            name,
            TensorInfo {
                format,
                shape,
                offset,
                bytes,
                is_turned: false,
            },
        ))
    }
}

/// The numbers by which ggml knows plain formats.
const PLAIN: [(u32, Dtype); 8] = [
    (0, Dtype::F32),
    (1, Dtype::F16),
    (24, Dtype::I8),
    (25, Dtype::I16),
    (26, Dtype::I32),
    (27, Dtype::I64),
    (28, Dtype::F64),
    (30, Dtype::BF16),
];

/// The format of a type number of ggml.
fn format(number: u32) -> Option<Format> {
    let plain = PLAIN.iter().find(|(known, _)| *known == number);
    let plain = plain.map(|(_, dtype)| Format::Plain(*dtype));
    plain.or_else(|| Quant::of(number).map(Format::Quantized))
}

/// The type number of a format that is written.
///
/// # Panics
///
/// If ggml has no such format.
fn type_number(format: Format) -> u32 {
    match format {
        Format::Quantized(quant) => quant.number(),
        Format::Plain(dtype) => {
            let known = PLAIN.iter().find(|(_, known)| *known == dtype);
            known.expect("only floats and whole numbers are written").0
        }
    }
}

#[cfg(test)]
mod tests;
