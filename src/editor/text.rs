//! The text encoders: one in Stable Diffusion 1 and 2, two in Stable Diffusion XL.

use burn::tensor::{Device, Int, Tensor, TensorData};
use ip2p_core::{Error, Precision, Result, TextState};
use ip2p_io::{Checkpoint, Component, Embeddings, EncodedPrompt, LoadProgress};
use ip2p_models::Cost;
use ip2p_models::clip::{CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, weigh};
use ip2p_models::unet::UNet2DConditionConfig;

use super::Model;
use super::words::Prompt;

/// How many chunks a sentence that is long has.
const LONG: usize = 4;

/// What the text encoders' configs say.
#[derive(Debug, Clone)]
pub(super) struct TextConfig {
    pub(super) first: CLIPTextConfig,
    pub(super) second: Option<CLIPTextConfig>,
}

impl TextConfig {
    /// # Errors
    ///
    /// [`Error::Config`] if a config is not understood, or the U-Net takes no text of these widths.
    pub(super) fn read(checkpoint: &Checkpoint, unet: &UNet2DConditionConfig) -> Result<Self> {
        let component = Component::TextEncoder2;
        let read = || CLIPTextConfig::from_json_of(component.name(), checkpoint.config(component));
        let config = Self {
            first: CLIPTextConfig::from_json(checkpoint.config(Component::TextEncoder))?,
            second: checkpoint.has(component).then(read).transpose()?,
        };
        config.check(unet)?;
        Ok(config)
    }

    /// The longest sentence in tokens, its begin and end included.
    pub(super) fn tokens(&self) -> usize {
        self.first.max_position_embeddings
    }

    /// How many tokens the tokenizers know, together.
    pub(super) fn vocabulary(&self) -> u64 {
        let second = self.second.as_ref().map_or(0, |config| config.vocab_size);
        (self.first.vocab_size + second) as u64
    }

    /// The most numbers that encoding a sentence has in memory at once: those of its chunks' layers, of which a long one has a few.
    pub(super) fn live(&self) -> u64 {
        let configs = [Some(&self.first), self.second.as_ref()]
            .into_iter()
            .flatten();
        let widths = configs.map(|config| 6 * config.hidden_size + 2 * config.intermediate_size);
        (LONG * self.tokens() * widths.max().unwrap_or(0)) as u64
    }

    /// What so many sentences cost.
    pub(super) fn cost(&self, sentences: usize) -> Cost {
        let tokens = self.tokens();
        let second = self.second.as_ref();
        let second = second.map(|config| config.cost_with_projection(sentences, tokens));
        self.first.cost(sentences, tokens) + second.unwrap_or_default()
    }

    fn check(&self, unet: &UNet2DConditionConfig) -> Result<()> {
        let widths = [Some(&self.first), self.second.as_ref()];
        let widths = widths
            .into_iter()
            .flatten()
            .map(|config| config.hidden_size);
        let width: usize = widths.sum();
        if width != unet.cross_attention_dim {
            let reason = format!(
                "cross_attention_dim is {}, but the states of the checkpoint's text encoders are {width} wide",
                unet.cross_attention_dim
            );
            return Err(Error::config(Component::Unet.name(), reason));
        }
        match (&unet.addition, &self.second) {
            (None, None) => Ok(()),
            (Some(addition), Some(second)) => addition.check_text(second.projection_dim),
            (Some(_), None) => {
                let reason = "addition_embed_type is \"text_time\", which needs a second text encoder, and the checkpoint has none";
                Err(Error::config(Component::Unet.name(), reason))
            }
            (None, Some(_)) => {
                let reason = "addition_embed_type is null, but the checkpoint has a second text encoder, as Stable Diffusion XL";
                Err(Error::config(Component::Unet.name(), reason))
            }
        }
    }
}

/// What text encoders make of token ids.
#[derive(Debug, Clone)]
pub(super) struct TextStates {
    /// `[batch, tokens, width]`, of several encoders side by side.
    pub(super) context: Tensor<3>,
    /// The second encoder's pooled state, if there is one: `[batch, width]`.
    pub(super) pooled: Option<Tensor<2>>,
}

impl TextStates {
    /// Those of several sentences of one length.
    pub(super) fn batch(states: Vec<Self>) -> Self {
        let pooled: Option<Vec<_>> = states.iter().map(|state| state.pooled.clone()).collect();
        let contexts = states.into_iter().map(|state| state.context).collect();
        Self {
            context: Tensor::cat(contexts, 0),
            pooled: pooled.map(|pooled| Tensor::cat(pooled, 0)),
        }
    }

    /// What stands for no text where that is zeros.
    pub(super) fn zeros_like(&self) -> Self {
        Self {
            context: self.context.zeros_like(),
            pooled: self.pooled.as_ref().map(Tensor::zeros_like),
        }
    }
}

