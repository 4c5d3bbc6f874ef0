use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A tokenizer that knows the letters, one word and a mark.
fn files() -> TokenizerFiles {
    let mut tokens: Vec<String> = ('a'..='z').map(String::from).collect();
    tokens.extend(('a'..='z').map(|letter| format!("{letter}</w>")));
    tokens.extend(
        [
            "!",
            "!</w>",
            "hat</w>",
            "ha",
            "<|startoftext|>",
            "<|endoftext|>",
        ]
        .map(String::from),
    );
    let vocab: BTreeMap<_, _> = tokens.into_iter().zip(0_u32..).collect();
    TokenizerFiles {
        folder: "tokenizer".into(),
        vocab: Some(serde_json::to_vec(&vocab).unwrap()),
        merges: Some(b"#version: 0.2\nh a\nha t</w>\n".to_vec()),
        ..TokenizerFiles::default()
    }
}

/// The same vocabulary as `tokenizer.json`.
fn unified() -> TokenizerFiles {
    let vocab: serde_json::Value = serde_json::from_slice(&files().vocab.unwrap()).unwrap();
    let json = json!({
        "added_tokens": [
            {"id": 56, "content": "<|startoftext|>", "special": true, "normalized": false},
            {"id": 57, "content": "<|endoftext|>", "special": true, "normalized": false},
        ],
        "model": {
            "type": "BPE",
            "end_of_word_suffix": "</w>",
            "vocab": vocab,
            "merges": ["h a", ["ha", "t</w>"]],
        },
    });
    TokenizerFiles {
        folder: "tokenizer".into(),
        tokenizer: Some(json.to_string().into_bytes()),
        ..TokenizerFiles::default()
    }
}

const HAT: i64 = 54;
const MARK: i64 = 52;
const START: i64 = 56;
const END: i64 = 57;

fn ids(files: &TokenizerFiles, text: &str) -> Vec<i64> {
    let tokenizer = Tokenizer::from_bytes(files).unwrap();
    tokenizer.encode(text).unwrap().ids
}

#[track_caller]
fn refused(files: &TokenizerFiles, words: &str) {
    let message = Tokenizer::from_bytes(files).expect_err(words).to_string();
    assert!(message.contains(words), "{message}");
    assert!(message.starts_with("tokenizer"), "{message}");
}

#[test]
fn a_sentence_is_framed_and_padded_to_77() {
    for files in [files(), unified()] {
        let ids = ids(&files, "  HAT\thats ");
        assert_eq!(ids.len(), 77);
        assert_eq!(ids[..3], [START, HAT, 55]);
        assert_eq!(ids[4..7], [44, END, END]);
        assert!(ids[7..].iter().all(|&id| id == END));
    }
}

#[test]
fn an_empty_sentence_is_a_frame_alone() {
    assert_eq!(ids(&files(), "")[..3], [START, END, END]);
    assert_eq!(ids(&files(), " \n ")[..3], [START, END, END]);
}

#[test]
fn the_length_and_the_padding_are_the_files() {
    let mut files = files();
    let config = json!({"model_max_length": 6, "pad_token": "<|endoftext|>"});
    files.config = Some(config.to_string().into_bytes());
    assert_eq!(ids(&files, "hat!"), [START, HAT, MARK + 1, END, END, END]);
    // Stable Diffusion 2 pads with a mark, which thereby becomes a token of its own.
    files.special_tokens = Some(json!({"pad_token": "!"}).to_string().into_bytes());
    assert_eq!(ids(&files, "hat!"), [START, HAT, MARK, END, MARK, MARK]);
}

