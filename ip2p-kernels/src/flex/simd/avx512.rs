//! 512-bit vectors of x86-64, with a scaling instruction of their own.

use std::arch::x86_64::{
    __m256bh, __m256i, __m512, __m512bh, __m512i, _CMP_LT_OQ, _MM_FROUND_NO_EXC,
    _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm_storeu_si128,
    _mm_unpackhi_epi8, _mm_unpacklo_epi8, _mm256_loadu_si256, _mm256_set_m128i,
    _mm256_storeu_si256, _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512, _mm512_castps_si512,
    _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_cvtepi8_epi32, _mm512_cvtepi32_epi16,
    _mm512_cvtepi32_ps, _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh, _mm512_cvtneps_pbh,
    _mm512_cvtps_epi32, _mm512_cvtsepi32_epi8, _mm512_div_ps, _mm512_dpbf16_ps,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_madd_epi16,
    _mm512_mask_blend_ps, _mm512_maskz_loadu_ps, _mm512_max_epi32, _mm512_max_ps, _mm512_min_ps,
    _mm512_mul_ps, _mm512_or_si512, _mm512_packus_epi32, _mm512_permutex2var_epi8,
    _mm512_permutex2var_ps, _mm512_permutexvar_epi16, _mm512_reduce_add_ps, _mm512_roundscale_ps,
    _mm512_scalef_ps, _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_slli_epi16, _mm512_slli_epi32,
    _mm512_srai_epi16, _mm512_srli_epi16, _mm512_srli_epi32, _mm512_storeu_ps, _mm512_storeu_si512,
    _mm512_sub_ps, _mm512_ternarylogic_epi32, _mm512_xor_si512,
};
use std::mem::transmute;

use burn::tensor::bf16;

use self::numbers::{
    BYTE_TURNS, EVEN_AND_ODD, LOW_AND_HIGH, MANTISSAS, TURNS, first_of, round, second_of,
};
use super::{Simd, math};

mod numbers;
mod thirds;

/// Proof that the CPU has AVX512F, AVX512BW and, with `DOT`, `AVX512_BF16`, `AVX512_VNNI` and `AVX512_VBMI`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wide<const DOT: bool>(());

/// 512-bit vectors without products of narrower numbers in one instruction.
pub(crate) type Avx512 = Wide<false>;

/// 512-bit vectors with a product of pairs of `bf16`, two multiplications and two additions a lane at the price of one of
/// each, and with one of four bytes.
pub(crate) type Avx512Bf16 = Wide<true>;

instructions!(Avx512, is_x86_feature_detected, "avx512f", "avx512bw");

instructions!(
    Avx512Bf16,
    is_x86_feature_detected,
    "avx512f",
    "avx512bw",
    "avx512bf16",
    "avx512vnni",
    "avx512vbmi"
);

impl<const DOT: bool> Simd for Wide<DOT> {
    type Vector = __m512;
    type Words = __m512i;
    const LANES: usize = 16;
    const TILE_ROWS: usize = 8;