/// The text encoders with their weights.
#[derive(Debug, Clone)]
pub(super) struct TextEncoders {
    first: CLIPTextModel,
    second: Option<CLIPTextModelWithProjection>,
    state: TextState,
}

impl TextEncoders {
    pub(super) fn load(
        config: &TextConfig,
        state: TextState,
        checkpoint: &Checkpoint,
        device: &Device,
        precision: Precision,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Self> {
        let first = config.first.init(device);
        let (first, _) = checkpoint.load(first, Component::TextEncoder, precision, progress)?;
        let second = match &config.second {
            None => None,
            Some(config) => {
                let second = config.init_with_projection(device);
                let component = Component::TextEncoder2;
                Some(checkpoint.load(second, component, precision, progress)?.0)
            }
        };
        Ok(Self {
            first,
            second,
            state,
        })
    }

    /// With the vectors of the model's embeddings after their own tokens.
    pub(super) fn with_words(self, model: &Model, device: &Device) -> Self {
        let (first, state) = (self.first, self.state);
        let second = self.second.map(|second| {
            let rows = model.embeddings_2.as_ref();
            match rows.and_then(|embeddings| rows_of(embeddings, device)) {
                Some(rows) => second.with_tokens(rows),
                None => second,
            }
        });
        let first = match rows_of(&model.embeddings, device) {
            Some(rows) => first.with_tokens(rows),
            None => first,
        };
        Self {
            first,
            second,
            state,
        }
    }

    /// Those of `after`, where these are `model`'s.
    pub(super) fn load_again(
        &self,
        model: &Model,
        after: &Checkpoint,
        device: &Device,
        precision: Precision,
    ) -> Result<Self> {
        let before = &model.checkpoint;
        let mut bare = self.clone();
        // Their own tokens alone are the checkpoint's.
        if !model.embeddings.is_empty() {
            bare.first = bare.first.with_first_tokens(model.embeddings.vocab_size());
            let second = bare.second.zip(model.embeddings_2.as_ref());
            bare.second =
                second.map(|(second, words)| second.with_first_tokens(words.vocab_size()));
        }
        let component = Component::TextEncoder;
        let first = after.load_again(before, bare.first, component, precision)?;
        let component = Component::TextEncoder2;
        let second = (bare.second)
            .map(|second| after.load_again(before, second, component, precision))
            .transpose()?;
        let loaded = Self {
            first,
            second,
            state: self.state,
        };
        Ok(loaded.with_words(model, device))
    }

    /// What the encoders make of a sentence: of each chunk the states that they have, one chunk after the other.
    ///
    /// The pooled state is that of the first chunk, as in AUTOMATIC1111's web UI.
    pub(super) fn encode(&self, prompt: &Prompt, device: &Device) -> TextStates {
        let first = ids(&prompt.first, device);
        let penultimate = self.state == TextState::Penultimate;
        let states = if penultimate {
            self.first.penultimate(first)
        } else {
            self.first.forward(first)
        };
        let context = weighed(states, &prompt.first);
        let (Some(encoder), Some(second)) = (&self.second, &prompt.second) else {
            return TextStates {
                context,
                pooled: None,
            };
        };
        let states = encoder.forward(ids(second, device));
        let beside = if penultimate {
            states.penultimate
        } else {
            states.last
        };
        TextStates {
            context: Tensor::cat(vec![context, weighed(beside, second)], 2),
            pooled: Some(states.pooled.narrow(0, 0, 1)),
        }
    }
}

/// The ids of a sentence's chunks: `[chunks, tokens]`.
fn ids(prompt: &EncodedPrompt, device: &Device) -> Tensor<2, Int> {
    let chunks = prompt.chunks.iter();
    let ids: Vec<i64> = chunks.flat_map(|chunk| chunk.ids.iter().copied()).collect();
    let shape = [prompt.chunks.len(), ids.len() / prompt.chunks.len()];
    Tensor::from_data(TensorData::new(ids, shape), device)
}

/// The states of chunks as those of one sentence, weighed as it says: `[1, tokens, width]`.
fn weighed(mut states: Tensor<3>, prompt: &EncodedPrompt) -> Tensor<3> {
    if prompt.is_weighted() {
        let chunks = prompt.chunks.iter();
        let weights: Vec<f32> = chunks
            .flat_map(|chunk| chunk.weights.iter().copied())
            .collect();
        states = weigh(states, &weights);
    }
    let [chunks, tokens, width] = states.dims();
    states.reshape([1, chunks * tokens, width])
}

/// The vectors of embeddings, if there are any: `[vectors, width]`.
fn rows_of(embeddings: &Embeddings, device: &Device) -> Option<Tensor<2>> {
    let (values, width) = embeddings.rows()?;
    let shape = [values.len() / width, width];
    Some(Tensor::from_data(TensorData::new(values, shape), device))
}
