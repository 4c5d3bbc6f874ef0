//! From photos and sentences to what the U-Net is conditioned on.

use burn::tensor::Tensor;
use ip2p_core::{NullText, Result};
use ip2p_io::{EncodedPrompt, LongPrompt, PromptChunk, fit, to_tensor};

use super::Editor;
use super::preview::LatentColours;
use super::request::EditRequest;
use super::view::View;
use super::words::of_one_length;
use crate::device::dtype;
use crate::options::EditOptions;

impl Editor {
    /// The contexts of the requests, one for each variation, those without the sentence, and the warnings of each request.
    ///
    /// All are of one length.
    pub(super) fn encode_texts(
        &self,
        requests: &[EditRequest<'_>],
        options: &EditOptions,
    ) -> Result<(Tensor<3>, Tensor<3>, Vec<Vec<String>>)> {
        let negative = self.model.negative(options)?;
        let mut warnings = Vec::new();
        let mut contexts = Vec::new();
        for request in requests {
            let sentence = self.model.instruction(request.instruction, options)?;
            let both: Vec<_> = [Some(&sentence), negative.as_ref()]
                .into_iter()
                .flatten()
                .collect();
            let cuts = ["instruction", "negative prompt"].into_iter().zip(&both);
            let cuts = cuts.filter_map(|(what, prompt)| cut(what, prompt));
            warnings.push(cuts.chain(self.unnamed(&both)).collect());
            contexts.push(self.context(&sentence));
        }
        let uncond_context = match (negative, self.model.profile.null_text) {
            (Some(negative), _) => self.context(&negative),
            (None, NullText::Zeros) => contexts[0].zeros_like(),
            (None, _) => self.context(&self.empty_sentence()?),
        };
        contexts.push(uncond_context);
        let mut contexts = of_one_length(contexts, self.model.tokenizer.max_length())?;
        let uncond_context = contexts.pop().expect("just pushed");
        let contexts: Vec<_> = (requests.iter().zip(contexts))
            .flat_map(|(request, context)| vec![context; request.variations])
            .collect();
        let batch = contexts.len();
        Ok((
            Tensor::cat(contexts, 0),
            uncond_context.repeat_dim(0, batch),
            warnings,
        ))
    }

    /// The sentence of the branches that have none.
    fn empty_sentence(&self) -> Result<EncodedPrompt> {
        let ids = self.model.tokenizer.encode("")?.ids;
        Ok(EncodedPrompt {
            chunks: vec![PromptChunk {
                weights: vec![1.0; ids.len()],
                ids,
            }],
            truncated: None,
            embeddings: std::collections::BTreeSet::default(),
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
fn cut(what: &str, prompt: &EncodedPrompt) -> Option<String> {
    let words = prompt.truncated.as_ref()?;
    Some(format!(
        "the {what} is longer than the text encoder takes; this was cut: \"{words}\" (--long-prompt {} takes it whole)",
        LongPrompt::Chunks
    ))
}
