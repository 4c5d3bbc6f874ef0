//! A GGUF header of any bytes is read or refused, and what is read lies within the file.
#![no_main]

use std::io::Cursor;
use std::path::Path;

use ip2p::io::parse_gguf;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let whole = [b"GGUF\x03\0\0\0", bytes].concat();
    for bytes in [bytes, &whole] {
        let _ = parse_gguf(
            Path::new("fuzzed"),
            &mut Cursor::new(bytes),
            bytes.len() as u64,
        );
    }
});
