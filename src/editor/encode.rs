//! From photos and sentences to what the U-Net is conditioned on.

use burn::tensor::{Int, Tensor, TensorData};
use ip2p_core::{NullText, Result};
use ip2p_io::{fit, to_tensor};

use super::Editor;
use super::preview::LatentColours;
use super::request::EditRequest;
use super::view::View;
use crate::device::dtype;
use crate::options::EditOptions;

/// A sentence as the text encoder gives it, and what of it was cut.
struct EncodedText {
    /// `[1, tokens, width]`.
    context: Tensor<3>,
    truncated: Option<String>,
}

impl Editor {
    /// The contexts of the requests, one for each variation, and the warnings of each request.
    pub(super) fn encode_texts(
        &self,
        requests: &[EditRequest<'_>],
        options: &EditOptions,
    ) -> Result<(Tensor<3>, Tensor<3>, Vec<Vec<String>>)> {
        let mut contexts = Vec::new();
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
            contexts.extend(vec![text.context; request.variations]);
        }
        let uncond_context = match (negative, self.model.profile.null_text) {
            (Some(negative), _) => negative.context,
            (None, NullText::Zeros) => contexts[0].zeros_like(),
            (None, _) => self.encode_text("")?.context,
        };
        let batch = contexts.len();
        Ok((
            Tensor::cat(contexts, 0),
            uncond_context.repeat_dim(0, batch),
            warnings,
        ))
    }

    fn encode_text(&self, text: &str) -> Result<EncodedText> {
        let encoded = self.model.tokenizer.encode(text)?;
        let shape = [1, encoded.ids.len()];
        let ids = Tensor::<2, Int>::from_data(TensorData::new(encoded.ids, shape), &self.device);
        Ok(EncodedText {
            context: self.text_encoder.forward(ids),
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
            let rgb =
                to_tensor(&fit(&view.photo, &view.plan)?, &self.device).cast(dtype(self.precision));
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
