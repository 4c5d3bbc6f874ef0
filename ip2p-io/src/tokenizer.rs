//! CLIP's tokenizer: from a sentence to the ids that the text encoder reads.
//!
//! The reference is transformers 5 (`CLIPTokenizer`, which is the class that version 4 calls `CLIPTokenizerFast`): NFC,
//! white space squeezed to one space, lower case, CLIP's splitting expression, byte-level BPE with `</w>` at the ends of
//! words. From the *slow* `CLIPTokenizer` of transformers 4 it differs in rare input alone: that one takes out control
//! characters and, where the Python package ftfy is installed, repairs garbled text and straightens curly quotes.
//!
//! As in transformers, `tokenizer.json` is read for its vocabulary, merges and added tokens; the steps before and after
//! them are CLIP's whatever it says. So there is one way through this code for both kinds of folder, and no regular
//! expression comes from a file.

mod files;

use std::path::Path;

use ip2p_core::{Error, Result};
use tokenizers::SplitDelimiterBehavior;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

pub use self::files::TokenizerFiles;
use self::files::{Added, Contents, Vocabulary};

/// What a sentence is split into before the merges; `simple_tokenizer.py` of the original CLIP.
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// What ends the last token of a word.
const WORD_END: &str = "</w>";

/// Ids that stand around every sentence: its start and its end.
const FRAME: usize = 2;

/// Turns sentences into token ids.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    start: u32,
    end: u32,
    pad: u32,
    max_length: usize,
}

/// A sentence as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// Start, tokens, end and padding: [`Tokenizer::max_length`] of them.
    pub ids: Vec<i64>,
    /// What did not fit and was cut off at the end, as diffusers words it in its warning.
    pub truncated: Option<String>,
}

impl Tokenizer {
    /// Reads the tokenizer in a folder: `tokenizer.json`, or `vocab.json` and `merges.txt`.
    ///
    /// The special tokens and the length are those of `tokenizer_config.json` and `special_tokens_map.json`; where these
    /// do not state them, they are CLIP's, and sentences are 77 long.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read, [`Error::Checkpoint`] if there is no tokenizer or it is not CLIP's.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Self::from_bytes(&TokenizerFiles::read(folder)?)
    }

    /// Makes a tokenizer of the contents of its files.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] that names the file and what is wrong in it.
    pub fn from_bytes(files: &TokenizerFiles) -> Result<Self> {
        let contents = Contents::parse(files)?;
        let wrong = |reason: String| Error::checkpoint(&files.folder, reason);
        let mut inner = pipeline(contents.vocabulary, contents.unknown.clone())
            .map_err(|error| wrong(format!("is no tokenizer: {error}")))?;
        for Added { token, id } in contents.added {
            let content = token.content.clone();
            // A token without an id of its own would get one that the text encoder has no embedding for.
            if id.is_none() && inner.token_to_id(&content).is_none() {
                return Err(wrong(format!("token {content:?} is not in the vocabulary")));
            }
            inner
                .add_tokens([token])
                .map_err(|error| wrong(format!("token {content:?}: {error}")))?;
            if id.is_some() && id != inner.token_to_id(&content) {
                return Err(wrong(format!("token {content:?} should have another id")));
            }
        }
        let id = |token: &str| {
            inner
                .token_to_id(token)
                .ok_or_else(|| wrong(format!("token {token:?} is not in the vocabulary")))
        };
        Ok(Self {
            start: id(&contents.start)?,
            end: id(&contents.end)?,
            pad: id(&contents.pad)?,
            max_length: contents.max_length,
            inner,
        })
    }

    /// The number of ids of every sentence.
    #[must_use]
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The ids of a sentence, cut or padded to [`Self::max_length`].
    ///
    /// # Errors
    ///
    /// [`Error::Other`] if the vocabulary lacks what the sentence needs.
    pub fn encode(&self, text: &str) -> Result<Encoding> {
        let tokens = self.tokens(text)?;
        let kept = tokens.len().min(self.capacity());
        let truncated = (kept < tokens.len())
            .then(|| self.decode(&tokens[kept..]))
            .transpose()?;
        let kept: Vec<i64> = tokens[..kept].iter().map(|&token| token.into()).collect();
        Ok(Encoding {
            ids: self.framed(&kept),
            truncated,
        })
    }

    /// How many tokens of a sentence fit between its start and its end.
    pub(crate) fn capacity(&self) -> usize {
        self.max_length - FRAME
    }

    /// The id of a token of the vocabulary.
    pub(crate) fn token_id(&self, token: &str) -> Option<i64> {
        self.inner.token_to_id(token).map(i64::from)
    }

    /// The tokens of some words, without start and end.
    pub(crate) fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        let encoded = self
            .inner
            .encode_fast(text, false)
            .map_err(|error| Error::other("cannot tokenize the sentence", error))?;
        Ok(encoded.get_ids().to_vec())
    }

    /// Start, these tokens, end and padding; there are at most [`Self::capacity`] of them.
    pub(crate) fn framed(&self, tokens: &[i64]) -> Vec<i64> {
        let mut ids = vec![i64::from(self.pad); self.max_length];
        ids[0] = i64::from(self.start);
        ids[tokens.len() + 1] = i64::from(self.end);
        ids[1..=tokens.len()].copy_from_slice(tokens);
        ids
    }

    /// How many of the ids of a sentence are its own, without start, end and padding and what is cut: the first after the start.
    ///
    /// # Errors
    ///
    /// Those of [`Self::encode`].
    pub fn count(&self, text: &str) -> Result<usize> {
        Ok(self.tokens(text)?.len().min(self.capacity()))
    }

    pub(crate) fn decode(&self, ids: &[u32]) -> Result<String> {
        let text = self
            .inner
            .decode(ids, false)
            .map_err(|error| Error::other("cannot show what was cut off the sentence", error))?;
        // Python's `strip` counts the four information separators as white space.
        let is_space = |c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c);
        Ok(text
            .replace(WORD_END, " ")
            .trim_matches(is_space)
            .to_owned())
    }
}

/// CLIP's steps around the merges.
fn pipeline(vocabulary: Vocabulary, unknown: String) -> tokenizers::Result<tokenizers::Tokenizer> {
    let ids: Vocab = vocabulary.ids.into_iter().collect();
    let bpe = BPE::builder()
        .vocab_and_merges(ids, vocabulary.merges)
        .unk_token(unknown)
        .end_of_word_suffix(WORD_END.into())
        // The crate's cache would outlive this tokenizer, on every thread that used it.
        .cache_capacity(0)
        .build()?;
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".into()), " ")?;
    let words = Split::new(
        SplitPattern::Regex(WORDS.into()),
        SplitDelimiterBehavior::Removed,
        true,
    )?;
    let bytes = ByteLevel::new(false, true, true);
    let mut inner = tokenizers::Tokenizer::new(bpe);
    inner.with_normalizer(Some(Normalizers::new(vec![
        NFC.into(),
        spaces.into(),
        Lowercase.into(),
    ])))?;
    inner.with_pre_tokenizer(Some(PreTokenizers::new(vec![words.into(), bytes.into()])));
    inner.with_decoder(Some(bytes));
    Ok(inner)
}

#[cfg(test)]
mod tests;
