//! The header of a GGUF file that is written.

use super::{ALIGNMENT, MAGIC, type_number};
use crate::checkpoint::stream::{Frame, Planned};

/// The version that is written.
const VERSION: u32 = 3;

/// The numbers of the types of settings.
const U32: u32 = 4;
const TEXT: u32 = 8;

/// A setting of a file.
pub(crate) enum Setting {
    Number(u32),
    Text(String),
}

/// What stands before the tensors of a GGUF file, which follow in their order.
pub(crate) fn gguf_frame(tensors: &[Planned], settings: &[(&str, Setting)]) -> Frame {
    let mut header = Vec::new();
    header.extend(MAGIC);
    header.extend(VERSION.to_le_bytes());
    header.extend((tensors.len() as u64).to_le_bytes());
    header.extend((settings.len() as u64).to_le_bytes());
    for (name, setting) in settings {
        append_text(name, &mut header);
        match setting {
            Setting::Number(number) => {
                header.extend(U32.to_le_bytes());
                header.extend(number.to_le_bytes());
            }
            Setting::Text(text) => {
                header.extend(TEXT.to_le_bytes());
                append_text(text, &mut header);
            }
        }
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        append_text(&tensor.name, &mut header);
        let axes = u32::try_from(tensor.shape.len()).expect("a tensor has few axes");
        header.extend(axes.to_le_bytes());
        // ggml counts axes from the one whose numbers lie side by side.
        for &axis in tensor.shape.iter().rev() {
            header.extend((axis as u64).to_le_bytes());
        }
        header.extend(type_number(tensor.format).to_le_bytes());
        header.extend(offset.to_le_bytes());
        offset = (offset + tensor.bytes()).next_multiple_of(ALIGNMENT);
    }
    let padded = (header.len() as u64).next_multiple_of(ALIGNMENT);
    header.resize(usize::try_from(padded).expect("it is in memory"), 0);
    Frame {
        header,
        alignment: ALIGNMENT,
    }
}

fn append_text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}
