//! Seeded noise, drawn on the host so that it is the same on every backend.
//!
//! A seed is worth something only if it gives the picture that it gave elsewhere, so there is no generator of our own:
//! both are PyTorch's, because the seeds that people exchange were drawn with it. [`NoiseKind::TorchCpu`] is what a
//! diffusers script with a CPU generator draws, [`NoiseKind::TorchCuda`] what the original repository draws on its GPU.
//!
//! A generator is the stream of *one* image. A batch has one for each image, so that an image is the same alone as in
//! company; drawing the noise of several images from one generator would make the second depend on the first.

mod avx_mathfun;
mod mt19937;
mod torch_cpu;
mod torch_cuda;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};
use torch_cpu::TorchCpu;
use torch_cuda::TorchCuda;

/// Whose noise to draw for a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NoiseKind {
    /// What `torch.manual_seed(seed)` and `torch.randn` give on an x86-64 CPU with AVX2, bit for bit.
    ///
    /// Only the low 32 bits of the seed count, as in PyTorch. Its builds for other CPUs take the logarithm, sine and
    /// cosine from another library, which changes last digits.
    #[default]
    TorchCpu,
    /// What they give on a CUDA device, to about 1e-6: the GPU's own fast sine cannot be reproduced elsewhere.
    ///
    /// PyTorch's launch grid has at most one thread for each that the GPU can hold (its multiprocessors times the
    /// threads of each: 40 960 on a T4, 196 608 on an RTX 4090), and one draw longer than that depends on the model of
    /// the GPU. What is drawn here is as if the grid had no end, which is equal up to that length. All 64 bits of the
    /// seed count.
    TorchCuda,
}

impl NoiseKind {
    /// Every kind there is.
    pub const ALL: [Self; 2] = [Self::TorchCpu, Self::TorchCuda];

    /// The name, as the command spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TorchCpu => "torch-cpu",
            Self::TorchCuda => "torch-cuda",
        }
    }
}

impl fmt::Display for NoiseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for NoiseKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| Error::setting("noise", "torch-cpu or torch-cuda", text))
    }
}

/// A stream of normal noise from a seed, for one image.
///
/// # Examples
///
/// ```
/// use ip2p_core::{NoiseGenerator, NoiseKind};
///
/// let mut generator = NoiseGenerator::new(NoiseKind::TorchCpu, 42);
/// let latents = generator.normal(4 * 64 * 64);
/// let first_step = generator.normal(4 * 64 * 64);
/// assert_ne!(latents, first_step);
/// assert_eq!(latents, NoiseGenerator::new(NoiseKind::TorchCpu, 42).normal(4 * 64 * 64));
/// ```
#[derive(Debug, Clone)]
pub struct NoiseGenerator {
    stream: Stream,
}

#[derive(Debug, Clone)]
enum Stream {
    TorchCpu(TorchCpu),
    TorchCuda(TorchCuda),
}

impl NoiseGenerator {
    /// A generator at the start of the stream that belongs to `seed`.
    #[must_use]
    pub fn new(kind: NoiseKind, seed: u64) -> Self {
        let stream = match kind {
            NoiseKind::TorchCpu => Stream::TorchCpu(TorchCpu::new(seed)),
            NoiseKind::TorchCuda => Stream::TorchCuda(TorchCuda::new(seed)),
        };
        Self { stream }
    }

