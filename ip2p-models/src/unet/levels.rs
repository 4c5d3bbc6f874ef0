//! What `unet/config.json` says of each level.

use ip2p_core::{Fields, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::config::require;

/// One level of a U-Net: what works at one size of the picture, on the way down and on the way up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UNetLevel {
    /// Channels.
    pub channels: usize,
    /// Convolutional blocks on the way down; there is one more on the way up.
    pub layers: usize,
    /// The number of attention heads, which diffusers calls `attention_head_dim`.
    pub heads: usize,
    /// Blocks in each transformer.
    pub transformer_layers: usize,
    /// Whether a transformer follows each convolutional block on the way down.
    pub attention_down: bool,
    /// Whether a transformer follows each convolutional block on the way up.
    pub attention_up: bool,
    /// Whether its transformers attend to the context only, and not to the picture itself.
    pub only_cross_attention: bool,
}

/// The fields that have a value for each level, or one for all, and the width of the context.
pub(super) fn read_levels(fields: &mut Fields) -> Result<(Vec<UNetLevel>, usize)> {
    let channels = fields.sizes("block_out_channels", &[320, 640, 1280, 1280])?;
    let n = channels.len();
    let attention_down = read_attention(
        fields,
        "down_block_types",
        ["CrossAttnDownBlock2D", "DownBlock2D"],
        n,
    )?;
    let mut attention_up = read_attention(
        fields,
        "up_block_types",
        ["CrossAttnUpBlock2D", "UpBlock2D"],
        n,
    )?;
    attention_up.reverse(); // The way up begins at the lowest level.
    let layers = sizes_per_level(fields, "layers_per_block", 2, n)?;
    let heads = sizes_per_level(fields, "attention_head_dim", 8, n)?;
    let transformer_layers = sizes_per_level(fields, "transformer_layers_per_block", 1, n)?;
    let only_cross_attention =
        per_level(fields, "only_cross_attention", "true or false", false, n)?;
    let context_widths = sizes_per_level(fields, "cross_attention_dim", 1280, n)?;

    let width = context_widths[n - 1];
    require(context_widths.iter().all(|&other| other == width), || {
        format!("cross_attention_dim is {context_widths:?}, supported is one width for all levels")
    })?;
    let levels = (0..n)
        .map(|i| UNetLevel {
            channels: channels[i],
            layers: layers[i],
            heads: heads[i],
            transformer_layers: transformer_layers[i],
            attention_down: attention_down[i],
            attention_up: attention_up[i],
            only_cross_attention: only_cross_attention[i],
        })
        .collect();
    Ok((levels, width))
}

/// Which blocks of a list have transformers; by default all but the one at the lowest level.
fn read_attention(
    fields: &mut Fields,
    name: &str,
    [with, without]: [&str; 2],
    levels: usize,
) -> Result<Vec<bool>> {
    let expected = format!("a list of {levels}, each {with} or {without}");
    let types: Option<Vec<String>> = fields.or(name, &expected, None)?;
    let Some(types) = types else {
        // The defaults of diffusers are for four levels.
        let defaults = (0..levels).map(|level| level + 1 < levels);
        return Ok(if name.starts_with("up") {
            defaults.rev().collect()
        } else {
            defaults.collect()
        });
    };
    let known = types.iter().all(|block| block == with || block == without);
    if !known || types.len() != levels {
        return Err(fields.unsupported(name, &types.into(), &expected));
    }
    Ok(types.iter().map(|block| block == with).collect())
}

/// A value for all levels, or one for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum PerLevel<T> {
    All(T),
    Each(Vec<T>),
}

fn per_level<T: DeserializeOwned + Clone>(
    fields: &mut Fields,
    name: &str,
    expected: &str,
    default: T,
    levels: usize,
) -> Result<Vec<T>> {
    let expected = format!("{expected}, or a list of {levels}");
    match fields.or(name, &expected, PerLevel::All(default))? {
        PerLevel::All(value) => Ok(vec![value; levels]),
        PerLevel::Each(values) => {
            require(values.len() == levels, || {
                format!(
                    "{name} is a list of {}, supported is {expected}",
                    values.len()
                )
            })?;
            Ok(values)
        }
    }
}

fn sizes_per_level(
    fields: &mut Fields,
    name: &str,
    default: usize,
    levels: usize,
) -> Result<Vec<usize>> {
    let sizes = per_level(fields, name, "a whole number above 0", default, levels)?;
    require(!sizes.contains(&0), || {
        format!("{name} is {sizes:?}, supported is a whole number above 0")
    })?;
    Ok(sizes)
}
