//! Writing a safetensors file a tensor at a time.
//!
//! The safetensors crate wants all tensors in memory. What is known beforehand, their names and shapes, is the header; the numbers
//! follow in the same order, so that no more of them need be in memory than those of one tensor.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use ip2p_core::{Error, Precision, Result};
use serde_json::{Map, Value, json};

use crate::whole::write_whole_with;

/// A tensor that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
}

/// Writes tensors in `precision`; `read` gives the numbers of each, in turn, and `wrote` hears of the bytes.
pub(crate) fn write_tensors(
    path: &Path,
    tensors: &[Planned],
    metadata: &BTreeMap<String, String>,
    precision: Precision,
    read: &mut dyn FnMut(&Planned) -> Result<Vec<f32>>,
    wrote: &mut dyn FnMut(u64),
) -> Result<()> {
    let header = header(tensors, metadata, precision)
        .map_err(|error| Error::other("writing the header of a safetensors file", error))?;
    write_whole_with(path, &mut |file| {
        let failed = |error| Error::io(path, error);
        file.write_all(&(header.len() as u64).to_le_bytes())
            .and_then(|()| file.write_all(&header))
            .map_err(failed)?;
        for tensor in tensors {
            let numbers = read(tensor)?;
            if numbers.len() != tensor.shape.iter().product::<usize>() {
                let reason = format!(
                    "tensor {} has {} numbers for the shape {:?}",
                    tensor.name,
                    numbers.len(),
                    tensor.shape
                );
                return Err(Error::checkpoint(path, reason));
            }
            write_numbers(file, &numbers, precision).map_err(failed)?;
            wrote((numbers.len() * precision.bytes()) as u64);
        }
        Ok(())
    })
}

fn header(
    tensors: &[Planned],
    metadata: &BTreeMap<String, String>,
    precision: Precision,
) -> serde_json::Result<Vec<u8>> {
    let dtype = match precision {
        Precision::F16 => "F16",
        Precision::Bf16 => "BF16",
        _ => "F32",
    };
    let mut fields = Map::new();
    fields.insert("__metadata__".into(), json!(metadata));
    let mut offset = 0;
    for tensor in tensors {
        let end = offset + tensor.shape.iter().product::<usize>() * precision.bytes();
        let info = json!({"dtype": dtype, "shape": tensor.shape, "data_offsets": [offset, end]});
        fields.insert(tensor.name.clone(), info);
        offset = end;
    }
    let mut header = serde_json::to_vec(&Value::Object(fields))?;
    // Readers that map the file want the numbers to lie at a multiple of eight.
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// Numbers that are converted at a time.
const CHUNK: usize = 1 << 16;

fn write_numbers(
    file: &mut dyn Write,
    numbers: &[f32],
    precision: Precision,
) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(CHUNK * precision.bytes());
    for chunk in numbers.chunks(CHUNK) {
        bytes.clear();
        match precision {
            Precision::F16 => {
                let mut halves = vec![f16::ZERO; chunk.len()];
                halves.convert_from_f32_slice(chunk);
                bytes.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
            }
            Precision::Bf16 => {
                let mut halves = vec![bf16::ZERO; chunk.len()];
                halves.convert_from_f32_slice(chunk);
                bytes.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
            }
            _ => bytes.extend(chunk.iter().flat_map(|number| number.to_le_bytes())),
        }
        file.write_all(&bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::parse_header;

    fn planned(name: &str, shape: &[usize]) -> Planned {
        Planned {
            name: name.into(),
            shape: shape.into(),
        }
    }

    #[test]
    fn what_is_written_is_a_safetensors_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let tensors = [
            planned("b", &[2, 3]),
            planned("a", &[1]),
            planned("none", &[0, 4]),
        ];
        for precision in Precision::ALL {
            let mut sum = 0;
            let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
            let mut read = |tensor: &Planned| Ok(vec![1.5; tensor.shape.iter().product()]);
            write_tensors(
                &path,
                &tensors,
                &metadata,
                precision,
                &mut read,
                &mut |bytes| sum += bytes,
            )
            .unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(sum, 7 * precision.bytes() as u64);
            let header = parse_header(&path, &bytes, bytes.len() as u64).unwrap();
            assert_eq!(header.metadata(), &metadata);
            assert_eq!(header.tensors().count(), 3);
            let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            let first = match precision {
                Precision::F16 => f16::from_f32(1.5).to_le_bytes().to_vec(),
                Precision::Bf16 => bf16::from_f32(1.5).to_le_bytes().to_vec(),
                _ => 1.5_f32.to_le_bytes().to_vec(),
            };
            assert_eq!(file.tensor("a").unwrap().data(), first);
        }
    }

    #[test]
    fn what_fails_on_the_way_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let tensors = [planned("a", &[2])];
        for numbers in [Ok(vec![0.0; 3]), Err(Error::Stopped)] {
            let mut numbers = Some(numbers);
            let mut read = |_: &Planned| numbers.take().unwrap();
            let done = write_tensors(
                &path,
                &tensors,
                &BTreeMap::new(),
                Precision::F32,
                &mut read,
                &mut |_| (),
            );
            assert!(done.is_err());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
