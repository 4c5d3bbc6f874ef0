//! The number format of a network.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The number format of a network's weights and activations.
///
/// Normalisation, softmax, the time embedding and the sampler's arithmetic are `f32` in all of them; on the CPU, so is what goes
/// from layer to layer, and the weights alone are narrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// 32 bits: the mode in which results are compared with other tools.
    #[default]
    F32,
    /// 16 bits with 5 of exponent: half the memory; overflows above 65504.
    F16,
    /// 16 bits with 8 of exponent: half the memory; never overflows where `f32` does not.
    Bf16,
    /// Whole numbers of 8 bits with a scale, in the U-Net's layers that take the time: on the CPU alone. The rest is as in `bf16`.
    Int8,
}

impl Precision {
    /// Every precision there is.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Bf16, Self::Int8];

    /// The precision that weights are read in, and that of all that is not made of whole numbers: `bf16` for `int8`.
    #[must_use]
    pub fn of_floats(self) -> Self {
        match self {
            Self::Int8 => Self::Bf16,
            other => other,
        }
    }

    /// Bytes that one number takes that is not whole.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self.of_floats() {
            Self::F32 => 4,
            _ => 2,
        }
    }

    /// The name, as the command spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.name() == text)
            .ok_or_else(|| Error::setting("precision", "f32, f16, bf16 or int8", text))
    }
}
