//! The inner loop: a tile of sums that stays in registers.

use super::numbers::Numbers;
use crate::flex::simd::Simd;

/// A product of matrices, of some rows and a few vectors of columns.
pub(super) struct Panel<'a> {
    /// For each row, one of each word.
    pub(super) left: &'a [u32],
    /// From a row of the left factor to the next.
    pub(super) row: usize,
    /// From the left factor to that of the next group of rows, which may lie behind all of them.
    pub(super) group: usize,
    /// For each word, one of each tile; and what stands behind them.
    pub(super) right: &'a [u32],
    /// For each row, one of each tile.
    pub(super) sums: &'a mut [f32],
    pub(super) words: usize,
    pub(super) pitch: usize,
}

impl Panel<'_> {
    /// Multiplies `ROWS` rows with `VECTORS` vectors of tiles.
    ///
    /// # Panics
    ///
    /// If a factor or the sums are shorter than that.
    #[inline(always)]
    pub(super) fn multiply<S: Simd, N: Numbers, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
    ) {
        let (words, pitch) = (self.words, self.pitch);
        assert!(self.left.len() >= (ROWS - 1) * self.row + words + N::MORE);
        assert!(self.right.len() >= words * pitch + VECTORS * S::LANES);
        assert!(self.sums.len() >= (ROWS - 1) * pitch + VECTORS * S::LANES);
        let (left, mut right) = (self.left.as_ptr(), self.right.as_ptr());
        let (more, next) = (left.wrapping_add(words), left.wrapping_add(self.group));
        // SAFETY: as asserted.
        let mut sums = [[unsafe { N::begin(simd, more) }; VECTORS]; ROWS];
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: as asserted.
            *sums = [unsafe { N::begin(simd, more.add(row * self.row)) }; VECTORS];
        }
        for word in 0..words {
            let mut rows = [left; ROWS];
            // SAFETY: as asserted.
            unsafe {
                for (index, row) in rows.iter_mut().enumerate() {
                    *row = left.add(index * self.row + word);
                }
                // The next kernels come from a level-3 cache or from memory, in rows too short for the processor to fetch them in time.
                simd.prefetch(next.wrapping_add(ROWS * word).cast());
                N::add_products(simd, rows, right, &mut sums);
                right = right.wrapping_add(pitch);
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (index, sum) in sums.into_iter().enumerate() {
                // SAFETY: as asserted.
                unsafe {
                    let target = self.sums.as_mut_ptr().add(row * pitch + index * S::LANES);
                    let of_tiles = right.add(index * S::LANES);
                    let sum = N::finish(simd, sum, more.add(row * self.row), of_tiles);
                    simd.store(target, sum);
                }
            }
        }
    }
}
