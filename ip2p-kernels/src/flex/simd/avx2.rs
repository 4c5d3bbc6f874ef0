//! 256-bit vectors of x86-64, with fused multiply and add.

use std::arch::x86_64::{
    __m256, __m256i, _CMP_LT_OQ, _CMP_ORD_Q, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT,
    _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm256_add_epi32, _mm256_add_ps, _mm256_and_si256,
    _mm256_blend_epi16, _mm256_blendv_ps, _mm256_castpd_ps, _mm256_castps_pd, _mm256_castps_si256,
    _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cmpeq_epi32, _mm256_cvtepi32_ps,
    _mm256_cvtepu16_epi32, _mm256_cvtps_epi32, _mm256_div_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maskload_ps, _mm256_max_epi32, _mm256_max_ps,
    _mm256_min_ps, _mm256_mul_ps, _mm256_or_si256, _mm256_permute2f128_ps, _mm256_permute4x64_pd,
    _mm256_round_ps, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32,
    _mm256_setzero_ps, _mm256_shuffle_ps, _mm256_slli_epi16, _mm256_slli_epi32, _mm256_srai_epi16,
    _mm256_srli_epi16, _mm256_srli_epi32, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_ps,
    _mm256_unpackhi_ps, _mm256_unpacklo_ps, _mm256_xor_si256,
};

use super::Simd;

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

instructions!(Avx2, is_x86_feature_detected, "avx2", "fma");

/// 2 to a whole power of -126 to 127.
///
/// # Safety
///
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn power_of_two(exponent: __m256) -> __m256 {
    // SAFETY: the caller's.
    unsafe {
        let biased = _mm256_add_epi32(_mm256_cvtps_epi32(exponent), _mm256_set1_epi32(127));
        _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
    }
}

/// The numbers rounded to the nearest `bf16`, whose bits are the high half of each lane; the low half is left over.
///
/// # Safety
///
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn round(numbers: __m256) -> __m256i {
    // SAFETY: the caller's.
    unsafe {
        let bits = _mm256_castps_si256(numbers);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
        // What is no number keeps its high bits: to add to them could make a number of it.
        let finite = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_ORD_Q>(numbers, numbers));
        _mm256_add_epi32(bits, _mm256_and_si256(half, finite))
    }
}

/// The first numbers of pairs.
///
/// # Safety
///
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn first_of(pairs: __m256i) -> __m256 {
    // SAFETY: the caller's.
    unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs)) }
}

/// The second numbers of pairs.
///
/// # Safety
///
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn second_of(pairs: __m256i) -> __m256 {
    // SAFETY: the caller's.
    unsafe {
        let high = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
        _mm256_castsi256_ps(_mm256_and_si256(pairs, high))
    }
}

impl Simd for Avx2 {
    type Vector = __m256;
    type Words = __m256i;
    const LANES: usize = 8;
    const TILE_ROWS: usize = 4;

