//! The text encoders: one in Stable Diffusion 1 and 2, two in Stable Diffusion XL.

use burn::tensor::{Device, Int, Tensor, TensorData};
use ip2p_core::{Error, Precision, Result, TextState};
use ip2p_io::{Checkpoint, Component, LoadProgress};
use ip2p_models::clip::{CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection};
use ip2p_models::unet::UNet2DConditionConfig;

/// What the text encoders' configs say.
#[derive(Debug, Clone)]
pub(super) struct TextConfig {
    first: CLIPTextConfig,
    second: Option<CLIPTextConfig>,
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
#[derive(Debug)]
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

    /// What the encoders make of a sentence's ids, `second` those of the second encoder's tokenizer.
    pub(super) fn encode(
        &self,
        first: Vec<i64>,
        second: Option<Vec<i64>>,
        device: &Device,
    ) -> TextStates {
        let first = ids(first, device);
        let penultimate = self.state == TextState::Penultimate;
        let context = if penultimate {
            self.first.penultimate(first)
        } else {
            self.first.forward(first)
        };
        let (Some(encoder), Some(second)) = (&self.second, second) else {
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
            context: Tensor::cat(vec![context, beside], 2),
            pooled: Some(states.pooled),
        }
    }
}

/// One sentence's ids: `[1, tokens]`.
fn ids(ids: Vec<i64>, device: &Device) -> Tensor<2, Int> {
    let shape = [1, ids.len()];
    Tensor::from_data(TensorData::new(ids, shape), device)
}
