//! The header of a safetensors file: which tensors it holds, and where.
//!
//! It is checked whole before a byte of data is read, so that what reads the data can rely on it: every tensor lies
//! inside the file, none overlaps another, and each has the length that its shape and number format ask for. The
//! safetensors crate checks the same, but wants the whole file in memory and does not always say which tensor is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use ip2p_core::{Error, Result};
use safetensors::Dtype;
use safetensors::tensor::TensorInfo as RawInfo;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::gguf::Quant;

/// Bytes of the length that stands before the header.
pub(crate) const LENGTH_BYTES: usize = 8;

/// The longest header that is read, in bytes: the safetensors crate's limit.
pub(super) const MAX_HEADER_BYTES: u64 = 100_000_000;

/// What a file of weights holds: safetensors, PyTorch's or GGUF.
#[derive(Debug, Clone)]
pub struct Header {
    tensors: BTreeMap<String, TensorInfo>,
    metadata: BTreeMap<String, String>,
}

/// One tensor of a safetensors file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorInfo {
    pub(crate) format: Format,
    pub(crate) shape: Vec<usize>,
    /// Where its numbers start, in bytes from the start of the file.
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// Whether it is a matrix whose columns lie one after the other, not its rows.
    pub(crate) is_turned: bool,
}

/// How the numbers of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One after the other.
    Plain(Dtype),
    /// In blocks of small numbers with a scale.
    Quantized(Quant),
}

impl Format {
    /// Whether weights may be stored so.
    pub(crate) fn is_float(self) -> bool {
        match self {
            Self::Plain(dtype) => {
                matches!(dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16)
            }
            Self::Quantized(_) => true,
        }
    }

    /// The bytes of so many numbers, which are whole blocks if they are quantised; none if there cannot be so many.
    pub(crate) fn bytes(self, numbers: u64) -> Option<u64> {
        match self {
            Self::Plain(dtype) => numbers.checked_mul(dtype.bitsize() as u64 / 8),
            Self::Quantized(quant) => {
                (numbers / quant.numbers() as u64).checked_mul(quant.bytes() as u64)
            }
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(dtype) => dtype.fmt(f),
            Self::Quantized(quant) => f.write_str(quant.name()),
        }
    }
}

impl Header {
    /// The names of the tensors and their shapes, sorted by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors
            .iter()
            .map(|(name, info)| (name.as_str(), info.shape.as_slice()))
    }

    /// What whoever wrote the file says of it, in words that the format does not fix.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    pub(crate) fn new(
        tensors: BTreeMap<String, TensorInfo>,
        metadata: BTreeMap<String, String>,
    ) -> Self {
        Self { tensors, metadata }
    }

    pub(crate) fn into_tensors(self) -> BTreeMap<String, TensorInfo> {
        self.tensors
    }
}

/// Reads the header of a safetensors file from its first bytes; the format is described at
/// <https://huggingface.co/docs/safetensors>.
///
/// - `path`: named in errors, not opened
/// - `start`: the file's first bytes, at least to the end of the header
/// - `file_bytes`: the length of the whole file
///
/// # Errors
///
/// [`Error::Checkpoint`] if the header is cut short, too long or no JSON of the right form, if a tensor is listed
/// twice, overlaps another, leaves a gap or does not have the length that its shape asks for, or if the tensors do not
/// fill the file.
pub fn parse_header(path: &Path, start: &[u8], file_bytes: u64) -> Result<Header> {
    let length = header_length(path, start, file_bytes)?;
    let json = start
        .get(LENGTH_BYTES..LENGTH_BYTES + length)
        .ok_or_else(|| truncated(path))?;
    let RawHeader { tensors, metadata } = serde_json::from_slice(json).map_err(|error| {
        Error::checkpoint(path, format!("its safetensors header is damaged: {error}"))
    })?;
    let data_start = (LENGTH_BYTES + length) as u64;
    place(tensors, data_start, file_bytes)
        .map(|tensors| Header { tensors, metadata })
        .map_err(|reason| Error::checkpoint(path, reason))
}

