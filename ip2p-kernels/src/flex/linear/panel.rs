//! A tile's width of columns: the weights in words, and the sums.

use super::numbers::Numbers;
use super::{Product, Target};
use crate::flex::scratch::Scratch;
use crate::flex::simd::{MAX_LANES, Simd, TILE_VECTORS, lanes};
use crate::flex::tile::{LINE, for_tiles, prefetch_row, width};
use crate::flex::turned::{from_lanes, transpose};

/// Terms of some rows of the input, rounded to what the weights are.
pub(super) struct Rounded<N: Numbers> {
    words: Scratch<u32>,
    rows: Vec<N::Row>,
    /// Some rows of an input whose axes are swapped, before they are rounded.
    turned: Vec<f32>,
    /// From a row to the next.
    stride: usize,
}

impl<N: Numbers> Rounded<N> {
    /// Room for so many rows, of so many words of terms.
    pub(super) fn new(rows: usize, words: usize) -> Self {
        // A few more: at a power of two the rows would drive each other out of the cache.
        let stride = words.next_multiple_of(MAX_LANES) + MAX_LANES;
        Self {
            words: Scratch::new(rows * stride),
            rows: vec![N::Row::default(); rows],
            turned: Vec::new(),
            stride,
        }
    }

    /// How many rows.
    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    /// Rounds the terms of `words` words from `first_term` on of the rows from `first_row` on.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(
        &mut self,
        simd: S,
        product: &Product<'_, N>,
        first_row: usize,
        [first_term, words]: [usize; 2],
    ) {
        if let Some(piece) = product.piece {
            return self.fill_turned(simd, product, (first_row, piece), [first_term, words]);
        }
        let rows = product.input[first_row * product.terms..].chunks(product.terms);
        let targets = self.words.chunks_exact_mut(self.stride);
        for ((row, target), of) in rows.zip(targets).zip(&mut self.rows) {
            let row = &row[first_term..][..N::WORD * words];
            *of = N::round(simd, row, &mut target[..words]);
        }
    }

    /// As [`Self::fill`], of an input that has the terms of so many rows in each of its pieces, and a row's beside its neighbours'.
    #[inline(always)]
    fn fill_turned<S: Simd>(
        &mut self,
        simd: S,
        product: &Product<'_, N>,
        (first_row, piece): (usize, usize),
        [first_term, words]: [usize; 2],
    ) {
        let terms = N::WORD * words;
        self.turned.resize(S::LANES * terms, 0.0);
        let targets = self.words.chunks_exact_mut(self.stride);
        let mut targets = targets.zip(&mut self.rows);
        for row in (first_row..first_row + targets.len()).step_by(S::LANES) {
            let first = (row / piece * product.terms + first_term) * piece + row % piece;
            let source = &product.input[first..];
            assert!(source.len() >= (terms - 1) * piece + S::LANES);
            let rows = (self.turned.as_mut_ptr(), terms);
            // SAFETY: as asserted, and there is room for as many rows.
            unsafe {
                let one = simd.splat(1.0);
                from_lanes(simd, (source.as_ptr(), piece), (S::LANES, terms), one, rows);
            }
            for row in self.turned.chunks_exact(terms) {
                if let Some((target, of)) = targets.next() {
                    *of = N::round(simd, row, &mut target[..words]);
                }
            }
        }
    }
}

/// A tile's width of columns that the products of some terms are added to.
pub(super) struct Panel<'a, N> {
    pub(super) product: &'a Product<'a, N>,
    /// The first row of the sums, from the first of the columns on, and the distance to the next.
    pub(super) target: Target,
    pub(super) stride: usize,
    /// The first of the columns of the weights, and how many.
    pub(super) column: usize,
    pub(super) columns: usize,
    /// The first of the terms, with which the sums begin, and how many words of them.
    pub(super) first_term: usize,
    pub(super) words: usize,
    /// The weights that are wanted next: the first term, and the first column.
    pub(super) next: [usize; 2],
}

