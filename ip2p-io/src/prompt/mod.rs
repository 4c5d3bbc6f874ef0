//! From a sentence to what the text encoder reads: words that count more or less, embeddings, and more than fits at once.
//!
//! A sentence as it stands is [`Tokenizer::encode`]'s: its brackets are brackets, and what is too long is cut. The rest is here, and
//! is asked for: [`PromptSyntax::A1111`], [`LongPrompt::Chunks`], [`Embeddings`].

mod choice;
mod chunks;
mod names;
mod syntax;

use std::collections::BTreeSet;

use ip2p_core::{Error, Result};

pub use self::choice::{LongPrompt, PromptSyntax};
use self::chunks::{Chunks, Item};
use self::names::Named;
use self::syntax::Piece;
use crate::Tokenizer;
use crate::embedding::Embedding;

/// The most chunks of a sentence: 600 tokens.
const MAX_CHUNKS: usize = 8;

/// Embeddings that sentences may name, and the token ids that stand for their vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    list: Vec<Embedding>,
    /// The id of the first one's first vector.
    first_id: usize,
}

impl Embeddings {
    /// No embeddings, for a text encoder of so many tokens: the vectors of those to come are the tokens after these.
    #[must_use]
    pub fn new(vocab_size: usize) -> Self {
        Self {
            list: Vec::new(),
            first_id: vocab_size,
        }
    }

    /// Adds an embedding.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if it is called as another is, whatever the size of the letters, or its vectors are of another width.
    pub fn add(&mut self, embedding: Embedding) -> Result<()> {
        let name = embedding.name().to_lowercase();
        let same = (self.list.iter()).find(|other| other.name().to_lowercase() == name);
        if let Some(other) = same {
            let reason = format!(
                "is called {}, as {} is: give it another name, FILE={}-2",
                embedding.name(),
                other.path().display(),
                embedding.name()
            );
            return Err(Error::checkpoint(embedding.path(), reason));
        }
        if let Some(other) = self.list.first() {
            embedding.check_width(other.width())?;
        }
        self.list.push(embedding);
        Ok(())
    }

    /// The embeddings, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Embedding> {
        self.list.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many tokens the text encoder has without them.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.first_id
    }

    /// The vectors of all, one after the other, and how wide they are: the rows that the text encoder's table needs besides its own.
    ///
    /// `None` if there are none.
    #[must_use]
    pub fn rows(&self) -> Option<(Vec<f32>, usize)> {
        let width = self.list.first()?.width();
        let values = self.list.iter().flat_map(Embedding::values);
        Some((values.copied().collect(), width))
    }

    /// The token ids that stand for an embedding.
    fn ids(&self, index: usize) -> Vec<i64> {
        let before = self.list[..index].iter().map(Embedding::vectors);
        let first = self.first_id + before.sum::<usize>();
        let ids = first..first + self.list[index].vectors();
        // Far below 2⁶³: each vector is in memory.
        ids.map(|id| i64::try_from(id).unwrap_or(i64::MAX))
            .collect()
    }
}

/// How a sentence is read.
#[derive(Debug, Clone, Copy)]
pub struct PromptRules<'a> {
    /// What its brackets mean.
    pub syntax: PromptSyntax,
    /// What becomes of it if it is too long.
    pub long_prompt: LongPrompt,
    /// What its words may name.
    pub embeddings: &'a Embeddings,
}

/// A sentence as the text encoder reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedPrompt {
    /// At least one; each is encoded by itself, and their states stand one after the other.
    pub chunks: Vec<PromptChunk>,
    /// What did not fit and was cut off at the end.
    pub truncated: Option<String>,
    /// Indices of the embeddings that are named in it.
    pub embeddings: BTreeSet<usize>,
}

/// What is encoded at once.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptChunk {
    /// Start, tokens, end and padding: [`Tokenizer::max_length`] of them.
    pub ids: Vec<i64>,
    /// How much each counts.
    pub weights: Vec<f32>,
}

impl EncodedPrompt {
    /// Whether some words count more or less than others.
    #[must_use]
    pub fn is_weighted(&self) -> bool {
        let weights = self.chunks.iter().flat_map(|chunk| &chunk.weights);
        weights.into_iter().any(|&weight| weight != 1.0)
    }
}

