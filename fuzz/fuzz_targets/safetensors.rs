//! A safetensors header of any bytes is read or refused, and what is read lies within the file.
#![no_main]

use std::path::Path;

use ip2p::io::parse_header;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = parse_header(Path::new("fuzzed"), bytes, bytes.len() as u64);
    // A file that is longer than what was read of it.
    let _ = parse_header(Path::new("fuzzed"), bytes, u64::MAX);
});
