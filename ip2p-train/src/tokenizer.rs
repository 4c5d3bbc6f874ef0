//! A small tokenizer in CLIP's form, learnt from the sentences of a data set.

use std::collections::HashMap;
use std::path::Path;

use ip2p::{Error, Result};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Model};

use crate::state::write;

/// What ends the last token of a word.
const WORD_END: &str = "</w>";

/// The tokens around every sentence; the second also pads it.
const SPECIAL: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];

/// Learns a vocabulary of `size` tokens by byte pair encoding and writes `vocab.json`, `merges.txt` and
/// `tokenizer_config.json` to `folder`, as transformers' `CLIPTokenizer` reads them.
///
/// Every byte has its token, with and without the end of a word, so that any sentence can be encoded; the rest of the
/// vocabulary is merges. Sennrich et al. (2016), <https://arxiv.org/abs/1508.07909>, algorithm 1.
///
/// # Errors
///
/// [`Error::InvalidSetting`] if `size` leaves no room for merges; [`Error::Io`] if a file cannot be written.
pub fn learn<'a>(
    sentences: impl IntoIterator<Item = &'a str>,
    size: usize,
    max_length: usize,
    folder: impl AsRef<Path>,
) -> Result<()> {
    let folder = folder.as_ref();
    let alphabet = ByteLevel::alphabet();
    let least = 2 * alphabet.len() + SPECIAL.len();
    if size <= least {
        let expected = format!("more than the {least} tokens of single bytes");
        return Err(Error::setting("vocabulary size", expected, size));
    }
    let mut words = HashMap::new();
    for sentence in sentences {
        for word in words_of(sentence) {
            *words.entry(word).or_insert(0_u64) += 1;
        }
    }
    // Words of one byte bring in the tokens that end a word.
    for byte in &alphabet {
        *words.entry(byte.to_string()).or_insert(0) += 1;
    }
    let trainer = BpeTrainer::builder()
        .vocab_size(size)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(alphabet.into_iter().collect())
        .end_of_word_suffix(WORD_END.into())
        .special_tokens(SPECIAL.map(|token| AddedToken::from(token, true)).into())
        .build();
    let failed = |error: tokenizers::Error| Error::other("cannot learn a tokenizer", error);
    let mut model = BPE::default();
    let counts = words
        .into_iter()
        .map(|(word, count)| (word.into(), count))
        .collect();
    trainer.do_train(&counts, &mut model).map_err(failed)?;
    std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    model.save(folder, None).map_err(failed)?;
    let config = serde_json::json!({
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": max_length,
        "bos_token": SPECIAL[0],
        "eos_token": SPECIAL[1],
        "pad_token": SPECIAL[1],
        "unk_token": SPECIAL[1],
    });
    write(
        &folder.join("tokenizer_config.json"),
        format!("{config:#}\n").as_bytes(),
    )
}

/// The words of a sentence as CLIP splits it: letters, single digits, and runs of what is neither, all in lower case.
fn words_of(sentence: &str) -> Vec<String> {
    #[derive(PartialEq)]
    enum Kind {
        Letter,
        Digit,
        Other,
    }
    let mut words: Vec<(Kind, String)> = Vec::new();
    for part in sentence.to_lowercase().split_whitespace() {
        let mut fresh = true;
        for c in part.chars() {
            let kind = match c {
                c if c.is_alphabetic() => Kind::Letter,
                c if c.is_numeric() => Kind::Digit,
                _ => Kind::Other,
            };
            match words.last_mut() {
                Some((last, word)) if !fresh && *last == kind && kind != Kind::Digit => {
                    word.push(c);
                }
                _ => words.push((kind, c.to_string())),
            }
            fresh = false;
        }
    }
    words.into_iter().map(|(_, word)| word).collect()
}

#[cfg(test)]
mod tests {
    use ip2p::io::Tokenizer;

    use super::*;

    #[test]
    fn what_is_learnt_is_a_clip_tokenizer_whose_common_words_are_one_token() {
        let folder = tempfile::tempdir().unwrap();
        let sentences = ["make it snowy, please", "make the red ball blue."].repeat(10);
        learn(sentences, 600, 77, folder.path()).unwrap();
        let tokenizer = Tokenizer::open(folder.path()).unwrap();
        assert_eq!(tokenizer.max_length(), 77);
        let ids = |text: &str| tokenizer.encode(text).unwrap().ids;
        let (start, end) = (ids("")[0], ids("")[1]);
        let known = ids("make the ball snowy");
        assert_eq!((known[0], known[5]), (start, end), "{:?}", &known[..8]);
        assert!(known[5..].iter().all(|&id| id == end));
        // Letters that no sentence had.
        let unknown = ids("ĉu žluťoučký 漢字?");
        assert!(unknown[1..10].iter().all(|&id| id != end));
    }
}