impl Tokenizer {
    /// The token ids of a sentence in which brackets may weigh words, words may name embeddings, and of which there may be more than
    /// fits; `what` is what errors call it.
    ///
    /// With [`PromptSyntax::Plain`], [`LongPrompt::Cut`] and no embedding in it, a sentence has the ids of [`Tokenizer::encode`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if it is not of the syntax, has an empty chunk or more than eight; [`Error::Other`] if the
    /// vocabulary lacks what the sentence needs.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use ip2p_io::{Embeddings, LongPrompt, PromptRules, PromptSyntax, Tokenizer};
    ///
    /// let rules = PromptRules {
    ///     syntax: PromptSyntax::A1111,
    ///     long_prompt: LongPrompt::Chunks,
    ///     embeddings: &Embeddings::new(49408),
    /// };
    /// let tokenizer = Tokenizer::open("instruct-pix2pix/tokenizer")?;
    /// let prompt = tokenizer.encode_prompt("instruction", "make it (snowy:1.3)", &rules)?;
    /// assert!(prompt.is_weighted());
    /// # Ok::<(), ip2p_core::Error>(())
    /// ```
    pub fn encode_prompt(
        &self,
        what: &'static str,
        text: &str,
        rules: &PromptRules<'_>,
    ) -> Result<EncodedPrompt> {
        let wrong = |reason: String| {
            let expected = format!("a sentence of the syntax {}", rules.syntax);
            Error::setting(what, expected, format!("one {reason}"))
        };
        let pieces = match rules.syntax {
            PromptSyntax::Plain => vec![Piece::Text(text.to_owned(), 1.0)],
            PromptSyntax::A1111 => syntax::parse(text).map_err(wrong)?,
        };
        let capacity = self.capacity();
        let mut chunks = Chunks::new(capacity, self.token_id(",</w>"));
        let mut ends_with_break = false;
        for piece in pieces {
            match piece {
                Piece::Break if rules.long_prompt == LongPrompt::Cut => {
                    return Err(wrong(
                        "with BREAK, which begins a chunk: --long-prompt chunks takes several"
                            .into(),
                    ));
                }
                Piece::Break if !chunks.is_begun() => {
                    return Err(wrong(
                        "with BREAK and nothing before it: an empty chunk".into(),
                    ));
                }
                Piece::Break => {
                    chunks.next();
                    ends_with_break = true;
                }
                Piece::Text(text, weight) => {
                    for item in self.items(&text, weight, rules.embeddings)? {
                        chunks.push(item);
                        ends_with_break = false;
                    }
                }
            }
        }
        if ends_with_break {
            return Err(wrong(
                "with BREAK and nothing after it: an empty chunk".into(),
            ));
        }
        let mut chunks = chunks.finish();
        let mut truncated = None;
        if rules.long_prompt == LongPrompt::Cut {
            truncated = self.cut(&mut chunks, rules.embeddings)?;
        }
        if chunks.len() > MAX_CHUNKS {
            let expected = format!("at most {MAX_CHUNKS} chunks of {capacity} tokens");
            return Err(Error::setting(
                what,
                expected,
                format!("{} chunks", chunks.len()),
            ));
        }
        let items = chunks.iter().flatten();
        Ok(EncodedPrompt {
            embeddings: items.filter_map(|item| item.embedding).collect(),
            chunks: chunks.iter().map(|items| self.chunk(items)).collect(),
            truncated,
        })
    }

    /// What stays together in words of one weight.
    fn items(&self, text: &str, weight: f64, embeddings: &Embeddings) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for part in names::split(text, embeddings) {
            match part {
                Named::Words(words) => {
                    items.extend(self.tokens(words)?.into_iter().map(|id| Item {
                        ids: vec![id.into()],
                        weight,
                        embedding: None,
                    }));
                }
                Named::Embedding(index) => {
                    let ids = embeddings.ids(index);
                    if ids.len() > self.capacity() {
                        let embedding = &embeddings.list[index];
                        let reason = format!(
                            "has {} vectors, and a sentence {} tokens",
                            ids.len(),
                            self.capacity()
                        );
                        return Err(Error::checkpoint(embedding.path(), reason));
                    }
                    items.push(Item {
                        ids,
                        weight,
                        embedding: Some(index),
                    });
                }
            }
        }
        Ok(items)
    }

    /// Leaves the first tokens that fit, and says what the others were.
    fn cut(&self, chunks: &mut Vec<Vec<Item>>, embeddings: &Embeddings) -> Result<Option<String>> {
        // In one piece, whatever commas said.
        let items: Vec<Item> = std::mem::take(chunks).into_iter().flatten().collect();
        let mut tokens = 0;
        let fits = |item: &&Item| {
            tokens += item.ids.len();
            tokens <= self.capacity()
        };
        let kept = items.iter().take_while(fits).count();
        let rest = &items[kept..];
        let mut said = Vec::new();
        for group in rest.chunk_by(|a, b| a.embedding.is_none() && b.embedding.is_none()) {
            if let Some(index) = group[0].embedding {
                said.push(embeddings.list[index].name().to_owned());
            } else {
                let ids = group.iter().flat_map(|item| &item.ids);
                let ids: Vec<_> = ids.filter_map(|&id| u32::try_from(id).ok()).collect();
                said.push(self.decode(&ids)?);
            }
        }
        let truncated = (!said.is_empty()).then(|| said.join(" "));
        chunks.push(items.into_iter().take(kept).collect());
        Ok(truncated)
    }

    #[expect(clippy::cast_possible_truncation, reason = "states are f32")]
    fn chunk(&self, items: &[Item]) -> PromptChunk {
        let tokens: Vec<i64> = items.iter().flat_map(|item| item.ids.clone()).collect();
        let each = items.iter();
        let each = each.flat_map(|item| std::iter::repeat_n(item.weight as f32, item.ids.len()));
        let ids = self.framed(&tokens);
        let mut weights = vec![1.0; ids.len()];
        weights[1..]
            .iter_mut()
            .zip(each)
            .for_each(|(weight, own)| *weight = own);
        PromptChunk { ids, weights }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
