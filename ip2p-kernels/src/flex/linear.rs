//! Linear layers with weights of `bf16`, summed up in `f32`: two terms at a time.
//!
//! A task takes some of the rows of the input and some of the columns of the output. It rounds a few hundred terms of its rows, and for
//! a tile's width of columns at a time pairs the same terms of the weights, which then fit the level-1 cache while all its rows are
//! multiplied with them.

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Shape, Tensor, bf16};
use rayon::prelude::*;

use super::simd::{Kernel, MAX_LANES, Simd, TILE_VECTORS, dispatch};
use super::tile::{LeftPairs, Scratch, for_tiles, multiply_pairs, widest, width, zip_rows};
use super::{Target, contiguous, filled, primitive, tensor, weights};
use crate::plain::in_f32;

/// How many pairs of terms are rounded at a time: 24 KB of a tile's width of columns with 512-bit vectors.
const PAIRS: usize = 128;

/// Up to how many pairs are rounded at once, since every pass over the sums reads and writes them: 30 KB, nearly a level-1 cache.
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
        tensor(product.compute(Shape::from(shape)))
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
    fn compute(&self, shape: Shape) -> FlexTensor {
        let step = widest();
        let blocks = self.rows.div_ceil(ROWS);
        let wanted = rayon::current_num_threads() * TASKS_PER_THREAD;
        let splits = wanted
            .div_ceil(blocks.max(1))
            .min(self.columns.div_ceil(step))
            .max(1);
        let columns = self.columns.div_ceil(splits).next_multiple_of(step);
        let splits = self.columns.div_ceil(columns);
        // SAFETY: each row of each column is in one task.
        unsafe {
            filled(Layout::contiguous(shape), |target| {
                (0..blocks * splits).into_par_iter().for_each(|task| {
                    let (block, split) = (task / splits, task % splits);
                    let (first_row, first_column) = (block * ROWS, split * columns);
                    dispatch(Part {
                        product: self,
                        target,
                        first_row,
                        rows: ROWS.min(self.rows - first_row),
                        first_column,
                        columns: columns.min(self.columns - first_column),
                    });
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
        let width = width::<S>();
        let all_terms = self.product.terms;
        let mut rounded = Scratch::<u32>::new(self.rows * ONE_PASS);
        let mut paired = Scratch::<u32>::new(ONE_PASS * width);
        let most = if all_terms <= 2 * ONE_PASS {
            ONE_PASS
        } else {
            PAIRS
        };
        for first_term in (0..all_terms).step_by(2 * most) {
            let pairs = most.min((all_terms - first_term) / 2);
            self.round(simd, first_term, pairs, &mut rounded);
            let left = LeftPairs {
                start: rounded.as_ptr().cast(),
                row_stride: 2 * ONE_PASS,
                pair_stride: 2,
            };
            for offset in (0..self.columns).step_by(width) {
                let sums = Sums {
                    part: &self,
                    column: self.first_column + offset,
                    columns: width.min(self.columns - offset),
                    pairs,
                    begin: first_term == 0,
                };
                sums.pair(simd, first_term, &mut paired);
                // SAFETY: `rounded` has so many rows of as many pairs, and `paired` as many rows of a tile's width.
                unsafe {
                    for_tiles!(S, self.rows, |row| sums_of_rows(
                        simd,
                        &sums,
                        left.skip(row),
                        paired.as_ptr(),
                        self.first_row + row,
                    ));
                }
            }
        }
    }
}

impl Part<'_> {
    /// Rounds some terms of its rows.
    #[inline(always)]
    fn round<S: Simd>(&self, simd: S, first_term: usize, pairs: usize, target: &mut [u32]) {
        let all_terms = self.product.terms;
        let rows = self.product.input[self.first_row * all_terms..].chunks(all_terms);
        for (row, target) in rows.zip(target.chunks_exact_mut(ONE_PASS)) {
            let (row, target) = (&row[first_term..][..2 * pairs], &mut target[..pairs]);
            let whole = row.len() - row.len() % S::LANES;
            for at in (0..whole).step_by(S::LANES) {
                // SAFETY: a pair is two numbers of `bf16`, and there are as many numbers as in the row.
                unsafe {
                    let target = target.as_mut_ptr().cast::<bf16>();
                    simd.narrow(row.as_ptr().add(at), target.add(at));
                }
            }
            let rest = row[whole..].as_chunks::<2>().0;
            for (pair, rest) in target[whole / 2..].iter_mut().zip(rest) {
                let [first, second] = rest.map(|x| u32::from(bf16::from_f32(x).to_bits()));
                *pair = first | second << 16;
            }
        }
    }
}

/// A tile's width of columns that the products of some terms are added to.
struct Sums<'a> {
    part: &'a Part<'a>,
    column: usize,
    columns: usize,
    pairs: usize,
    /// Whether these are the first terms, and the sums begin with the bias.
    begin: bool,
}

impl Sums<'_> {
    /// Pairs the weights of its columns, a row two terms.
    #[inline(always)]
    fn pair<S: Simd>(&self, simd: S, first_term: usize, target: &mut [u32]) {
        let product = self.part.product;
        if self.columns == width::<S>() {
            let first = first_term * product.columns + self.column;
            let weight = &product.weight[first..];
            assert!(weight.len() >= (2 * self.pairs - 1) * product.columns + width::<S>());
            assert!(target.len() >= self.pairs * width::<S>());
            for pair in 0..self.pairs {
                // SAFETY: as asserted.
                unsafe {
                    let first = weight
                        .as_ptr()
                        .cast::<u16>()
                        .add(2 * pair * product.columns);
                    let second = first.add(product.columns);
                    let target = target.as_mut_ptr().add(pair * width::<S>());
                    for at in (0..width::<S>()).step_by(S::LANES) {
                        let pairs = simd.zip_pairs(first.add(at), second.add(at));
                        simd.store_pairs(target.add(at), pairs);
                    }
                }
            }
            return;
        }
        for (pair, target) in (0..self.pairs).zip(target.chunks_exact_mut(width::<S>())) {
            let [first, second] = [0, 1].map(|of| {
                let row = (first_term + 2 * pair + of) * product.columns;
                &product.weight[row + self.column..][..self.columns]
            });
            zip_rows(simd, first, second, &mut target[..self.columns]);
        }
    }

    /// Adds products to a row of the output.
    ///
    /// # Safety
    ///
    /// The output must have the row, and these columns of it must be this task's alone.
    #[inline(always)]
    unsafe fn add<S: Simd, const VECTORS: usize>(
        &self,
        simd: S,
        row: usize,
        products: [S::Vector; VECTORS],
    ) {
        let product = self.part.product;
        // SAFETY: the caller's.
        let target = unsafe { self.part.target.at(row * product.columns + self.column) };
        let before = if self.begin {
            product.bias[self.column..].as_ptr()
        } else {
            target.cast_const()
        };
        let whole = self.columns / S::LANES;
        for (index, products) in products.into_iter().enumerate() {
            let at = index * S::LANES;
            // SAFETY: so many columns are readable and writable; of a vector that is not whole, only those.
            unsafe {
                if index < whole {
                    let sum = simd.add(products, simd.load(before.add(at)));
                    simd.store(target.add(at), sum);
                } else {
                    let lanes = (1 << (self.columns - at)) - 1;
                    let sum = simd.add(products, simd.load_where(before.add(at), lanes));
                    let mut rest = [0.0; MAX_LANES];
                    simd.store(rest.as_mut_ptr(), sum);
                    (target.add(at)).copy_from_nonoverlapping(rest.as_ptr(), self.columns - at);
                }
            }
        }
    }
}

/// Adds the products of some terms to `ROWS` rows.
///
/// # Safety
///
/// `left` must be readable for `ROWS` rows and as many pairs, `right` for as many rows of a tile's width, and the output must
/// have so many rows from `row` on.
#[inline(always)]
unsafe fn sums_of_rows<S: Simd, const ROWS: usize>(
    simd: S,
    sums: &Sums<'_>,
    left: LeftPairs,
    right: *const u32,
    row: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        match sums.columns.div_ceil(S::LANES) {
            1 => add_products::<S, ROWS, 1>(simd, sums, left, right, row),
            2 => add_products::<S, ROWS, 2>(simd, sums, left, right, row),
            _ => add_products::<S, ROWS, TILE_VECTORS>(simd, sums, left, right, row),
        }
    }
}