impl<N: Numbers> Panel<'_, N> {
    /// Fetches the part of the next weights that falls to `count` rows of `rows`, from `row` on: to make words of them then waits for nothing.
    #[inline(always)]
    fn prefetch<S: Simd>(&self, simd: S, row: usize, count: usize, rows: usize) {
        if self.product.weight.turned {
            return;
        }
        let [term, column] = self.next;
        let columns = self.product.columns;
        let terms = N::WORD * self.words;
        let start = self.product.weight.numbers.as_ptr();
        for at in terms * row / rows..terms * (row + count) / rows {
            let weights = start.wrapping_add((term + at) * columns + column);
            for line in (0..width::<S>()).step_by(LINE / size_of::<N>()) {
                simd.prefetch(weights.wrapping_add(line).cast());
            }
        }
    }

    /// Makes words of the weights: a row those of the same terms.
    #[inline(always)]
    pub(super) fn join<S: Simd>(&self, simd: S, target: &mut [u32]) {
        let product = self.product;
        if product.weight.turned {
            return self.join_turned(simd, target);
        }
        let weight = &product.weight.numbers[self.first_term * product.columns + self.column..];
        let terms = N::WORD * self.words;
        assert!(weight.len() >= (terms - 1) * product.columns + self.columns);
        assert!(target.len() >= self.words * width::<S>());
        let whole = self.columns - self.columns % S::LANES;
        for word in 0..self.words {
            // SAFETY: as asserted.
            unsafe {
                let first = weight.as_ptr().add(N::WORD * word * product.columns);
                let target = target.as_mut_ptr().add(word * width::<S>());
                for at in (0..whole).step_by(S::LANES) {
                    let words = N::vector(simd, first.add(at), product.columns);
                    simd.store_words(target.add(at), words);
                }
                for at in whole..self.columns {
                    *target.add(at) = N::word(first.add(at), product.columns);
                }
            }
        }
    }

    /// As [`Self::join`], of weights that have the terms of a column side by side, as the words have them.
    #[inline(always)]
    fn join_turned<S: Simd>(&self, simd: S, target: &mut [u32]) {
        let terms = self.product.terms;
        let weight = &self.product.weight.numbers[self.column * terms + self.first_term..];
        assert!(weight.len() >= (self.columns - 1) * terms + N::WORD * self.words);
        assert!(target.len() >= self.words * width::<S>());
        for at in (0..self.columns).step_by(S::LANES) {
            for word in (0..self.words).step_by(S::LANES) {
                let words = S::LANES.min(self.words - word);
                let mut vectors = [simd.splat(0.0); MAX_LANES];
                let columns = S::LANES.min(self.columns - at);
                for (index, vector) in vectors.iter_mut().enumerate().take(columns) {
                    let column = weight[(at + index) * terms + N::WORD * word..].as_ptr();
                    // SAFETY: so many words of the column; moved as they are, whatever number their bits would be.
                    *vector = unsafe { simd.load_where(column.cast(), lanes::<S>(words)) };
                }
                transpose(simd, &mut vectors);
                for (index, vector) in vectors.into_iter().enumerate().take(words) {
                    let target = &mut target[(word + index) * width::<S>() + at..][..S::LANES];
                    // SAFETY: a vector of words.
                    unsafe { simd.store(target.as_mut_ptr().cast(), vector) };
                }
            }
        }
    }

    /// Adds the products of the rounded rows with the weights.
    ///
    /// # Safety
    ///
    /// The sums must have as many rows, and nobody else may hold them.
    #[inline(always)]
    pub(super) unsafe fn multiply<S: Simd>(&self, simd: S, rounded: &Rounded<N>, right: &[u32]) {
        assert!(self.words <= rounded.stride);
        assert!(right.len() >= self.words * width::<S>());
        let factors = Factors {
            panel: self,
            left: rounded,
            right: right.as_ptr(),
        };
        // SAFETY: as asserted; the rest is the caller's.
        unsafe {
            for_tiles!(S, rounded.rows.len(), |row| add_rows(simd, &factors, row));
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
        (row, of): (usize, N::Row),
        products: [S::Vector; VECTORS],
    ) {
        // SAFETY: the caller's.
        let target = unsafe { self.target.at(row * self.stride) };
        let before = if self.first_term == 0 {
            self.product.bias[self.column..][..self.columns].as_ptr()
        } else {
            target.cast_const()
        };
        let scales = (self.product.weight.scales.as_ptr()).wrapping_add(self.column);
        for (index, products) in products.into_iter().enumerate() {
            let at = index * S::LANES;
            let count = S::LANES.min(self.columns - at);
            let lanes = lanes::<S>(count);
            // SAFETY: so many columns are readable and writable; of a vector that is not whole, only those.
            unsafe {
                let before = simd.load_where(before.add(at), lanes);
                let scales = scales.wrapping_add(at);
                let sum = N::add(simd, products, before, of, scales, lanes);
                if count == S::LANES {
                    simd.store(target.add(at), sum);
                } else {
                    let mut rest = [0.0; MAX_LANES];
                    simd.store(rest.as_mut_ptr(), sum);
                    (target.add(at)).copy_from_nonoverlapping(rest.as_ptr(), count);
                }
            }
        }
    }
}

/// The factors of a panel's products.
struct Factors<'a, N: Numbers> {
    panel: &'a Panel<'a, N>,
    left: &'a Rounded<N>,
    right: *const u32,
}

impl<N: Numbers> Factors<'_, N> {
    /// Adds `ROWS` rows of products, of columns that fill so many vectors.
    ///
    /// # Safety
    ///
    /// As [`add_rows`].
    #[inline(always)]
    unsafe fn add<S: Simd, const ROWS: usize, const VECTORS: usize>(&self, simd: S, row: usize) {
        let Self { panel, left, right } = *self;
        let of = &left.rows[row..][..ROWS];
        let words = left.words[row * left.stride..].as_ptr();
        for index in 0..ROWS {
            let target = panel.target.0.wrapping_add((row + index) * panel.stride);
            prefetch_row(simd, target);
        }
        // SAFETY: the caller's.
        unsafe {
            let products = N::multiply::<S, ROWS, VECTORS>(
                simd,
                [words, right],
                left.stride,
                of.as_ptr(),
                panel.words,
                &mut (),
            );
            for (index, products) in products.into_iter().enumerate() {
                panel.add(simd, (row + index, of[index]), products);
            }
        }
    }
}

/// Adds the products of `ROWS` rows to the sums, from `row` on.
///
/// # Safety
///
/// There must be as many rounded rows, of as many words as the panel has; `right` must be readable for as many rows of a tile's width,
/// and the sums must have so many rows from `row` on.
#[inline(always)]
unsafe fn add_rows<S: Simd, const ROWS: usize>(
    simd: S,
    factors: &Factors<'_, impl Numbers>,
    row: usize,
) {
    factors
        .panel
        .prefetch(simd, row, ROWS, factors.left.rows.len());
    // SAFETY: the caller's.
    unsafe {
        match factors.panel.columns.div_ceil(S::LANES) {
            1 => factors.add::<S, ROWS, 1>(simd, row),
            2 => factors.add::<S, ROWS, 2>(simd, row),
            _ => factors.add::<S, ROWS, TILE_VECTORS>(simd, row),
        }
    }
}
