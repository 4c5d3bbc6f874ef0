//! 512-bit vectors of x86-64, with a scaling instruction of their own.

use std::arch::x86_64::{
    __m256bh, __m256i, __m512, __m512bh, __m512i, _CMP_LT_OQ, _CMP_ORD_Q, _MM_FROUND_NO_EXC,
    _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _mm_prefetch, _mm256_loadu_si256, _mm256_storeu_si256,
    _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512, _mm512_castps_si512, _mm512_castsi512_ps,
    _mm512_cmp_ps_mask, _mm512_cvtepi32_epi16, _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh,
    _mm512_cvtneps_pbh, _mm512_div_ps, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_mask_add_epi32, _mm512_mask_blend_ps, _mm512_maskz_loadu_ps,
    _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_or_si512, _mm512_permutex2var_epi16,
    _mm512_permutex2var_ps, _mm512_permutexvar_epi16, _mm512_reduce_add_ps, _mm512_roundscale_ps,
    _mm512_scalef_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_slli_epi32, _mm512_srli_epi32, _mm512_storeu_ps, _mm512_storeu_si512, _mm512_sub_ps,
};
use std::mem::transmute;

use burn::tensor::bf16;

use super::{Kernel, Simd};

/// Proof that the CPU has AVX512F and, with `DOT`, AVX512BW and `AVX512_BF16`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wide<const DOT: bool>(());

/// 512-bit vectors without instructions for `bf16`.
pub(crate) type Avx512 = Wide<false>;

/// 512-bit vectors with a product of pairs of `bf16`, two multiplications and two additions a lane at the price of one of
/// each.
pub(crate) type Avx512Bf16 = Wide<true>;

impl Avx512 {
    /// The token, on a CPU that has the instructions.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")).then_some(Self(()))
    }

    /// Runs a kernel with these instructions.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f")]
        fn with_instructions<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: the token proves the instructions.
        unsafe { with_instructions(self, kernel) }
    }
}

impl Avx512Bf16 {
    /// The token, on a CPU that has the instructions.
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16"))
        .then_some(Self(()))
    }

    /// Runs a kernel with these instructions.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
        fn with_instructions<K: Kernel>(simd: Avx512Bf16, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: the token proves the instructions.
        unsafe { with_instructions(self, kernel) }
    }
}

/// From one half of a vector and from the other in turns: 0, 16, 1, 17, ….
const TURNS: [u16; 32] = {
    let mut turns = [0; 32];
    let mut pair = 0;
    while pair < 16 {
        turns[2 * pair as usize] = pair;
        turns[2 * pair as usize + 1] = 16 + pair;
        pair += 1;
    }
    turns
};

/// The even places of two vectors in a row, and the odd ones.
const EVEN_AND_ODD: [[u32; 16]; 2] = {
    let mut places = [[0; 16]; 2];
    let mut lane = 0;
    while lane < 16 {
        places[0][lane as usize] = 2 * lane;
        places[1][lane as usize] = 2 * lane + 1;
        lane += 1;
    }
    places
};

/// Places of two vectors in turns: of their low halves, and of their high ones.
const LOW_AND_HIGH: [[u32; 16]; 2] = {
    let mut places = [[0; 16]; 2];
    let mut lane = 0;
    while lane < 16 {
        let place = lane / 2 + lane % 2 * 16;
        places[0][lane as usize] = place;
        places[1][lane as usize] = place + 8;
        lane += 1;
    }
    places
};

/// Every third place of three vectors of 16 lanes, from the first on, from the second on, from the third on: what of it lies in the
/// first two vectors, and then with the third.
const THIRDS: [[[u32; 16]; 2]; 3] = {
    let mut places = [[[0; 16]; 2]; 3];
    let mut third = 0;
    while third < 3 {
        let mut lane = 0;
        while lane < 16 {
            let place = 3 * lane + third;
            places[third as usize][0][lane as usize] = place % 32;
            places[third as usize][1][lane as usize] = if place < 32 { lane } else { place - 16 };
            lane += 1;
        }
        third += 1;
    }
    places
};

/// As [`THIRDS`], of vectors of 32 lanes.
const THIRDS_OF_HALVES: [[[u16; 32]; 2]; 3] = {
    let mut places = [[[0; 32]; 2]; 3];
    let mut third = 0;
    while third < 3 {
        let mut lane = 0;
        while lane < 32 {
            let place = 3 * lane + third;
            places[third as usize][0][lane as usize] = place % 64;
            places[third as usize][1][lane as usize] = if place < 64 { lane } else { place - 32 };
            lane += 1;
        }
        third += 1;
    }
    places
};

/// Every third number of three vectors in a row, from the first on, from the second on, from the third on.
///
/// # Safety
///
/// The CPU must have AVX512F.
#[inline(always)]
unsafe fn thirds([a, b, c]: [__m512; 3]) -> [__m512; 3] {
    let mut thirds = [a; 3];
    for (third, places) in thirds.iter_mut().zip(THIRDS) {
        // SAFETY: the caller's; the places are a vector's.
        unsafe {
            let [two, three] = transmute::<[[u32; 16]; 2], [__m512i; 2]>(places);
            let both = _mm512_permutex2var_ps(a, two, b);
            *third = _mm512_permutex2var_ps(both, three, c);
        }
    }
    thirds
}

