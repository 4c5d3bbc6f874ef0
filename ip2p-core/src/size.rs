//! Sizes: of pictures, and those that the model works at.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

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

    /// How many pixels a picture of this size has.
    #[must_use]
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Whether a picture of this size has no pixels.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.width == 0 || self.height == 0
    }

    /// The longer side, in pixels.
    #[must_use]
    pub fn longer(self) -> u32 {
        self.width.max(self.height)
    }

    /// The shorter side, in pixels.
    #[must_use]
    pub fn shorter(self) -> u32 {
        self.width.min(self.height)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (width, height) = text.split_once(['x', 'X', '×'])?;
            Some(Self::new(width.parse().ok()?, height.parse().ok()?))
        };
        parse().ok_or_else(|| Error::setting("size", "two numbers as in 640x384", text))
    }
}

/// The size that the model is to work at, as `--size` says it: `512` or `640x384`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TargetSize {
    /// The longer side in pixels; the shorter follows from the photo's proportions. So no photo takes more time or
    /// memory than a square one.
    Side(u32),
    /// Both sides.
    Exact(Size),
}

impl Default for TargetSize {
    /// A longer side of 512 pixels, which Stable Diffusion 1 was trained at.
    fn default() -> Self {
        Self::Side(512)
    }
}

impl fmt::Display for TargetSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Side(side) => write!(f, "{side}"),
            Self::Exact(size) => write!(f, "{size}"),
        }
    }
}

impl FromStr for TargetSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse()
            .map(Self::Side)
            .or_else(|_| text.parse().map(Self::Exact))
            .map_err(|_| Error::setting("size", "one number as in 512, or two as in 640x384", text))
    }
}

impl TryFrom<String> for TargetSize {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<TargetSize> for String {
    fn from(target: TargetSize) -> Self {
        target.to_string()
    }
}

impl From<Size> for TargetSize {
    fn from(size: Size) -> Self {
        Self::Exact(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_one_number_or_two() {
        assert_eq!("512".parse::<TargetSize>().unwrap(), TargetSize::default());
        for text in ["640x384", "640X384", "640×384"] {
            assert_eq!(
                text.parse::<TargetSize>().unwrap(),
                Size::new(640, 384).into()
            );
        }
        for text in [
            "",
            "x",
            "512x",
            "x512",
            "-512",
            "5.5",
            "1x2x3",
            "99999999999",
        ] {
            let error = text.parse::<TargetSize>().unwrap_err().to_string();
            assert_eq!(
                error,
                format!("size must be one number as in 512, or two as in 640x384, got {text}")
            );
        }
    }

    #[test]
    fn what_is_displayed_parses_back() {
        for target in [TargetSize::Side(768), Size::new(1, u32::MAX).into()] {
            assert_eq!(target.to_string().parse::<TargetSize>().unwrap(), target);
        }
    }
}
