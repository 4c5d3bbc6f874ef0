//! Rows whose terms are all rounded once, before they are multiplied with a tile's width of columns at a time.

use super::numbers::{Numbers, ONE_PASS};
use super::panel::{Panel, Rounded};
use super::{Part, Product, passes};
use crate::flex::Target;
use crate::flex::scratch::Scratch;
use crate::flex::simd::{MAX_LANES, Simd};
use crate::flex::tile::width;

/// How many terms of all its rows a task rounds at most: with the sums of two tiles' width of columns, half of a level-2 cache of 1 MB.
const TERMS: usize = 192 * 1024;

/// The least rows of a task, which pay for making words of the weights, and the most.
const ROWS: [usize; 2] = [192, 384];

/// The rows of a task, of so many terms.
pub(super) fn rows(terms: usize) -> usize {
    (TERMS / terms)
        .clamp(ROWS[0], ROWS[1])
        .next_multiple_of(MAX_LANES)
}

/// The rows of a task, and room for words of the weights.
pub(super) struct Rows<'a, N: Numbers> {
    product: &'a Product<'a, N>,
    rounded: Vec<Rounded<N>>,
    joined: Scratch<u32>,
}

impl<'a, N: Numbers> Rows<'a, N> {
    /// Rounds the rows of a part.
    #[inline(always)]
    pub(super) fn new<S: Simd>(simd: S, part: &Part<'a, N>) -> Self {
        let product = part.product;
        let mut rounded = Vec::new();
        for pass in passes::<N>(product.terms) {
            let mut terms = Rounded::new(part.rows, pass[1]);
            terms.fill(simd, product, part.first_row, pass);
            rounded.push(terms);
        }
        let joined = Scratch::new(ONE_PASS * width::<S>());
        Self {
            product,
            rounded,
            joined,
        }
    }

    /// Writes the products with `columns` columns from `column` on, a tile's width from a row to the next; then those from `next` on are
    /// wanted.
    #[inline(always)]
    pub(super) fn multiply<S: Simd>(
        &mut self,
        simd: S,
        [column, columns, next]: [usize; 3],
        sums: &mut Scratch<f32>,
    ) {
        for ([first_term, words], rounded) in passes::<N>(self.product.terms).zip(&self.rounded) {
            let next_term = first_term + N::WORD * words;
            let panel = Panel {
                product: self.product,
                target: Target(sums.as_mut_ptr()),
                stride: width::<S>(),
                column,
                columns,
                first_term,
                words,
                next: if next_term < self.product.terms {
                    [next_term, column]
                } else {
                    [0, next]
                },
            };
            panel.join(simd, &mut self.joined);
            assert!(sums.len() >= rounded.count() * width::<S>());
            // SAFETY: as asserted.
            unsafe { panel.multiply(simd, rounded, &self.joined) };
        }
    }
}
