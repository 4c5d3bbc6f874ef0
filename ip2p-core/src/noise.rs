//! Seeded noise, drawn on the host so that it is the same on every backend.

use serde::{Deserialize, Serialize};

/// Whose noise to draw for a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NoiseKind {
    /// What `torch.manual_seed(seed)` and `torch.randn` give on the CPU, bit for bit.
    #[default]
    TorchCpu,
    /// What they give on a CUDA device.
    TorchCuda,
}

/// A stream of normal noise from a seed.
#[derive(Debug, Clone)]
pub struct NoiseGenerator;
