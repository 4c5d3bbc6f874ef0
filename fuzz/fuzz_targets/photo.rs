//! A picture of any bytes is decoded or refused, never a panic.
#![no_main]

use ip2p::Photo;
use ip2p::io::Limits;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_pixels: 1 << 20, max_bytes: 1 << 24 };
    let _ = Photo::decode_with(bytes, "fuzzed", &limits);
});
