//! A linear layer whose output is gated.
//!
//! A task rounds all terms of its rows once and makes the values and the gates of the same columns one after the other, so that neither
//! leaves the cache.

use burn::tensor::Tensor;

use super::panel::{Panel, Rounded};
use super::{ONE_PASS, Product, passes, with_product};
use crate::flex::Target;
use crate::flex::simd::{self, Kernel, Simd, dispatch, map};
use crate::flex::tile::{Scratch, width};

/// How many terms of all its rows a task rounds at most: with the values and gates of a tile's width of columns, half of a level-2
/// cache of 1 MB.
const TERMS: usize = 192 * 1024;

/// The least rows of a task, which pay for pairing the weights, and the most.
const ROWS: [usize; 2] = [192, 384];

/// As [`crate::linear_geglu`], for a weight of `bf16` with an even number of rows.
pub(crate) fn linear_geglu(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
    with_product(x, weight, bias, |product, [batch, tokens, doubled]| {
        let shape = [batch, tokens, doubled / 2];
        let rows = (TERMS / product.terms).clamp(ROWS[0], ROWS[1]);
        let rows = rows.next_multiple_of(8);
        product.in_parts(shape, rows, |target, [first_row, rows], columns| {
            dispatch(Gated {
                product,
                target,
                first_row,
                rows,
                first_column: columns[0],
                columns: columns[1],
            });
        })
    })
}

/// Some rows of some columns of the output.
pub(super) struct Gated<'a> {
    pub(super) product: &'a Product<'a>,
    pub(super) target: Target,
    pub(super) first_row: usize,
    pub(super) rows: usize,
    pub(super) first_column: usize,
    pub(super) columns: usize,
}

impl Kernel for Gated<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { product, rows, .. } = self;
        let width = width::<S>();
        let all_columns = product.columns / 2;
        let mut rounded = Rounded::new(rows, product.terms / 2);
        rounded.fill(simd, product, self.first_row, [0, product.terms / 2]);
        let mut paired = Scratch::<u32>::new(ONE_PASS * width);
        let mut sums = [(); 2].map(|()| Scratch::<f32>::new(rows * width));
        let most = passes(product.terms);
        for offset in (0..self.columns).step_by(width) {
            let (column, columns) = (self.first_column + offset, width.min(self.columns - offset));
            for (half, sums) in sums.iter_mut().enumerate() {
                for first_term in (0..product.terms).step_by(2 * most) {
                    let panel = Panel {
                        product,
                        target: Target(sums.as_mut_ptr()),
                        stride: width,
                        column: half * all_columns + column,
                        columns,
                        first_term,
                        pairs: most.min((product.terms - first_term) / 2),
                        next: if first_term + 2 * most < product.terms {
                            [first_term + 2 * most, half * all_columns + column]
                        } else if half == 0 {
                            [0, all_columns + column]
                        } else {
                            [0, column + width]
                        },
                    };
                    panel.pair(simd, &mut paired);
                    // SAFETY: there are as many rows of sums.
                    unsafe { panel.multiply(simd, &rounded, first_term / 2, &paired) };
                }
            }
            for row in 0..rows {
                let [values, gates] = [0, 1].map(|half| sums[half][row * width..].as_ptr());
                // SAFETY: a row of the sums has as many columns; those of the output are this task's alone.
                unsafe {
                    let place = (self.first_row + row) * all_columns + column;
                    map(
                        simd,
                        [values, gates],
                        self.target.at(place),
                        columns,
                        #[inline(always)]
                        |[value, gate]| simd.mul(value, simd::gelu(simd, gate)),
                    );
                }
            }
        }
    }
}
