//! Numbers of `bf16` in halves of lanes, and the places of lanes in turns.

use std::arch::x86_64::{
    __m512, __m512i, _CMP_ORD_Q, _mm512_add_epi32, _mm512_and_si512, _mm512_castps_si512,
    _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_mask_add_epi32, _mm512_set1_epi32,
    _mm512_slli_epi32, _mm512_srli_epi32,
};

/// From one half of a vector and from the other in turns: 0, 16, 1, 17, ….
pub(super) const TURNS: [u16; 32] = {
    let mut turns = [0; 32];
    let mut pair = 0;
    while pair < 16 {
        turns[2 * pair as usize] = pair;
        turns[2 * pair as usize + 1] = 16 + pair;
        pair += 1;
    }
    turns
};

/// From four words of 16 bits and from the next four in turns, as the bytes of 16 of them.
pub(super) const BYTE_TURNS: [u8; 64] = {
    let mut turns = [0; 64];
    let mut byte = 0;
    while byte < 64 {
        let word = byte % 16 / 2;
        turns[byte as usize] = (word / 2 + word % 2 * 4) * 2 + byte % 2;
        byte += 1;
    }
    turns
};

/// The bits of `2^(n / 128)` behind the point, as `bf16` rounds it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 127"
)]
pub(super) const MANTISSAS: [u8; 128] = {
    let mut mantissas = [0; 128];
    let mut n = 0;
    while n < 128 {
        let exponent = std::f64::consts::LN_2 * n as f64 / 128.0;
        let (mut power, mut term, mut degree) = (1.0, 1.0, 1);
        while degree < 20 {
            term *= exponent / degree as f64;
            power += term;
            degree += 1;
        }
        mantissas[n] = (128.0 * (power - 1.0) + 0.5) as u8;
        n += 1;
    }
    mantissas
};

/// The even places of two vectors in a row, and the odd ones.
pub(super) const EVEN_AND_ODD: [[u32; 16]; 2] = {
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
pub(super) const LOW_AND_HIGH: [[u32; 16]; 2] = {
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

/// The numbers rounded to the nearest `bf16`, whose bits are the high half of each lane; the low half is left over.
///
/// # Safety
///
/// The CPU must have AVX512F.
#[inline(always)]
pub(super) unsafe fn round(numbers: __m512) -> __m512i {
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
pub(super) unsafe fn first_of(pairs: __m512i) -> __m512 {
    // SAFETY: the caller's.
    unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)) }
}

/// The second numbers of pairs.
///
/// # Safety
///
/// The CPU must have AVX512F.
#[inline(always)]
pub(super) unsafe fn second_of(pairs: __m512i) -> __m512 {
    // SAFETY: the caller's.
    unsafe {
        let high = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
        _mm512_castsi512_ps(_mm512_and_si512(pairs, high))
    }
}
