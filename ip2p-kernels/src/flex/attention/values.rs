//! The types that values may have, and how they are weighed.

use burn::tensor::bf16;

use super::Rows;
use crate::flex::simd::{self, Simd, TILE_VECTORS};
use crate::flex::tile::{
    Factors, Left, LeftPairs, Paired, Plain, Scratch, load_row, store_row, width, zip_rows,
};

/// The values of a head.
pub(super) trait Values: Copy + Send + Sync {
    /// Both factors of a product.
    type Factors: Factors;
    /// The memory that a task needs for factors.
    type Room;

    /// Room for so many values of so many numbers.
    fn room(keys: usize, width: usize, dim: usize) -> Self::Room;

    /// Makes ready what is the same for all queries.
    ///
    /// # Safety
    ///
    /// There must be so many values from the first on, of `dim` numbers each, and the room be for so many.
    unsafe fn prepare<S: Simd>(
        self,
        simd: S,
        first_key: usize,
        keys: usize,
        dim: usize,
        room: &mut Self::Room,
    );

    /// Turns the scores of keys, a row each, into weights: 2 to the power of what each is above `base`, whose sums are added to `totals`.
    ///
    /// # Panics
    ///
    /// If there are fewer scores than those of an even number of keys.
    fn weigh<S: Simd>(
        simd: S,
        scores: &mut [f32],
        keys: usize,
        base: [S::Vector; TILE_VECTORS],
        totals: &mut [S::Vector; TILE_VECTORS],
        room: &mut Self::Room,
    );

    /// The factors of the sums of values: values, a row a number of theirs, and weights, a row a key, that [`Self::weigh`] has made of
    /// `scores`.
    ///
    /// # Safety
    ///
    /// As for [`Self::prepare`], which must have been called for these keys, and so must [`Self::weigh`].
    unsafe fn weighed(
        self,
        first_key: usize,
        keys: usize,
        dim: usize,
        scores: &[f32],
        room: &Self::Room,
    ) -> Self::Factors;
}

/// Read where they lie.
impl Values for Rows<f32> {
    type Factors = Plain;
    type Room = ();

    fn room(_: usize, _: usize, _: usize) {}

    #[inline(always)]
    unsafe fn prepare<S: Simd>(self, _: S, _: usize, _: usize, _: usize, (): &mut ()) {}

    #[inline(always)]
    fn weigh<S: Simd>(
        simd: S,
        scores: &mut [f32],
        keys: usize,
        base: [S::Vector; TILE_VECTORS],
        totals: &mut [S::Vector; TILE_VECTORS],
        (): &mut (),
    ) {
        for row in scores.chunks_exact_mut(width::<S>()).take(keys) {
            // SAFETY: a row of a tile.
            unsafe {
                let mut weights = load_row(simd, row.as_ptr());
                for index in 0..TILE_VECTORS {
                    let above = simd.sub(weights[index], base[index]);
                    weights[index] = simd::exp2(simd, above);
                    totals[index] = simd.add(totals[index], weights[index]);
                }
                store_row(simd, row.as_mut_ptr(), weights);
            }
        }
    }

    #[inline(always)]
    unsafe fn weighed(
        self,
        first_key: usize,
        keys: usize,
        _: usize,
        scores: &[f32],
        (): &(),
    ) -> Plain {
        Plain {
            left: Left {
                // SAFETY: the caller's.
                start: unsafe { self.at(first_key) },
                row_stride: 1,
                term_stride: self.stride,
            },
            right: scores.as_ptr(),
            terms: keys,
        }
    }
}

/// Values and weights of two keys side by side.
pub(super) struct PairRoom {
    /// `[keys / 2, dim]`.
    values: Scratch<u32>,
    /// `[keys / 2, width]`.
    weights: Scratch<u32>,
}

/// Values and weights are paired.
impl Values for Rows<bf16> {
    type Factors = Paired;
    type Room = PairRoom;

    fn room(keys: usize, width: usize, dim: usize) -> PairRoom {
        PairRoom {
            values: Scratch::new(keys.div_ceil(2) * dim),
            weights: Scratch::new(keys.div_ceil(2) * width),
        }
    }

    #[inline(always)]
    unsafe fn prepare<S: Simd>(
        self,
        simd: S,
        first_key: usize,
        keys: usize,
        dim: usize,
        room: &mut PairRoom,
    ) {
        let values = |key: usize| {
            // SAFETY: the caller's.
            unsafe { self.slice(first_key + key, dim) }
        };
        let pairs = room.values.chunks_exact_mut(dim).take(keys.div_ceil(2));
        for (pair, target) in pairs.enumerate() {
            let first = values(2 * pair);
            if 2 * pair + 1 == keys {
                // The last of an odd count has 0 beside it.
                for (target, &first) in target.iter_mut().zip(first) {
                    *target = u32::from(first.to_bits());
                }
                continue;
            }
            zip_rows(simd, first, values(2 * pair + 1), target);
        }
    }

    #[inline(always)]
    fn weigh<S: Simd>(
        simd: S,
        scores: &mut [f32],
        keys: usize,
        base: [S::Vector; TILE_VECTORS],
        totals: &mut [S::Vector; TILE_VECTORS],
        room: &mut PairRoom,
    ) {
        let width = width::<S>();
        if keys % 2 == 1 {
            scores[keys * width..][..width].fill(f32::NEG_INFINITY);
        }
        let pairs = scores.chunks_exact(2 * width).take(keys.div_ceil(2));
        for (rows, target) in pairs.zip(room.weights.chunks_exact_mut(width)) {
            // SAFETY: rows of a tile.
            unsafe {
                let first = load_row(simd, rows.as_ptr());
                let second = load_row(simd, rows[width..].as_ptr());
                for index in 0..TILE_VECTORS {
                    let first = simd::exp2_short(simd, simd.sub(first[index], base[index]));
                    let second = simd::exp2_short(simd, simd.sub(second[index], base[index]));
                    totals[index] = simd.add(totals[index], simd.add(first, second));
                    let target = target.as_mut_ptr().add(index * S::LANES);
                    simd.store_words(target, simd.pair(first, second));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn weighed(
        self,
        _: usize,
        keys: usize,
        dim: usize,
        _: &[f32],
        room: &PairRoom,
    ) -> Paired {
        Paired {
            left: LeftPairs {
                start: room.values.as_ptr().cast(),
                row_stride: 2,
                term_stride: 2 * dim,
            },
            right: room.weights.as_ptr(),
            pairs: keys.div_ceil(2),
        }
    }
}