#[test]
fn what_does_not_fit_is_shown() {
    let mut files = files();
    files.config = Some(br#"{"model_max_length": 5}"#.to_vec());
    let tokenizer = Tokenizer::from_bytes(&files).unwrap();
    let fitting = tokenizer.encode("hat hat hat").unwrap();
    assert_eq!(fitting.truncated, None);
    assert_eq!(fitting.ids, [START, HAT, HAT, HAT, END]);
    let cut = tokenizer.encode("Hat hat hat a hat!").unwrap();
    assert_eq!(cut.ids, fitting.ids);
    assert_eq!(cut.truncated.as_deref(), Some("a hat !"));
}

#[test]
fn special_tokens_in_a_sentence_are_special() {
    let text = "hat <|endoftext|><|ENDOFTEXT|>";
    let mut files = files();
    let as_string = ids(&files, text);
    assert_eq!(as_string[..3], [START, HAT, END]);
    let token = json!({"content": "<|endoftext|>", "normalized": true});
    let map = json!({"eos_token": token, "unk_token": token, "pad_token": "!"});
    files.special_tokens = Some(map.to_string().into_bytes());
    assert_eq!(ids(&files, text)[..6], [START, HAT, END, END, END, MARK]);
}

#[test]
fn added_tokens_extend_the_vocabulary() {
    let mut files = files();
    files.added_tokens = Some(br#"{"<my hat>": 58}"#.to_vec());
    assert_eq!(ids(&files, "a <MY hat>")[1..3], [26, 58]);
    files.added_tokens = Some(br#"{"<my hat>": 60}"#.to_vec());
    refused(&files, "\"<my hat>\" should have another id");
}

type Change = fn(&mut TokenizerFiles);

#[test]
fn what_is_missing_or_wrong_is_named() {
    refused(
        &TokenizerFiles {
            folder: "tokenizer".into(),
            ..TokenizerFiles::default()
        },
        "looked for tokenizer.json",
    );
    let cases: [(Change, &str); 9] = [
        (|files| files.merges = None, "looked for tokenizer.json"),
        (
            |files| files.vocab = Some(b"[]".to_vec()),
            "vocab.json: invalid type",
        ),
        (
            |files| files.vocab = Some(br#"{"a":7}"#.to_vec()),
            "has the id 7 in a vocabulary of 1",
        ),
        (
            |files| files.merges = Some(b"h a t".to_vec()),
            "merges.txt: no pair: \"h a t\"",
        ),
        (|files| files.merges = Some(b"a h".to_vec()), "lacks \"ah\""),
        (
            |files| files.merges = Some(vec![0xff]),
            "merges.txt: is not UTF-8",
        ),
        (
            |files| files.config = Some(br#"{"model_max_length":2}"#.to_vec()),
            "above 2, got 2",
        ),
        (
            |files| files.config = Some(br#"{"pad_token":"<pad>"}"#.to_vec()),
            "\"<pad>\" is not in the vocabulary",
        ),
        (
            |files| files.config = Some(br#"{"padding_side":"left"}"#.to_vec()),
            "padding_side must be right",
        ),
    ];
    for (change, words) in cases {
        let mut files = files();
        change(&mut files);
        refused(&files, words);
    }
}

#[test]
fn a_tokenizer_of_another_kind_is_refused() {
    for (model, words) in [
        (
            json!({"type": "Unigram", "vocab": {}, "merges": []}),
            "model.type must be BPE",
        ),
        (
            json!({"type": "BPE", "vocab": {}, "merges": []}),
            "end_of_word_suffix must be </w>",
        ),
    ] {
        let files = TokenizerFiles {
            folder: "tokenizer".into(),
            tokenizer: Some(json!({"model": model}).to_string().into_bytes()),
            ..TokenizerFiles::default()
        };
        refused(&files, words);
    }
}

proptest! {
    #[test]
    fn no_sentence_makes_it_panic(text in "\\PC*") {
        let encoding = Tokenizer::from_bytes(&files()).unwrap().encode(&text).unwrap();
        prop_assert_eq!(encoding.ids.len(), 77);
        prop_assert_eq!(encoding.ids[0], START);
    }

    #[test]
    fn no_merges_make_it_panic(merges in "[ a-c\n]{0,12}") {
        let files = TokenizerFiles { merges: Some(merges.into_bytes()), ..files() };
        let _ = Tokenizer::from_bytes(&files);
    }
}
