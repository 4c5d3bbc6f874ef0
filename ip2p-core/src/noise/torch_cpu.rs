//! `torch.randn` on the CPU.

use std::f64::consts::TAU;

use super::avx_mathfun::{log, sin_cos};
use super::mt19937::Mt19937;

/// How many values PyTorch transforms at once: 8 cosines, then the 8 sines that belong to them.
const BLOCK: usize = 16;

/// PyTorch's CPU generator, and its `normal_` for contiguous `float32` tensors.
///
/// From `aten/src/ATen/native/cpu/DistributionTemplates.h` (`normal_fill`, `normal_kernel`) and
/// `aten/src/ATen/core/DistributionsHelper.h` (`normal_distribution`), as in PyTorch 2.15.0.
#[derive(Debug, Clone)]
pub(super) struct TorchCpu {
    engine: Mt19937,
    /// The second value of the last pair that a short draw made and did not need. Long draws leave it be.
    spare: Option<f64>,
}

impl TorchCpu {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "PyTorch seeds the twister with the low 32 bits"
    )]
    pub(super) fn new(seed: u64) -> Self {
        Self {
            engine: Mt19937::new(seed as u32),
            spare: None,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "PyTorch draws short tensors in double precision and rounds"
    )]
    pub(super) fn normal(&mut self, len: usize) -> Vec<f32> {
        if len < BLOCK {
            return (0..len).map(|_| self.normal_f64() as f32).collect();
        }
        let mut values: Vec<_> = (0..len).map(|_| self.engine.uniform_f32()).collect();
        let (blocks, rest) = values.as_chunks_mut::<BLOCK>();
        blocks.iter_mut().for_each(box_muller);
        if !rest.is_empty() {
            // What is left over is no block: the last 16 values are drawn anew, over the end of the last whole block.
            let mut last = std::array::from_fn(|_| self.engine.uniform_f32());
            box_muller(&mut last);
            values[len - BLOCK..].copy_from_slice(&last);
        }
        values
    }

    /// One value of a short draw, in double precision.
    fn normal_f64(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let u1 = self.engine.uniform_f64();
        let u2 = self.engine.uniform_f64();
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let theta = TAU * u1;
        self.spare = Some(radius * theta.sin());
        radius * theta.cos()
    }
}

/// Turns uniform numbers of `[0, 1)` into normal ones; Box and Muller (1958), <https://doi.org/10.1214/aoms/1177706645>.
fn box_muller(block: &mut [f32; BLOCK]) {
    const TAU: f32 = std::f32::consts::TAU;
    let (firsts, seconds) = block.split_at_mut(BLOCK / 2);
    for (first, second) in firsts.iter_mut().zip(seconds) {
        // `1 −` so that no logarithm is taken of 0.
        let radius = (-2.0 * log(1.0 - *first)).sqrt();
        let (sin, cos) = sin_cos(TAU * *second);
        // PyTorch adds the mean, 0, which makes a positive zero of a negative one.
        *first = radius * cos + 0.0;
        *second = radius * sin + 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_radius_of_zero_gives_positive_zeros() {
        // The logarithm of 1 is 0, and the root of −2 · 0 a negative zero.
        for angle in [0.0, 0.3, 0.6, 0.9] {
            let mut block = [0.0; BLOCK];
            block[BLOCK / 2..].fill(angle);
            box_muller(&mut block);
            assert_eq!(block.map(f32::to_bits), [0; BLOCK]);
        }
    }

    #[test]
    fn a_long_draw_leaves_the_spare_value_be() {
        let mut stream = TorchCpu::new(11);
        let first = stream.normal(1);
        let _ = stream.normal(BLOCK + 1);
        let second = stream.normal(1);
        assert_eq!([first, second].concat(), TorchCpu::new(11).normal(2));
    }
}
