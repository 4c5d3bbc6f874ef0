//! The text encoders of a single file.

use std::collections::BTreeMap;

use super::TensorInfo;
use crate::checkpoint::Component;
use crate::checkpoint::open_clip::{PROJECTION, block, to_transformers};

/// What stands before the weights of Stable Diffusion 1's text encoder, in transformers' names.
pub(super) const CLIP: &str = "cond_stage_model.transformer.";

/// What stands before the weights of Stable Diffusion 2's text encoder, in OpenCLIP's names.
pub(super) const OPEN_CLIP: &str = "cond_stage_model.model.";

/// What stands before the weights of the first text encoder of Stable Diffusion XL, in transformers' names.
pub(in crate::checkpoint) const FIRST: &str = "conditioner.embedders.0.transformer.";

/// What stands before the weights of the second one, in OpenCLIP's names.
pub(super) const SECOND: &str = "conditioner.embedders.1.model.";

/// How a file's text encoders are to be read.
#[derive(Debug)]
pub(super) struct Encoders {
    /// The last block of Stable Diffusion 2's encoder, which diffusers leaves away: the U-Net attends to the state before it.
    last_block: Option<usize>,
}

impl Encoders {
    pub(super) fn of(tensors: &BTreeMap<String, TensorInfo>) -> Self {
        let own = tensors
            .keys()
            .filter_map(|name| name.strip_prefix(OPEN_CLIP));
        Self {
            last_block: own.filter_map(block).max(),
        }
    }

    /// Whether a tensor is of what diffusers leaves away of Stable Diffusion 2's text encoder.
    pub(super) fn is_left_away(&self, name: &str) -> bool {
        name.strip_prefix(OPEN_CLIP).is_some_and(|name| {
            name == PROJECTION[0] || (block(name).is_some() && block(name) == self.last_block)
        })
    }

    /// The weights of a text encoder that a tensor is.
    pub(super) fn weights(
        &self,
        name: &str,
        info: &TensorInfo,
    ) -> (Component, Vec<(String, TensorInfo)>) {
        for prefix in [CLIP, FIRST] {
            if let Some(bare) = name.strip_prefix(prefix) {
                let is_scale = bare == "logit_scale";
                let known = (!is_scale).then(|| (bare.to_owned(), info.clone()));
                return (Component::TextEncoder, known.into_iter().collect());
            }
        }
        if let Some(bare) = name.strip_prefix(SECOND) {
            return (Component::TextEncoder2, to_transformers(bare, info));
        }
        let bare = name.strip_prefix(OPEN_CLIP);
        let known = bare.filter(|_| !self.is_left_away(name));
        let known = known.map(|bare| to_transformers(bare, info));
        (Component::TextEncoder, known.unwrap_or_default())
    }
}
