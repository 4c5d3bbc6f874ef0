//! A linear layer whose output is gated.
//!
//! A task rounds all terms of its rows once and makes the values and the gates of the same columns one after the other, so that neither
//! leaves the cache.

use super::numbers::{Numbers, ONE_PASS};
use super::panel::{Panel, Rounded};
use super::{Part, passes};
use crate::flex::Target;
use crate::flex::scratch::Scratch;
use crate::flex::simd::{self, Kernel, Simd, map};
use crate::flex::tile::width;

/// How many terms of all its rows a task rounds at most: with the values and gates of a tile's width of columns, half of a level-2
/// cache of 1 MB.
const TERMS: usize = 192 * 1024;

/// The least rows of a task, which pay for making words of the weights, and the most.
const ROWS: [usize; 2] = [192, 384];

/// The rows of a task, of so many terms.
pub(super) fn rows(terms: usize) -> usize {
    (TERMS / terms).clamp(ROWS[0], ROWS[1]).next_multiple_of(8)
}

/// Some rows of some columns of the output, which are half as many as the product's.
pub(super) struct Gated<'a, N>(pub(super) Part<'a, N>);

impl<N: Numbers> Kernel for Gated<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(part) = self;
        let (product, width) = (part.product, width::<S>());
        let all_columns = product.columns / 2;
        let mut rounded = Vec::new();
        for pass in passes::<N>(product.terms) {
            let mut terms = Rounded::new(part.rows, pass[1]);
            terms.fill(simd, product, part.first_row, pass);
            rounded.push(terms);
        }
        let mut joined = Scratch::<u32>::new(ONE_PASS * width);
        let mut sums = [(); 2].map(|()| Scratch::<f32>::new(part.rows * width));
        for offset in (0..part.columns).step_by(width) {
            let (column, columns) = (part.first_column + offset, width.min(part.columns - offset));
            for (half, sums) in sums.iter_mut().enumerate() {
                for ([first_term, words], rounded) in passes::<N>(product.terms).zip(&rounded) {
                    let next_term = first_term + N::WORD * words;
                    let panel = Panel {
                        product,
                        target: Target(sums.as_mut_ptr()),
                        stride: width,
                        column: half * all_columns + column,
                        columns,
                        first_term,
                        words,
                        next: if next_term < product.terms {
                            [next_term, half * all_columns + column]
                        } else if half == 0 {
                            [0, all_columns + column]
                        } else {
                            [0, column + width]
                        },
                    };
                    panel.join(simd, &mut joined);
                    // SAFETY: there are as many rows of sums.
                    unsafe { panel.multiply(simd, rounded, &joined) };
                }
            }
            for row in 0..part.rows {
                let [values, gates] = [0, 1].map(|half| sums[half][row * width..].as_ptr());
                // SAFETY: a row of the sums has as many columns; those of the output are this task's alone.
                unsafe {
                    let place = (part.first_row + row) * all_columns + column;
                    map(
                        simd,
                        [values, gates],
                        part.target.at(place),
                        columns,
                        #[inline(always)]
                        |[value, gate]| simd.mul(value, simd::gelu(simd, gate)),
                    );
                }
            }
        }
    }
}
