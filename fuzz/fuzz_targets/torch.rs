//! A file of PyTorch of any bytes is read or refused, nothing in it is run, and its pickle too if it is taken for one.
#![no_main]

use std::io::Cursor;
use std::path::Path;

use ip2p::io::parse_torch;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let read = |bytes: &[u8]| {
        let _ = parse_torch(
            Path::new("fuzzed"),
            &mut Cursor::new(bytes),
            bytes.len() as u64,
        );
    };
    read(bytes);
    // The same bytes as the pickle of an archive that is whole.
    read(&archive(bytes));
});

/// An archive of two entries that are stored as they are.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in [("x/data.pkl", pickle), ("x/data/0", &[0_u8; 64][..])] {
        let length = u32::try_from(bytes.len())
            .expect("a fuzzer's inputs are short")
            .to_le_bytes();
        let offset = u32::try_from(file.len())
            .expect("as are the archives of them")
            .to_le_bytes();
        let name_length = [u8::try_from(name.len()).expect("names are short"), 0, 0, 0];
        let common = [&[0_u8; 14][..], &length, &length, &name_length].concat();
        file.extend([b"PK\x03\x04", &common[..], name.as_bytes(), bytes].concat());
        directory.extend(
            [
                b"PK\x01\x02\0\0",
                &common[..],
                &[0; 10],
                &offset,
                name.as_bytes(),
            ]
            .concat(),
        );
    }
    let place = [directory.len(), file.len()]
        .map(|count| u32::try_from(count).expect("as above").to_le_bytes());
    [
        &file[..],
        &directory,
        b"PK\x05\x06\0\0\0\0\0\0\0\0",
        &place.concat(),
        &[0, 0],
    ]
    .concat()
}
