//! Queries and keys of whole numbers of 8 bits.
//!
//! Each query has a scale of its own, and so has each key. Before that the mean of a head's keys is taken from each: the scores of a query all
//! become less by the same, which no softmax sees, and what all keys share does not use up the few numbers that there are
//! (Zhang et al. 2024, <https://arxiv.org/abs/2410.02367>, section 4.2).

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::Rows;
use super::keys::Keys;
use crate::flex::linear::{ByteRow, Numbers};
use crate::flex::quantized::scales;
use crate::flex::scratch::Scratch;
use crate::flex::simd::{Kernel, MAX_LANES, Simd, TILE_VECTORS, dispatch};
use crate::flex::tile::{Beside, Factors, load_row, store_row, width};

/// How many numbers make a word.
pub(super) const WORD: usize = <i8 as Numbers>::WORD;

/// The keys of all heads, rounded.
pub(super) struct RoundedKeys {
    /// `[batch, heads, keys, head_dim]`.
    words: Vec<u32>,
    /// `[batch, heads, keys]`.
    rows: Vec<ByteRow>,
    sizes: [usize; 4],
}

impl RoundedKeys {
    /// Rounds keys of `f32`, `[batch, heads, keys, head_dim]`, whose last axis is in order and of whole words.
    pub(super) fn of(k: &FlexTensor) -> Self {
        let sizes @ [batch, heads, keys, dim] = super::sizes(k);
        let mut words = vec![0; batch * heads * keys * dim / WORD];
        let mut rows = vec![ByteRow::default(); batch * heads * keys];
        let targets = words
            .par_chunks_exact_mut(keys * dim / WORD)
            .zip(rows.par_chunks_exact_mut(keys));
        targets.enumerate().for_each(|(index, (words, rows))| {
            dispatch(Rounding {
                keys: Rows::of(k.layout(), k.storage(), index / heads, index % heads),
                dim,
                words,
                rows,
            });
        });
        Self { words, rows, sizes }
    }

    /// The keys of a head.
    pub(super) fn head(&self, batch: usize, head: usize) -> ByteKeys<'_> {
        let [_, heads, keys, dim] = self.sizes;
        let first = (batch * heads + head) * keys;
        ByteKeys {
            words: &self.words[first * dim / WORD..][..keys * dim / WORD],
            rows: &self.rows[first..][..keys],
        }
    }
}

/// Rounds the keys of a head.
struct Rounding<'a> {
    keys: Rows<f32>,
    dim: usize,
    words: &'a mut [u32],
    rows: &'a mut [ByteRow],
}

impl Kernel for Rounding<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut mean = vec![0.0; self.dim];
        for key in 0..self.rows.len() {
            // SAFETY: one of the keys.
            let key = unsafe { self.keys.slice(key, self.dim) };
            for (sum, number) in mean.iter_mut().zip(key) {
                *sum += number;
            }
        }
        let share = 1.0 / self.rows.len() as f32;
        for sum in &mut mean {
            *sum *= share;
        }
        let mut apart = vec![0.0; self.dim];
        let targets = self.words.chunks_exact_mut(self.dim / WORD);
        for (key, (words, row)) in targets.zip(self.rows).enumerate() {
            // SAFETY: one of the keys.
            let key = unsafe { self.keys.slice(key, self.dim) };
            for ((apart, number), mean) in apart.iter_mut().zip(key).zip(&mean) {
                *apart = number - mean;
            }
            *row = i8::round(simd, &apart, words);
        }
    }
}

/// The keys of a head, rounded.
#[derive(Clone, Copy)]
pub(super) struct ByteKeys<'a> {
    /// `[keys, head_dim]`.
    words: &'a [u32],
    /// `[keys]`.
    rows: &'a [ByteRow],
}

/// Queries in bytes, a lane each.
pub(super) struct ByteQueries {
    /// `[head_dim / 4, width]`.
    words: Scratch<u32>,
    /// What 1 stands for in those of each query.
    scales: [f32; TILE_VECTORS * MAX_LANES],
}

impl Keys for ByteKeys<'_> {
    type Queries = ByteQueries;
    type Factors = Bytes;

    fn room(dim: usize, width: usize) -> ByteQueries {
        ByteQueries {
            words: Scratch::new(dim / WORD * width),
            scales: [0.0; TILE_VECTORS * MAX_LANES],
        }
    }

    #[inline(always)]
    fn pack<S: Simd>(simd: S, queries: &mut Scratch, packed: &mut ByteQueries) {
        let width = width::<S>();
        let mut greatest = [simd.splat(0.0); TILE_VECTORS];
        for row in queries.chunks_exact(width) {
            // SAFETY: a row of a tile.
            let row = unsafe { load_row(simd, row.as_ptr()) };
            for (greatest, row) in greatest.iter_mut().zip(row) {
                *greatest = simd.max_magnitude(*greatest, row);
            }
        }
        let mut inverses = [simd.splat(0.0); TILE_VECTORS];
        for (inverse, greatest) in inverses.iter_mut().zip(&mut greatest) {
            [*greatest, *inverse] = scales(simd, *greatest);
        }
        // SAFETY: as wide as the widest row.
        unsafe { store_row(simd, packed.scales.as_mut_ptr(), greatest) };
        let words = packed.words.chunks_exact_mut(width);
        for (rows, target) in queries.chunks_exact(WORD * width).zip(words) {
            for (index, inverse) in inverses.into_iter().enumerate() {
                let at = index * S::LANES;
                let mut numbers = [simd.splat(0.0); WORD];
                // SAFETY: rows of a tile.
                unsafe {
                    for (row, numbers) in numbers.iter_mut().enumerate() {
                        *numbers = simd.load(rows[row * width + at..].as_ptr());
                    }
                    simd.store_words(target[at..].as_mut_ptr(), simd.bytes(numbers, inverse));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn scores(self, first_key: usize, dim: usize, queries: &ByteQueries) -> Bytes {
        Bytes {
            left: self.words[first_key * dim / WORD..].as_ptr(),
            rows: self.rows[first_key..].as_ptr(),
            right: queries.words.as_ptr(),
            words: dim / WORD,
            scales: queries.scales.as_ptr(),
        }
    }
}

/// Factors of whole numbers: keys, a row after the other, and queries.
#[derive(Clone, Copy)]
pub(super) struct Bytes {
    left: *const u32,
    rows: *const ByteRow,
    right: *const u32,
    words: usize,
    scales: *const f32,
}

impl Factors for Bytes {
    #[inline(always)]
    unsafe fn skip(self, rows: usize) -> Self {
        // SAFETY: the caller's.
        let (left, rows) = unsafe { (self.left.add(rows * self.words), self.rows.add(rows)) };
        Self { left, rows, ..self }
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize>(
        self,
        simd: S,
        mut sums: [[S::Vector; TILE_VECTORS]; ROWS],
        beside: &mut impl Beside<S>,
    ) -> [[S::Vector; TILE_VECTORS]; ROWS] {
        let factors = [self.left, self.right];
        // SAFETY: the caller's.
        unsafe {
            let scales = load_row(simd, self.scales);
            let products: [[_; TILE_VECTORS]; ROWS] =
                i8::multiply(simd, factors, self.words, self.rows, self.words, beside);
            for (row, (sums, products)) in sums.iter_mut().zip(products).enumerate() {
                let scale = simd.splat((*self.rows.add(row)).scale);
                for (index, (sum, product)) in sums.iter_mut().zip(products).enumerate() {
                    *sum = simd.mul_add(product, simd.mul(scale, scales[index]), *sum);
                }
            }
            sums
        }
    }
}
