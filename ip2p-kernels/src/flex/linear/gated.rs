//! A linear layer whose output is gated.
//!
//! A task makes the values and the gates of the same columns one after the other, so that neither leaves the cache.

use super::Part;
use super::numbers::Numbers;
use super::rows::Rows;
use crate::flex::scratch::Scratch;
use crate::flex::simd::{self, Kernel, Simd, map};
use crate::flex::tile::width;

/// Some rows of some columns of the output, which are half as many as the product's.
pub(super) struct Gated<'a, N>(pub(super) Part<'a, N>);

impl<N: Numbers> Kernel for Gated<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(part) = self;
        let width = width::<S>();
        let all_columns = part.product.columns / 2;
        let mut rows = Rows::new(simd, &part);
        let mut sums = [(); 2].map(|()| Scratch::<f32>::new(part.rows * width));
        for offset in (0..part.columns).step_by(width) {
            let (column, columns) = (part.first_column + offset, width.min(part.columns - offset));
            let [values, gates] = &mut sums;
            let gate = all_columns + column;
            rows.multiply(simd, [column, columns, gate], values);
            rows.multiply(simd, [gate, columns, column + width], gates);
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
