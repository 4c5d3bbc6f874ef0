//! A linear layer whose output has its columns one after the other, each with a number for every row.

use super::Part;
use super::numbers::Numbers;
use super::rows::Rows;
use crate::flex::scratch::Scratch;
use crate::flex::simd::{Kernel, Simd};
use crate::flex::tile::width;
use crate::flex::turned::to_lanes;

/// Some rows of some columns of the output.
pub(super) struct Turned<'a, N> {
    pub(super) part: Part<'a, N>,
    /// How many rows lie beside each other in the output: whole vectors.
    pub(super) piece: usize,
}

impl<N: Numbers> Kernel for Turned<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { part, piece } = self;
        let width = width::<S>();
        assert!(piece.is_multiple_of(S::LANES) && part.rows.is_multiple_of(S::LANES));
        let mut rows = Rows::new(simd, &part);
        let mut sums = Scratch::<f32>::new(part.rows * width);
        for offset in (0..part.columns).step_by(width) {
            let (column, columns) = (part.first_column + offset, width.min(part.columns - offset));
            rows.multiply(simd, [column, columns, column + width], &mut sums);
            for (index, sums) in sums.chunks_exact(S::LANES * width).enumerate() {
                let row = part.first_row + index * S::LANES;
                // SAFETY: so many rows of sums and of the output, where they lie in one piece; they are this task's alone.
                unsafe {
                    let place = (row / piece * part.product.columns + column) * piece + row % piece;
                    let (source, target) = ((sums.as_ptr(), width), part.target.at(place));
                    let size = (S::LANES, columns);
                    to_lanes(simd, source, size, simd.splat(1.0), (target, piece));
                }
            }
        }
    }
}
