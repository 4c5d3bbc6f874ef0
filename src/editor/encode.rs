//! From photos and sentences to what the U-Net is conditioned on.

use burn::tensor::Tensor;
use ip2p_core::{NullText, Result};
use ip2p_io::{LongPrompt, fit, to_tensor};

use super::Editor;
use super::preview::LatentColours;
use super::request::EditRequest;
use super::text::TextStates;
use super::view::View;
use super::words::{Prompt, of_one_length};
use crate::device::dtype;
use crate::options::EditOptions;

/// The sentences of a batch, and what stands for none.
pub(super) struct EncodedTexts {
    pub(super) cond: TextStates,
    pub(super) uncond: TextStates,
    /// Those of each request.
    pub(super) warnings: Vec<Vec<String>>,
}

impl Editor {
    /// The sentences of the requests, one for each variation, those without the sentence, and the warnings of each request.
    ///
    /// All are of one length.
    pub(super) fn encode_texts(
        &self,
        requests: &[EditRequest<'_>],
        options: &EditOptions,
    ) -> Result<EncodedTexts> {
        let negative = self.model.negative(options)?;
        let text_encoders = self.text_encoders()?;
        let encode = |prompt: &Prompt| text_encoders.encode(prompt, &self.device);
        let mut warnings = Vec::new();
        let mut states = Vec::new();
        for request in requests {
            let sentence = self.model.instruction(request.instruction, options)?;
            let both: Vec<_> = [Some(&sentence), negative.as_ref()]
                .into_iter()
                .flatten()
                .collect();
            let cuts = ["instruction", "negative prompt"].into_iter().zip(&both);
            let cuts = cuts.filter_map(|(what, prompt)| cut(what, prompt));
            warnings.push(cuts.chain(self.unnamed(&both)).collect());
            states.push(encode(&sentence));
        }
        let uncond = match (negative, self.model.profile.null_text) {
            (Some(negative), _) => encode(&negative),
            (None, NullText::Zeros) => states[0].zeros_like(),
            (None, _) => encode(&self.model.empty_sentence()?),
        };
        states.push(uncond);
        let mut states = of_one_length(states, self.model.tokenizer.max_length())?;
        let uncond = states.pop().expect("just pushed");
        let states: Vec<_> = (requests.iter().zip(states))
            .flat_map(|(request, states)| vec![states; request.variations])
            .collect();
        Ok(EncodedTexts {
            uncond: TextStates::batch(vec![uncond; states.len()]),
            cond: TextStates::batch(states),
            warnings,
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
        let vae = self.vae()?;
        let mut all = Vec::new();
        let mut colours = Vec::new();
        for (request, view) in requests.iter().zip(views) {
            let rgb = to_tensor(&fit(&view.photo, &view.plan)?, &self.device)
                .cast(dtype(self.vae_precision));
            let latents = vae.encode_with(rgb.clone(), self.model.saving.vae(options));
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
fn cut(what: &str, prompt: &Prompt) -> Option<String> {
    let words = prompt.first.truncated.as_ref()?;
    Some(format!(
        "the {what} is longer than the text encoder takes; this was cut: \"{words}\" (--long-prompt {} takes it whole)",
        LongPrompt::Chunks
    ))
}
