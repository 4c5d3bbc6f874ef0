//! Files as `torch.save` writes them, put together here byte by byte.

use std::io::Cursor;

use proptest::prelude::*;
use safetensors::Dtype;

use super::*;

/// An archive of entries that are stored as they are.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for (name, bytes) in entries {
        let (offset, length) = (
            u32::try_from(file.len()).unwrap(),
            u32::try_from(bytes.len()).unwrap(),
        );
        let name_length = u16::try_from(name.len()).unwrap();
        let mut common = vec![0; 14];
        common.extend(length.to_le_bytes().repeat(2));
        common.extend(name_length.to_le_bytes());
        common.extend([0, 0]);
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend(name.as_bytes());
        file.extend(*bytes);
        directory.extend(b"PK\x01\x02\0\0");
        directory.extend(common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = u32::try_from(file.len()).unwrap();
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0\0\0\0\0");
    file.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![b'X'];
    bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// `name: tensor of two rows and three columns`, from number `offset` of entry 0.
fn tensor(name: &str, offset: u8, stride: [u8; 2]) -> Vec<u8> {
    let mut bytes = text(name);
    bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    bytes.extend(text("storage"));
    bytes.extend(b"ctorch\nHalfStorage\n");
    bytes.extend(text("0"));
    bytes.extend(text("cpu"));
    bytes.extend(b"K\x08tQ");
    bytes.extend([
        b'K', offset, b'K', 2, b'K', 3, 0x86, b'K', stride[0], b'K', stride[1], 0x86,
    ]);
    bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    bytes
}

/// `{"state_dict": {…}, "epoch": 7}`.
fn checkpoint(inner: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"\x80\x02}q\x00(".to_vec();
    bytes.extend(text("state_dict"));
    bytes.extend(b"ccollections\nOrderedDict\n)Rq\x01(");
    bytes.extend(inner.concat());
    bytes.push(b'u');
    bytes.extend(text("epoch"));
    bytes.extend(b"K\x07u.");
    bytes
}

fn file(pickle: &[u8]) -> Vec<u8> {
    archive(&[
        ("x/data.pkl", pickle),
        ("x/byteorder", b"little"),
        ("x/data/0", &[0; 16]),
    ])
}

fn read(bytes: &[u8]) -> Result<Header> {
    parse_torch(
        Path::new("x.ckpt"),
        &mut Cursor::new(bytes),
        bytes.len() as u64,
    )
}

#[track_caller]
fn refused(bytes: &[u8], words: &str) {
    let message = read(bytes).unwrap_err().to_string();
    assert!(message.starts_with("x.ckpt: "), "{message}");
    assert!(message.contains(words), "{message}");
}

#[test]
fn tensors_are_ranges_of_the_file() {
    let bytes = file(&checkpoint(&[
        tensor("a", 0, [3, 1]),
        tensor("b", 2, [3, 1]),
    ]));
    let tensors = read(&bytes).unwrap().into_tensors();
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["a", "b"]);
    let (a, b) = (&tensors["a"], &tensors["b"]);
    assert_eq!(
        (a.format, &a.shape[..], a.bytes),
        (Format::Plain(Dtype::F16), &[2, 3][..], 12)
    );
    assert_eq!(b.offset, a.offset + 4);
    assert_eq!(bytes[usize::try_from(a.offset).unwrap()..][..16], [0; 16]);
}

#[test]
fn a_name_that_could_run_code_is_refused() {
    for name in [
        "posix\nsystem",
        "builtins\neval",
        "torch\nload",
        "os\nremove",
    ] {
        let attack = [
            b"\x80\x02c",
            name.as_bytes(),
            b"\n",
            &text("x")[..],
            b"\x85R.",
        ]
        .concat();
        refused(
            &file(&attack),
            &format!(
                "names {}, which no checkpoint needs",
                name.replace('\n', ".")
            ),
        );
    }
    let stacked = [
        b"\x80\x04".to_vec(),
        text("posix"),
        text("system"),
        b"\x93.".to_vec(),
    ]
    .concat();
    refused(&file(&stacked), "names posix.system");
}

#[test]
fn tensors_that_do_not_lie_in_the_file_are_named() {
    refused(
        &file(&checkpoint(&[tensor("a", 3, [3, 1])])),
        "tensor a has 6 numbers from number 3 of data/0, which has 16 bytes",
    );
    refused(
        &file(&checkpoint(&[tensor("a", 0, [1, 2])])),
        "tensor a of shape [2, 3] lies in the file with the strides [1, 2]",
    );
    let pickle = checkpoint(&[tensor("a", 0, [3, 1])]);
    refused(
        &archive(&[("x/data.pkl", &pickle)]),
        "tensor a is in data/0, which the archive does not have",
    );
    refused(
        &file(&checkpoint(&[
            tensor("a", 0, [3, 1]),
            tensor("a", 0, [3, 1]),
        ])),
        "lists tensor a twice",
    );
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    refused(&file(b"\x80\x02}."), "holds no tensors by name");
    refused(&file(b"\x80\x02K\x01."), "holds no dictionary");
    refused(&file(b"\x80\x02"), "ends too early");
    refused(&file(b"\x80\x02R."), "takes what is not there");
    refused(&file(b"\x80\x02}P."), "opcode 0x50");
    refused(
        &file(&[&b"\x80\x02)"[..], &[0x85; 99]].concat()),
        "tuples in tuples",
    );
    refused(
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
        "as PyTorch before 1.6 wrote",
    );
    refused(&archive(&[("x/other", b"")]), "without data.pkl");
    let pickle = checkpoint(&[tensor("a", 0, [3, 1])]);
    refused(
        &archive(&[("x/data.pkl", &pickle), ("x/byteorder", b"big")]),
        "another order of bytes",
    );
    let mut compressed = file(&pickle);
    let at = compressed
        .windows(4)
        .position(|window| window == b"PK\x01\x02")
        .unwrap();
    compressed[at + 10] = 8;
    refused(&compressed, "compressed");
}

#[test]
fn a_file_that_was_cut_is_refused() {
    let whole = file(&checkpoint(&[tensor("a", 0, [3, 1])]));
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn no_change_makes_it_panic_or_leave_the_file(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = file(&checkpoint(&[tensor("a", 0, [3, 1])]));
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

    #[test]
    fn no_pickle_makes_it_panic(pickle in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = pickle::build(&pickle);
    }
}
