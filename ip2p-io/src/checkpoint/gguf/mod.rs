//! GGUF, the format of ggml, in which stable-diffusion.cpp keeps checkpoints: plain or quantised numbers under CompVis' names.
//!
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3.

mod quant;

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use ip2p_core::{Error, Result};
use safetensors::Dtype;

pub(super) use self::quant::Quant;
use super::header::{Format, Header, TensorInfo};

/// How a file begins.
pub(super) const MAGIC: &[u8; 4] = b"GGUF";

/// The versions that are read.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;

/// What the data and each tensor of it are aligned to, where the file does not say.
const ALIGNMENT: u64 = 32;

/// The most bytes of names and settings that are read: a tokenizer may be among them.
const MAX_HEADER_BYTES: u64 = 256 << 20;

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
    let mut alignment = ALIGNMENT;
    for _ in 0..settings {
        let name = reader.text()?;
        let kind = reader.u32()?;
        let number = reader.skip_value(kind, 0)?;
        if name == "general.alignment" {
            alignment = number
                .filter(|number| number.is_power_of_two())
                .ok_or("has an alignment that is no power of two".to_owned())?;
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
    let mut placed = BTreeMap::new();
    for (name, mut info) in listed {
        let end = start.checked_add(info.offset).and_then(|offset| {
            info.offset = offset;
            offset.checked_add(info.bytes)
        });
        if end.is_none_or(|end| end > file_bytes) {
            return Err(format!(
                "ends at byte {file_bytes}, within tensor {name}; the file was not fetched whole"
            )
            .into());
        }
        placed.insert(name, info);
    }
    Ok(Header::of_tensors(placed))
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

    /// Passes over a setting; a whole number of 32 or 64 bits is given back.
    fn skip_value(&mut self, kind: u32, depth: usize) -> Result<Option<u64>, Wrong> {
        match kind {
            0 | 1 | 7 => drop(self.array::<1>()?),
            2 | 3 => drop(self.array::<2>()?),
            4 => return Ok(Some(self.u32()?.into())),
            5 | 6 => drop(self.array::<4>()?),
            10 => return Ok(Some(self.u64()?)),
            11 | 12 => drop(self.array::<8>()?),
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
        Ok(None)
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
            Format::Plain(dtype) => count.checked_mul(dtype.bitsize() as u64 / 8),
            Format::Quantized(quant) if rows_are_whole(quant.numbers() as u64) => {
                (count / quant.numbers() as u64).checked_mul(quant.bytes() as u64)
            }
            Format::Quantized(_) => None,
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

/// The format of a type number of ggml.
fn format(number: u32) -> Option<Format> {
    let plain = match number {
        0 => Dtype::F32,
        1 => Dtype::F16,
        24 => Dtype::I8,
        25 => Dtype::I16,
        26 => Dtype::I32,
        27 => Dtype::I64,
        28 => Dtype::F64,
        30 => Dtype::BF16,
        _ => return Quant::of(number).map(Format::Quantized),
    };
    Some(Format::Plain(plain))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
    }

    /// A file of one setting and one tensor of four rows.
    fn file(kind: u32, row: u64, bytes: usize) -> Vec<u8> {
        let mut file = [
            &b"GGUF\x03\0\0\0"[..],
            &1_u64.to_le_bytes(),
            &2_u64.to_le_bytes(),
        ]
        .concat();
        file.extend(text("general.alignment"));
        file.extend([4, 0, 0, 0, 64, 0, 0, 0]);
        file.extend(text("names"));
        file.extend([9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        file.extend(text("x"));
        file.extend(text("a.weight"));
        file.extend(2_u32.to_le_bytes());
        file.extend(row.to_le_bytes());
        file.extend(4_u64.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(0_u64.to_le_bytes());
        file.resize(file.len().next_multiple_of(64) + bytes, 1);
        file
    }

    fn read(bytes: &[u8]) -> Result<Header> {
        parse_gguf(
            Path::new("x.gguf"),
            &mut Cursor::new(bytes),
            bytes.len() as u64,
        )
    }

    #[track_caller]
    fn refused(bytes: &[u8], words: &str) {
        let message = read(bytes).unwrap_err().to_string();
        assert!(
            message.starts_with("x.gguf: ") && message.contains(words),
            "{message}"
        );
    }

    #[test]
    fn tensors_have_their_axes_as_pytorch_counts_them() {
        for (kind, row, bytes) in [(0, 3, 48), (1, 3, 24), (8, 64, 272), (12, 256, 576)] {
            let file = file(kind, row, bytes);
            let info = &read(&file).unwrap().into_tensors()["a.weight"];
            assert_eq!(info.shape, [4, usize::try_from(row).unwrap()]);
            assert_eq!(
                (info.offset, info.bytes),
                ((file.len() - bytes) as u64, bytes as u64)
            );
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        refused(&file(8, 48, 999), "impossible shape [4, 48] of type Q8_0");
        refused(&file(16, 256, 9999), "ggml's type 16");
        refused(&file(0, u64::MAX, 9), "a.weight");
        refused(&file(0, 3, 47), "within tensor a.weight");
        let whole = file(0, 3, 48);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        let mut version = whole.clone();
        version[4] = 1;
        refused(&version, "GGUF version 1");
        let mut setting = whole;
        let at = setting
            .windows(5)
            .position(|window| window == b"names")
            .unwrap();
        setting[at + 5] = 77;
        refused(&setting, "a setting of the type 77");
    }

    proptest! {
        #[test]
        fn no_change_makes_it_panic_or_leave_the_file(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut bytes = file(12, 256, 576);
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(header) = read(&bytes) {
                for info in header.into_tensors().values() {
                    prop_assert!(info.offset + info.bytes <= bytes.len() as u64);
                }
            }
        }
    }
}
