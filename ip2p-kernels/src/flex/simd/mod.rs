//! Vectors of `f32` of whatever instruction set the CPU has, chosen at run time.
//!
//! A [`Simd`] value is a token: it exists only where its instructions do, so that its arithmetic is safe to call. A
//! [`Kernel`] is written once, over any token; [`dispatch`] runs it with the best one. For the instructions to be used at all,
//! everything from [`Kernel::run`] down to the inner loop must be `#[inline(always)]`: the compiler then sees it as part
//! of the one function here that is compiled for the instruction set.

/// How a token comes to be and runs a kernel: both by the same features, so that neither can name one that the other does not.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! instructions {
    ($token:ident, $has:ident, $($feature:tt),+) => {
        impl $token {
            /// The token, on a CPU that has the instructions.
            #[inline]
            pub(crate) fn detect() -> Option<Self> {
                ($($has!($feature))&&+).then_some(Self(()))
            }

            /// Runs a kernel with these instructions.
            #[inline]
            pub(crate) fn run<K: $crate::flex::simd::Kernel>(self, kernel: K) -> K::Output {
                $(#[target_feature(enable = $feature)])+
                fn with_instructions<K: $crate::flex::simd::Kernel>(simd: $token, kernel: K) -> K::Output {
                    kernel.run(simd)
                }
                // SAFETY: the token proves the instructions.
                unsafe { with_instructions(self, kernel) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(test)]
mod each;
mod math;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
mod portable;
mod slices;

#[cfg(target_arch = "x86_64")]
use avx512::{Avx512, Avx512Bf16};
#[cfg(test)]
pub(crate) use each::{assert_sets_agree, dispatch_each};
#[cfg(feature = "autodiff")]
pub(crate) use math::silu_slope;
pub(crate) use math::{exp2, gelu, quick_gelu, silu};
pub(crate) use slices::{map, sum_of};

use burn::tensor::bf16;

/// How many vectors wide the tile of a matrix product is.
pub(crate) const TILE_VECTORS: usize = 3;

/// The most lanes that a vector has.
pub(crate) const MAX_LANES: usize = 16;

/// The fewest.
pub(crate) const MIN_LANES: usize = if cfg!(target_arch = "aarch64") { 4 } else { 8 };

/// Of what [`Simd::exp2_pair`] makes 1: the bits of 1 in `bf16`.
pub(crate) const PAIR_ONE: f32 = 127.0 * 128.0;

/// Arithmetic on vectors of `f32`.
pub(crate) trait Simd: Copy + Sync {
    /// A vector.
    type Vector: Copy;
    /// A word of 32 bits in each lane: two `bf16` numbers, the first in the low half, or four bytes, the first in the lowest bits.
    type Words: Copy;
    /// How many numbers a vector holds.
    const LANES: usize;
    /// How many rows the tile of a matrix product should have: `TILE_ROWS · TILE_VECTORS` sums, a row of factors and one more
    /// vector fill the registers.
    const TILE_ROWS: usize;

    /// The same number in each lane.
    fn splat(self, number: f32) -> Self::Vector;
    /// The `LANES` numbers from `source` on.
    ///
    /// # Safety
    ///
    /// They must be readable.
    unsafe fn load(self, source: *const f32) -> Self::Vector;
    /// The numbers from `source` on whose bits of `lanes` are set, lane 0 being the lowest; 0 in the other lanes.
    ///
    /// # Safety
    ///
    /// They must be readable; the others need not be.
    unsafe fn load_where(self, source: *const f32, lanes: u32) -> Self::Vector;
    /// Writes `LANES` numbers from `target` on.
    ///
    /// # Safety
    ///
    /// They must be writable.
    unsafe fn store(self, target: *mut f32, vector: Self::Vector);
    /// `a + b`.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a · b`.
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`.
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a · b + c`, rounded once where the instruction set can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The greater of two; `b` where either is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The lesser of two; `b` where either is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The nearest whole number.
    fn round(self, a: Self::Vector) -> Self::Vector;
    /// `a · 2^exponent` for a whole `exponent` of -252 to 254, with one rounding more where the result is subnormal.
    fn scale(self, a: Self::Vector, exponent: Self::Vector) -> Self::Vector;
    /// `below` where `a < 0`, else `otherwise`.
    fn where_negative(
        self,
        a: Self::Vector,
        below: Self::Vector,
        otherwise: Self::Vector,
    ) -> Self::Vector;

    /// The numbers at even places and those at odd ones of two vectors in a row.
    fn unzip(self, a: Self::Vector, b: Self::Vector) -> [Self::Vector; 2];
    /// Numbers of two vectors in turns, as two vectors in a row: the inverse of [`Self::unzip`].
    fn zip(self, a: Self::Vector, b: Self::Vector) -> [Self::Vector; 2];

    /// Of `9 · LANES` numbers from `source` on, those at every ninth place: from the first on, from the second on, ….
    ///
    /// # Safety
    ///
    /// They must be readable.
    #[inline(always)]
    unsafe fn ninths(self, source: *const f32) -> [Self::Vector; 9] {
        let mut ninths = [self.splat(0.0); 9];
        for (place, ninth) in ninths.iter_mut().enumerate() {
            let mut numbers = [0.0; MAX_LANES];
            for (lane, number) in numbers.iter_mut().enumerate().take(Self::LANES) {
                // SAFETY: the caller's.
                *number = unsafe { *source.add(9 * lane + place) };
            }
            // SAFETY: `LANES` is at most `MAX_LANES`.
            *ninth = unsafe { self.load(numbers.as_ptr()) };
        }
        ninths
    }
    /// As [`Self::ninths`], of `18 · LANES` numbers: of each ninth those at its even places, and those at its odd ones.
    ///
    /// # Safety
    ///
    /// They must be readable.
    #[inline(always)]
    unsafe fn ninths_of_pairs(self, source: *const bf16) -> [[Self::Vector; 2]; 9] {
        let mut ninths = [[self.splat(0.0); 2]; 9];
        for (place, ninth) in ninths.iter_mut().enumerate() {
            for (of, ninth) in ninth.iter_mut().enumerate() {
                let mut numbers = [0.0; MAX_LANES];
                for (lane, number) in numbers.iter_mut().enumerate().take(Self::LANES) {
                    // SAFETY: the caller's.
                    *number = unsafe { *source.add(9 * (2 * lane + of) + place) }.to_f32();
                }
                // SAFETY: `LANES` is at most `MAX_LANES`.
                *ninth = unsafe { self.load(numbers.as_ptr()) };
            }
        }
        ninths
    }

    /// The same word in each lane.
    fn splat_word(self, word: u32) -> Self::Words;
    /// The `LANES` words from `source` on.
    ///
    /// # Safety
    ///
    /// They must be readable.
    unsafe fn load_words(self, source: *const u32) -> Self::Words;
    /// Writes `LANES` words from `target` on.
    ///
    /// # Safety
    ///
    /// They must be writable.
    unsafe fn store_words(self, target: *mut u32, words: Self::Words);
    /// The two vectors, each number rounded to the nearest `bf16`, as pairs.
    fn pair(self, first: Self::Vector, second: Self::Vector) -> Self::Words;
    /// 2 to the power of numbers in 128ths, which are [`PAIR_ONE`] more, in `bf16` and as pairs; where a number is greater than
    /// `bf16` has powers for, at least 2^127 or NaN. Relative error under 0.7 %.
    #[inline(always)]
    fn exp2_pair(self, first: Self::Vector, second: Self::Vector) -> Self::Words {
        math::exp2_pair(self, first, second)
    }
    /// The `LANES` `bf16` numbers from `first` on, each with that from `second` on.
    ///
    /// # Safety
    ///
    /// They must be readable.
    unsafe fn zip_pairs(self, first: *const u16, second: *const u16) -> Self::Words;
    /// Rounds the `LANES` numbers from `source` on to the nearest `bf16`, from `target` on.
    ///
    /// # Safety
    ///
    /// They must be readable and writable.
    #[inline(always)]
    unsafe fn narrow(self, source: *const f32, target: *mut bf16) {
        for lane in 0..Self::LANES {
            // SAFETY: the caller's.
            unsafe { *target.add(lane) = bf16::from_f32(*source.add(lane)) };
        }
    }
    /// The sum, and the products of both numbers of each pair; subnormal numbers may count as 0.
    fn dot(self, a: Self::Words, b: Self::Words, sum: Self::Vector) -> Self::Vector;

    /// The `LANES` bytes from each of four rows on, one of each row a word.
    ///
    /// # Safety
    ///
    /// They must be readable.
    #[inline(always)]
    unsafe fn zip_bytes(self, rows: [*const u8; 4]) -> Self::Words {
        let mut words = [0; MAX_LANES];
        for (lane, word) in words.iter_mut().enumerate().take(Self::LANES) {
            // SAFETY: the caller's.
            *word = u32::from_le_bytes(rows.map(|row| unsafe { *row.add(lane) }));
        }
        // SAFETY: `LANES` is at most `MAX_LANES`.
        unsafe { self.load_words(words.as_ptr()) }
    }
    /// The `LANES` bytes from `source` on, with their signs, as numbers.
    ///
    /// # Safety
    ///
    /// They must be readable.
    #[inline(always)]
    unsafe fn load_bytes(self, source: *const i8) -> Self::Vector {
        let mut numbers = [0.0; MAX_LANES];
        for (lane, number) in numbers.iter_mut().enumerate().take(Self::LANES) {
            // SAFETY: the caller's.
            *number = f32::from(unsafe { *source.add(lane) });
        }
        // SAFETY: `LANES` is at most `MAX_LANES`.
        unsafe { self.load(numbers.as_ptr()) }
    }
    /// Numbers times `scale`, which must be of -128 to 127, rounded to whole ones, each as a byte without sign, 128 more: the first in
    /// the lowest bits.
    #[inline(always)]
    fn bytes(self, numbers: [Self::Vector; 4], scale: Self::Vector) -> Self::Words {
        let mut rows = [[0_u8; MAX_LANES]; 4];
        for (row, numbers) in rows.iter_mut().zip(numbers) {
            let numbers = self.add(self.round(self.mul(numbers, scale)), self.splat(128.0));
            let mut lanes = [0.0; MAX_LANES];
            // SAFETY: `LANES` is at most `MAX_LANES`.
            unsafe { self.store(lanes.as_mut_ptr(), numbers) };
            for (byte, number) in row.iter_mut().zip(lanes) {
                *byte = to_unsigned_byte(number);
            }
        }
        // SAFETY: `LANES` is at most `MAX_LANES`.
        unsafe { self.zip_bytes(rows.each_ref().map(|row| row.as_ptr())) }
    }
    /// The two `bf16` numbers of each word.
    fn halves(self, pairs: Self::Words) -> [Self::Vector; 2];
    /// Rounds the numbers of a vector to whole ones of -128 to 127, from `target` on.
    ///
    /// # Safety
    ///
    /// `LANES` bytes must be writable.
    #[inline(always)]
    unsafe fn store_bytes(self, target: *mut i8, numbers: Self::Vector) {
        let mut lanes = [0.0; MAX_LANES];
        // SAFETY: `LANES` is at most `MAX_LANES`; the rest is the caller's.
        unsafe {
            self.store(lanes.as_mut_ptr(), self.round(numbers));
            for (lane, number) in lanes.into_iter().enumerate().take(Self::LANES) {
                *target.add(lane) = to_byte(number);
            }
        }
    }
    /// The whole number that is each word of `sum`, with its sign, and the products of the bytes of `a`, which have none, with those of
    /// `b`, which have.
    fn dot_bytes(self, a: Self::Words, b: Self::Words, sum: Self::Words) -> Self::Words;
    /// The whole number that is each word, with its sign.
    fn to_numbers(self, words: Self::Words) -> Self::Vector;

    /// The greater of a magnitude and that of a number; NaN where either is.
    fn max_magnitude(self, magnitude: Self::Vector, number: Self::Vector) -> Self::Vector;
    /// The bits that are set in one of two words and not in the other.
    fn xor(self, a: Self::Words, b: Self::Words) -> Self::Words;

    /// Fetches the cache line of an address that is soon wanted, valid or not, where there is an instruction for it.
    #[inline(always)]
    fn prefetch(self, address: *const f32) {
        let _ = address;
    }

    /// The magnitude.
    #[inline(always)]
    fn abs(self, a: Self::Vector) -> Self::Vector {
        self.max(self.sub(self.splat(0.0), a), a)
    }

    /// The greatest lane; NaN if one is.
    #[inline(always)]
    fn greatest(self, a: Self::Vector) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; MAX_LANES];
        // SAFETY: `LANES` is at most `MAX_LANES`.
        unsafe { self.store(lanes.as_mut_ptr(), a) };
        let greater = |most: f32, lane: f32| if lane <= most { most } else { lane };
        let lanes = lanes.into_iter().take(Self::LANES);
        lanes.fold(f32::NEG_INFINITY, |most, lane| {
            if most.is_nan() {
                most
            } else {
                greater(most, lane)
            }
        })
    }

    /// The sum of the lanes.
    #[inline(always)]
    fn sum(self, a: Self::Vector) -> f32 {
        let mut lanes = [0.0; MAX_LANES];
        // SAFETY: `LANES` is at most `MAX_LANES`.
        unsafe { self.store(lanes.as_mut_ptr(), a) };
        lanes.iter().sum()
    }
}

/// A bit for each lane, set for the first `count`.
#[inline(always)]
pub(crate) fn lanes<S: Simd>(count: usize) -> u32 {
    (1 << count.min(S::LANES)) - 1
}

/// As [`to_byte`], without sign.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole numbers beyond a byte's are its ends"
)]
#[inline(always)]
fn to_unsigned_byte(number: f32) -> u8 {
    number as u8
}

/// A number as a byte, or the nearest that there is.
#[expect(
    clippy::cast_possible_truncation,
    reason = "whole numbers beyond a byte's are its ends"
)]
#[inline(always)]
pub(crate) fn to_byte(number: f32) -> i8 {
    number as i8
}

/// A computation written for any instruction set.
pub(crate) trait Kernel {
    /// What it gives.
    type Output;
    /// Computes; to be `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs a kernel with the widest vectors that this CPU has.
#[inline]
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = Avx512Bf16::detect() {
            return simd.run(kernel);
        }
        if let Some(simd) = Avx512::detect() {
            return simd.run(kernel);
        }
        if let Some(simd) = avx2::Avx2::detect() {
            return simd.run(kernel);
        }
    }
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    {
        if let Some(simd) = neon::NeonDot::detect() {
            return simd.run(kernel);
        }
        if let Some(simd) = neon::Neon::detect() {
            return simd.run(kernel);
        }
    }
    kernel.run(portable::Portable)
}
