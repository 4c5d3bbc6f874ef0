//! Numbers at every third place, and at every ninth.

use std::arch::x86_64::{
    __m512, __m512i, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_permutex2var_epi16,
    _mm512_permutex2var_ps,
};
use std::mem::transmute;

use burn::tensor::bf16;

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

/// Of nine vectors in a row, the numbers at every ninth place.
///
/// # Safety
///
/// The CPU must have AVX512F, and the numbers be readable.
#[inline(always)]
pub(super) unsafe fn ninths(source: *const f32) -> [__m512; 9] {
    // SAFETY: the caller's.
    unsafe {
        let mut rows = [[_mm512_loadu_ps(source); 3]; 3];
        for (index, row) in rows.iter_mut().enumerate() {
            for (at, vector) in row.iter_mut().enumerate() {
                *vector = _mm512_loadu_ps(source.add((3 * index + at) * 16));
            }
            *row = thirds(*row);
        }
        let mut ninths = [rows[0][0]; 9];
        for first in 0..3 {
            let column = thirds([rows[0][first], rows[1][first], rows[2][first]]);
            for (at, ninth) in column.into_iter().enumerate() {
                ninths[first + 3 * at] = ninth;
            }
        }
        ninths
    }
}

/// As [`ninths`], of numbers of 16 bits.
///
/// # Safety
///
/// The CPU must have AVX512BW, and the numbers be readable.
#[inline(always)]
pub(super) unsafe fn ninths_of_halves(source: *const bf16) -> [__m512i; 9] {
    // SAFETY: the caller's.
    unsafe {
        let mut rows = [[_mm512_loadu_si512(source.cast()); 3]; 3];
        for (index, row) in rows.iter_mut().enumerate() {
            for (at, vector) in row.iter_mut().enumerate() {
                *vector = _mm512_loadu_si512(source.add((3 * index + at) * 32).cast());
            }
            *row = thirds_of_halves(*row);
        }
        let mut ninths = [rows[0][0]; 9];
        for first in 0..3 {
            let column = thirds_of_halves([rows[0][first], rows[1][first], rows[2][first]]);
            for (at, ninth) in column.into_iter().enumerate() {
                ninths[first + 3 * at] = ninth;
            }
        }
        ninths
    }
}
