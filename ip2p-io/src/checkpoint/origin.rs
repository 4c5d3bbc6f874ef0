//! Where the numbers of a tensor that is written come from.

use burn::tensor::Device;
use ip2p_core::Result;

use super::{Layout, Weights};

/// The weights that a tensor is written of, by their canonical names.
pub(super) enum Origin {
    /// One, as it is.
    Same(String),
    /// Several, one below the other.
    Joined(Vec<String>),
    /// A matrix of so many rows, whose columns are written one after the other.
    Turned(String, usize),
}

impl Origin {
    /// The numbers, in the order in which they are written.
    pub(super) fn read(&self, weights: &Weights, device: &Device) -> Result<Vec<f32>> {
        match self {
            Self::Same(name) => weights.read(name, device),
            Self::Joined(names) => {
                let mut all = Vec::new();
                for name in names {
                    all.extend(weights.read(name, device)?);
                }
                Ok(all)
            }
            Self::Turned(name, rows) => {
                let numbers = weights.read(name, device)?;
                let (rows, columns) = (*rows, numbers.len() / (*rows).max(1));
                Ok(Layout::Transposed { rows, columns }.arrange(numbers))
            }
        }
    }
}
