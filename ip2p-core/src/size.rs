//! Sizes, and how a photo is fitted to the model's.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A picture's width and height, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl Size {
    /// A size of `width` by `height` pixels.
    #[must_use]
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// How a photo becomes a picture of the model's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FitPolicy {
    /// Scaled to cover the size; what hangs over is cut off evenly.
    #[default]
    Cover,
    /// Scaled to lie within the size; the rest is padded.
    Contain,
    /// Scaled to the size, whatever becomes of the proportions.
    Stretch,
    /// The photo's own size, down to a multiple of 8.
    Native,
    /// The original repository's arithmetic, to the pixel (`edit_cli.py:87-92` at `0dffd1e`).
    Original,
    /// diffusers' arithmetic: down to a multiple of 8.
    Diffusers,
}
