//! 128-bit vectors of aarch64.

use std::arch::aarch64::{
    float32x4_t, uint32x4_t, vabsq_f32, vaddq_f32, vaddq_u32, vaddvq_f32, vbslq_f32, vcgtq_f32,
    vcltq_f32, vcltzq_f32, vcombine_s16, vcombine_u16, vcvtq_f32_s32, vcvtq_s32_f32, vcvtq_u32_f32,
    vdivq_f32, vdup_n_u32, vdupq_n_f32, vdupq_n_u32, veorq_u32, vfmaq_f32, vget_high_s8,
    vget_high_u8, vget_lane_u32, vget_low_s8, vget_low_s16, vget_low_u8, vld1_u16, vld1q_f32,
    vld1q_u8, vld1q_u32, vmaxq_u32, vmaxvq_f32, vmovl_s8, vmovl_s16, vmovl_u8, vmulq_f32,
    vmulq_s16, vpaddlq_s16, vpaddq_s32, vqmovn_s16, vqmovn_s32, vqtbl1q_u8, vreinterpret_s8_u32,
    vreinterpret_u32_s8, vreinterpretq_f32_u32, vreinterpretq_s8_u32, vreinterpretq_s16_u16,
    vreinterpretq_s32_u32, vreinterpretq_u8_u32, vreinterpretq_u32_f32, vreinterpretq_u32_s32,
    vreinterpretq_u32_u8, vreinterpretq_u32_u16, vrndnq_f32, vshrn_n_u32, vsliq_n_u32, vsriq_n_u32,
    vst1_u16, vst1q_f32, vst1q_u32, vsubq_f32, vuzp1q_f32, vuzp2q_f32, vzip1q_f32, vzip1q_u16,
    vzip2q_f32,
};
use std::arch::asm;
use std::arch::is_aarch64_feature_detected;

use burn::tensor::bf16;

use self::numbers::{TURNED, dot_of_bytes, dot_of_pairs, first_of, power_of_two, round, second_of};
use super::Simd;

mod numbers;

/// Proof that the CPU has NEON and, with `DOT`, the products of `FEAT_BF16` and `FEAT_I8MM`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quarter<const DOT: bool>(());

/// 128-bit vectors without products of narrower numbers in one instruction.
pub(crate) type Neon = Quarter<false>;

/// 128-bit vectors with a product of pairs of `bf16` and with one of four bytes.
pub(crate) type NeonDot = Quarter<true>;

instructions!(Neon, is_aarch64_feature_detected, "neon");

instructions!(NeonDot, is_aarch64_feature_detected, "neon", "bf16", "i8mm");

impl<const DOT: bool> Simd for Quarter<DOT> {
    type Vector = float32x4_t;
    type Words = uint32x4_t;
    const LANES: usize = 4;
    const TILE_ROWS: usize = 8;

