//! The metadata of any picture is read or refused, and what is read is written and read again as the same.
#![no_main]

use ip2p::EditRecord;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = EditRecord::decode(bytes, "fuzzed");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = EditRecord::parse_parameters(text);
    if let Ok(record) = EditRecord::parse_json(text) {
        let json = record.to_json().expect("what came from JSON goes there");
        assert_eq!(EditRecord::parse_json(&json).expect("what was written is read"), record);
    }
});
