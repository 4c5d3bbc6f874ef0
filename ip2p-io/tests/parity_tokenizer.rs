//! Token ids against transformers' `CLIPTokenizer`.

use std::fs;
use std::path::Path;

use ip2p_io::Tokenizer;
use ip2p_testing::{Golden, fixture};

/// Compares every text of the fixture in one form of the folder.
#[track_caller]
fn assert_equal(golden: &Golden, form: &str, folder: &Path) {
    let tokenizer = Tokenizer::open(folder).expect("a tokenizer");
    let texts: Vec<String> = serde_json::from_str(golden.text("texts")).expect("a list");
    let truncated: Vec<Option<String>> =
        serde_json::from_str(golden.text(&format!("{form}.truncated"))).expect("a list");
    let ids = golden.ints(&format!("{form}.ids"));
    assert_eq!(ids.len(), texts.len() * tokenizer.max_length());
    let expected = ids.chunks(tokenizer.max_length()).zip(&truncated);
    for (text, (ids, truncated)) in texts.iter().zip(expected) {
        let encoding = tokenizer.encode(text).expect("ids");
        assert_eq!(encoding.ids, ids, "{form}: ids of {text:?}");
        assert_eq!(
            &encoding.truncated, truncated,
            "{form}: what is cut of {text:?}"
        );
    }
    assert!(truncated.iter().flatten().count() >= 3);
}

/// Writes the files of one form of the folder.
fn unpack(golden: &Golden, form: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = format!("{form}/");
    for name in golden.names() {
        if let Some(file) = name.strip_prefix(&prefix) {
            fs::write(folder.path().join(file), golden.bytes(&name)).expect("a file");
        }
    }
    folder
}

#[test]
fn ids_are_those_of_transformers() {
    let golden = Golden::open("tokenizer/clip");
    assert_equal(&golden, "sd1", &fixture("tiny-ip2p/tokenizer"));
}

#[test]
fn ids_are_those_of_transformers_where_a_mark_pads() {
    let golden = Golden::open("tokenizer/clip");
    assert_equal(&golden, "sd2", unpack(&golden, "sd2").path());
}

#[test]
fn ids_are_those_of_transformers_from_a_unified_file() {
    let golden = Golden::open("tokenizer/clip");
    let folder = unpack(&golden, "unified");
    assert!(folder.path().join("tokenizer.json").is_file());
    assert!(!folder.path().join("vocab.json").is_file());
    assert_equal(&golden, "unified", folder.path());
}
