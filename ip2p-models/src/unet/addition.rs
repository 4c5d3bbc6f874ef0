//! What Stable Diffusion XL adds to the time embedding: the pooled state of a text encoder, and six numbers on the size
//! of the picture.
//!
//! Podell et al. (2023), <https://arxiv.org/abs/2307.01952>, section 2.2; in diffusers the `addition_embed_type`
//! `text_time`.

use burn::tensor::{FloatDType, Tensor, assert_shape};
use ip2p_core::{Fields, Result};
use serde_json::Value;

use super::config::require;
use crate::layers::Timesteps;

/// The numbers on the size of the picture: its height and width before it was fitted, top and left of what was cut out
/// of it, height and width after.
const TIME_IDS: usize = 6;

/// The shape of what is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addition {
    /// The width of each number's waves: 256 in Stable Diffusion XL.
    pub time_embed_dim: usize,
    /// The width of all that is embedded: 2816 in Stable Diffusion XL, 1280 of them the pooled state's.
    pub input_dim: usize,
}

impl Addition {
    /// Takes the fields, if the network has an addition.
    pub(super) fn take(fields: &mut Fields) -> Result<Option<Self>> {
        let kind: Option<String> = fields.take("addition_embed_type")?;
        let time_embed_dim: Option<usize> = fields.take("addition_time_embed_dim")?;
        let input_dim: Option<usize> = fields.take("projection_class_embeddings_input_dim")?;
        match kind.as_deref() {
            // Without it the other two have no meaning.
            None => Ok(None),
            Some("text_time") => {
                let missing = |name: &str| fields.unsupported(name, &Value::Null, "a whole number");
                Ok(Some(Self {
                    time_embed_dim: time_embed_dim
                        .ok_or_else(|| missing("addition_time_embed_dim"))?,
                    input_dim: input_dim
                        .ok_or_else(|| missing("projection_class_embeddings_input_dim"))?,
                }))
            }
            Some(other) => {
                let expected = "null or \"text_time\"";
                Err(fields.unsupported("addition_embed_type", &other.into(), expected))
            }
        }
    }

    /// Whatever would make a layer panic.
    pub(super) fn check(&self, freq_shift: f64) -> Result<()> {
        let width = self.time_embed_dim;
        require(
            width.is_multiple_of(2) && width as f64 / 2.0 > freq_shift,
            || format!("addition_time_embed_dim is {width}, supported is an even number"),
        )?;
        let least = width.checked_mul(TIME_IDS);
        require(least.is_some_and(|least| least < self.input_dim), || {
            format!(
                "projection_class_embeddings_input_dim is {}, supported is a number above {TIME_IDS} times \
                 addition_time_embed_dim, {width}",
                self.input_dim
            )
        })
    }

    /// The width of the pooled state.
    #[must_use]
    pub fn text_dim(&self) -> usize {
        self.input_dim - TIME_IDS * self.time_embed_dim
    }

    /// Whether a text encoder's pooled state is as wide as the network takes it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](ip2p_core::Error::Config) that names both widths.
    pub fn check_text(&self, projection_dim: usize) -> Result<()> {
        require(self.text_dim() == projection_dim, || {
            format!(
                "projection_class_embeddings_input_dim is {}, which leaves {} for the pooled state, whose width the \
                 second text encoder says to be {projection_dim}",
                self.input_dim,
                self.text_dim()
            )
        })
    }
}

/// What is added to the time embedding, for each picture of a batch.
#[derive(Debug, Clone)]
pub struct AddedConditions {
    /// The pooled state: `[batch, text_dim]`.
    pub text_embeds: Tensor<2>,
    /// Height and width before the picture was fitted, top and left of what was cut out, height and width after:
    /// `[batch, 6]`, in `f32`.
    pub time_ids: Tensor<2>,
}

impl AddedConditions {
    /// The waves of each number beside the pooled state: `[batch, input_dim]`, in `f32`.
    pub(super) fn waves(&self, waves: &Timesteps) -> Tensor<2> {
        let [batch, _] = self.text_embeds.dims();
        assert_shape!(self.time_ids, [batch, TIME_IDS]);
        let times = waves.forward(self.time_ids.clone().reshape([batch * TIME_IDS]));
        let times = times.reshape([batch, TIME_IDS * waves.num_channels]);
        let text = self.text_embeds.clone().cast(FloatDType::F32);
        Tensor::cat(vec![text, times], 1)
    }
}
