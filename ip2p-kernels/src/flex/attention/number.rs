//! The types that keys and values may have, and how products with them are made.

use burn::backend::flex::FlexTensor;
use burn::tensor::bf16;

use super::Head;
use crate::flex::simd::{self, Simd, TILE_VECTORS};
use crate::flex::tile::{
    Factors, Left, LeftPairs, Paired, Plain, Scratch, load_row, store_row, width, zip_rows,
};

/// A type of keys and values.
pub(super) trait Number: Copy + Send + Sync {
    /// What the right factor of a product is made of.
    type Packed;
    /// Both factors of a product.
    type Factors: Factors;
    /// The memory that a task needs for factors.
    type Room;

    /// The numbers of a tensor of this type.
    fn numbers(x: &FlexTensor) -> &[Self];

    /// Room for so many keys.
    fn room(keys: usize, width: usize, value_dim: usize) -> Self::Room;

    /// Queries, a row a number of theirs, as the right factor.
    fn pack<S: Simd>(simd: S, queries: Scratch) -> Scratch<Self::Packed>;

    /// Makes ready what is the same for all queries.
    ///
    /// # Safety
    ///
    /// The head must have so many keys from the first on, and the room be for so many.
    unsafe fn prepare<S: Simd>(
        simd: S,
        head: &Head<Self>,
        first_key: usize,
        keys: usize,
        room: &mut Self::Room,
    );

    /// The factors of the scores: keys, and packed queries.
    ///
    /// # Safety
    ///
    /// The head must have the key.
    unsafe fn scores(
        head: &Head<Self>,
        first_key: usize,
        queries: &[Self::Packed],
    ) -> Self::Factors;

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
        head: &Head<Self>,
        first_key: usize,
        keys: usize,
        scores: &[f32],
        room: &Self::Room,
    ) -> Self::Factors;
}

/// Read where they lie.
impl Number for f32 {
    type Packed = f32;
    type Factors = Plain;
    type Room = ();

    fn numbers(x: &FlexTensor) -> &[f32] {
        x.storage()
    }

    fn room(_: usize, _: usize, _: usize) {}

    #[inline(always)]
    fn pack<S: Simd>(_: S, queries: Scratch) -> Scratch {
        queries
    }

    #[inline(always)]
    unsafe fn prepare<S: Simd>(_: S, _: &Head<Self>, _: usize, _: usize, (): &mut ()) {}

    #[inline(always)]
    unsafe fn scores(head: &Head<Self>, first_key: usize, queries: &[f32]) -> Plain {
        Plain {
            left: Left {
                // SAFETY: the caller's.
                start: unsafe { head.k.at(first_key) },
                row_stride: head.k.stride,
                term_stride: 1,
            },
            right: queries.as_ptr(),
            terms: head.dim,
        }
    }

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
        head: &Head<Self>,
        first_key: usize,
        keys: usize,
        scores: &[f32],
        (): &(),
    ) -> Plain {
        Plain {
            left: Left {
                // SAFETY: the caller's.
                start: unsafe { head.v.at(first_key) },
                row_stride: 1,
                term_stride: head.v.stride,
            },
            right: scores.as_ptr(),
            terms: keys,
        }
    }
}

/// Values and weights of two keys side by side.
pub(super) struct PairRoom {
    /// `[keys / 2, value_dim]`.
    values: Scratch<u32>,
    /// `[keys / 2, width]`.
    weights: Scratch<u32>,
}

/// Keys are read where they lie; values, queries and weights are paired.
impl Number for bf16 {
    type Packed = u32;
    type Factors = Paired;
    type Room = PairRoom;

    fn numbers(x: &FlexTensor) -> &[Self] {
        x.storage()
    }

    fn room(keys: usize, width: usize, value_dim: usize) -> PairRoom {
        PairRoom {
            values: Scratch::new(keys.div_ceil(2) * value_dim),
            weights: Scratch::new(keys.div_ceil(2) * width),
        }
    }

    #[inline(always)]
    fn pack<S: Simd>(simd: S, queries: Scratch) -> Scratch<u32> {
        let mut packed = Scratch::new(queries.len() / 2);
        pair_rows(simd, &queries, &mut packed);
        packed
    }

    #[inline(always)]
    unsafe fn prepare<S: Simd>(
        simd: S,
        head: &Head<Self>,
        first_key: usize,
        keys: usize,
        room: &mut PairRoom,
    ) {
        let dim = head.value_dim;
        let values = |key: usize| {
            // SAFETY: the caller's.
            unsafe { std::slice::from_raw_parts(head.v.at(first_key + key), dim) }
        };
        for (pair, target) in room
            .values
            .chunks_exact_mut(dim)
            .take(keys.div_ceil(2))
            .enumerate()
        {
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
    unsafe fn scores(head: &Head<Self>, first_key: usize, queries: &[u32]) -> Paired {
        Paired {
            left: LeftPairs {
                // SAFETY: the caller's.
                start: unsafe { head.k.at(first_key) }.cast(),
                row_stride: head.k.stride,
                pair_stride: 2,
            },
            right: queries.as_ptr(),
            pairs: head.dim / 2,
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
        head: &Head<Self>,
        _: usize,
        keys: usize,
        _: &[f32],
        room: &PairRoom,
    ) -> Paired {
        Paired {
            left: LeftPairs {
                start: room.values.as_ptr().cast(),
                row_stride: 2,
                pair_stride: 2 * head.value_dim,
            },
            right: room.weights.as_ptr(),
            pairs: keys.div_ceil(2),
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
