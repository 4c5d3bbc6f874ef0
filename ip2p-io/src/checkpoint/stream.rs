//! Writing a file of weights a tensor at a time.
//!
//! The safetensors crate wants all tensors in memory. What is known beforehand, their names and shapes, is the header; the numbers
//! follow in the same order, so that no more of them need be in memory than those of one tensor.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use ip2p_core::{Error, Result};
use safetensors::Dtype;
use serde_json::{Map, Value, json};

use super::convert::append_bytes;
use super::gguf::{Quant, append_q4_0, append_q8_0};
use super::header::Format;
use crate::whole::write_whole_with;

/// A tensor that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) format: Format,
}

impl Planned {
    fn numbers(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes in the file.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = self.format.bytes(self.numbers() as u64);
        bytes.expect("a tensor that is in a file is not too large for one")
    }
}

/// What stands around the tensors of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// What comes before them.
    pub(crate) header: Vec<u8>,
    /// Each but the first begins at a multiple of so many bytes after it, and the file ends at one.
    pub(crate) alignment: u64,
}

/// Writes tensors in their formats; `read` gives the numbers of each, in turn, and `wrote` hears of the bytes.
pub(crate) fn write_tensors(
    path: &Path,
    frame: &Frame,
    tensors: &[Planned],
    read: &mut dyn FnMut(&Planned) -> Result<Vec<f32>>,
    wrote: &mut dyn FnMut(u64),
) -> Result<()> {
    write_whole_with(path, &mut |file| {
        let failed = |error| Error::io(path, error);
        file.write_all(&frame.header).map_err(failed)?;
        for tensor in tensors {
            let numbers = read(tensor)?;
            if numbers.len() != tensor.numbers() {
                let reason = format!(
                    "tensor {} has {} numbers for the shape {:?}",
                    tensor.name,
                    numbers.len(),
                    tensor.shape
                );
                return Err(Error::checkpoint(path, reason));
            }
            if !write_numbers(file, &numbers, tensor.format).map_err(failed)? {
                return Err(too_large(path, tensor, &numbers));
            }
            let bytes = tensor.bytes();
            let padding = bytes.next_multiple_of(frame.alignment) - bytes;
            std::io::copy(&mut std::io::Read::take(std::io::repeat(0), padding), file)
                .map_err(failed)?;
            wrote(bytes);
        }
        Ok(())
    })
}

fn too_large(path: &Path, tensor: &Planned, numbers: &[f32]) -> Error {
    let most = numbers.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let reason = format!(
        "tensor {} holds {most:e}, which is too large for {}; write it with --precision f32",
        tensor.name, tensor.format
    );
    Error::checkpoint(path, reason)
}

/// What stands before the tensors of a safetensors file.
pub(crate) fn safetensors_frame(
    tensors: &[Planned],
    metadata: &BTreeMap<String, String>,
) -> Result<Frame> {
    let mut fields = Map::new();
    fields.insert("__metadata__".into(), json!(metadata));
    let mut offset = 0;
    for tensor in tensors {
        let end = offset + tensor.bytes();
        let info = json!({
            "dtype": tensor.format.to_string(),
            "shape": tensor.shape,
            "data_offsets": [offset, end],
        });
        fields.insert(tensor.name.clone(), info);
        offset = end;
    }
    let mut json = serde_json::to_vec(&Value::Object(fields))
        .map_err(|error| Error::other("writing the header of a safetensors file", error))?;
    // Readers that map the file want the numbers to lie at a multiple of eight.
    json.resize(json.len().next_multiple_of(8), b' ');
    let header = [&(json.len() as u64).to_le_bytes()[..], &json].concat();
    Ok(Frame {
        header,
        alignment: 1,
    })
}

/// Numbers that are converted at a time, in whole blocks.
const CHUNK: usize = 1 << 16;

/// Writes numbers, and says whether all of them are within what the format holds.
fn write_numbers(file: &mut dyn Write, numbers: &[f32], format: Format) -> std::io::Result<bool> {
    let mut bytes = Vec::with_capacity(CHUNK * size_of::<f32>());
    let mut all_finite = true;
    for chunk in numbers.chunks(CHUNK) {
        bytes.clear();
        all_finite &= match format {
            Format::Plain(Dtype::F32) => {
                append_bytes(chunk, &mut bytes, f32::to_le_bytes);
                true
            }
            Format::Plain(Dtype::F16) => {
                let mut halves = vec![f16::ZERO; chunk.len()];
                halves.convert_from_f32_slice(chunk);
                append_bytes(&halves, &mut bytes, f16::to_le_bytes);
                halves.iter().fold(true, |all, half| all & half.is_finite())
            }
            Format::Plain(Dtype::BF16) => {
                let mut halves = vec![bf16::ZERO; chunk.len()];
                halves.convert_from_f32_slice(chunk);
                append_bytes(&halves, &mut bytes, bf16::to_le_bytes);
                halves.iter().fold(true, |all, half| all & half.is_finite())
            }
            Format::Quantized(Quant::Q8_0) => append_q8_0(chunk, &mut bytes),
            Format::Quantized(Quant::Q4_0) => append_q4_0(chunk, &mut bytes),
            other => {
                let reason = format!("weights are not written as {other}");
                return Err(std::io::Error::new(std::io::ErrorKind::Unsupported, reason));
            }
        };
        file.write_all(&bytes)?;
    }
    Ok(all_finite)
}

