//! Linear layers with weights of `bf16`, summed up in `f32`: two terms at a time.
//!
//! A task takes some of the rows of the input and some of the columns of the output. It rounds terms of its rows, and for a tile's width
//! of columns at a time pairs the same terms of the weights, which then fit the level-1 cache while all its rows are
//! multiplied with them.

mod gated;
mod panel;

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Shape, Tensor, bf16};
use rayon::prelude::*;

pub(crate) use self::gated::linear_geglu;
use self::panel::{Panel, Rounded};
use super::simd::{Kernel, Simd, dispatch};
use super::tile::{Scratch, widest, width};
use super::{Target, contiguous, filled, primitive, tensor, weights};
use crate::plain::in_f32;

/// How many pairs of terms are multiplied at a time: 24 KB of a tile's width of columns with 512-bit vectors.
const PAIRS: usize = 128;

/// Up to how many pairs are multiplied at once, since every pass over the sums reads and writes them: 30 KB, nearly a level-1 cache.
const ONE_PASS: usize = 160;

/// The most rows of a task: as many terms of them take 240 KB.
const ROWS: usize = 384;

/// How many tasks there should be for each thread, so that none waits long for the last.
const TASKS_PER_THREAD: usize = 8;

/// `x · weight + bias` over the last axis, for a weight of `bf16` with an even number of rows.
pub(crate) fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    with_product(x, weight, bias, |product, shape| {
        product.in_parts(shape, ROWS, |target, [first_row, rows], columns| {
            dispatch(Part {
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

/// Calls `compute` with the factors of a layer and the shape of its output.
fn with_product<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    compute: impl FnOnce(&Product<'_>, [usize; D]) -> FlexTensor,
) -> Tensor<D> {
    let [terms, columns] = weight.dims();
    let bias = bias.map_or_else(|| vec![0.0; columns], weights);
    let weight = contiguous(primitive(weight));
    in_f32(x, |x| {
        let mut shape = x.dims();
        shape[D - 1] = columns;
        let x = contiguous(primitive(x));
        let product = Product {
            input: x.storage::<f32>(),
            weight: weight.storage::<bf16>(),
            bias: &bias,
            rows: shape[..D - 1].iter().product(),
            terms,
            columns,
        };
        tensor(compute(&product, shape))
    })
}

/// The factors, `[rows, terms] · [terms, columns]`.
struct Product<'a> {
    input: &'a [f32],
    weight: &'a [bf16],
    bias: &'a [f32],
    rows: usize,
    terms: usize,
    columns: usize,
}

impl Product<'_> {
    /// A tensor of `shape`, of which `part` fills some rows and some columns, in parallel: the first of each and how many.
    fn in_parts<const D: usize>(
        &self,
        shape: [usize; D],
        most_rows: usize,
        part: impl Fn(Target, [usize; 2], [usize; 2]) + Sync,
    ) -> FlexTensor {
        let (all_columns, step) = (shape[D - 1], widest());
        let blocks = self.rows.div_ceil(most_rows);
        let wanted = rayon::current_num_threads() * TASKS_PER_THREAD;
        let splits = wanted
            .div_ceil(blocks.max(1))
            .min(all_columns.div_ceil(step))
            .max(1);
        let columns = all_columns.div_ceil(splits).next_multiple_of(step);
        let splits = all_columns.div_ceil(columns);
        // SAFETY: each row of each column is in one task.
        unsafe {
            filled(Layout::contiguous(Shape::from(shape)), |target| {
                (0..blocks * splits).into_par_iter().for_each(|task| {
                    let first_row = task / splits * most_rows;
                    let first_column = task % splits * columns;
                    part(
                        target,
                        [first_row, most_rows.min(self.rows - first_row)],
                        [first_column, columns.min(all_columns - first_column)],
                    );
                });
            })
        }
    }
}

/// Some rows of some columns.
struct Part<'a> {
    product: &'a Product<'a>,
    target: Target,
    first_row: usize,
    rows: usize,
    first_column: usize,
    columns: usize,
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { product, .. } = self;
        let width = width::<S>();
        let mut rounded = Rounded::new(self.rows, ONE_PASS);
        let mut paired = Scratch::<u32>::new(ONE_PASS * width);
        let most = passes(product.terms);
        for first_term in (0..product.terms).step_by(2 * most) {
            let pairs = most.min((product.terms - first_term) / 2);
            rounded.fill(simd, product, self.first_row, [first_term, pairs]);
            for offset in (0..self.columns).step_by(width) {
                let column = self.first_column + offset;
                let panel = Panel {
                    product,
                    // SAFETY: within the output.
                    target: Target(unsafe {
                        self.target.at(self.first_row * product.columns + column)
                    }),
                    stride: product.columns,
                    column,
                    columns: width.min(self.columns - offset),
                    first_term,
                    pairs,
                    next: if offset + width < self.columns {
                        [first_term, column + width]
                    } else {
                        [first_term + 2 * most, self.first_column]
                    },
                };
                panel.pair(simd, &mut paired);
                // SAFETY: the output has these rows and columns, and they are this task's alone.
                unsafe { panel.multiply(simd, &rounded, 0, &paired) };
            }
        }
    }
}

/// How many pairs of `terms` are multiplied at a time.
fn passes(terms: usize) -> usize {
    if terms <= 2 * ONE_PASS {
        ONE_PASS
    } else {
        PAIRS
    }
}

#[cfg(test)]
mod tests;
