//! From sentences to what the U-Net is told of them.

use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use ip2p_core::{Error, KnownProfile, ModelFamily, Result};
use ip2p_io::{Embedding, EmbeddingRecord, EncodedPrompt, PromptRules};
use ip2p_models::clip::{CLIPTextModel, weigh};

use super::{Editor, Model};
use crate::options::EditOptions;

/// The most chunks that sentences of unequal lengths come to when each is repeated to one length: 7 times 8.
const MAX_REPEATED: usize = 56;

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
        embedding.check_width(self.text_encoder.hidden_size)?;
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
    pub(super) fn instruction(&self, text: &str, options: &EditOptions) -> Result<EncodedPrompt> {
        let sentence = format!("{text}{}", self.profile.suffix);
        self.prompt("instruction", &sentence, options)
    }

    /// The negative prompt as the text encoder reads it, if there is one.
    pub(super) fn negative(&self, options: &EditOptions) -> Result<Option<EncodedPrompt>> {
        let negative = options.negative.as_deref();
        negative
            .map(|text| self.prompt("negative", text, options))
            .transpose()
    }

    fn prompt(
        &self,
        what: &'static str,
        text: &str,
        options: &EditOptions,
    ) -> Result<EncodedPrompt> {
        let rules = PromptRules {
            syntax: options.prompt_syntax,
            long_prompt: options.long_prompt(),
            embeddings: &self.embeddings,
        };
        self.tokenizer.encode_prompt(what, text, &rules)
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
        let mut named = self.instruction(instruction, options)?.embeddings;
        named.extend(
            self.negative(options)?
                .into_iter()
                .flat_map(|p| p.embeddings),
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

    /// The text encoder with the vectors of the embeddings after its own tokens.
    pub(super) fn with_words(&self, encoder: CLIPTextModel, device: &Device) -> CLIPTextModel {
        match self.embeddings.rows() {
            None => encoder,
            Some((values, width)) => {
                let rows = values.len() / width;
                encoder.with_tokens(Tensor::from_data(
                    TensorData::new(values, [rows, width]),
                    device,
                ))
            }
        }
    }
}

impl Editor {
    /// The states of a sentence: `[1, tokens, width]`, of each chunk those that the text encoder has.
    pub(super) fn context(&self, prompt: &EncodedPrompt) -> Tensor<3> {
        let chunks = prompt.chunks.len();
        let ids: Vec<i64> = (prompt.chunks.iter())
            .flat_map(|chunk| chunk.ids.iter().copied())
            .collect();
        let tokens = ids.len();
        let ids = TensorData::new(ids, [chunks, tokens / chunks]);
        let mut states = self
            .text_encoder
            .forward(Tensor::<2, Int>::from_data(ids, &self.device));
        if prompt.is_weighted() {
            let weights: Vec<f32> = (prompt.chunks.iter())
                .flat_map(|chunk| chunk.weights.iter().copied())
                .collect();
            states = weigh(states, &weights);
        }
        let [_, _, width] = states.dims();
        states.reshape([1, tokens, width])
    }

    /// What a user might not expect of a request's sentences.
    pub(super) fn unnamed(&self, prompts: &[&EncodedPrompt]) -> Vec<String> {
        let embeddings = self.model.embeddings.iter().enumerate();
        let unnamed = embeddings.filter(|(index, _)| {
            let mut prompts = prompts.iter();
            !prompts.any(|prompt| prompt.embeddings.contains(index))
        });
        unnamed
            .map(|(_, embedding)| {
                let name = embedding.name();
                format!("no sentence names the embedding {name}: write {name} where it is to stand")
            })
            .collect()
    }
}

/// Contexts of one length: each is repeated to the least that all have in common.
///
/// What attends to a context sees the same in it once or twice: the weights of its softmax are halved and counted twice. So do
/// ComfyUI's conditions (`CONDCrossAttn.concat`), and it is what AUTOMATIC1111 gives, which runs unequal lengths apart.
///
/// # Errors
///
/// [`Error::InvalidSetting`] if that is too long.
pub(super) fn of_one_length(contexts: Vec<Tensor<3>>, chunk: usize) -> Result<Vec<Tensor<3>>> {
    let length = |context: &Tensor<3>| context.dims()[1] / chunk;
    let common = (contexts.iter()).fold(1, |common, context| lcm(common, length(context)));
    if common > MAX_REPEATED {
        let mut lengths: Vec<_> = contexts.iter().map(length).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let expected =
            "sentences in one call whose numbers of chunks have a multiple up to 56 in common";
        return Err(Error::setting("requests", expected, format!("{lengths:?}")));
    }
    let repeated = |context: Tensor<3>| {
        let times = common / length(&context);
        context.repeat_dim(1, times)
    };
    Ok(contexts.into_iter().map(repeated).collect())
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
    use super::*;

    #[test]
    fn unequal_lengths_are_repeated_to_one() {
        let context = |chunks: usize| Tensor::<3>::ones([1, chunks * 2, 3], &Device::flex());
        let lengths = |chunks: &[usize]| {
            let contexts = chunks.iter().map(|&chunks| context(chunks)).collect();
            let contexts = of_one_length(contexts, 2)?;
            Ok::<_, Error>(contexts.iter().map(|c| c.dims()[1] / 2).collect::<Vec<_>>())
        };
        assert_eq!(lengths(&[1, 1]).unwrap(), [1, 1]);
        assert_eq!(lengths(&[1, 2, 3]).unwrap(), [6, 6, 6]);
        assert_eq!(lengths(&[7, 8]).unwrap(), [56, 56]);
        let error = lengths(&[5, 6, 7]).unwrap_err().to_string();
        assert!(error.contains("[5, 6, 7]"), "{error}");
    }
}