    /// Draws `len` values of mean 0 and standard deviation 1, as one call of `torch.randn` for a contiguous `float32`
    /// tensor of that many elements does.
    ///
    /// How a length is divided into calls matters, as it does in PyTorch: two calls do not in general give what one of
    /// the summed length gives. Drawing 0 values changes nothing.
    #[must_use]
    pub fn normal(&mut self, len: usize) -> Vec<f32> {
        match &mut self.stream {
            Stream::TorchCpu(stream) => stream.normal(len),
            Stream::TorchCuda(stream) => stream.normal(len),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds() -> impl Strategy<Value = NoiseKind> {
        prop::sample::select(NoiseKind::ALL.to_vec())
    }

    fn mean(values: &[f32]) -> f64 {
        values.iter().copied().map(f64::from).sum::<f64>() / values.len() as f64
    }

    #[test]
    fn names_are_those_of_the_command_and_of_serialised_settings() {
        for kind in NoiseKind::ALL {
            assert_eq!(kind.to_string().parse::<NoiseKind>().unwrap(), kind);
        }
        let error = "philox".parse::<NoiseKind>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "noise must be torch-cpu or torch-cuda, got philox"
        );
    }

    proptest! {
        #[test]
        fn the_same_seed_gives_the_same_noise(
            kind in kinds(), seed: u64, lengths in prop::collection::vec(0_usize..70, 1..6),
        ) {
            let draw = || {
                let mut generator = NoiseGenerator::new(kind, seed);
                lengths.iter().map(|&len| generator.normal(len)).collect::<Vec<_>>()
            };
            let drawn = draw();
            prop_assert_eq!(&drawn, &draw());
            prop_assert_eq!(drawn.iter().map(Vec::len).collect::<Vec<_>>(), lengths);
        }

        #[test]
        fn another_seed_gives_other_noise(kind in kinds(), seed: u64, bit in 0_u32..32) {
            let draw = |seed| NoiseGenerator::new(kind, seed).normal(16);
            prop_assert_ne!(draw(seed), draw(seed ^ (1 << bit)));
        }

        #[test]
        fn torch_cpu_ignores_the_high_half_of_the_seed_and_torch_cuda_does_not(seed: u64, bit in 32_u32..64) {
            let same = |kind| {
                let draw = |seed| NoiseGenerator::new(kind, seed).normal(16);
                draw(seed) == draw(seed ^ (1 << bit))
            };
            prop_assert!(same(NoiseKind::TorchCpu));
            prop_assert!(!same(NoiseKind::TorchCuda));
        }

        #[test]
        fn values_are_normal(kind in kinds(), seed: u64) {
            let values = NoiseGenerator::new(kind, seed).normal(1 << 14);
            // Six standard errors: of the mean 1/√n, of the mean square √(2/n), of the share beyond one √(p(1−p)/n).
            let standard_error = 1.0 / f64::from(1 << 7);
            prop_assert!(mean(&values).abs() < 6.0 * standard_error);
            let squares = values.iter().map(|value| value * value).collect::<Vec<_>>();
            prop_assert!((mean(&squares) - 1.0).abs() < 6.0 * 2.0_f64.sqrt() * standard_error);
            let beyond = values.iter().filter(|value| value.abs() > 1.0).count() as f64 / values.len() as f64;
            prop_assert!((beyond - 0.3173).abs() < 6.0 * 0.4655 * standard_error);
        }

        #[test]
        fn torch_cpu_draws_of_whole_blocks_join(seed: u64, blocks in 1_usize..20, more in 1_usize..20) {
            let mut generator = NoiseGenerator::new(NoiseKind::TorchCpu, seed);
            let mut joined = generator.normal(16 * blocks);
            joined.extend(generator.normal(16 * more));
            prop_assert_eq!(joined, NoiseGenerator::new(NoiseKind::TorchCpu, seed).normal(16 * (blocks + more)));
        }

        #[test]
        fn torch_cpu_draws_below_a_block_join(seed: u64, len in 0_usize..8, more in 0_usize..8) {
            let mut generator = NoiseGenerator::new(NoiseKind::TorchCpu, seed);
            let mut joined = generator.normal(len);
            joined.extend(generator.normal(more));
            prop_assert_eq!(joined, NoiseGenerator::new(NoiseKind::TorchCpu, seed).normal(len + more));
        }

        #[test]
        fn torch_cuda_values_depend_on_their_place_in_the_draw_alone(
            seed: u64, first in 1_usize..40, short in 1_usize..40, more in 0_usize..40,
        ) {
            let second = |first, len| {
                let mut generator = NoiseGenerator::new(NoiseKind::TorchCuda, seed);
                let _ = generator.normal(first);
                generator.normal(len)
            };
            let long = second(1, short + more);
            prop_assert_eq!(second(first, short), long[..short].to_vec());
        }
    }
}
