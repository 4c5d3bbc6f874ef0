//! Files of weights that are damaged or meant to harm: refused by name, whatever reads them.

use std::fs;

use crate::desk::{Desk, damaged, failure};

/// Tries to read a file as a checkpoint, an adaptation and an autoencoder, and expects the same words each time.
#[track_caller]
fn refused(desk: &Desk, name: &str, bytes: &[u8], words: &str) {
    fs::write(desk.path(name), bytes).unwrap();
    let tiny = crate::desk::tiny();
    let tiny = tiny.to_str().unwrap();
    for arguments in [
        &["inspect", name][..],
        &["edit", "photo.png", "x", "--model", name],
        &["edit", "photo.png", "x", "--model", tiny, "--lora", name],
        &["edit", "photo.png", "x", "--model", tiny, "--vae", name],
        &["convert", name, "out"],
    ] {
        let (message, code) = failure(&desk.ip2p(arguments));
        let is_named = message.contains(name) && message.contains(words);
        assert!(is_named && code == 4, "{arguments:?}: {message}");
    }
    fs::remove_file(desk.path(name)).unwrap();
    assert_eq!(desk.files(), ["photo.png"]);
}

/// A safetensors file with this header.
fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn safetensors_files_that_cannot_be_are_refused() {
    let desk = Desk::new();
    let two = |second: &str| {
        let tensor = |name: &str, offsets: &str| {
            format!(r#""{name}":{{"dtype":"F32","shape":[2],"data_offsets":{offsets}}}"#)
        };
        format!("{{{},{}}}", tensor("a", "[0,8]"), tensor("b", second))
    };
    let (header, overlapping) = (two("[8,16]"), two("[4,12]"));
    for (bytes, words) in [
        (safetensors(&header, 15), "within tensor b"),
        (safetensors(&header, 17), "1 bytes after its last tensor"),
        (
            safetensors(&overlapping, 12),
            "tensor b overlaps the tensor before it",
        ),
        (
            safetensors(&header, 0)[..30].to_vec(),
            "ends within its safetensors header",
        ),
        (
            [&(1_u64 << 40).to_le_bytes()[..], b"{}"].concat(),
            "states a header of 1099511627776 bytes, more than",
        ),
        (
            [&90_000_000_u64.to_le_bytes()[..], b"{}"].concat(),
            "ends within its safetensors header",
        ),
        (safetensors(r#"{"a":"#, 0), "header is damaged"),
    ] {
        refused(&desk, "x.safetensors", &bytes, words);
    }
}

/// An archive with one entry, whose contents are stored as they are or said to be compressed to this many bytes.
fn archive(pickle: &[u8], compressed_from: Option<u32>) -> Vec<u8> {
    let name = b"x/data.pkl";
    let stored = u32::try_from(pickle.len()).unwrap();
    let common = [
        &[20, 0, 0, 0][..],
        &[if compressed_from.is_some() { 8 } else { 0 }, 0],
        &[0; 8],
        &stored.to_le_bytes(),
        &compressed_from.unwrap_or(stored).to_le_bytes(),
        &[10, 0, 0, 0],
    ]
    .concat();
    let local = [b"PK\x03\x04", &common[..], name, pickle].concat();
    let central = [b"PK\x01\x02\x14\0", &common[..], &[0; 14], name].concat();
    let place = [central.len(), local.len()].map(|count| u32::try_from(count).unwrap());
    let place = place.map(u32::to_le_bytes).concat();
    let end = [b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &place[..], &[0, 0]].concat();
    [local, central, end].concat()
}

#[test]
fn pickles_that_run_something_or_grow_without_end_are_refused() {
    let desk = Desk::new();
    for name in [
        "posix system",
        "builtins exec",
        "subprocess Popen",
        "torch load",
    ] {
        let call = format!(
            "\u{80}\u{2}c{}\nX\u{4}\0\0\0true\u{85}R.",
            name.replace(' ', "\n")
        );
        let pickle: Vec<u8> = call.chars().map(|c| u8::try_from(c).unwrap()).collect();
        let words = format!(
            "names {}, which no checkpoint needs",
            name.replace(' ', ".")
        );
        refused(&desk, "x.ckpt", &archive(&pickle, None), &words);
    }
    // A tuple of two of the one before, fifteen times over, and that a thousand times.
    let doubled = [&b"\x80\x02K\x01"[..], &b"2\x86".repeat(15)].concat();
    let bomb = [&doubled[..], &b"2".repeat(1000), b"."].concat();
    refused(
        &desk,
        "x.ckpt",
        &archive(&bomb, None),
        "more values than a checkpoint",
    );
    let deep = [&doubled[..], &b"2\x86".repeat(40), b"."].concat();
    refused(&desk, "x.ckpt", &archive(&deep, None), "tuples in tuples");
    refused(
        &desk,
        "x.ckpt",
        &archive(b"\x78\x9c\x03\0", Some(u32::MAX - 1)),
        "compressed; PyTorch stores entries as they are",
    );
    let whole = archive(b"\x80\x02}.", None);
    let cut = &whole[..whole.len() - 19];
    refused(&desk, "x.pt", cut, "was not fetched whole");
}

#[test]
fn gguf_files_that_cannot_be_are_refused() {
    let desk = Desk::new();
    let file = |tensors: u64, settings: u64, rest: &[u8]| {
        let counts = [tensors.to_le_bytes(), settings.to_le_bytes()].concat();
        [b"GGUF\x03\0\0\0", &counts[..], rest].concat()
    };
    let tensor = |axis: u64, offset: u64| {
        let bytes = [
            &1_u64.to_le_bytes()[..],
            b"a",
            &1_u32.to_le_bytes(),
            &axis.to_le_bytes(),
            &0_u32.to_le_bytes(),
            &offset.to_le_bytes(),
            &[0; 64],
        ];
        bytes.concat()
    };
    for (bytes, words) in [
        (file(u64::MAX, 0, &[]), "tensors, more than"),
        (file(0, u64::MAX, &[]), "settings, more than"),
        (file(9, 9, &[]), "ends within its GGUF header"),
        (file(1, 0, &tensor(u64::MAX / 2, 0)), "impossible shape"),
        (file(1, 0, &tensor(1 << 40, 0)), "within tensor a"),
        (file(1, 0, &tensor(4, u64::MAX - 31)), "within tensor a"),
        (file(1, 0, &tensor(4, 5)), "no multiple of 32"),
    ] {
        refused(&desk, "x.gguf", &bytes, words);
    }
}

#[test]
fn the_same_weights_in_two_files_are_refused_and_a_half_precision_set_is_not() {
    let desk = Desk::new();
    let model = damaged(&desk, |folder| {
        let file = |name: &str| folder.join("unet").join(name);
        let whole = file("diffusion_pytorch_model.safetensors");
        fs::copy(&whole, file("diffusion_pytorch_model.fp16.safetensors")).unwrap();
    });
    let model = model.to_str().unwrap();
    let inspect = || desk.ip2p(&["inspect", model]);
    let printed = crate::desk::stdout(&inspect());
    assert!(
        printed.contains("unet/diffusion_pytorch_model.safetensors"),
        "{printed}"
    );
    let first = "diffusion_pytorch_model-00001-of-00001.safetensors";
    let unet = desk.path("model/unet");
    fs::copy(
        unet.join("diffusion_pytorch_model.safetensors"),
        unet.join(first),
    )
    .unwrap();
    let (message, code) = failure(&inspect());
    let words = format!("in diffusion_pytorch_model.safetensors and in {first}");
    assert!(message.contains(&words) && code == 4, "{message}");
}
