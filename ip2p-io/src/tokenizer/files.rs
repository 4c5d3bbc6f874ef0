//! What the files of a tokenizer say.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use ip2p_core::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokenizers::AddedToken;

use crate::storage::Storage;

/// CLIP's length of a sentence, where the files do not state it.
const MAX_LENGTH: usize = 77;

/// The longest sentence that a file may ask for; transformers writes 1e30 where it knows none.
const LONGEST: f64 = 65536.0;

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

const TOKENIZER: &str = "tokenizer.json";
const VOCAB: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const CONFIG: &str = "tokenizer_config.json";
const SPECIAL: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";

/// The contents of a tokenizer's files, [`None`] for one that is not there.
#[derive(Debug, Clone, Default)]
pub struct TokenizerFiles {
    /// Named in errors.
    pub folder: PathBuf,
    /// `tokenizer.json`, which goes before the next two.
    pub tokenizer: Option<Vec<u8>>,
    /// `vocab.json`.
    pub vocab: Option<Vec<u8>>,
    /// `merges.txt`.
    pub merges: Option<Vec<u8>>,
    /// `tokenizer_config.json`.
    pub config: Option<Vec<u8>>,
    /// `special_tokens_map.json`.
    pub special_tokens: Option<Vec<u8>>,
    /// `added_tokens.json`.
    pub added_tokens: Option<Vec<u8>>,
}

impl TokenizerFiles {
    /// Reads the files of a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if one that is there cannot be read.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        Self::read_in(&Storage::Disk, folder.as_ref())
    }

    /// As [`Self::read`], wherever the files lie.
    pub(crate) fn read_in(storage: &Storage, folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            let is_there = storage.is_file(&path);
            is_there.then(|| storage.read(&path)).transpose()
        };
        Ok(Self {
            folder: folder.to_owned(),
            tokenizer: read(TOKENIZER)?,
            vocab: read(VOCAB)?,
            merges: read(MERGES)?,
            config: read(CONFIG)?,
            special_tokens: read(SPECIAL)?,
            added_tokens: read(ADDED)?,
        })
    }

    fn wrong(&self, file: &str, reason: impl Into<String>) -> Error {
        Error::checkpoint(self.folder.join(file), reason)
    }

    fn json<T: DeserializeOwned>(&self, file: &str, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).map_err(|error| self.wrong(file, error.to_string()))
    }
}

/// The tokens and how they merge.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pub(super) ids: HashMap<String, u32>,
    /// Pairs of tokens, the first to be merged first.
    pub(super) merges: Vec<(String, String)>,
}

/// A token that is found in the text before it is split, and the id that it must have, where a file states it.
#[derive(Debug, Clone)]
pub(super) struct Added {
    pub(super) token: AddedToken,
    pub(super) id: Option<u32>,
}

/// All that the files say.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) vocabulary: Vocabulary,
    /// In the order in which they are added; the last of two with the same content counts.
    pub(super) added: Vec<Added>,
    pub(super) start: String,
    pub(super) end: String,
    pub(super) unknown: String,
    pub(super) pad: String,
    pub(super) max_length: usize,
}

impl Contents {
    pub(super) fn parse(files: &TokenizerFiles) -> Result<Self> {
        let config: Config = match &files.config {
            Some(bytes) => files.json(CONFIG, bytes)?,
            None => Config::default(),
        };
        let (vocabulary, mut listed) = vocabulary(files)?;
        check_vocabulary(files, &vocabulary)?;
        // transformers reads the older files only where the newest is silent.
        let special: NamedTokens = match (&config.added_tokens_decoder, &files.special_tokens) {
            (None, Some(bytes)) => files.json(SPECIAL, bytes)?,
            _ => NamedTokens::default(),
        };
        if let Some(decoder) = config.added_tokens_decoder {
            listed = decoder;
        } else if let Some(bytes) = &files.added_tokens {
            let older: BTreeMap<String, u32> = files.json(ADDED, bytes)?;
            let token = |content| RawToken {
                content,
                ..RawToken::default()
            };
            listed.extend(older.into_iter().map(|(content, id)| (id, token(content))));
        }
        let mut added: Vec<Added> = listed
            .into_iter()
            .map(|(id, token)| Added {
                token: token.into_added(),
                id: Some(id),
            })
            .collect();
        let known = added.len();
        let mut named = |stated: Option<Named>, else_stated: Option<Named>, default: &str| {
            let token = stated.or(else_stated);
            let token = token.unwrap_or_else(|| Named::Content(default.into()));
            let token = token.into_added();
            let content = token.content.clone();
            if !added[..known]
                .iter()
                .any(|other| other.token.content == content)
            {
                added.push(Added { token, id: None });
            }
            content
        };
        let start = named(special.bos_token, config.named.bos_token, START);
        let end = named(special.eos_token, config.named.eos_token, END);
        let unknown = named(special.unk_token, config.named.unk_token, END);
        let pad = named(special.pad_token, config.named.pad_token, END);
        if config.padding_side.is_some_and(|side| side != "right") {
            return Err(files.wrong(CONFIG, "padding_side must be right, as CLIP was trained"));
        }
        Ok(Self {
            max_length: max_length(files, config.model_max_length)?,
            vocabulary,
            added,
            start,
            end,
            unknown,
            pad,
        })
    }
}

