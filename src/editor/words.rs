//! From sentences to what the U-Net is told of them.

use std::path::Path;

use ip2p_core::{Error, KnownProfile, ModelFamily, Result};
use ip2p_io::{Embedding, EmbeddingRecord, Embeddings, EncodedPrompt, PromptRules, Tokenizer};

use super::text::TextStates;
use super::{Editor, Model};
use crate::options::EditOptions;

/// The most chunks that sentences of unequal lengths come to when each is repeated to one length: 7 times 8.
const MAX_REPEATED: usize = 56;

/// A sentence as each text encoder reads it.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) first: EncodedPrompt,
    /// As the second one does, if there is one.
    pub(super) second: Option<EncodedPrompt>,
}

impl Model {
    /// Adds a file of textual inversion: a word that sentences may name from then on, and the vectors that stand for it. See
    /// [`Embedding::open`]; its word is [`Embedding::name`].
    ///
    /// # Errors
    ///
    /// Those of [`Embedding::open`]; [`Error::Checkpoint`] if it is for another family of models, or called as another one is.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use ip2p::Model;
    ///
    /// let model = Model::open("instruct-pix2pix")?.with_embedding("cat-toy.pt")?;
    /// let word = model.embeddings().next().map(|embedding| embedding.name());
    /// assert_eq!(word, Some("cat-toy"));
    /// # Ok::<(), ip2p::Error>(())
    /// ```
    pub fn with_embedding(self, file: impl AsRef<Path>) -> Result<Self> {
        self.with_opened(Embedding::open(file)?)
    }

    /// As [`Self::with_embedding`], under another word.
    ///
    /// # Errors
    ///
    /// Those of [`Self::with_embedding`] and [`Embedding::with_name`].
    pub fn with_embedding_as(self, file: impl AsRef<Path>, name: &str) -> Result<Self> {
        self.with_opened(Embedding::open(file)?.with_name(name)?)
    }

    fn with_opened(mut self, embedding: Embedding) -> Result<Self> {
        let wrong = |reason: &str| Err(Error::checkpoint(embedding.path(), reason));
        match (&self.text.second, embedding.second()) {
            (None, None) => {}
            (None, Some(_)) => {
                return wrong(
                    "is for Stable Diffusion XL, whose two text encoders it has vectors for; this model has one",
                );
            }
            (Some(_), None) => {
                return wrong(
                    "is for one text encoder; this model is Stable Diffusion XL, whose two have clip_l and clip_g in such a file",
                );
            }
            (Some(config), Some(second)) => {
                second.check_width(config.hidden_size)?;
                // Where there is a second text encoder there are embeddings for it.
                if let Some(words) = &mut self.embeddings_2 {
                    words.add(second)?;
                }
            }
        }
        embedding.check_width(self.text.first.hidden_size)?;
        self.embeddings.add(embedding)?;
        Ok(self)
    }

    /// The embeddings that were added.
    pub fn embeddings(&self) -> impl Iterator<Item = &Embedding> {
        self.embeddings.iter()
    }

    /// Takes what the checkpoint's files do not say of its conventions from a known model.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if no model of this name is known (the error lists those that are), or it is of another family.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use ip2p::Model;
    ///
    /// let model = Model::open("renamed.ckpt")?.with_known_profile("instruct-diffusion")?;
    /// assert_eq!(model.profile().text_scale, 5.0);
    /// # Ok::<(), ip2p::Error>(())
    /// ```
    pub fn with_known_profile(mut self, name: &str) -> Result<Self> {
        let known = KnownProfile::named(name)?;
        let family = self.profile.family;
        if known.family != family && family != ModelFamily::Custom {
            let expected = format!("one of a model of the family {family:?}, as this is");
            let got = format!("{name}, which is of {:?}", known.family);
            return Err(Error::setting("profile", expected, got));
        }
        known.apply_to(&mut self.profile);
        self.known = Some(known.name);
        Ok(self)
    }