#[cfg(test)]
mod tests {
    use ip2p_core::Precision;

    use super::*;
    use crate::checkpoint::{WeightFormat, parse_header};

    fn planned(name: &str, shape: &[usize], format: Format) -> Planned {
        Planned {
            name: name.into(),
            shape: shape.into(),
            format,
        }
    }

    fn plain(precision: Precision) -> Format {
        Format::Plain(match precision.of_floats() {
            Precision::F16 => Dtype::F16,
            Precision::Bf16 => Dtype::BF16,
            _ => Dtype::F32,
        })
    }

    #[test]
    fn what_is_written_is_a_safetensors_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        for precision in Precision::ALL {
            let tensors = [("b", &[2, 3][..]), ("a", &[1]), ("none", &[0, 4])]
                .map(|(name, shape)| planned(name, shape, plain(precision)));
            let mut sum = 0;
            let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
            let mut read = |tensor: &Planned| Ok(vec![1.5; tensor.numbers()]);
            let frame = safetensors_frame(&tensors, &metadata).unwrap();
            write_tensors(&path, &frame, &tensors, &mut read, &mut |bytes| {
                sum += bytes;
            })
            .unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(sum, 7 * precision.bytes() as u64);
            let header = parse_header(&path, &bytes, bytes.len() as u64).unwrap();
            assert_eq!(header.metadata(), &metadata);
            assert_eq!(header.tensors().count(), 3);
            let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            let first = match precision.of_floats() {
                Precision::F16 => f16::from_f32(1.5).to_le_bytes().to_vec(),
                Precision::Bf16 => bf16::from_f32(1.5).to_le_bytes().to_vec(),
                _ => 1.5_f32.to_le_bytes().to_vec(),
            };
            assert_eq!(file.tensor("a").unwrap().data(), first);
        }
    }

    /// What comes of writing these numbers.
    fn write_one(numbers: Result<Vec<f32>>, format: Format) -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let tensors = [planned("a", &[1, 32], format)];
        let frame = safetensors_frame(&tensors, &BTreeMap::new()).unwrap();
        let mut numbers = Some(numbers);
        let mut read = |_: &Planned| numbers.take().unwrap();
        let done = write_tensors(&path, &frame, &tensors, &mut read, &mut |_| ());
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, usize::from(done.is_ok()));
        done
    }

    #[test]
    fn what_fails_on_the_way_leaves_nothing() {
        let format = plain(Precision::F32);
        assert!(write_one(Ok(vec![0.0; 32]), format).is_ok());
        assert!(write_one(Ok(vec![0.0; 3]), format).is_err());
        assert!(write_one(Err(Error::Stopped), format).is_err());
        assert!(write_one(Ok(vec![0.0; 32]), Format::Quantized(Quant::Q2K)).is_err());
    }

    #[test]
    fn what_is_too_large_for_a_format_is_named() {
        for (format, largest) in [
            (WeightFormat::F16, 65504.0),
            (WeightFormat::Q8_0, 127.0 * 65504.0),
            (WeightFormat::Q4_0, 8.0 * 65504.0),
            (WeightFormat::Bf16, f32::from(bf16::MAX)),
            (WeightFormat::F32, f32::MAX),
        ] {
            let format =
                crate::checkpoint::format::Target::Gguf.tensor_format(format, "a", &[1, 32]);
            let mut numbers = vec![1.0; 32];
            numbers[7] = -largest;
            write_one(Ok(numbers.clone()), format).unwrap();
            if largest < f32::MAX {
                numbers[7] = -1.01 * largest;
                let message = write_one(Ok(numbers), format).unwrap_err().to_string();
                let words =
                    format!("which is too large for {format}; write it with --precision f32");
                assert!(
                    message.contains("tensor a holds ") && message.contains(&words),
                    "{message}"
                );
            }
        }
    }
}