    #[inline(always)]
    fn splat(self, number: f32) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_set1_ps(number) }
    }
    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> Self::Vector {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { _mm256_loadu_ps(source) }
    }
    #[inline(always)]
    unsafe fn load_where(self, source: *const f32, lanes: u32) -> Self::Vector {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe {
            let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let set = _mm256_and_si256(_mm256_set1_epi32(lanes.cast_signed()), bits);
            _mm256_maskload_ps(source, _mm256_cmpeq_epi32(set, bits))
        }
    }
    #[inline(always)]
    unsafe fn store(self, target: *mut f32, vector: Self::Vector) {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { _mm256_storeu_ps(target, vector) };
    }
    #[inline(always)]
    fn prefetch(self, address: *const f32) {
        // SAFETY: a hint; it reads nothing, and every x86-64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn round(self, a: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn scale(self, a: Self::Vector, exponent: Self::Vector) -> Self::Vector {
        // In two steps, since 2^exponent alone may be out of range.
        let half = self.round(self.mul(exponent, self.splat(0.5)));
        let rest = self.sub(exponent, half);
        // SAFETY: the token proves the instructions.
        let (half, rest) = unsafe { (power_of_two(half), power_of_two(rest)) };
        self.mul(self.mul(a, half), rest)
    }
    #[inline(always)]
    fn where_negative(
        self,
        a: Self::Vector,
        below: Self::Vector,
        otherwise: Self::Vector,
    ) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe {
            let negative = _mm256_cmp_ps::<_CMP_LT_OQ>(a, _mm256_setzero_ps());
            _mm256_blendv_ps(otherwise, below, negative)
        }
    }
    #[inline(always)]
    fn unzip(self, a: Self::Vector, b: Self::Vector) -> [Self::Vector; 2] {
        // SAFETY: the token proves the instructions.
        unsafe {
            // Halves of 128 bits hold two pairs of numbers of each vector.
            [
                _mm256_shuffle_ps::<0b10_00_10_00>(a, b),
                _mm256_shuffle_ps::<0b11_01_11_01>(a, b),
            ]
            .map(|pairs| {
                let pairs = _mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(pairs));
                _mm256_castpd_ps(pairs)
            })
        }
    }
    #[inline(always)]
    fn zip(self, a: Self::Vector, b: Self::Vector) -> [Self::Vector; 2] {
        // SAFETY: the token proves the instructions.
        unsafe {
            let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            [
                _mm256_permute2f128_ps::<0x20>(low, high),
                _mm256_permute2f128_ps::<0x31>(low, high),
            ]
        }
    }
    #[inline(always)]
    fn splat_word(self, word: u32) -> Self::Words {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_set1_epi32(word.cast_signed()) }
    }
    #[inline(always)]
    unsafe fn load_words(self, source: *const u32) -> Self::Words {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { _mm256_loadu_si256(source.cast()) }
    }
    #[inline(always)]
    unsafe fn store_words(self, target: *mut u32, words: Self::Words) {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { _mm256_storeu_si256(target.cast(), words) };
    }
    #[inline(always)]
    fn pair(self, first: Self::Vector, second: Self::Vector) -> Self::Words {
        // SAFETY: the token proves the instructions.
        unsafe {
            let first = _mm256_srli_epi32::<16>(round(first));
            _mm256_blend_epi16::<0b1010_1010>(first, round(second))
        }
    }
    #[inline(always)]
    unsafe fn zip_pairs(self, first: *const u16, second: *const u16) -> Self::Words {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe {
            let first = _mm256_cvtepu16_epi32(_mm_loadu_si128(first.cast()));
            let second = _mm256_cvtepu16_epi32(_mm_loadu_si128(second.cast()));
            _mm256_or_si256(first, _mm256_slli_epi32::<16>(second))
        }
    }
    #[inline(always)]
    fn dot(self, a: Self::Words, b: Self::Words, sum: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe {
            let sum = _mm256_fmadd_ps(second_of(a), second_of(b), sum);
            _mm256_fmadd_ps(first_of(a), first_of(b), sum)
        }
    }
    #[inline(always)]
    fn dot_bytes(self, a: Self::Words, b: Self::Words, sum: Self::Words) -> Self::Words {
        // SAFETY: the token proves the instructions.
        unsafe {
            // Of halves of words, their low bytes and their high ones: two products of 16 bits do not fit in 16, as
            // `_mm256_maddubs_epi16` would have them.
            let low = _mm256_and_si256(a, _mm256_set1_epi16(0xff));
            let high = _mm256_srli_epi16::<8>(a);
            let signed_low = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b));
            let signed_high = _mm256_srai_epi16::<8>(b);
            let sum = _mm256_add_epi32(sum, _mm256_madd_epi16(low, signed_low));
            _mm256_add_epi32(sum, _mm256_madd_epi16(high, signed_high))
        }
    }
    #[inline(always)]
    fn to_numbers(self, words: Self::Words) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_cvtepi32_ps(words) }
    }
    #[inline(always)]
    fn xor(self, a: Self::Words, b: Self::Words) -> Self::Words {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_xor_si256(a, b) }
    }
    #[inline(always)]
    fn halves(self, pairs: Self::Words) -> [Self::Vector; 2] {
        // SAFETY: the token proves the instructions.
        unsafe { [first_of(pairs), second_of(pairs)] }
    }
    #[inline(always)]
    fn max_magnitude(self, magnitude: Self::Vector, number: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe {
            // Of numbers without sign the order is that of their bits, NaN being the greatest.
            let bits = _mm256_set1_epi32(i32::MAX);
            let bits = _mm256_and_si256(_mm256_castps_si256(number), bits);
            _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(magnitude), bits))
        }
    }
}
