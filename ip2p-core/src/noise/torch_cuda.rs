//! `torch.randn` on a CUDA device.

/// PyTorch's CUDA generator, and its `normal_` for `float32` tensors no longer than the launch grid.
///
/// From `aten/src/ATen/native/cuda/DistributionTemplates.h` (`calc_execution_policy`,
/// `distribution_elementwise_grid_stride_kernel`, `normal_and_transform`), as in PyTorch 2.15.0: the thread of element
/// `i` is the `i`-th subsequence of the seed, draws four values with `curand_normal4` and keeps the first; each call
/// moves all subsequences on by four words, which is one block. The same is imitated, with the Box–Muller transform in
/// double precision, by `modules/rng_philox.py` of AUTOMATIC1111's stable-diffusion-webui at `5ef669d`.
#[derive(Debug, Clone)]
pub(super) struct TorchCuda {
    key: [u32; 2],
    /// Calls made, which is the block that every subsequence is at.
    calls: u64,
}

impl TorchCuda {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            key: words(seed),
            calls: 0,
        }
    }

    pub(super) fn normal(&mut self, len: usize) -> Vec<f32> {
        if len == 0 {
            return Vec::new();
        }
        let [low, high] = words(self.calls);
        self.calls += 1;
        (0..len as u64)
            .map(|element| {
                let [thread_low, thread_high] = words(element);
                let [x, y, ..] = philox4x32_10([low, high, thread_low, thread_high], self.key);
                box_muller(x, y)
            })
            .collect()
    }
}

/// The low and the high half.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the two halves are what is wanted"
)]
fn words(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

/// A block of 128 random bits; Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3",
/// <https://doi.org/10.1145/2063384.2063405>: Philox with four words and ten rounds.
fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u64; 2] = [0xd251_1f53, 0xcd9e_8d57];
    const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
    for _ in 0..10 {
        let [c0, c1, c2, c3] = counter;
        let [low0, high0] = words(u64::from(c0) * MULTIPLIERS[0]);
        let [low1, high1] = words(u64::from(c2) * MULTIPLIERS[1]);
        counter = [high1 ^ c1 ^ key[0], low1, high0 ^ c3 ^ key[1], low0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// The first of the two normal values that cuRAND makes of two words (`_curand_box_muller` in `curand_normal.h`).
///
/// The steps round to `f32` where cuRAND's do, which decides how near 1 the logarithm is taken. Logarithm and sine are
/// rounded from double precision: CUDA's `logf` is within one unit in the last place of that, and its `__sinf` within
/// about 2⁻²¹ (CUDA C++ Programming Guide, "Mathematical Functions").
#[expect(
    clippy::cast_possible_truncation,
    reason = "each step rounds as on the device"
)]
fn box_muller(x: u32, y: u32) -> f32 {
    /// 2⁻³².
    const SCALE: f32 = 1.0 / (1_u64 << 32) as f32;
    const SCALE_TAU: f32 = SCALE * std::f32::consts::TAU;
    let u = (x as f32).mul_add(SCALE, SCALE / 2.0);
    let v = (y as f32).mul_add(SCALE_TAU, SCALE_TAU / 2.0);
    let radius = (-2.0 * f64::from(u).ln() as f32).sqrt();
    f64::from(v).sin() as f32 * radius
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tests/kat_vectors` of Random123, the authors' own library.
    #[test]
    fn philox_gives_its_authors_known_answers() {
        let cases = [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox4x32_10(counter, key), expected);
        }
    }

    #[test]
    fn the_extreme_words_give_finite_values() {
        for x in [0, 1, u32::MAX / 2, u32::MAX] {
            for y in [0, 1, u32::MAX / 2, u32::MAX] {
                assert!(box_muller(x, y).is_finite(), "{x} {y}");
            }
        }
    }

    #[test]
    fn drawing_nothing_leaves_the_stream_where_it_is() {
        let mut stream = TorchCuda::new(3);
        assert!(stream.normal(0).is_empty());
        assert_eq!(stream.normal(5), TorchCuda::new(3).normal(5));
    }
}
