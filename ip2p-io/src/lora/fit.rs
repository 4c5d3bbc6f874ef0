//! Which weights of a network the layers of a file are.

use std::collections::{BTreeMap, HashMap};

use ip2p_core::{Error, Result};

use super::apply::Target;
use super::factors::matrix;
use super::{Layer, Lora, Patch};
use crate::checkpoint::{Component, UnetBlocks, Weights};

/// The channels of the noisy latents, which come first in the first convolution.
const LATENT_CHANNELS: usize = 4;

/// What of a file is for one network.
#[derive(Debug, Default)]
pub(crate) struct Fit {
    /// By the weights' canonical names.
    pub(crate) patches: BTreeMap<String, Vec<Patch>>,
    /// Keys of layers that the network does not have.
    pub(crate) unused: Vec<String>,
    /// Layers of another shape, in words.
    pub(crate) mismatched: Vec<String>,
    /// What a user might not expect.
    pub(crate) notes: Vec<String>,
}

/// Finds the weights that the file's layers are of.
///
/// # Errors
///
/// [`Error::Checkpoint`] if the file is for another family of models.
pub(crate) fn fit(lora: &Lora, weights: &Weights) -> Result<Fit> {
    let names = weights.by_canonical_name()?;
    let shape = |name: &str| names.get(name).and_then(|key| weights.shape(key));
    if weights.component() == Component::Unet {
        check_family(lora, &names, weights)?;
    }
    let spellings = spellings(weights.component(), &names);
    let mut fit = Fit::default();
    let layers = lora.0.layers.iter().enumerate();
    for (index, layer) in layers.filter(|(_, layer)| layer.component == weights.component()) {
        let Some(&name) = spellings.get(layer.name.as_str()) else {
            fit.unused.push(layer.key.clone());
            continue;
        };
        let mut add = |name: String, target| {
            let patch = Patch {
                lora: lora.clone(),
                layer: index,
                target,
            };
            fit.patches.entry(name).or_default().push(patch);
        };
        let weight = format!("{name}.weight");
        match target(layer, name, shape(&weight)) {
            Ok(Some(target)) => add(weight, target),
            Ok(None) => {}
            Err(difference) => {
                fit.mismatched.push(difference);
                continue;
            }
        }
        if let Some(bias) = &layer.bias {
            let own = format!("{name}.bias");
            match shape(&own) {
                Some(shape) if *shape == *bias.info.shape => add(own, Target::Bias),
                Some(shape) => fit.mismatched.push(format!(
                    "{own} ({:?} instead of {shape:?})",
                    bias.info.shape
                )),
                None => fit
                    .unused
                    .push(format!("{} (the layer has no bias)", layer.key)),
            }
        }
        if layer.is_narrow(shape(&format!("{name}.weight"))) {
            fit.notes.push(format!(
                "{}: its {name} is of {LATENT_CHANNELS} channels, those of the latents: the picture's {LATENT_CHANNELS} stay as they are",
                lora.path().display()
            ));
        }
    }
    Ok(fit)
}

/// What of a layer is added to its weight, or in words why it cannot be.
fn target(layer: &Layer, name: &str, shape: Option<&[usize]>) -> Result<Option<Target>, String> {
    let Some(factors) = &layer.factors else {
        return Ok(None);
    };
    let shape = shape.ok_or_else(|| format!("{name} (has no weight)"))?;
    let found = factors
        .matrix()
        .map_err(|reason| format!("{name} ({reason})"))?;
    let expected = matrix(shape).map_err(|_| format!("{name} (the weight is empty)"))?;
    let target = if found == expected {
        Target::Weight { inputs: None }
    } else if layer.is_narrow(Some(shape)) {
        Target::Weight {
            inputs: Some(found[1]),
        }
    } else {
        return Err(format!("{name} ({found:?} instead of {expected:?})"));
    };
    if let Some(magnitude) = &layer.magnitude {
        let lengths: usize = magnitude.info.shape.iter().product();
        let per = if magnitude.is_per_input {
            shape.get(1).copied()
        } else {
            Some(expected[0])
        };
        if Some(lengths) != per || found != expected {
            return Err(format!("{name} ({lengths} magnitudes for {expected:?})"));
        }
    }
    Ok(Some(target))
}

