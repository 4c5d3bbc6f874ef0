//! Files put together byte by byte, and what is refused of them.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A file of three settings and one tensor of four rows.
fn file(kind: u32, row: u64, bytes: usize) -> Vec<u8> {
    let mut file = [
        &b"GGUF\x03\0\0\0"[..],
        &1_u64.to_le_bytes(),
        &3_u64.to_le_bytes(),
    ]
    .concat();
    file.extend(text("general.name"));
    file.extend([8, 0, 0, 0]);
    file.extend(text("y"));
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
fn texts_are_metadata() {
    let header = read(&file(0, 3, 48)).unwrap();
    assert_eq!(header.metadata()["general.name"], "y");
}

#[test]
fn counts_and_offsets_that_cannot_be_are_refused() {
    let whole = file(0, 3, 48);
    for (at, words) in [
        (8, "states 18446744073709551615 tensors"),
        (16, "settings, more than"),
    ] {
        let mut bytes = whole.clone();
        bytes[at..at + 8].fill(0xff);
        refused(&bytes, words);
    }
    // The offset of the one tensor is the last of the header.
    let name = whole.windows(8).position(|window| window == b"a.weight");
    let offset = name.unwrap() + 8 + 4 + 16 + 4;
    for (value, words) in [
        (
            7_u64,
            "has tensor a.weight at 7, which is no multiple of 64",
        ),
        (64, "within tensor a.weight; the file was not fetched whole"),
        (u64::MAX - 63, "within tensor a.weight"),
    ] {
        let mut bytes = whole.clone();
        bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        refused(&bytes, words);
    }
    let mut array = whole;
    let names = array.windows(5).position(|window| window == b"names");
    let count = names.unwrap() + 5 + 8;
    array[count..count + 8].fill(0xff);
    refused(&array, "ends within its GGUF header");
}

#[test]
fn two_tensors_in_one_place_are_refused() {
    let two = |second: u64| {
        let mut bytes = [
            &b"GGUF\x03\0\0\0"[..],
            &2_u64.to_le_bytes(),
            &0_u64.to_le_bytes(),
        ]
        .concat();
        for (name, offset) in [("a", 0), ("b", second)] {
            bytes.extend(text(name));
            bytes.extend(1_u32.to_le_bytes());
            bytes.extend(16_u64.to_le_bytes());
            bytes.extend(0_u32.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(32) + 192, 0);
        bytes
    };
    assert_eq!(read(&two(64)).unwrap().tensors().count(), 2);
    refused(&two(32), "has tensor b within tensor a");
    refused(&two(0), "within tensor");
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
