//! Convolution by kernels of one pixel in whole numbers of 8 bits, which are summed up as such: four terms at a time.
//!
//! As with weights of `bf16` the panels come first; what a task gathers of a panel at a time has a scale for each pixel.

use super::{Part, add_product};
use crate::flex::conv::bytes::settle;
use crate::flex::quantized::sum_of_bytes;
use crate::flex::scratch::Scratch;
use crate::flex::simd::{Kernel, Simd, TILE_VECTORS};
use crate::flex::tile::{Beside, Factors, add_words, for_terms, for_tiles, load_row, width};

/// How many terms are gathered at a time: 24 KB of a panel with 512-bit vectors, once they are bytes.
const TERMS: usize = 512;

/// How many terms are the products of one instruction.
const WORD: usize = 4;

/// What the sums of an output channel begin with, the products with right factors that are 128 too great subtracted, and what 1 stands
/// for in its weights.
#[derive(Clone, Copy)]
struct Row {
    begin: i32,
    scale: f32,
}

/// Weights of some output channels, and the right factors of a panel.
#[derive(Clone, Copy)]
struct InBytes {
    /// The first word of the first channel, and words from a channel to the next.
    left: *const u32,
    stride: usize,
    rows: *const Row,
    right: *const u32,
    words: usize,
}

impl Factors for InBytes {
    #[inline(always)]
    unsafe fn skip(self, rows: usize) -> Self {
        // SAFETY: the caller's.
        unsafe {
            Self {
                left: self.left.add(rows * self.stride),
                rows: self.rows.add(rows),
                ..self
            }
        }
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize>(
        self,
        simd: S,
        mut sums: [[S::Vector; TILE_VECTORS]; ROWS],
        beside: &mut impl Beside<S>,
    ) -> [[S::Vector; TILE_VECTORS]; ROWS] {
        let mut products = [[simd.splat_word(0); TILE_VECTORS]; ROWS];
        // SAFETY: the caller's.
        unsafe {
            for (row, products) in products.iter_mut().enumerate() {
                let begin = (*self.rows.add(row)).begin;
                *products = [simd.splat_word(begin.cast_unsigned()); TILE_VECTORS];
            }
            for_terms(
                simd,
                self.words,
                beside,
                #[inline(always)]
                |word| {
                    let mut left = [self.left; ROWS];
                    for (row, left) in left.iter_mut().enumerate() {
                        *left = self.left.add(row * self.stride + word);
                    }
                    let right = self.right.add(word * width::<S>());
                    add_words(simd, left, right, &mut products);
                },
            );
            let of_pixels = load_row(simd, self.right.add(self.words * width::<S>()).cast());
            for (row, (sums, products)) in sums.iter_mut().zip(products).enumerate() {
                let scale = simd.splat((*self.rows.add(row)).scale);
                for (index, (sum, product)) in sums.iter_mut().zip(products).enumerate() {
                    let scale = simd.mul(scale, of_pixels[index]);
                    *sum = simd.mul_add(simd.to_numbers(product), scale, *sum);
                }
            }
        }
        sums
    }
}

impl Kernel for Part<'_, i8> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let geometry = self.geometry;
        let width = width::<S>();
        let all_terms = geometry.terms();
        let panels = self.panels::<S>();
        let mut gathered = Scratch::<u32>::new((TERMS / 2 + 1) * width);
        let mut rows = Vec::new();
        for first_term in (0..all_terms).step_by(TERMS) {
            let terms = TERMS.min(all_terms - first_term);
            rows.clear();
            for channel in self.first_channel..self.first_channel + self.channels {
                let bytes = &self.weight[channel * all_terms + first_term..][..terms];
                rows.push(Row {
                    begin: -128 * sum_of_bytes(simd, bytes),
                    scale: self.scales[channel],
                });
            }
            let weight = &self.weight[self.first_channel * all_terms + first_term..];
            for panel in &panels {
                let pairs = &mut gathered[..terms / 2 * width];
                panel.gather_pairs(simd, geometry, self.input, first_term, pairs);
                settle(simd, &mut gathered, terms, width, width);
                let factors = InBytes {
                    left: weight.as_ptr().cast(),
                    stride: all_terms / WORD,
                    rows: rows.as_ptr(),
                    right: gathered.as_ptr(),
                    words: terms / WORD,
                };
                // SAFETY: the weights have `channels` rows from the first channel on, of as many terms from the first term on;
                // the panel has as many rows of words and one of scales, and is this task's alone.
                unsafe {
                    for_tiles!(S, self.channels, |first| add_product(
                        simd,
                        &self,
                        panel,
                        self.first_channel + first,
                        first_term == 0,
                        factors.skip(first),
                    ));
                }
            }
        }
    }
}
