//! The small files that a single file does not have.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use ip2p_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::family::{END, Family, Shapes};
use super::{Networks, TensorInfo};
use crate::checkpoint::folder::tokenizers;
use crate::storage::Storage;

/// How CLIP's tokens merge, the first to be merged first: `clip/bpe_simple_vocab_16e6.txt.gz` of openai/CLIP, the lines that it uses.
const MERGES: &str = include_str!("clip_merges.txt");

/// The first line of `merges.txt`.
const VERSION: &str = "#version: 0.2\n";

/// Whether a `merges.txt` is CLIP's.
pub(in crate::checkpoint) fn is_clip(merges: &str) -> bool {
    let lines = merges
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.is_empty());
    lines.eq(MERGES.lines())
}

/// The small files that whoever wrote the file put into its metadata.
pub(super) fn from_metadata(path: &Path, texts: &str) -> Result<Storage> {
    let mut files: BTreeMap<String, String> = serde_json::from_str(texts).map_err(|error| {
        Error::checkpoint(
            path,
            format!("{} in its metadata: {error}", super::METADATA),
        )
    })?;
    let has = |files: &BTreeMap<String, String>, start: &str| {
        files.keys().any(|name| name.starts_with(start))
    };
    // Whoever wrote them left CLIP's own tokenizers away, but for what they pad with.
    for tokenizer in tokenizers(has(&files, "text_encoder_2/")) {
        let config = format!("{tokenizer}/tokenizer_config.json");
        if !has(&files, &format!("{tokenizer}/vocab.json"))
            && !has(&files, &format!("{tokenizer}/tokenizer.json"))
        {
            for (name, text) in clip_tokenizer(tokenizer, END) {
                if name != config || !files.contains_key(&config) {
                    files.insert(name, text);
                }
            }
        }
    }
    Storage::memory(
        path,
        files
            .into_iter()
            .map(|(name, text)| (name, text.into_bytes())),
    )
}

/// The small files of Stable Diffusion 1, 2 or XL, if the weights are of their shapes, and what of them was guessed.
pub(super) fn of_known_family(
    path: &Path,
    networks: &Networks,
    tensors: &BTreeMap<String, TensorInfo>,
) -> Result<(Storage, Option<String>)> {
    let Some(family) = Family::find(path, networks, tensors)? else {
        let shapes = Shapes::of(networks);
        let reason = format!(
            "is of no known size: {shapes}, where those of Stable Diffusion 1 are [320, 8, 3, 3], [320, 768] and [49408, 768]; \
             give a folder with its configs by --config"
        );
        return Err(Error::checkpoint(path, reason));
    };
    let texts = family
        .configs()
        .into_iter()
        .map(|(name, text)| (name.to_owned(), format!("{text:#}\n")));
    let files = texts
        .chain(clip_tokenizer("tokenizer", family.pads_with()))
        .chain(
            family
                .is_xl()
                .then(|| clip_tokenizer("tokenizer_2", "!"))
                .into_iter()
                .flatten(),
        )
        .map(|(name, text)| (name, text.into_bytes()));
    Ok((Storage::memory(path, files)?, family.note()))
}

/// CLIP's tokenizer, in files as transformers reads them, in a folder of this name.
fn clip_tokenizer(folder: &str, pad: &str) -> [(String, String); 3] {
    let mut vocabulary = Map::new();
    let mut add = |token: String| {
        let id = Value::from(vocabulary.len());
        vocabulary.insert(token, id);
    };
    let bytes = byte_alphabet();
    for byte in &bytes {
        add(byte.to_string());
    }
    for byte in &bytes {
        add(format!("{byte}</w>"));
    }
    for pair in MERGES.lines() {
        add(pair.replacen(' ', "", 1));
    }
    add("<|startoftext|>".into());
    add("<|endoftext|>".into());
    let config = json!({
        "bos_token": "<|startoftext|>",
        "do_lower_case": true,
        "eos_token": "<|endoftext|>",
        "model_max_length": 77,
        "pad_token": pad,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": "<|endoftext|>",
    });
    let mut merges = VERSION.to_owned();
    let _ = write!(merges, "{MERGES}");
    [
        (
            format!("{folder}/vocab.json"),
            Value::Object(vocabulary).to_string(),
        ),
        (format!("{folder}/merges.txt"), merges),
        (
            format!("{folder}/tokenizer_config.json"),
            format!("{config:#}\n"),
        ),
    ]
}

/// The printable characters that stand for the 256 bytes, in the order of their ids: `bytes_to_unicode` of
/// `clip/simple_tokenizer.py` in openai/CLIP.
fn byte_alphabet() -> Vec<char> {
    let printable = || ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ');
    let others = 256 - printable().count();
    printable().chain(('\u{100}'..).take(others)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokenizer;
    use crate::tokenizer::TokenizerFiles;

    #[test]
    fn the_tokenizer_is_clips() {
        let files = clip_tokenizer("tokenizer", END);
        let storage = Storage::memory(
            Path::new("x"),
            files
                .into_iter()
                .map(|(name, text)| (name, text.into_bytes())),
        );
        let files = TokenizerFiles::read_in(&storage.unwrap(), Path::new("x/tokenizer")).unwrap();
        let encoded = Tokenizer::from_bytes(&files)
            .unwrap()
            .encode("a photo of a cat")
            .unwrap();
        // As transformers' CLIPTokenizer of openai/clip-vit-large-patch14 gives them.
        assert_eq!(encoded.ids[..7], [49406, 320, 1125, 539, 320, 2368, 49407]);
        assert_eq!(encoded.ids[76], 49407);
        assert_eq!(byte_alphabet().len(), 256);
        assert!(is_clip(&format!("{VERSION}{MERGES}")) && !is_clip("a b\n"));
    }
}