/// The length of the header in bytes, without the 8 before it, checked against the length of the file.
pub(crate) fn header_length(path: &Path, start: &[u8], file_bytes: u64) -> Result<usize> {
    if start.starts_with(b"version ") {
        let advice = "is a Git LFS pointer, not the weights; fetch them with `git lfs pull`";
        return Err(Error::checkpoint(path, advice));
    }
    let length = start
        .first_chunk::<LENGTH_BYTES>()
        .map(|bytes| u64::from_le_bytes(*bytes))
        .ok_or_else(|| truncated(path))?;
    if length > MAX_HEADER_BYTES {
        let reason = format!(
            "states a header of {length} bytes, more than the {MAX_HEADER_BYTES} allowed; this is not a \
             safetensors file, or it is damaged"
        );
        return Err(Error::checkpoint(path, reason));
    }
    if length + LENGTH_BYTES as u64 > file_bytes {
        return Err(truncated(path));
    }
    usize::try_from(length).map_err(|_| truncated(path))
}

fn truncated(path: &Path) -> Error {
    Error::checkpoint(
        path,
        "ends within its safetensors header; it is damaged or was not fetched whole",
    )
}

/// Turns offsets within the data into offsets within the file, and checks that the tensors fill it exactly.
fn place(
    raw: BTreeMap<String, RawInfo>,
    data_start: u64,
    file_bytes: u64,
) -> Result<BTreeMap<String, TensorInfo>, String> {
    let mut by_offset: Vec<_> = raw.into_iter().collect();
    by_offset.sort_by_key(|(_, info)| info.data_offsets);
    let mut end = data_start;
    let mut tensors = BTreeMap::new();
    for (name, info) in by_offset {
        let bytes = expected_bytes(&name, &info)?;
        let (from, to) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        if to.checked_sub(from) != Some(bytes) {
            return Err(format!(
                "tensor {name} of shape {:?} and type {} needs {bytes} bytes, its offsets are {from} and {to}",
                info.shape, info.dtype
            ));
        }
        let offset = data_start.saturating_add(from);
        if offset != end {
            let what = if offset < end {
                "overlaps the tensor before it"
            } else {
                "leaves a gap after the tensor before it"
            };
            return Err(format!("tensor {name} {what}: the file is damaged"));
        }
        end = offset.saturating_add(bytes);
        if end > file_bytes {
            return Err(format!(
                "ends at byte {file_bytes}, within tensor {name}, which reaches to byte {end}; the file was not \
                 fetched whole"
            ));
        }
        let info = TensorInfo {
            format: Format::Plain(info.dtype),
            shape: info.shape,
            offset,
            bytes,
            is_turned: false,
        };
        tensors.insert(name, info);
    }
    if end == file_bytes {
        Ok(tensors)
    } else {
        let extra = file_bytes - end;
        Err(format!(
            "has {extra} bytes after its last tensor: the file is damaged"
        ))
    }
}

fn expected_bytes(name: &str, info: &RawInfo) -> Result<u64, String> {
    info.shape
        .iter()
        .try_fold(1_u64, |product, &axis| product.checked_mul(axis as u64))
        .and_then(|numbers| numbers.checked_mul(info.dtype.bitsize() as u64))
        .filter(|bits| bits.is_multiple_of(8))
        .map(|bits| bits / 8)
        .ok_or_else(|| {
            format!(
                "tensor {name} has the impossible shape {:?} of type {}",
                info.shape, info.dtype
            )
        })
}

/// The header's JSON: unlike a derived map, it refuses a name that is listed twice and says which tensor is wrong.
struct RawHeader {
    tensors: BTreeMap<String, RawInfo>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;

