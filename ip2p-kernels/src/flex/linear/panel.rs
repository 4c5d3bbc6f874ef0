//! A tile's width of columns: the weights in pairs, and the sums.

use burn::tensor::bf16;

use super::{Product, Target};
use crate::flex::simd::{MAX_LANES, Simd, TILE_VECTORS};
use crate::flex::tile::{LeftPairs, Scratch, for_tiles, multiply_pairs, width, zip_rows};

/// Terms of some rows of the input in `bf16`.
pub(super) struct Rounded {
    pairs: Scratch<u32>,
    rows: usize,
    /// From a row to the next.
    stride: usize,
}

impl Rounded {
    /// Room for so many rows, of so many pairs of terms.
    pub(super) fn new(rows: usize, pairs: usize) -> Self {
        // A few more: at a power of two the rows would drive each other out of the cache.
        let stride = pairs.next_multiple_of(MAX_LANES) + MAX_LANES;
        Self {
            pairs: Scratch::new(rows * stride),
            rows,
            stride,
        }
    }

    /// Rounds `pairs` pairs of terms from `first_term` on of the rows from `first_row` on.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(
        &mut self,
        simd: S,
        product: &Product<'_>,
        first_row: usize,
        [first_term, pairs]: [usize; 2],
    ) {
        let rows = product.input[first_row * product.terms..].chunks(product.terms);
        for (row, target) in rows.zip(self.pairs.chunks_exact_mut(self.stride)) {
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
pub(super) struct Panel<'a> {
    pub(super) product: &'a Product<'a>,
    /// The first row of the sums, from the first of the columns on, and the distance to the next.
    pub(super) target: Target,
    pub(super) stride: usize,
    /// The first of the columns of the weights, and how many.
    pub(super) column: usize,
    pub(super) columns: usize,
    /// The first of the terms, with which the sums begin, and how many pairs.
    pub(super) first_term: usize,
    pub(super) pairs: usize,
    /// The weights that are paired next: the first term, and the first column.
    pub(super) next: [usize; 2],
}

impl Panel<'_> {
    /// Fetches the part of the next weights that falls to `count` rows of `rows`, from `row` on: to pair them then waits for nothing.
    #[inline(always)]
    fn prefetch<S: Simd>(&self, simd: S, row: usize, count: usize, rows: usize) {
        let [term, column] = self.next;
        let columns = self.product.columns;
        let terms = 2 * self.pairs;
        let start = self.product.weight.as_ptr();
        for at in terms * row / rows..terms * (row + count) / rows {
            let weights = start.wrapping_add((term + at) * columns + column);
            for line in [0, 32, width::<S>() - 1] {
                simd.prefetch(weights.wrapping_add(line).cast());
            }
        }
    }

    /// Pairs the weights, a row two terms.
    #[inline(always)]
    pub(super) fn pair<S: Simd>(&self, simd: S, target: &mut [u32]) {
        let product = self.product;
        let weight = &product.weight[self.first_term * product.columns + self.column..];
        assert!(weight.len() >= (2 * self.pairs - 1) * product.columns + self.columns);
        assert!(target.len() >= self.pairs * width::<S>());
        for pair in 0..self.pairs {
            // SAFETY: as asserted.
            unsafe {
                let first = weight.as_ptr().add(2 * pair * product.columns);
                let second = first.add(product.columns);
                let target = target.as_mut_ptr().add(pair * width::<S>());
                if self.columns == width::<S>() {
                    for at in (0..width::<S>()).step_by(S::LANES) {
                        let pairs = simd.zip_pairs(first.add(at).cast(), second.add(at).cast());
                        simd.store_pairs(target.add(at), pairs);
                    }
                } else {
                    let [first, second] =
                        [first, second].map(|row| std::slice::from_raw_parts(row, self.columns));
                    let target = std::slice::from_raw_parts_mut(target, self.columns);
                    zip_rows(simd, first, second, target);
                }
            }
        }
    }

    /// Adds the products of the pairs from `first_pair` on of the rows with the weights.
    ///
    /// # Safety
    ///
    /// The sums must have as many rows, and nobody else may hold them.
    #[inline(always)]
    pub(super) unsafe fn multiply<S: Simd>(
        &self,
        simd: S,
        rounded: &Rounded,
        first_pair: usize,
        paired: &[u32],
    ) {
        assert!(first_pair + self.pairs <= rounded.stride);
        assert!(paired.len() >= self.pairs * width::<S>());
        let left = LeftPairs {
            start: rounded.pairs[first_pair..].as_ptr().cast(),
            row_stride: 2 * rounded.stride,
            pair_stride: 2,
        };
        // SAFETY: as asserted; the rest is the caller's.
        unsafe {
            for_tiles!(S, rounded.rows, |row| add_rows(
                simd,
                self,
                left.skip(row),
                paired.as_ptr(),
                [row, rounded.rows],
            ));
        }
    }

    /// Adds products to a row of the sums.
    ///
    /// # Safety
    ///
    /// There must be such a row, and nobody else may hold it.
    #[inline(always)]
    unsafe fn add<S: Simd, const VECTORS: usize>(
        &self,
        simd: S,
        row: usize,
        products: [S::Vector; VECTORS],
    ) {
        // SAFETY: the caller's.
        let target = unsafe { self.target.at(row * self.stride) };
        let before = if self.first_term == 0 {
            self.product.bias[self.column..][..self.columns].as_ptr()
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

/// Adds the products to `ROWS` of all rows of the sums, from `row` on.
///
/// # Safety
///
/// `left` must be readable for `ROWS` rows and as many pairs, `right` for as many rows of a tile's width, and the sums must
/// have so many rows from `row` on.
#[inline(always)]
unsafe fn add_rows<S: Simd, const ROWS: usize>(
    simd: S,
    panel: &Panel<'_>,
    left: LeftPairs,
    right: *const u32,
    [row, rows]: [usize; 2],
) {
    panel.prefetch(simd, row, ROWS, rows);
    // SAFETY: the caller's.
    unsafe {
        match panel.columns.div_ceil(S::LANES) {
            1 => add_products::<S, ROWS, 1>(simd, panel, left, right, row),
            2 => add_products::<S, ROWS, 2>(simd, panel, left, right, row),
            _ => add_products::<S, ROWS, TILE_VECTORS>(simd, panel, left, right, row),
        }
    }
}

/// As [`add_rows`], for columns that fill so many vectors.
#[inline(always)]
unsafe fn add_products<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    panel: &Panel<'_>,
    left: LeftPairs,
    right: *const u32,
    row: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let products =
            multiply_pairs::<S, ROWS, VECTORS>(simd, left, right, width::<S>(), panel.pairs);
        for (index, products) in products.into_iter().enumerate() {
            panel.add(simd, row + index, products);
        }
    }
}
