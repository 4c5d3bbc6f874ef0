//! 512-bit vectors of x86-64, with a scaling instruction of their own.

use std::arch::x86_64::{
    __m512, _CMP_LT_OQ, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _mm_prefetch,
    _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_div_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_mask_blend_ps, _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps,
    _mm512_reduce_add_ps, _mm512_roundscale_ps, _mm512_scalef_ps, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_storeu_ps, _mm512_sub_ps,
};

use super::{Kernel, Simd};

/// Proof that the CPU has AVX512F.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

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

impl Simd for Avx512 {
    type Vector = __m512;
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
}