    /// The known model whose conventions were asked for.
    pub(crate) fn known_profile(&self) -> Option<&'static str> {
        self.known
    }

    /// The sentence as the text encoder reads it, with what stands after every sentence of this model.
    pub(super) fn instruction(&self, text: &str, options: &EditOptions) -> Result<Prompt> {
        let sentence = format!("{text}{}", self.profile.suffix);
        self.prompt("instruction", &sentence, options)
    }

    /// The negative prompt as the text encoder reads it, if there is one.
    pub(super) fn negative(&self, options: &EditOptions) -> Result<Option<Prompt>> {
        let negative = options.negative.as_deref();
        negative
            .map(|text| self.prompt("negative", text, options))
            .transpose()
    }

    /// The sentence of the branches that have none.
    pub(super) fn empty_sentence(&self) -> Result<Prompt> {
        self.prompt("instruction", "", &EditOptions::default())
    }

    fn prompt(&self, what: &'static str, text: &str, options: &EditOptions) -> Result<Prompt> {
        let read = |tokenizer: &Tokenizer, embeddings: &Embeddings| {
            let rules = PromptRules {
                syntax: options.prompt_syntax,
                long_prompt: options.long_prompt(),
                embeddings,
            };
            tokenizer.encode_prompt(what, text, &rules)
        };
        let first = read(&self.tokenizer, &self.embeddings)?;
        let second = self.tokenizer_2.as_ref().zip(self.embeddings_2.as_ref());
        let second = second
            .map(|(tokenizer, embeddings)| read(tokenizer, embeddings))
            .transpose()?;
        let (chunks, other) = (first.chunks.len(), second.as_ref().map(|s| s.chunks.len()));
        if other.is_some_and(|other| other != chunks) {
            let expected = "a sentence that both text encoders read in as many chunks";
            let got = format!("one of {chunks} and of {other:?}");
            return Err(Error::setting(what, expected, got));
        }
        Ok(Prompt { first, second })
    }

    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the sentence or the negative prompt cannot be read as the options say.
    pub(super) fn check_prompts(&self, instruction: &str, options: &EditOptions) -> Result<()> {
        self.instruction(instruction, options)?;
        self.negative(options)?;
        Ok(())
    }

    /// The embeddings that the sentences of an edit name.
    pub(crate) fn named_embeddings(
        &self,
        instruction: &str,
        options: &EditOptions,
    ) -> Result<Vec<EmbeddingRecord>> {
        if self.embeddings.is_empty() {
            return Ok(Vec::new());
        }
        let mut named = self.instruction(instruction, options)?.first.embeddings;
        let negative = self.negative(options)?;
        named.extend(
            negative
                .into_iter()
                .flat_map(|prompt| prompt.first.embeddings),
        );
        let record = |embedding: &Embedding| EmbeddingRecord {
            name: embedding.name().to_owned(),
            hash: Some(embedding.hash().to_owned()),
            path: Some(embedding.path().to_string_lossy().into_owned()),
        };
        let all = self.embeddings.iter().enumerate();
        let named = all.filter(|(index, _)| named.contains(index));
        Ok(named.map(|(_, embedding)| record(embedding)).collect())
    }
}

impl Editor {
    /// What a user might not expect of a request's sentences.
    pub(super) fn unnamed(&self, prompts: &[&Prompt]) -> Vec<String> {
        let embeddings = self.model.embeddings.iter().enumerate();
        let unnamed = embeddings.filter(|(index, _)| {
            let mut prompts = prompts.iter();
            !prompts.any(|prompt| prompt.first.embeddings.contains(index))
        });
        unnamed
            .map(|(_, embedding)| {
                let name = embedding.name();
                format!("no sentence names the embedding {name}: write {name} where it is to stand")
            })
            .collect()
    }
}

/// Sentences of one length: the context of each is repeated to the least that all have in common.
///
/// What attends to a context sees the same in it once or twice: the weights of its softmax are halved and counted twice. So do
/// ComfyUI's conditions (`CONDCrossAttn.concat`), and it is what AUTOMATIC1111 gives, which runs unequal lengths apart.
///
/// # Errors
///
/// [`Error::InvalidSetting`] if that is too long.
pub(super) fn of_one_length(states: Vec<TextStates>, chunk: usize) -> Result<Vec<TextStates>> {
    let length = |states: &TextStates| states.context.dims()[1] / chunk;
    let common = (states.iter()).fold(1, |common, states| lcm(common, length(states)));
    if common > MAX_REPEATED {
        let mut lengths: Vec<_> = states.iter().map(length).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let expected =
            "sentences in one call whose numbers of chunks have a multiple up to 56 in common";
        return Err(Error::setting("requests", expected, format!("{lengths:?}")));
    }
    let repeated = |mut states: TextStates| {
        let times = common / length(&states);
        states.context = states.context.repeat_dim(1, times);
        states
    };
    Ok(states.into_iter().map(repeated).collect())
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x.max(1) * b
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;

    #[test]
    fn unequal_lengths_are_repeated_to_one() {
        let states = |&chunks: &usize| TextStates {
            context: Tensor::ones([1, chunks * 2, 3], &Device::flex()),
            pooled: None,
        };
        let lengths = |chunks: &[usize]| {
            let states = of_one_length(chunks.iter().map(states).collect(), 2)?;
            let lengths = states.iter().map(|states| states.context.dims()[1] / 2);
            Ok::<_, Error>(lengths.collect::<Vec<_>>())
        };
        assert_eq!(lengths(&[1, 1]).unwrap(), [1, 1]);
        assert_eq!(lengths(&[1, 2, 3]).unwrap(), [6, 6, 6]);
        assert_eq!(lengths(&[7, 8]).unwrap(), [56, 56]);
        let error = lengths(&[5, 6, 7]).unwrap_err().to_string();
        assert!(error.contains("[5, 6, 7]"), "{error}");
    }
}