/// As [`thirds`], of numbers of 16 bits.
///
/// # Safety
///
/// The CPU must have AVX512BW.
#[inline(always)]
unsafe fn thirds_of_halves([a, b, c]: [__m512i; 3]) -> [__m512i; 3] {
    let mut thirds = [a; 3];
    for (third, places) in thirds.iter_mut().zip(THIRDS_OF_HALVES) {
        // SAFETY: the caller's; the places are a vector's.
        unsafe {
            let [two, three] = transmute::<[[u16; 32]; 2], [__m512i; 2]>(places);
            let both = _mm512_permutex2var_epi16(a, two, b);
            *third = _mm512_permutex2var_epi16(both, three, c);
        }
    }
    thirds
}

/// The numbers rounded to the nearest `bf16`, whose bits are the high half of each lane; the low half is left over.
///
/// # Safety
///
/// The CPU must have AVX512F.
#[inline(always)]
unsafe fn round(numbers: __m512) -> __m512i {
    // SAFETY: the caller's.
    unsafe {
        let bits = _mm512_castps_si512(numbers);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
        // What is no number keeps its high bits: to add to them could make a number of it.
        let number = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(numbers, numbers);
        _mm512_mask_add_epi32(bits, number, bits, half)
    }
}

/// The first numbers of pairs.
///
/// # Safety
///
/// The CPU must have AVX512F.
#[inline(always)]
unsafe fn first_of(pairs: __m512i) -> __m512 {
    // SAFETY: the caller's.
    unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)) }
}

/// The second numbers of pairs.
///
/// # Safety
///
/// The CPU must have AVX512F.
#[inline(always)]
unsafe fn second_of(pairs: __m512i) -> __m512 {
    // SAFETY: the caller's.
    unsafe {
        let high = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
        _mm512_castsi512_ps(_mm512_and_si512(pairs, high))
    }
}

impl<const DOT: bool> Simd for Wide<DOT> {
    type Vector = __m512;
    type Pairs = __m512i;
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
        unsafe {
            let mut rows = [[_mm512_setzero_ps(); 3]; 3];
            for (index, row) in rows.iter_mut().enumerate() {
                for (at, vector) in row.iter_mut().enumerate() {
                    *vector = _mm512_loadu_ps(source.add((3 * index + at) * 16));
                }
                *row = thirds(*row);
            }
            let mut ninths = [_mm512_setzero_ps(); 9];
            for first in 0..3 {
                let [a, b, c] = thirds([rows[0][first], rows[1][first], rows[2][first]]);
                [ninths[first], ninths[first + 3], ninths[first + 6]] = [a, b, c];
            }
            ninths
        }
    }
    #[inline(always)]
    unsafe fn ninths_of_pairs(self, source: *const bf16) -> [[Self::Vector; 2]; 9] {
        let mut ninths = [[self.splat(0.0); 2]; 9];
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe {
            if !DOT {
                // No instruction for numbers of 16 bits: those of nine vectors widened, and of the nine after them.
                let mut wide = [0.0; 18 * 16];
                for (at, number) in wide.iter_mut().enumerate() {
                    *number = (*source.add(at)).to_f32();
                }
                let first = self.ninths(wide.as_ptr());
                let second = self.ninths(wide[9 * 16..].as_ptr());
                for (ninth, (first, second)) in ninths.iter_mut().zip(first.into_iter().zip(second))
                {
                    *ninth = self.unzip(first, second);
                }
                return ninths;
            }
            let mut rows = [[_mm512_setzero_si512(); 3]; 3];
            for (index, row) in rows.iter_mut().enumerate() {
                for (at, vector) in row.iter_mut().enumerate() {
                    *vector = _mm512_loadu_si512(source.add((3 * index + at) * 32).cast());
                }
                *row = thirds_of_halves(*row);
            }
            for first in 0..3 {
                let halves = thirds_of_halves([rows[0][first], rows[1][first], rows[2][first]]);
                for (at, halves) in halves.into_iter().enumerate() {
                    ninths[first + 3 * at] = [first_of(halves), second_of(halves)];
                }
            }
        }
        ninths
    }
    #[inline(always)]
    fn splat_pair(self, pair: u32) -> Self::Pairs {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_set1_epi32(pair.cast_signed()) }
    }
    #[inline(always)]
    unsafe fn load_pairs(self, source: *const u32) -> Self::Pairs {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { _mm512_loadu_si512(source.cast()) }
    }
    #[inline(always)]
    unsafe fn store_pairs(self, target: *mut u32, pairs: Self::Pairs) {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { _mm512_storeu_si512(target.cast(), pairs) };
    }
    #[inline(always)]
    fn pair(self, first: Self::Vector, second: Self::Vector) -> Self::Pairs {
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
    unsafe fn zip_pairs(self, first: *const u16, second: *const u16) -> Self::Pairs {
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
    fn dot(self, a: Self::Pairs, b: Self::Pairs, sum: Self::Vector) -> Self::Vector {
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
}
