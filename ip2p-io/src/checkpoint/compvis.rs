//! The names that CompVis' code gives the weights of Stable Diffusion, against those of diffusers.
//!
//! `ldm/modules/diffusionmodules/openaimodel.py` numbers the blocks of the U-Net one after the other, diffusers by level;
//! that they are the same networks is what `scripts/convert_original_stable_diffusion_to_diffusers.py` of diffusers rests
//! on, and this page with it. Both directions are rules about one name: no table of a model's weights is needed, only
//! how many blocks a level has.

/// How the blocks of a U-Net are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnetBlocks {
    /// The blocks of a level on the way down; on the way up there is one more.
    pub(crate) per_level: usize,
}

impl UnetBlocks {
    /// Finds them from the names that diffusers gives the weights.
    pub(crate) fn of_diffusers<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let blocks = names.filter_map(|name| {
            let block = name.strip_prefix("down_blocks.0.resnets.")?;
            block.split('.').next()?.parse().ok()
        });
        Self {
            per_level: blocks.max().map_or(1, |last: usize| last.saturating_add(1)),
        }
    }

    /// Finds them from the names that CompVis gives the weights: the first block that only makes the picture smaller ends
    /// a level.
    pub(crate) fn of_compvis<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut first_end = None;
        let mut last = 1;
        for name in names {
            let Some((number, rest)) = name
                .strip_prefix("input_blocks.")
                .and_then(|name| name.split_once('.'))
            else {
                continue;
            };
            let Ok(number) = number.parse::<usize>() else {
                continue;
            };
            last = last.max(number);
            if rest.starts_with("0.op.") {
                first_end = Some(first_end.map_or(number, |end: usize| end.min(number)));
            }
        }
        let per_level = first_end.map_or(last, |end| end.saturating_sub(1));
        Self {
            per_level: per_level.max(1),
        }
    }

    /// Blocks of a level on the way down with the one that makes the picture smaller, and of one on the way up.
    fn stride(self) -> usize {
        self.per_level.saturating_add(1)
    }

    /// CompVis' name of a weight of the U-Net. `has_attention` says whether a level on the way up has attention.
    pub(crate) fn to_compvis(
        self,
        name: &str,
        has_attention: impl Fn(usize) -> bool,
    ) -> Option<String> {
        if let Some(found) = swap(name, &UNET_ENDS, false) {
            return Some(found);
        }
        let (block, rest) = name.split_once('.')?;
        if block == "mid_block" {
            let (kind, number, inner) = part(rest)?;
            return match (kind, number) {
                ("resnets", 0 | 1) => {
                    Some(format!("middle_block.{}.{}", 2 * number, resnet(inner)))
                }
                ("attentions", 0) => Some(format!("middle_block.1.{inner}")),
                _ => None,
            };
        }
        let (level, rest) = number(rest)?;
        let (kind, index, inner) = part(rest)?;
        let first = level.checked_mul(self.stride())?;
        let at = first.checked_add(index)?;
        match (block, kind) {
            ("down_blocks", "resnets") => Some(format!(
                "input_blocks.{}.0.{}",
                at.checked_add(1)?,
                resnet(inner)
            )),
            ("down_blocks", "attentions") => {
                Some(format!("input_blocks.{}.1.{inner}", at.checked_add(1)?))
            }
            ("down_blocks", "downsamplers") => {
                let inner = inner.strip_prefix("conv.")?;
                let end = first.checked_add(self.stride())?;
                Some(format!("input_blocks.{end}.0.op.{inner}"))
            }
            ("up_blocks", "resnets") => Some(format!("output_blocks.{at}.0.{}", resnet(inner))),
            ("up_blocks", "attentions") => Some(format!("output_blocks.{at}.1.{inner}")),
            ("up_blocks", "upsamplers") => {
                let place = if has_attention(level) { 2 } else { 1 };
                let last = first.checked_add(self.per_level)?;
                Some(format!("output_blocks.{last}.{place}.{inner}"))
            }
            _ => None,
        }
    }

    /// diffusers' name of a weight of the U-Net.
    pub(crate) fn to_diffusers(self, name: &str) -> Option<String> {
        if let Some(found) = swap(name, &UNET_ENDS, true) {
            return Some(found);
        }
        let (block, rest) = name.split_once('.')?;
        let (index, rest) = number(rest)?;
        let stride = self.stride();
        match block {
            "middle_block" => match index {
                0 | 2 => Some(format!(
                    "mid_block.resnets.{}.{}",
                    index / 2,
                    resnet_back(rest)
                )),
                1 => Some(format!("mid_block.attentions.0.{rest}")),
                _ => None,
            },
            "input_blocks" => {
                let (place, rest) = number(rest)?;
                let index = index.checked_sub(1)?;
                let (level, at) = (index / stride, index % stride);
                match (place, rest.strip_prefix("op.")) {
                    (0, Some(rest)) => {
                        Some(format!("down_blocks.{level}.downsamplers.0.conv.{rest}"))
                    }
                    (0, None) => Some(format!(
                        "down_blocks.{level}.resnets.{at}.{}",
                        resnet_back(rest)
                    )),
                    (1, None) => Some(format!("down_blocks.{level}.attentions.{at}.{rest}")),
                    _ => None,
                }
            }
            "output_blocks" => {
                let (place, rest) = number(rest)?;
                let (level, at) = (index / stride, index % stride);
                match (place, rest.strip_prefix("conv.")) {
                    (1 | 2, Some(rest)) => {
                        Some(format!("up_blocks.{level}.upsamplers.0.conv.{rest}"))
                    }
                    (0, None) => Some(format!(
                        "up_blocks.{level}.resnets.{at}.{}",
                        resnet_back(rest)
                    )),
                    (1, None) => Some(format!("up_blocks.{level}.attentions.{at}.{rest}")),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// CompVis' name of a weight of the autoencoder, which has so many levels.
pub(crate) fn vae_to_compvis(name: &str, levels: usize) -> Option<String> {
    let (half, rest) = name.split_once('.')?;
    if half == "quant_conv" || half == "post_quant_conv" {
        return Some(name.to_owned());
    }
    if let Some(end) = swap(rest, &VAE_ENDS, false) {
        return Some(format!("{half}.{end}"));
    }
    let (block, rest) = rest.split_once('.')?;
    if block == "mid_block" {
        let (kind, index, inner) = part(rest)?;
        return match (kind, index) {
            ("resnets", 0 | 1) => Some(format!(
                "{half}.mid.block_{}.{}",
                index + 1,
                vae_resnet(inner)
            )),
            ("attentions", 0) => Some(format!(
                "{half}.mid.attn_1.{}",
                swap(inner, &VAE_ATTENTION, false)?
            )),
            _ => None,
        };
    }
    let (level, rest) = number(rest)?;
    let (kind, index, inner) = part(rest)?;
    let (way, level) = match block {
        "down_blocks" => ("down", level),
        "up_blocks" => ("up", levels.checked_sub(level.checked_add(1)?)?),
        _ => return None,
    };
    match kind {
        "resnets" => Some(format!(
            "{half}.{way}.{level}.block.{index}.{}",
            vae_resnet(inner)
        )),
        "downsamplers" => Some(format!("{half}.down.{level}.downsample.{inner}")),
        "upsamplers" => Some(format!("{half}.up.{level}.upsample.{inner}")),
        _ => None,
    }
}

/// diffusers' name of a weight of the autoencoder, which has so many levels.
pub(crate) fn vae_to_diffusers(name: &str, levels: usize) -> Option<String> {
    let (half, rest) = name.split_once('.')?;
    if half == "quant_conv" || half == "post_quant_conv" {
        return Some(name.to_owned());
    }
    if let Some(end) = swap(rest, &VAE_ENDS, true) {
        return Some(format!("{half}.{end}"));
    }
    let (block, rest) = rest.split_once('.')?;
    if block == "mid" {
        let (part, inner) = rest.split_once('.')?;
        return match part {
            "block_1" => Some(format!(
                "{half}.mid_block.resnets.0.{}",
                vae_resnet_back(inner)
            )),
            "block_2" => Some(format!(
                "{half}.mid_block.resnets.1.{}",
                vae_resnet_back(inner)
            )),
            "attn_1" => Some(format!(
                "{half}.mid_block.attentions.0.{}",
                swap(inner, &VAE_ATTENTION, true)?
            )),
            _ => None,
        };
    }
    let (level, rest) = number(rest)?;
    let (blocks, level) = match block {
        "down" => ("down_blocks", level),
        "up" => ("up_blocks", levels.checked_sub(level.checked_add(1)?)?),
        _ => return None,
    };
    let (kind, inner) = rest.split_once('.')?;
    match kind {
        "block" => {
            let (index, inner) = number(inner)?;
            Some(format!(
                "{half}.{blocks}.{level}.resnets.{index}.{}",
                vae_resnet_back(inner)
            ))
        }
        "downsample" => Some(format!("{half}.{blocks}.{level}.downsamplers.0.{inner}")),
        "upsample" => Some(format!("{half}.{blocks}.{level}.upsamplers.0.{inner}")),
        _ => None,
    }
}

/// The number of levels of an autoencoder, from the names that either gives its weights.
pub(crate) fn vae_levels<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    let levels = names.filter_map(|name| {
        let rest = ["decoder.up_blocks.", "decoder.up."]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))?;
        rest.split('.').next()?.parse().ok()
    });
    levels.max().map_or(0, |last: usize| last.saturating_add(1))
}

/// diffusers' beginnings of names, and CompVis'.
type Pairs<const N: usize> = [(&'static str, &'static str); N];

const UNET_ENDS: Pairs<7> = [
    ("conv_in", "input_blocks.0.0"),
    // Of Stable Diffusion XL: `sgm/modules/diffusionmodules/openaimodel.py` of Stability's generative-models.
    ("add_embedding.linear_1", "label_emb.0.0"),
    ("add_embedding.linear_2", "label_emb.0.2"),
    ("time_embedding.linear_1", "time_embed.0"),
    ("time_embedding.linear_2", "time_embed.2"),
    ("conv_norm_out", "out.0"),
    ("conv_out", "out.2"),
];

const RESNET: Pairs<6> = [
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv_shortcut", "skip_connection"),
];

const VAE_ENDS: Pairs<3> = [
    ("conv_in", "conv_in"),
    ("conv_norm_out", "norm_out"),
    ("conv_out", "conv_out"),
];

const VAE_ATTENTION: Pairs<5> = [
    ("group_norm", "norm"),
    ("to_q", "q"),
    ("to_k", "k"),
    ("to_v", "v"),
    ("to_out.0", "proj_out"),
];

/// Puts one beginning of a name, whole parts of it, in the place of the other.
fn swap<const N: usize>(name: &str, pairs: &Pairs<N>, back: bool) -> Option<String> {
    pairs.iter().find_map(|&(diffusers, compvis)| {
        let (from, to) = if back {
            (compvis, diffusers)
        } else {
            (diffusers, compvis)
        };
        let rest = name.strip_prefix(from)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| format!("{to}{rest}"))
    })
}

fn resnet(inner: &str) -> String {
    swap(inner, &RESNET, false).unwrap_or_else(|| inner.to_owned())
}

fn resnet_back(inner: &str) -> String {
    swap(inner, &RESNET, true).unwrap_or_else(|| inner.to_owned())
}

fn vae_resnet(inner: &str) -> String {
    swap(inner, &[("conv_shortcut", "nin_shortcut")], false).unwrap_or_else(|| inner.to_owned())
}

fn vae_resnet_back(inner: &str) -> String {
    swap(inner, &[("conv_shortcut", "nin_shortcut")], true).unwrap_or_else(|| inner.to_owned())
}

/// A number, and what stands after its point.
fn number(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

/// A kind of layer, its number, and what stands after them.
fn part(text: &str) -> Option<(&str, usize, &str)> {
    let (kind, rest) = text.split_once('.')?;
    let (index, inner) = number(rest)?;
    Some((kind, index, inner))
}

#[cfg(test)]
mod tests;