/// As [`sums_of_rows`], for columns that fill so many vectors.
#[inline(always)]
unsafe fn add_products<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    sums: &Sums<'_>,
    left: LeftPairs,
    right: *const u32,
    row: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let products =
            multiply_pairs::<S, ROWS, VECTORS>(simd, left, right, width::<S>(), sums.pairs);
        for (index, products) in products.into_iter().enumerate() {
            sums.add(simd, row + index, products);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::dispatch_each;
    use super::*;

    /// A whole product as one task.
    struct Whole<'a>(&'a Product<'a>);

    impl Kernel for Whole<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let Self(product) = self;
            let mut output = vec![f32::NAN; product.rows * product.columns];
            let part = Part {
                product,
                target: Target(output.as_mut_ptr()),
                first_row: 0,
                rows: product.rows,
                first_column: 0,
                columns: product.columns,
            };
            part.run(simd);
            output
        }
    }

    #[test]
    fn instruction_sets_agree() {
        // More terms than are rounded at a time, and a rest of rows, of columns and of lanes.
        let (rows, terms, columns) = (13, 300, 101);
        let numbers: Vec<f32> = (0_u16..31_000)
            .map(|index| (f32::from(index) * 0.7).sin())
            .collect();
        let weight: Vec<bf16> = numbers.iter().map(|x| bf16::from_f32(*x)).collect();
        let product = Product {
            input: &numbers[7..][..rows * terms],
            weight: &weight[..terms * columns],
            bias: &numbers[..columns],
            rows,
            terms,
            columns,
        };
        let mut results = dispatch_each(|| Whole(&product)).into_iter();
        let (_, portable) = results.next().expect("the portable one always runs");
        assert!(portable.iter().all(|number| number.is_finite()));
        for (set, result) in results {
            for (number, portable) in result.iter().zip(&portable) {
                let difference = (number - portable).abs();
                assert!(difference < 1e-3, "{set}: {number}, not {portable}");
            }
        }
    }
}
