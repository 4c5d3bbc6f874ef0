//! The files of PyTorch: `.ckpt`, `.pt`, `.pth`, `.bin`.
//!
//! `torch.save` writes an archive: a pickle that says which tensors there are, and the numbers of each, as they are, in an entry of its
//! own. So a tensor is a range of the file here as it is in a safetensors file, and is read the same way. burn-store reads such files
//! too, but it passes over names that would call something, where a user should hear of them.

mod pickle;
mod value;
mod zip;

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

use ip2p_core::{Error, Result};

use self::pickle::Built;
use self::value::{Tensor, Value};
use self::zip::{Entry, Wrong, entries, read_at};
use super::header::{Format, Header, MAX_HEADER_BYTES, TensorInfo};

/// How an archive begins.
const ARCHIVE: [u8; 4] = *b"PK\x03\x04";

/// How the files of PyTorch before 1.6 begin, and pickles that are no archive.
const BARE_PICKLE: u8 = 0x80;

/// The longest pickle that is read.
const MAX_PICKLE_BYTES: u64 = 256 << 20;

/// Whether a file that begins with these eight bytes was written by PyTorch, and not as safetensors, where they are a length.
pub(crate) fn is_torch(start: &[u8]) -> bool {
    let is_length = start
        .first_chunk()
        .is_some_and(|&length| u64::from_le_bytes(length) <= MAX_HEADER_BYTES);
    let is_pickle = start.first() == Some(&BARE_PICKLE) && matches!(start.get(1), Some(2..=5));
    !is_length && (start.starts_with(&ARCHIVE) || is_pickle)
}

/// Finds the tensors of a file that `torch.save` wrote, without running anything that is in it.
///
/// - `path`: named in errors, not opened
/// - `file_bytes`: the length of the file
///
/// The tensors of `state_dict`, or of an embedding's `string_to_param`, if there is one, or else of the outermost dictionary.
///
/// # Errors
///
/// [`Error::Checkpoint`] if the archive is damaged, was written by PyTorch before 1.6, names something that no checkpoint needs, or
/// holds a tensor that does not lie in the file; [`Error::Io`] if it cannot be read.
pub fn parse_torch(path: &Path, file: &mut (impl Read + Seek), file_bytes: u64) -> Result<Header> {
    parse(file, file_bytes).map_err(|wrong| match wrong {
        Wrong::Io(error) => Error::io(path, error),
        Wrong::Reason(reason) => Error::checkpoint(path, reason),
    })
}

fn parse(file: &mut (impl Read + Seek), file_bytes: u64) -> Result<Header, Wrong> {
    let start = read_at(file, 0, file_bytes.min(ARCHIVE.len() as u64))?;
    if start != ARCHIVE {
        let reason = "is a pickle that is no archive, as PyTorch before 1.6 wrote; load and save it anew with a newer one";
        return Err(reason.to_owned().into());
    }
    let entries = entries(file, file_bytes)?;
    // The folder in the archive has the name that the file had.
    let pickle = entries
        .iter()
        .find(|(name, _)| name.split('/').skip(1).eq(["data.pkl"]));
    let (name, pickle) = pickle
        .ok_or_else(|| "is an archive without data.pkl: PyTorch did not write it".to_owned())?;
    let folder = name.trim_end_matches("data.pkl").to_owned();
    let order = entries.get(&format!("{folder}byteorder"));
    if let Some(order) = order
        && read_at(file, order.offset, order.bytes.min(8))? != b"little"
    {
        let reason = "was written on a machine with another order of bytes";
        return Err(reason.to_owned().into());
    }
    if pickle.bytes > MAX_PICKLE_BYTES {
        return Err(format!(
            "has a pickle of {} bytes, more than the {MAX_PICKLE_BYTES} allowed",
            pickle.bytes
        )
        .into());
    }
    let built = pickle::build(&read_at(file, pickle.offset, pickle.bytes)?)?;
    let mut tensors = BTreeMap::new();
    for (name, tensor) in state_dict(&built)? {
        let entry = entries.get(&format!("{folder}data/{}", tensor.key));
        let info = place(tensor, entry).map_err(|reason| format!("tensor {name} {reason}"))?;
        tensors.insert(name.to_owned(), info);
    }
    Ok(Header::new(tensors, BTreeMap::new()))
}

/// The tensors by name; what else stands beside them is of the training.
fn state_dict(built: &Built) -> Result<BTreeMap<&str, &Tensor>, String> {
    let &Value::Dict(outer) = &built.value else {
        return Err("holds no dictionary of tensors".into());
    };
    let named = |(key, value): &(Value, Value)| match (key, value) {
        (Value::Text(key), Value::Dict(inner))
            if key == "state_dict" || key == "string_to_param" =>
        {
            Some(*inner)
        }
        _ => None,
    };
    let inner = built.dicts[outer].iter().find_map(named).unwrap_or(outer);
    let mut tensors = BTreeMap::new();
    for pair in &built.dicts[inner] {
        if let (Value::Text(name), Value::Tensor(tensor)) = pair
            && tensors.insert(name.as_str(), &**tensor).is_some()
        {
            return Err(format!("lists tensor {name} twice"));
        }
    }
    if tensors.is_empty() {
        return Err("holds no tensors by name".into());
    }
    Ok(tensors)
}

/// Where the numbers of a tensor lie in the file.
fn place(tensor: &Tensor, entry: Option<&Entry>) -> Result<TensorInfo, String> {
    let Tensor {
        key, shape, stride, ..
    } = tensor;
    let entry =
        entry.ok_or_else(|| format!("is in data/{key}, which the archive does not have"))?;
    let numbers = shape
        .iter()
        .try_fold(1_u64, |product, &axis| product.checked_mul(axis as u64))
        .ok_or_else(|| format!("has the impossible shape {shape:?}"))?;
    if !is_contiguous(shape, stride) {
        return Err(format!(
            "of shape {shape:?} lies in the file with the strides {stride:?}; save it contiguous"
        ));
    }
    let width = tensor.dtype.bitsize() as u64 / 8;
    let end = tensor.offset.checked_add(numbers);
    let range = |numbers: u64| numbers.checked_mul(width);
    match (end.and_then(range), range(tensor.offset), range(numbers)) {
        (Some(end), Some(start), Some(bytes)) if end <= entry.bytes => Ok(TensorInfo {
            format: Format::Plain(tensor.dtype),
            shape: shape.clone(),
            offset: entry.offset + start,
            bytes,
            is_turned: false,
        }),
        _ => Err(format!(
            "has {numbers} numbers from number {} of data/{key}, which has {} bytes",
            tensor.offset, entry.bytes
        )),
    }
}

/// Whether numbers lie one after the other; the stride of an axis of one is of no account.
fn is_contiguous(shape: &[usize], stride: &[u64]) -> bool {
    let mut expected = 1_u64;
    shape.len() == stride.len()
        && shape.iter().zip(stride).rev().all(|(&axis, &stride)| {
            let fits = axis <= 1 || stride == expected;
            expected = expected.saturating_mul(axis as u64);
            fits
        })
}

#[cfg(test)]
mod tests;