impl Layer {
    /// Whether it is the first convolution of a model that takes the latents alone, for one that takes the picture's too.
    fn is_narrow(&self, shape: Option<&[usize]>) -> bool {
        let Some(&[rows, inputs, height, width]) = shape else {
            return false;
        };
        let narrow = [rows, LATENT_CHANNELS * height * width];
        let is_first = matches!(
            self.name.as_str(),
            "conv_in" | "input_blocks_0_0" | "input_blocks.0.0"
        );
        is_first
            && inputs == 2 * LATENT_CHANNELS
            && self
                .factors
                .as_ref()
                .is_some_and(|factors| factors.matrix() == Ok(narrow))
    }
}

/// The layers' names in diffusers by every spelling of them.
fn spellings<'a>(
    component: Component,
    names: &'a BTreeMap<String, &str>,
) -> HashMap<String, &'a str> {
    let blocks = UnetBlocks::of_diffusers(names.keys().map(String::as_str));
    let has_attention = |level: usize| {
        let prefix = format!("up_blocks.{level}.attentions.");
        names.keys().any(|name| name.starts_with(&prefix))
    };
    let mut spellings = HashMap::new();
    for name in names.keys().filter_map(|name| name.strip_suffix(".weight")) {
        let mut add = |spelling: String| {
            spellings.insert(spelling.replace('.', "_"), name);
            spellings.insert(spelling, name);
        };
        add(name.to_owned());
        if component == Component::Unet
            && let Some(compvis) = blocks.to_compvis(&format!("{name}."), has_attention)
        {
            add(compvis.trim_end_matches('.').to_owned());
        }
    }
    spellings
}

/// Refuses a file whose cross-attention takes sentences of another text encoder.
fn check_family(lora: &Lora, names: &BTreeMap<String, &str>, weights: &Weights) -> Result<()> {
    let is_xl = names.keys().any(|name| name.starts_with("add_embedding."));
    let own = if is_xl { "XL" } else { "1 or 2" };
    let other = match (&lora.0.other, &lora.0.xl) {
        (Some((key, architecture)), _) => Some((key, *architecture)),
        (None, Some(key)) if !is_xl => Some((key, "Stable Diffusion XL")),
        _ => None,
    };
    if let Some((key, architecture)) = other {
        let reason = format!(
            "is for {architecture} (it has {key}), not for a model of Stable Diffusion {own}"
        );
        return Err(Error::checkpoint(lora.path(), reason));
    }
    let own = names
        .iter()
        .find(|(name, _)| name.ends_with("attn2.to_k.weight"));
    let own = own.and_then(|(_, key)| weights.shape(key)?.get(1).copied());
    let theirs = lora.0.layers.iter().filter(|layer| {
        layer.component == Component::Unet
            && (layer.name.ends_with("attn2.to_k") || layer.name.ends_with("attn2_to_k"))
    });
    for layer in theirs {
        let width = layer
            .factors
            .as_ref()
            .and_then(|factors| factors.matrix().ok());
        if let (Some([_, width]), Some(own)) = (width, own)
            && width != own
        {
            let reason = format!(
                "is for {}, whose sentences are {width} wide; this model is {}, whose are {own}",
                family(width),
                family(own)
            );
            return Err(Error::checkpoint(lora.path(), reason));
        }
    }
    Ok(())
}

/// The family of models whose text encoder gives this width.
pub(crate) fn family(width: usize) -> &'static str {
    match width {
        768 => "Stable Diffusion 1",
        1024 => "Stable Diffusion 2",
        2048 => "Stable Diffusion XL",
        _ => "a model of another size",
    }
}
