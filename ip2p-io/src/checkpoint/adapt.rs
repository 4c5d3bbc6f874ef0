//! Checkpoints with low-rank adaptations, which are added to the weights while these are loaded.

use std::collections::BTreeSet;

use burn::module::Module;
use ip2p_core::{Error, Precision, Result};
use sha2::{Digest, Sha256};

use super::{Checkpoint, Component, Weights};
use crate::lora::{Lora, fit};

impl Checkpoint {
    /// Adds a low-rank adaptation to the weights, as often as one wants: in which order does not matter.
    ///
    /// The weights are then the checkpoint's and `weight · alpha / rank · up · down` of each file, wherever they are read. The
    /// adaptation of a model that takes the latents alone has nothing for the picture's channels of `conv_in`: these stay as they
    /// are, and [`Self::lora_notes`] says so.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if the file is for another family of models; [`Error::Weights`] that lists what of it is of no layer,
    /// or of another shape; those of [`Weights::open`].
    pub fn with_lora(mut self, lora: Lora) -> Result<Self> {
        let mut unused = lora.unknown().to_vec();
        let mut mismatched = Vec::new();
        let mut notes = lora.notes().to_vec();
        // The U-Net first: it knows best which family it is.
        let text = Component::TEXT.into_iter();
        let text = text.filter(|component| self.has(*component));
        for component in [Component::Unet].into_iter().chain(text) {
            let weights = self.weights(component, Precision::F32)?;
            let fit = fit(&lora, &weights)?;
            unused.extend(fit.unused);
            mismatched.extend(fit.mismatched);
            notes.extend(fit.notes);
        }
        if !(unused.is_empty() && mismatched.is_empty()) {
            return Err(Error::Weights {
                path: lora.path().to_owned(),
                network: "model",
                missing: Vec::new(),
                unused,
                mismatched,
            });
        }
        self.lora_notes.extend(notes);
        self.loras.push(lora);
        Ok(self)
    }

    /// The same checkpoint with these low-rank adaptations added to its weights, and no others.
    ///
    /// # Errors
    ///
    /// Those of [`Self::with_lora`].
    pub fn with_loras(&self, loras: impl IntoIterator<Item = Lora>) -> Result<Self> {
        let mut bare = self.clone();
        bare.loras.clear();
        bare.lora_notes.clear();
        loras.into_iter().try_fold(bare, Self::with_lora)
    }

    /// Brings a network that `before` filled to these weights, which differ from it in adaptations alone: reads again what these
    /// change or changed, and nothing else.
    ///
    /// The network is then what [`Self::load`] gives, to the bit.
    ///
    /// # Errors
    ///
    /// Those of [`Self::load`].
    pub fn load_again<M: Module>(
        &self,
        before: &Self,
        module: M,
        component: Component,
        precision: Precision,
    ) -> Result<M> {
        let weights = self.weights(component, precision)?;
        let mut names: BTreeSet<String> = weights.patches.keys().cloned().collect();
        names.extend(before.weights(component, precision)?.patches.into_keys());
        weights.load_again(module, &names, precision)
    }

    /// The low-rank adaptations that are added to the weights.
    #[must_use]
    pub fn loras(&self) -> &[Lora] {
        &self.loras
    }

    /// What a user might not expect of these adaptations.
    #[must_use]
    pub fn lora_notes(&self) -> &[String] {
        &self.lora_notes
    }

    /// Notes at the weights of a network what is added to them.
    pub(super) fn adapt(&self, weights: &mut Weights) -> Result<()> {
        weights.transplants.clone_from(&self.transplants);
        for lora in &self.loras {
            for (name, patches) in fit(lora, weights)?.patches {
                weights.patches.entry(name).or_default().extend(patches);
            }
        }
        Ok(())
    }

    /// Feeds `digest` with what is added to the weights, adaptations in any order.
    pub(super) fn digest_added(&self, digest: &mut Sha256) -> Result<()> {
        let mut lines: Vec<_> = self
            .loras
            .iter()
            .map(|lora| format!("lora {} {}\n", lora.hash(), lora.weight()))
            .collect();
        lines.sort();
        for line in lines {
            digest.update(line);
        }
        self.transplants
            .iter()
            .try_for_each(|transplant| transplant.digest(digest))
    }
}
