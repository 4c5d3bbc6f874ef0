//! Arrays that the compiler turns into the vectors of the target's base instruction set.

use burn::tensor::bf16;

use super::Simd;

const LANES: usize = 8;

/// Needs nothing of the CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

/// A number times a power of two that is a normal `f32`.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole exponent of -126 to 127"
)]
fn times_power_of_two(a: f32, exponent: f32) -> f32 {
    a * f32::from_bits(((exponent as i32 + 127) << 23) as u32)
}

/// The bits of the nearest `bf16`.
#[inline(always)]
fn round(a: f32) -> u16 {
    bf16::from_f32(a).to_bits()
}

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

impl Simd for Portable {
    type Vector = [f32; LANES];
    type Words = [u32; LANES];
    const LANES: usize = LANES;
    const TILE_ROWS: usize = 4;

    #[inline(always)]
    fn splat(self, number: f32) -> Self::Vector {
        [number; LANES]
    }
    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> Self::Vector {
        // SAFETY: the caller's; an array of `f32` may lie anywhere that an `f32` may.
        unsafe { source.cast::<Self::Vector>().read() }
    }
    #[inline(always)]
    unsafe fn load_where(self, source: *const f32, lanes: u32) -> Self::Vector {
        std::array::from_fn(|lane| {
            if lanes >> lane & 1 == 1 {
                // SAFETY: the caller's.
                unsafe { *source.wrapping_add(lane) }
            } else {
                0.0
            }
        })
    }
    #[inline(always)]
    unsafe fn store(self, target: *mut f32, vector: Self::Vector) {
        // SAFETY: the caller's; an array of `f32` may lie anywhere that an `f32` may.
        unsafe { target.cast::<Self::Vector>().write(vector) };
    }
    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // `f32::mul_add` is one instruction on aarch64, and a function call on an x86 that has none.
        std::array::from_fn(|lane| {
            if cfg!(target_arch = "aarch64") {
                a[lane].mul_add(b[lane], c[lane])
            } else {
                a[lane] * b[lane] + c[lane]
            }
        })
    }
    #[inline(always)]
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn round(self, a: Self::Vector) -> Self::Vector {
        // Adding and taking away 1.5 · 2^23 leaves no bits behind the point; `f32::round_ties_even` may be a function call.
        const NO_FRACTION: f32 = 12_582_912.0;
        a.map(|a| (a + NO_FRACTION) - NO_FRACTION)
    }
    #[inline(always)]
    fn scale(self, a: Self::Vector, exponent: Self::Vector) -> Self::Vector {
        // In two steps, since 2^exponent alone may be out of range.
        let half = self.round(exponent.map(|exponent| 0.5 * exponent));
        let rest = self.sub(exponent, half);
        zip(zip(a, half, times_power_of_two), rest, times_power_of_two)
    }
    #[inline(always)]
    fn where_negative(
        self,
        a: Self::Vector,
        below: Self::Vector,
        otherwise: Self::Vector,
    ) -> Self::Vector {
        std::array::from_fn(|lane| {
            if a[lane] < 0.0 {
                below[lane]
            } else {
                otherwise[lane]
            }
        })
    }
    #[inline(always)]
    fn unzip(self, a: Self::Vector, b: Self::Vector) -> [Self::Vector; 2] {
        let both = [a, b];
        let from = |first: usize| {
            std::array::from_fn(|lane| both[lane / (LANES / 2)][2 * lane % LANES + first])
        };
        [from(0), from(1)]
    }
    #[inline(always)]
    fn zip(self, a: Self::Vector, b: Self::Vector) -> [Self::Vector; 2] {
        let both = [a, b];
        let from = |first: usize| std::array::from_fn(|lane| both[lane % 2][first + lane / 2]);
        [from(0), from(LANES / 2)]
    }
    #[inline(always)]
    fn splat_word(self, word: u32) -> Self::Words {
        [word; LANES]
    }
    #[inline(always)]
    unsafe fn load_words(self, source: *const u32) -> Self::Words {
        // SAFETY: the caller's; an array of `u32` may lie anywhere that a `u32` may.
        unsafe { source.cast::<Self::Words>().read() }
    }
    #[inline(always)]
    unsafe fn store_words(self, target: *mut u32, words: Self::Words) {
        // SAFETY: the caller's; an array of `u32` may lie anywhere that a `u32` may.
        unsafe { target.cast::<Self::Words>().write(words) };
    }
    #[inline(always)]
    fn pair(self, first: Self::Vector, second: Self::Vector) -> Self::Words {
        std::array::from_fn(|lane| {
            u32::from(round(first[lane])) | u32::from(round(second[lane])) << 16
        })
    }
    #[inline(always)]
    unsafe fn zip_pairs(self, first: *const u16, second: *const u16) -> Self::Words {
        std::array::from_fn(|lane| {
            // SAFETY: the caller's.
            let (first, second) = unsafe { (*first.add(lane), *second.add(lane)) };
            u32::from(first) | u32::from(second) << 16
        })
    }
    #[inline(always)]
    fn dot(self, a: Self::Words, b: Self::Words, sum: Self::Vector) -> Self::Vector {
        let ([a, second_a], [b, second_b]) = (self.halves(a), self.halves(b));
        self.mul_add(a, b, self.mul_add(second_a, second_b, sum))
    }
    #[inline(always)]
    fn dot_bytes(self, a: Self::Words, b: Self::Words, sum: Self::Words) -> Self::Words {
        std::array::from_fn(|lane| {
            let (a, b) = (a[lane].to_le_bytes(), b[lane].to_le_bytes());
            let products = a
                .into_iter()
                .zip(b)
                .map(|(a, b)| i32::from(a) * i32::from(b.cast_signed()));
            sum[lane].wrapping_add(products.sum::<i32>().cast_unsigned())
        })
    }
    #[inline(always)]
    fn to_numbers(self, words: Self::Words) -> Self::Vector {
        words.map(|word| word.cast_signed() as f32)
    }
    #[inline(always)]
    fn xor(self, a: Self::Words, b: Self::Words) -> Self::Words {
        std::array::from_fn(|lane| a[lane] ^ b[lane])
    }
    #[inline(always)]
    fn halves(self, pairs: Self::Words) -> [Self::Vector; 2] {
        [
            pairs.map(|pair| f32::from_bits(pair << 16)),
            pairs.map(|pair| f32::from_bits(pair & 0xffff_0000)),
        ]
    }
    #[inline(always)]
    fn max_magnitude(self, magnitude: Self::Vector, number: Self::Vector) -> Self::Vector {
        // Of numbers without sign the order is that of their bits, NaN being the greatest.
        zip(magnitude, number, |a, b| {
            f32::from_bits(a.to_bits().max(b.abs().to_bits()))
        })
    }
}
