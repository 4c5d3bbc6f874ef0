//! What NEON has no one instruction for, and two instructions that have no stable intrinsic.

use std::arch::aarch64::{
    float32x4_t, uint32x4_t, vaddq_s32, vaddq_u32, vandq_u32, vceqq_f32, vcvtq_s32_f32,
    vdupq_n_s32, vdupq_n_u32, vreinterpretq_f32_u32, vreinterpretq_u32_f32, vreinterpretq_u32_s32,
    vshlq_n_s32, vshlq_n_u32, vshrq_n_u32,
};
use std::arch::asm;

/// Four bytes each of four rows, turned: the first of each row, the second of each, ….
pub(super) const TURNED: [u8; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];

/// 2 to a whole power of -126 to 127.
///
/// # Safety
///
/// The CPU must have NEON.
#[inline(always)]
pub(super) unsafe fn power_of_two(exponent: float32x4_t) -> float32x4_t {
    // SAFETY: the caller's.
    unsafe {
        let biased = vaddq_s32(vcvtq_s32_f32(exponent), vdupq_n_s32(127));
        vreinterpretq_f32_u32(vreinterpretq_u32_s32(vshlq_n_s32::<23>(biased)))
    }
}

/// The numbers rounded to the nearest `bf16`, whose bits are the high half of each lane; the low half is left over.
///
/// # Safety
///
/// The CPU must have NEON.
#[inline(always)]
pub(super) unsafe fn round(numbers: float32x4_t) -> uint32x4_t {
    // SAFETY: the caller's.
    unsafe {
        let bits = vreinterpretq_u32_f32(numbers);
        let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
        let half = vaddq_u32(odd, vdupq_n_u32(0x7fff));
        // What is no number keeps its high bits: to add to them could make a number of it.
        vaddq_u32(bits, vandq_u32(half, vceqq_f32(numbers, numbers)))
    }
}

/// The first numbers of pairs.
///
/// # Safety
///
/// The CPU must have NEON.
#[inline(always)]
pub(super) unsafe fn first_of(pairs: uint32x4_t) -> float32x4_t {
    // SAFETY: the caller's.
    unsafe { vreinterpretq_f32_u32(vshlq_n_u32::<16>(pairs)) }
}

/// The second numbers of pairs.
///
/// # Safety
///
/// The CPU must have NEON.
#[inline(always)]
pub(super) unsafe fn second_of(pairs: uint32x4_t) -> float32x4_t {
    // SAFETY: the caller's.
    unsafe { vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff_0000))) }
}

/// The sum, and the products of both numbers of each pair.
#[inline]
#[target_feature(enable = "neon,bf16")]
pub(super) fn dot_of_pairs(a: uint32x4_t, b: uint32x4_t, mut sum: float32x4_t) -> float32x4_t {
    // SAFETY: the instruction touches nothing but the sum; its intrinsic is not stable.
    unsafe {
        asm!(
            "bfdot {sum:v}.4s, {a:v}.8h, {b:v}.8h",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// The sum, and the products of the bytes of `a`, which have no sign, with those of `b`, which have.
#[inline]
#[target_feature(enable = "neon,i8mm")]
pub(super) fn dot_of_bytes(a: uint32x4_t, b: uint32x4_t, mut sum: uint32x4_t) -> uint32x4_t {
    // SAFETY: the instruction touches nothing but the sum; its intrinsic is not stable.
    unsafe {
        asm!(
            "usdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}
