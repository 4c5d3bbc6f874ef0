//! What a custom model learnt, put into another: `W + α · (W_custom − W_base)`.
//!
//! A custom model and an InstructPix2Pix model that were trained from the same base differ from it in different ways, and the two
//! differences add up well: this is the "add difference" of AUTOMATIC1111's checkpoint merger, `modules/extras.py`.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Device;
use ip2p_core::{Error, Precision, Result};
use sha2::{Digest, Sha256};

use super::{Checkpoint, Component, Weights};

/// The networks that a custom model differs in: its autoencoder is another's as often as not, and stays the model's own.
const TRANSPLANTED: [Component; 3] = [
    Component::Unet,
    Component::TextEncoder,
    Component::TextEncoder2,
];

/// The difference between two checkpoints, to be added to a third.
#[derive(Debug)]
pub(crate) struct Transplant {
    strength: f64,
    /// What was trained, and what it was trained from.
    networks: BTreeMap<Component, [Weights; 2]>,
}

impl Checkpoint {
    /// Adds to the weights of the U-Net and the text encoders what `custom` learnt after `base`, `strength` times.
    ///
    /// All three must have the same layers. A base of Stable Diffusion takes the latents alone: the weights of the picture's channels
    /// stay as they are. Tensors are read when they are needed, one of each at a time.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the strength is no number; [`Error::Weights`] that lists the weights that `custom` or `base` lacks,
    /// or has in another shape; those of [`Weights::open`].
    pub fn with_transplant(mut self, custom: &Self, base: &Self, strength: f64) -> Result<Self> {
        if !strength.is_finite() {
            return Err(Error::setting("strength", "a finite number", strength));
        }
        let mut networks = BTreeMap::new();
        for component in TRANSPLANTED {
            if !self.has(component) {
                continue;
            }
            let own = self.weights(component, Precision::F32)?;
            let [custom, base] = [custom, base].map(|from| {
                let theirs = from.weights(component, Precision::F32)?;
                check_same_layers(&own, &theirs)?;
                Ok(theirs)
            });
            let (custom, base) = (custom?, base?);
            check_same_shapes(&custom, &base)?;
            networks.insert(component, [custom, base]);
        }
        self.transplants
            .push(Arc::new(Transplant { strength, networks }));
        Ok(self)
    }
}

/// Refuses weights that lack a layer of `own`, or have another.
fn check_same_layers(own: &Weights, theirs: &Weights) -> Result<()> {
    let (ours, others) = (own.by_canonical_name()?, theirs.by_canonical_name()?);
    let mut missing = Vec::new();
    let mut mismatched = Vec::new();
    for (name, key) in &ours {
        let Some(other) = others.get(name) else {
            missing.push(name.clone());
            continue;
        };
        let (expected, found) = (own.shape(key), theirs.shape(other));
        let (Some(expected), Some(found)) = (expected, found) else {
            continue;
        };
        if found != expected && inputs_within(name, expected, found).is_none() {
            mismatched.push(format!("{name} ({found:?} instead of {expected:?})"));
        }
    }
    let unused: Vec<_> = others
        .keys()
        .filter(|name| !ours.contains_key(*name))
        .cloned()
        .collect();
    if missing.is_empty() && unused.is_empty() && mismatched.is_empty() {
        return Ok(());
    }
    Err(Error::Weights {
        path: theirs.path().to_owned(),
        network: own.component().name(),
        missing,
        unused,
        mismatched,
    })
}

/// Refuses a custom model that is not of the shapes of its base.
fn check_same_shapes(custom: &Weights, base: &Weights) -> Result<()> {
    let (customs, bases) = (custom.by_canonical_name()?, base.by_canonical_name()?);
    for (name, key) in &customs {
        let found = custom.shape(key).unwrap_or_default();
        let expected = bases
            .get(name)
            .and_then(|key| base.shape(key))
            .unwrap_or_default();
        if found != expected {
            let reason = format!(
                "{name} is {found:?}, and {expected:?} in {}, which is then not what this model was trained from",
                base.path().display()
            );
            return Err(Error::checkpoint(custom.path(), reason));
        }
    }
    Ok(())
}

/// Numbers in a row of the first convolution of a model that takes the latents alone, of which there are half as many as in one that
/// takes the picture's too.
fn inputs_within(name: &str, own: &[usize], theirs: &[usize]) -> Option<usize> {
    match (own, theirs) {
        (&[a, 8, h, w], &[b, 4, i, j]) if name == "conv_in.weight" && (a, h, w) == (b, i, j) => {
            Some(4 * h * w)
        }
        _ => None,
    }
}

impl Transplant {
    /// Adds the difference to a tensor of a network, which has so many outputs.
    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    pub(crate) fn add(
        &self,
        component: Component,
        name: &str,
        rows: usize,
        sum: &mut [f32],
        device: &Device,
    ) -> Result<()> {
        let Some([custom, base]) = self.networks.get(&component) else {
            return Ok(());
        };
        let (custom, base) = (custom.read(name, device)?, base.read(name, device)?);
        let rows = rows.max(1);
        let (columns, theirs) = (sum.len() / rows, custom.len() / rows);
        let strength = self.strength as f32;
        // Rows are shorter where theirs lack the picture's channels, which come last.
        for (row, (custom, base)) in custom
            .chunks(theirs.max(1))
            .zip(base.chunks(theirs.max(1)))
            .enumerate()
        {
            let sum = &mut sum[row * columns..];
            for (sum, (custom, base)) in sum.iter_mut().zip(custom.iter().zip(base)) {
                *sum += strength * (custom - base);
            }
        }
        Ok(())
    }

    /// Feeds `digest` with what is added.
    pub(crate) fn digest(&self, digest: &mut Sha256) -> Result<()> {
        digest.update(format!("transplant {}\n", self.strength));
        self.networks
            .values()
            .flatten()
            .try_for_each(|weights| weights.digest(digest))
    }
}