    #[inline(always)]
    fn splat(self, number: f32) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { vdupq_n_f32(number) }
    }
    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> Self::Vector {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { vld1q_f32(source) }
    }
    #[inline(always)]
    unsafe fn load_where(self, source: *const f32, lanes: u32) -> Self::Vector {
        if lanes & 0b1111 == 0b1111 {
            // SAFETY: all are readable, the caller says.
            return unsafe { self.load(source) };
        }
        let mut numbers = [0.0; 4];
        for (lane, number) in numbers.iter_mut().enumerate() {
            if lanes >> lane & 1 == 1 {
                // SAFETY: the caller's.
                *number = unsafe { *source.wrapping_add(lane) };
            }
        }
        // SAFETY: four numbers.
        unsafe { self.load(numbers.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn store(self, target: *mut f32, vector: Self::Vector) {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { vst1q_f32(target, vector) };
    }
    #[inline(always)]
    fn prefetch(self, address: *const f32) {
        // SAFETY: a hint; it reads nothing, and every aarch64 has it.
        unsafe {
            asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
        }
    }
    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { vbslq_f32(vcltq_f32(a, b), a, b) }
    }
    #[inline(always)]
    fn round(self, a: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { vrndnq_f32(a) }
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
        unsafe { vbslq_f32(vcltzq_f32(a), below, otherwise) }
    }
    #[inline(always)]
    fn unzip(self, a: Self::Vector, b: Self::Vector) -> [Self::Vector; 2] {
        // SAFETY: the token proves the instructions.
        unsafe { [vuzp1q_f32(a, b), vuzp2q_f32(a, b)] }
    }
    #[inline(always)]
    fn zip(self, a: Self::Vector, b: Self::Vector) -> [Self::Vector; 2] {
        // SAFETY: the token proves the instructions.
        unsafe { [vzip1q_f32(a, b), vzip2q_f32(a, b)] }
    }
    #[inline(always)]
    fn splat_word(self, word: u32) -> Self::Words {
        // SAFETY: the token proves the instructions.
        unsafe { vdupq_n_u32(word) }
    }
    #[inline(always)]
    unsafe fn load_words(self, source: *const u32) -> Self::Words {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { vld1q_u32(source) }
    }
    #[inline(always)]
    unsafe fn store_words(self, target: *mut u32, words: Self::Words) {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { vst1q_u32(target, words) };
    }
    #[inline(always)]
    fn pair(self, first: Self::Vector, second: Self::Vector) -> Self::Words {
        // SAFETY: the token proves the instructions.
        unsafe { vsriq_n_u32::<16>(round(second), round(first)) }
    }
    #[inline(always)]
    unsafe fn zip_pairs(self, first: *const u16, second: *const u16) -> Self::Words {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe {
            let [first, second] = [first, second].map(|row| {
                let row = vld1_u16(row);
                vcombine_u16(row, row)
            });
            vreinterpretq_u32_u16(vzip1q_u16(first, second))
        }
    }
    #[inline(always)]
    unsafe fn narrow(self, source: *const f32, target: *mut bf16) {
        // SAFETY: the token proves the instructions; the rest is the caller's.
        unsafe { vst1_u16(target.cast(), vshrn_n_u32::<16>(round(vld1q_f32(source)))) };
    }
    #[inline(always)]
    fn dot(self, a: Self::Words, b: Self::Words, sum: Self::Vector) -> Self::Vector {
        if DOT {
            // SAFETY: the token proves the instructions.
            return unsafe { dot_of_pairs(a, b, sum) };
        }
        // SAFETY: the token proves the instructions.
        unsafe {
            let sum = vfmaq_f32(sum, second_of(a), second_of(b));
            vfmaq_f32(sum, first_of(a), first_of(b))
        }
    }
    #[inline(always)]
    unsafe fn zip_bytes(self, rows: [*const u8; 4]) -> Self::Words {
        // SAFETY: the token proves the instructions; four bytes of each row are readable, the caller says.
        unsafe {
            let rows = rows.map(|row| row.cast::<u32>().read_unaligned());
            let bytes = vreinterpretq_u8_u32(vld1q_u32(rows.as_ptr()));
            vreinterpretq_u32_u8(vqtbl1q_u8(bytes, vld1q_u8(TURNED.as_ptr())))
        }
    }
    #[inline(always)]
    unsafe fn load_bytes(self, source: *const i8) -> Self::Vector {
        // SAFETY: the token proves the instructions; four bytes are readable, the caller says.
        unsafe {
            let bytes = vreinterpret_s8_u32(vdup_n_u32(source.cast::<u32>().read_unaligned()));
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))))
        }
    }
    #[inline(always)]
    fn bytes(self, numbers: [Self::Vector; 4], scale: Self::Vector) -> Self::Words {
        let [first, second, third, last] = numbers.map(|numbers| {
            let numbers = self.add(self.round(self.mul(numbers, scale)), self.splat(128.0));
            // SAFETY: the token proves the instructions.
            unsafe { vcvtq_u32_f32(numbers) }
        });
        // SAFETY: the token proves the instructions.
        unsafe {
            let low = vsliq_n_u32::<8>(first, second);
            vsliq_n_u32::<24>(vsliq_n_u32::<16>(low, third), last)
        }
    }
    #[inline(always)]
    fn halves(self, pairs: Self::Words) -> [Self::Vector; 2] {
        // SAFETY: the token proves the instructions.
        unsafe { [first_of(pairs), second_of(pairs)] }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, target: *mut i8, numbers: Self::Vector) {
        // SAFETY: the token proves the instructions; four bytes are writable, the caller says.
        unsafe {
            let words = vqmovn_s32(vcvtq_s32_f32(vrndnq_f32(numbers)));
            let bytes = vqmovn_s16(vcombine_s16(words, words));
            let bytes = vget_lane_u32::<0>(vreinterpret_u32_s8(bytes));
            target.cast::<u32>().write_unaligned(bytes);
        }
    }
    #[inline(always)]
    fn dot_bytes(self, a: Self::Words, b: Self::Words, sum: Self::Words) -> Self::Words {
        if DOT {
            // SAFETY: the token proves the instructions.
            return unsafe { dot_of_bytes(a, b, sum) };
        }
        // SAFETY: the token proves the instructions.
        unsafe {
            let (a, b) = (vreinterpretq_u8_u32(a), vreinterpretq_s8_u32(b));
            // A byte without a sign times one with one is of 16 bits, with its sign.
            let products =
                |a, b| vpaddlq_s16(vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(a)), vmovl_s8(b)));
            let low = products(vget_low_u8(a), vget_low_s8(b));
            let high = products(vget_high_u8(a), vget_high_s8(b));
            let words = vreinterpretq_u32_s32(vpaddq_s32(low, high));
            vaddq_u32(sum, words)
        }
    }
    #[inline(always)]
    fn to_numbers(self, words: Self::Words) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe { vcvtq_f32_s32(vreinterpretq_s32_u32(words)) }
    }
    #[inline(always)]
    fn xor(self, a: Self::Words, b: Self::Words) -> Self::Words {
        // SAFETY: the token proves the instructions.
        unsafe { veorq_u32(a, b) }
    }
    #[inline(always)]
    fn max_magnitude(self, magnitude: Self::Vector, number: Self::Vector) -> Self::Vector {
        // SAFETY: the token proves the instructions.
        unsafe {
            // Of numbers without sign the order is that of their bits, NaN being the greatest.
            let [magnitude, number] =
                [magnitude, vabsq_f32(number)].map(|x| vreinterpretq_u32_f32(x));
            vreinterpretq_f32_u32(vmaxq_u32(magnitude, number))
        }
    }
    #[inline(always)]
    fn greatest(self, a: Self::Vector) -> f32 {
        // SAFETY: the token proves the instructions.
        unsafe { vmaxvq_f32(a) }
    }
    #[inline(always)]
    fn sum(self, a: Self::Vector) -> f32 {
        // SAFETY: the token proves the instructions.
        unsafe { vaddvq_f32(a) }
    }
}