fn max_length(files: &TokenizerFiles, stated: Option<f64>) -> Result<usize> {
    match stated {
        Some(length) if length < 3.0 || length.fract() != 0.0 => {
            let reason = format!("model_max_length must be a whole number above 2, got {length}");
            Err(files.wrong(CONFIG, reason))
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number from 3 to 65536"
        )]
        Some(length) if length <= LONGEST => Ok(length as usize),
        _ => Ok(MAX_LENGTH),
    }
}

/// The vocabulary, and the added tokens that stand in the same file, by id.
fn vocabulary(files: &TokenizerFiles) -> Result<(Vocabulary, BTreeMap<u32, RawToken>)> {
    if let Some(bytes) = &files.tokenizer {
        return unified(files, bytes);
    }
    let (Some(vocab), Some(merges)) = (&files.vocab, &files.merges) else {
        let reason =
            "has no tokenizer; looked for tokenizer.json, and for vocab.json with merges.txt";
        return Err(Error::checkpoint(&files.folder, reason));
    };
    let text = str::from_utf8(merges).map_err(|_| files.wrong(MERGES, "is not UTF-8 text"))?;
    let merges = text
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.is_empty())
        .map(|line| pair(line).ok_or_else(|| files.wrong(MERGES, format!("no pair: {line:?}"))))
        .collect::<Result<_>>()?;
    let ids = files.json(VOCAB, vocab)?;
    Ok((Vocabulary { ids, merges }, BTreeMap::new()))
}

fn unified(files: &TokenizerFiles, bytes: &[u8]) -> Result<(Vocabulary, BTreeMap<u32, RawToken>)> {
    let raw: Unified = files.json(TOKENIZER, bytes)?;
    let model = raw.model;
    if model.kind.as_deref().is_some_and(|kind| kind != "BPE") {
        return Err(files.wrong(TOKENIZER, "model.type must be BPE, as CLIP's is"));
    }
    if model.end_of_word_suffix.as_deref() != Some(super::WORD_END) {
        let reason = "model.end_of_word_suffix must be </w>, as CLIP's is";
        return Err(files.wrong(TOKENIZER, reason));
    }
    let merges = model
        .merges
        .into_iter()
        .map(|merge| match merge {
            Merge::Pair(a, b) => Ok((a, b)),
            Merge::Line(line) => pair(&line)
                .ok_or_else(|| files.wrong(TOKENIZER, format!("model.merges: no pair: {line:?}"))),
        })
        .collect::<Result<_>>()?;
    let vocabulary = Vocabulary {
        ids: model.vocab,
        merges,
    };
    let added = raw.added_tokens.into_iter();
    let listed = added.map(|listed| (listed.id, listed.token)).collect();
    Ok((vocabulary, listed))
}

fn pair(line: &str) -> Option<(String, String)> {
    let (a, b) = line.split_once(' ')?;
    (!b.contains(' ')).then(|| (a.to_owned(), b.to_owned()))
}

/// Checks what the tokenizers crate relies on.
fn check_vocabulary(files: &TokenizerFiles, vocabulary: &Vocabulary) -> Result<()> {
    let Vocabulary { ids, merges } = vocabulary;
    let file = if files.tokenizer.is_some() {
        TOKENIZER
    } else {
        VOCAB
    };
    if let Some((token, id)) = ids.iter().find(|(_, id)| **id as usize >= ids.len()) {
        let count = ids.len();
        let reason = format!("token {token:?} has the id {id} in a vocabulary of {count}");
        return Err(files.wrong(file, reason));
    }
    for (a, b) in merges {
        let merged = format!("{a}{b}");
        if let Some(token) = [a, b, &merged].into_iter().find(|t| !ids.contains_key(*t)) {
            let reason = format!("lacks {token:?}, which the merge of {a:?} and {b:?} needs");
            return Err(files.wrong(file, reason));
        }
    }
    Ok(())
}

/// `tokenizer_config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    #[serde(flatten)]
    named: NamedTokens,
    model_max_length: Option<f64>,
    padding_side: Option<String>,
    added_tokens_decoder: Option<BTreeMap<u32, RawToken>>,
}

/// `special_tokens_map.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "the fields are the file's")]
struct NamedTokens {
    bos_token: Option<Named>,
    eos_token: Option<Named>,
    unk_token: Option<Named>,
    pad_token: Option<Named>,
}

/// A special token: as a string it is looked for in the text as it is, as an object it says for itself.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Named {
    Content(String),
    Token(RawToken),
}

impl Named {
    fn into_added(self) -> AddedToken {
        let token = match self {
            Self::Content(content) => RawToken {
                content,
                ..RawToken::default()
            },
            Self::Token(token) => token,
        };
        RawToken {
            special: true,
            ..token
        }
        .into_added()
    }
}

/// An added token as the files spell it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are the file's")]
struct RawToken {
    content: String,
    special: bool,
    normalized: Option<bool>,
    lstrip: bool,
    rstrip: bool,
    single_word: bool,
}

impl RawToken {
    fn into_added(self) -> AddedToken {
        AddedToken::from(self.content, self.special)
            .normalized(self.normalized.unwrap_or(!self.special))
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .single_word(self.single_word)
    }
}

/// `tokenizer.json`.
#[derive(Debug, Deserialize)]
struct Unified {
    model: UnifiedModel,
    #[serde(default)]
    added_tokens: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
struct UnifiedModel {
    #[serde(rename = "type")]
    kind: Option<String>,
    end_of_word_suffix: Option<String>,
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Line(String),
}

#[derive(Debug, Deserialize)]
struct Listed {
    id: u32,
    #[serde(flatten)]
    token: RawToken,
}