        impl<'de> Visitor<'de> for Tensors {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut tensors = BTreeMap::new();
                let mut metadata = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        metadata = map
                            .next_value()
                            .map_err(|error| A::Error::custom(format!("__metadata__: {error}")))?;
                        continue;
                    }
                    let info = map
                        .next_value::<RawInfo>()
                        .map_err(|error| A::Error::custom(format!("tensor {name}: {error}")))?;
                    if tensors.insert(name.clone(), info).is_some() {
                        return Err(A::Error::custom(format!("tensor {name} is listed twice")));
                    }
                }
                Ok(RawHeader { tensors, metadata })
            }
        }

        deserializer.deserialize_map(Tensors)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(json: &str, data_bytes: usize) -> Vec<u8> {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes.resize(bytes.len() + data_bytes, 0);
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Header> {
        parse_header(Path::new("unet.safetensors"), bytes, bytes.len() as u64)
    }

    #[track_caller]
    fn refused(bytes: &[u8], words: &str) {
        let message = parse(bytes).expect_err(words).to_string();
        assert!(message.starts_with("unet.safetensors: "), "{message}");
        assert!(message.contains(words), "{message}");
    }

    const PAIR: &str = r#"{"__metadata__":{"format":"pt"},
        "b":{"dtype":"F16","shape":[3],"data_offsets":[8,14]},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;

    #[test]
    fn tensors_are_found_where_they_lie() {
        let bytes = file(PAIR, 14);
        let header = parse(&bytes).unwrap();
        let listed: Vec<_> = header.tensors().collect();
        assert_eq!(listed, [("a", &[1, 2][..]), ("b", &[3][..])]);
        assert_eq!(header.metadata()["format"], "pt");
        let b = &header.into_tensors()["b"];
        assert_eq!((b.offset, b.bytes), (bytes.len() as u64 - 6, 6));
    }

    #[test]
    fn a_file_cut_within_its_data_names_the_tensor() {
        refused(&file(PAIR, 13), "within tensor b");
        refused(&file(PAIR, 5), "within tensor a");
    }

    #[test]
    fn a_file_cut_within_its_header_is_refused() {
        let bytes = file(PAIR, 14);
        for length in [0, 3, 7, 8, 9, 40] {
            refused(&bytes[..length], "ends within its safetensors header");
        }
    }

    #[test]
    fn bytes_after_the_last_tensor_are_refused() {
        refused(&file(PAIR, 15), "1 bytes after its last tensor");
    }

    #[test]
    fn an_oversized_header_is_refused_before_it_is_read() {
        let bytes = [u64::MAX.to_le_bytes(), [0; 8]].concat();
        refused(&bytes, "states a header of 18446744073709551615 bytes");
    }

    #[test]
    fn overlaps_and_gaps_name_the_tensor() {
        let overlap = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
        refused(&file(overlap, 6), "tensor b overlaps");
        let gap = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}}"#;
        refused(&file(gap, 9), "tensor b leaves a gap");
    }

    #[test]
    fn lengths_that_do_not_follow_from_the_shape_are_refused() {
        for offsets in ["[0,7]", "[8,0]", "[0,18446744073709551615]"] {
            let json = format!(r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":{offsets}}}}}"#);
            refused(&file(&json, 8), "tensor a of shape [2]");
        }
        let huge = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#;
        refused(&file(huge, 8), "impossible shape");
    }

    #[test]
    fn what_is_no_header_is_refused() {
        refused(&file("[]", 0), "header is damaged");
        refused(
            &file(
                r#"{"a":{"dtype":"F33","shape":[],"data_offsets":[0,4]}}"#,
                4,
            ),
            "tensor a: unknown variant `F33`",
        );
        let twice = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
        refused(&file(twice, 1), "tensor a is listed twice");
        refused(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "git lfs pull",
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), json in "\\PC{0,64}", extra in 0_usize..9) {
            let _ = parse(&bytes);
            let _ = parse(&file(&json, extra));
        }

        #[test]
        fn no_offsets_make_it_panic(shape in proptest::collection::vec(any::<u64>(), 0..4), from: u64, to: u64, size: u64) {
            let json = format!(r#"{{"a":{{"dtype":"F16","shape":{shape:?},"data_offsets":[{from},{to}]}}}}"#);
            let _ = parse_header(Path::new("x"), &file(&json, 0), size);
        }
    }
}
