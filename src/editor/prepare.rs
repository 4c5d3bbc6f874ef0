//! From photos and sentences to what the U-Net is conditioned on.

use burn::tensor::Tensor;
use ip2p_core::{NullText, Result};
use ip2p_io::{fit, to_tensor};

use super::Editor;
use super::preview::LatentColours;
use super::request::EditRequest;
use super::text::TextStates;
use super::view::View;
use crate::device::dtype;
use crate::options::EditOptions;

/// A sentence as the text encoders give it, and what of it was cut.
struct EncodedText {
    /// Of a batch of 1.
    states: TextStates,
    truncated: Option<String>,
}

/// The sentences of a batch, and what stands for none.
pub(super) struct EncodedTexts {
    pub(super) cond: TextStates,
    pub(super) uncond: TextStates,
    /// Those of each request.
    pub(super) warnings: Vec<Vec<String>>,
}

impl Editor {
    /// The sentences of the requests, one for each variation, and the warnings of each request.
    pub(super) fn encode_texts(
        &self,
        requests: &[EditRequest<'_>],
        options: &EditOptions,
    ) -> Result<EncodedTexts> {
        let mut states = Vec::new();
        let mut warnings = Vec::new();
        let negative = options
            .negative
            .as_deref()
            .map(|text| self.encode_text(text))
            .transpose()?;
        let negative_warning = negative
            .as_ref()
            .and_then(|text| cut("negative prompt", text));
        for request in requests {
            let text = self.encode_text(request.instruction)?;
            warnings.push(
                cut("instruction", &text)
                    .into_iter()
                    .chain(negative_warning.clone())
                    .collect(),
            );
            states.extend(vec![text.states; request.variations]);
        }
        let uncond = match (negative, self.model.profile.null_text) {
            (Some(negative), _) => negative.states,
            (None, NullText::Zeros) => states[0].zeros_like(),
            (None, _) => self.encode_text("")?.states,
        };
        Ok(EncodedTexts {
            uncond: TextStates::batch(vec![uncond; states.len()]),
            cond: TextStates::batch(states),
            warnings,
        })
    }

    fn encode_text(&self, text: &str) -> Result<EncodedText> {
        let encoded = self.model.tokenizer.encode(text)?;
        let second = self.model.tokenizer_2.as_ref();
        let second = second.map(|tokenizer| tokenizer.encode(text)).transpose()?;
        let second = second.map(|encoded| encoded.ids);
        Ok(EncodedText {
            states: (self.text_encoders).encode(encoded.ids, second, &self.device),
            truncated: encoded.truncated,
        })
    }

    /// The photos' latents and what their colours are, one for each variation.
    pub(super) fn encode_photos(
        &self,
        requests: &[EditRequest<'_>],
        views: &[View],
        options: &EditOptions,
    ) -> Result<(Tensor<4>, Vec<LatentColours>)> {
        let profile = &self.model.profile;
        let mut all = Vec::new();
        let mut colours = Vec::new();
        for (request, view) in requests.iter().zip(views) {
            let rgb = to_tensor(&fit(&view.photo, &view.plan)?, &self.device)
                .cast(dtype(self.vae_precision));
            let latents = self.vae.encode_with(rgb.clone(), options.vae);
            let scaled = latents.clone() * profile.scaling_factor;
            let colour = LatentColours::new(profile.family, &rgb, &scaled);
            colours.extend(vec![colour; request.variations]);
            let latents = latents * profile.image_latents_scale;
            all.extend(vec![latents; request.variations]);
        }
        Ok((Tensor::cat(all, 0), colours))
    }
}

/// Says which words of a sentence the text encoder did not get.
fn cut(what: &str, text: &EncodedText) -> Option<String> {
    let words = text.truncated.as_ref()?;
    Some(format!(
        "the {what} is longer than the text encoder takes; this was cut: \"{words}\""
    ))
}
