//! The types that keys may have, and how queries are multiplied with them.

use burn::tensor::bf16;

use super::Rows;
use crate::flex::scratch::Scratch;
use crate::flex::simd::Simd;
use crate::flex::tile::{Factors, Left, LeftPairs, Paired, Plain, load_row, width};

/// The keys of a head.
pub(super) trait Keys: Copy + Send + Sync {
    /// Queries as the right factor of a product.
    type Queries;
    /// Both factors of a product.
    type Factors: Factors;

    /// Room for a tile's width of queries, of so many numbers.
    fn room(dim: usize, width: usize) -> Self::Queries;

    /// Makes queries, a row a number of theirs, the right factor; what is in `queries` afterwards does not matter.
    fn pack<S: Simd>(simd: S, queries: &mut Scratch, packed: &mut Self::Queries);

    /// The factors of the scores: keys from the first on, each of `dim` numbers, and queries of as many, which must outlive them.
    ///
    /// # Safety
    ///
    /// There must be such a key, of so many numbers.
    unsafe fn scores(self, first_key: usize, dim: usize, queries: &Self::Queries) -> Self::Factors;
}

/// Read where they lie.
impl Keys for Rows<f32> {
    type Queries = Scratch;
    type Factors = Plain;

    fn room(dim: usize, width: usize) -> Scratch {
        Scratch::new(dim * width)
    }

    #[inline(always)]
    fn pack<S: Simd>(_: S, queries: &mut Scratch, packed: &mut Scratch) {
        std::mem::swap(queries, packed);
    }

    #[inline(always)]
    unsafe fn scores(self, first_key: usize, dim: usize, queries: &Scratch) -> Plain {
        Plain {
            left: Left {
                // SAFETY: the caller's.
                start: unsafe { self.at(first_key) },
                row_stride: self.stride,
                term_stride: 1,
            },
            right: queries.as_ptr(),
            terms: dim,
        }
    }
}

/// Read where they lie; queries are paired.
impl Keys for Rows<bf16> {
    type Queries = Scratch<u32>;
    type Factors = Paired;

    fn room(dim: usize, width: usize) -> Scratch<u32> {
        Scratch::new(dim / 2 * width)
    }

    #[inline(always)]
    fn pack<S: Simd>(simd: S, queries: &mut Scratch, packed: &mut Scratch<u32>) {
        pair_rows(simd, queries, packed);
    }

    #[inline(always)]
    unsafe fn scores(self, first_key: usize, dim: usize, queries: &Scratch<u32>) -> Paired {
        Paired {
            left: LeftPairs {
                // SAFETY: the caller's.
                start: unsafe { self.at(first_key) }.cast(),
                row_stride: self.stride,
                term_stride: 2,
            },
            right: queries.as_ptr(),
            pairs: dim / 2,
        }
    }
}

/// Rounds rows of a tile's width, and puts two at a time into one.
#[inline(always)]
fn pair_rows<S: Simd>(simd: S, rows: &[f32], target: &mut [u32]) {
    let width = width::<S>();
    for (rows, target) in rows
        .chunks_exact(2 * width)
        .zip(target.chunks_exact_mut(width))
    {
        let (first, second) = rows.split_at(width);
        // SAFETY: all three are as wide.
        unsafe {
            let (first, second) = (
                load_row(simd, first.as_ptr()),
                load_row(simd, second.as_ptr()),
            );
            for (index, (first, second)) in first.into_iter().zip(second).enumerate() {
                let pairs = simd.pair(first, second);
                simd.store_words(target.as_mut_ptr().add(index * S::LANES), pairs);
            }
        }
    }
}