    #[inline(always)]
    fn splat(self, number: f32) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_set1_ps(number) }
    }
    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> Self::Vector {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { _mm512_loadu_ps(source) }
    }
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "16 lanes")]
    unsafe fn load_where(self, source: *const f32, lanes: u32) -> Self::Vector {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { _mm512_maskz_loadu_ps(lanes as u16, source) }
    }
    #[inline(always)]
    unsafe fn store(self, target: *mut f32, vector: Self::Vector) {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { _mm512_storeu_ps(target, vector) };
    }
    #[inline(always)]
    fn prefetch(self, address: *const f32) {
        // SAFETY: a hint; it reads nothing, and every x86-64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn round(self, a: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn scale(self, a: Self::Vector, exponent: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_scalef_ps(a, exponent) }
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
            let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, _mm512_setzero_ps());
            _mm512_mask_blend_ps(negative, otherwise, below)
        }
    }
    #[inline(always)]
    fn sum(self, a: Self::Vector) -> f32 {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_reduce_add_ps(a) }
    }
    #[inline(always)]
    fn unzip(self, a: Self::Vector, b: Self::Vector) -> [Self::Vector; 2] {
        // SAFETY: the token proves the instructions; the places are a vector's.
        unsafe {
            let [even, odd] = EVEN_AND_ODD.map(|places| transmute::<[u32; 16], __m512i>(places));
            [
                _mm512_permutex2var_ps(a, even, b),
                _mm512_permutex2var_ps(a, odd, b),
            ]
        }
    }
    #[inline(always)]
    fn zip(self, a: Self::Vector, b: Self::Vector) -> [Self::Vector; 2] {
        // SAFETY: the token proves the instructions; the places are a vector's.
        unsafe {
            let [low, high] = LOW_AND_HIGH.map(|places| transmute::<[u32; 16], __m512i>(places));
            [
                _mm512_permutex2var_ps(a, low, b),
                _mm512_permutex2var_ps(a, high, b),
            ]
        }
    }
    #[inline(always)]
    unsafe fn ninths(self, source: *const f32) -> [Self::Vector; 9] {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { thirds::ninths(source) }
    }
    #[inline(always)]
    unsafe fn ninths_of_pairs(self, source: *const bf16) -> [[Self::Vector; 2]; 9] {
        let mut ninths = [[self.splat(0.0); 2]; 9];
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe {
            for (ninth, halves) in ninths.iter_mut().zip(thirds::ninths_of_halves(source)) {
                *ninth = [first_of(halves), second_of(halves)];
            }
        }
        ninths
    }
    #[inline(always)]
    fn splat_word(self, word: u32) -> Self::Words {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_set1_epi32(word.cast_signed()) }
    }
    #[inline(always)]
    unsafe fn load_words(self, source: *const u32) -> Self::Words {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { _mm512_loadu_si512(source.cast()) }
    }
    #[inline(always)]
    unsafe fn store_words(self, target: *mut u32, words: Self::Words) {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { _mm512_storeu_si512(target.cast(), words) };
    }
    #[inline(always)]
    fn pair(self, first: Self::Vector, second: Self::Vector) -> Self::Words {
        // SAFETY: the token proves the instructions; a vector of integers is as good as one of `bf16`.
        unsafe {
            if DOT {
                let both = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
                return _mm512_permutexvar_epi16(transmute::<[u16; 32], __m512i>(TURNS), both);
            }
            let high = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
            let first = _mm512_srli_epi32::<16>(round(first));
            _mm512_or_si512(first, _mm512_and_si512(round(second), high))
        }
    }
    #[inline(always)]
    fn exp2_pair(self, first: Self::Vector, second: Self::Vector) -> Self::Words {
        /// The sign and the exponent of `bf16`.
        const HIGH: i16 = -0x80;
        /// Bits of the first operand, or of the second where the third has them.
        const CHOOSE: i32 = 0xd8;
        if !DOT {
            return math::exp2_pair(self, first, second);
        }
        // SAFETY: the token proves the instructions; the tables are a vector's, or two.
        unsafe {
            // As bits, these numbers are 2 to the power of them but for the mantissa, which is one more than its logarithm.
            // The greatest is NaN, what is under the least 0, and NaN stays so.
            let most = _mm512_set1_ps(f32::from(i16::MAX));
            let [first, second] = [_mm512_min_ps(first, most), _mm512_min_ps(second, most)];
            let words = _mm512_packus_epi32(_mm512_cvtps_epi32(first), _mm512_cvtps_epi32(second));
            let [low, high] = transmute::<[u8; 128], [__m512i; 2]>(MANTISSAS);
            let mantissas = _mm512_permutex2var_epi8(low, words, high);
            let exponents = _mm512_set1_epi16(HIGH);
            let powers = _mm512_ternarylogic_epi32::<CHOOSE>(mantissas, words, exponents);
            let turns = transmute::<[u8; 64], __m512i>(BYTE_TURNS);
            _mm512_shuffle_epi8(powers, turns)
        }
    }
    #[inline(always)]
    unsafe fn zip_pairs(self, first: *const u16, second: *const u16) -> Self::Words {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe {
            let first = _mm512_cvtepu16_epi32(_mm256_loadu_si256(first.cast()));
            let second = _mm512_cvtepu16_epi32(_mm256_loadu_si256(second.cast()));
            _mm512_or_si512(first, _mm512_slli_epi32::<16>(second))
        }
    }
    #[inline(always)]
    unsafe fn narrow(self, source: *const f32, target: *mut bf16) {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe {
            let numbers = _mm512_loadu_ps(source);
            let narrow = if DOT {
                transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(numbers))
            } else {
                _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(round(numbers)))
            };
            _mm256_storeu_si256(target.cast(), narrow);
        }
    }
    #[inline(always)]
    fn dot(self, a: Self::Words, b: Self::Words, sum: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions; a vector of integers is as good as one of `bf16`.
        unsafe {
            if DOT {
                // No closure: it would be compiled without the instructions.
                let a = transmute::<__m512i, __m512bh>(a);
                let b = transmute::<__m512i, __m512bh>(b);
                return _mm512_dpbf16_ps(sum, a, b);
            }
            let sum = _mm512_fmadd_ps(second_of(a), second_of(b), sum);
            _mm512_fmadd_ps(first_of(a), first_of(b), sum)
        }
    }
    #[inline(always)]
    unsafe fn zip_bytes(self, rows: [*const u8; 4]) -> Self::Words {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe {
            let [a, b, c, d] = rows.map(|row| _mm_loadu_si128(row.cast()));
            // Halves of a word from two rows each, and words from both.
            let [ab, cd] = [
                [_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)],
                [_mm_unpacklo_epi8(c, d), _mm_unpackhi_epi8(c, d)],
            ]
            .map(|[low, high]| _mm256_set_m128i(high, low));
            let low = _mm512_cvtepu16_epi32(ab);
            _mm512_or_si512(low, _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(cd)))
        }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, target: *mut i8, numbers: Self::Vector) {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe {
            let bytes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(numbers));
            _mm_storeu_si128(target.cast(), bytes);
        }
    }
    #[inline(always)]
    fn dot_bytes(self, a: Self::Words, b: Self::Words, sum: Self::Words) -> Self::Words {
        // SAFETY: the token proves the instructions.
        unsafe {
            if DOT {
                return _mm512_dpbusd_epi32(sum, a, b);
            }
            // Of halves of words, their low bytes and their high ones: two products of 16 bits do not fit in 16, as
            // `_mm512_maddubs_epi16` would have them.
            let low = _mm512_and_si512(a, _mm512_set1_epi16(0xff));
            let high = _mm512_srli_epi16::<8>(a);
            let signed_low = _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(b));
            let signed_high = _mm512_srai_epi16::<8>(b);
            let sum = _mm512_add_epi32(sum, _mm512_madd_epi16(low, signed_low));
            _mm512_add_epi32(sum, _mm512_madd_epi16(high, signed_high))
        }
    }
    #[inline(always)]
    fn to_numbers(self, words: Self::Words) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_cvtepi32_ps(words) }
    }
    #[inline(always)]
    fn xor(self, a: Self::Words, b: Self::Words) -> Self::Words {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_xor_si512(a, b) }
    }
    #[inline(always)]
    fn halves(self, pairs: Self::Words) -> [Self::Vector; 2] {
        // SAFETY: the token proves the instructions.
        unsafe { [first_of(pairs), second_of(pairs)] }
    }
    #[inline(always)]
    unsafe fn load_bytes(self, source: *const i8) -> Self::Vector {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(source.cast()))) }
    }
    #[inline(always)]
    fn bytes(self, numbers: [Self::Vector; 4], scale: Self::Vector) -> Self::Words {
        /// Where a bit of the third is set the first, else the second.
        const CHOOSE: i32 = 0xe4;
        // SAFETY: the token proves the instructions.
        unsafe {
            // Beside so large a number there is room for no bit behind the point, and the lowest byte is the number.
            let large = _mm512_set1_ps(12_582_912.0 + 128.0);
            let mut words = [_mm512_setzero_si512(); 4];
            for (word, numbers) in words.iter_mut().zip(numbers) {
                *word = _mm512_castps_si512(_mm512_fmadd_ps(numbers, scale, large));
            }
            let [a, b, c, d] = words;
            let low = _mm512_set1_epi32(0x00ff_00ff);
            let ab = _mm512_ternarylogic_epi32::<CHOOSE>(a, _mm512_slli_epi32::<8>(b), low);
            let cd = _mm512_ternarylogic_epi32::<CHOOSE>(c, _mm512_slli_epi32::<8>(d), low);
            let half = _mm512_set1_epi32(0xffff);
            _mm512_ternarylogic_epi32::<CHOOSE>(ab, _mm512_slli_epi32::<16>(cd), half)
        }
    }
    #[inline(always)]
    fn max_magnitude(self, magnitude: Self::Vector, number: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe {
            // Of numbers without sign the order is that of their bits, NaN being the greatest.
            let bits = _mm512_set1_epi32(i32::MAX);
            let bits = _mm512_and_si512(_mm512_castps_si512(number), bits);
            _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(magnitude), bits))
        }
    }
}
