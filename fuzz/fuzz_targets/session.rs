//! A session's file is read or refused, and a sentence is taken apart, whatever is in it.
#![no_main]

use ip2p::{Session, split_edits};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Session::from_bytes("fuzzed", bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(!split_edits(text).is_empty());
    }
});
