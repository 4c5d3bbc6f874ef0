//! The types that values may have, and how they are weighed.

use burn::tensor::bf16;

use super::Rows;
use crate::flex::scratch::Scratch;
use crate::flex::simd::{self, PAIR_ONE, Simd, TILE_VECTORS};
use crate::flex::tile::{Factors, Left, LeftPairs, Paired, Plain, load_row, width, zip_rows};

/// The values of a head.
pub(super) trait Values: Copy + Send + Sync {
    /// By how much a score is more whose weight is twice as much.
    const OCTAVE: f32;
    /// The score whose weight is 1.
    const EQUAL: f32;
    /// Both factors of a product.
    type Factors: Factors;
    /// The memory that a task needs for factors.
    type Room;

    /// Room for values of so many keys, of `dim` numbers each, and for weights of some of them.
    fn room(keys: usize, dim: usize, weights: [usize; 2]) -> Self::Room;

    /// Makes ready what is the same for all queries.
    ///
    /// # Safety
    ///
    /// There must be so many values, of `dim` numbers each, and the room be for as many.
    unsafe fn prepare<S: Simd>(self, simd: S, keys: usize, dim: usize, room: &mut Self::Room);

    /// Makes the weights of two keys of a vector of their scores each: that of [`Self::EQUAL`] is 1, and [`Self::OCTAVE`] more is twice as
    /// much. Places count vectors, a tile's width for every two keys.
    ///
    /// # Safety
    ///
    /// The room must have such a place.
    unsafe fn weigh<S: Simd>(simd: S, scores: [S::Vector; 2], place: usize, room: &mut Self::Room);

    /// The sums of the weights of so many keys.
    ///
    /// # Safety
    ///
    /// The room must be for so many keys.
    unsafe fn total<S: Simd>(simd: S, keys: usize, room: &Self::Room) -> [S::Vector; TILE_VECTORS];

    /// The factors of the sums of values: values, a row a number of theirs, and weights, a row a key, that [`Self::weigh`] has made.
    ///
    /// # Safety
    ///
    /// There must be so many keys from the first on, an even one, and of each `dim` numbers; [`Self::prepare`] must have been called
    /// for the head, and [`Self::weigh`] for these keys.
    unsafe fn weighed(
        self,
        first_key: usize,
        keys: usize,
        dim: usize,
        room: &Self::Room,
    ) -> Self::Factors;
}

/// Read where they lie.
impl Values for Rows<f32> {
    const OCTAVE: f32 = 1.0;
    const EQUAL: f32 = 0.0;
    type Factors = Plain;
    /// The weights, `[keys, width]`.
    type Room = Scratch;

    fn room(_: usize, _: usize, [keys, width]: [usize; 2]) -> Scratch {
        Scratch::new(keys * width)
    }

    #[inline(always)]
    unsafe fn prepare<S: Simd>(self, _: S, _: usize, _: usize, _: &mut Scratch) {}

    #[inline(always)]
    unsafe fn weigh<S: Simd>(simd: S, scores: [S::Vector; 2], place: usize, room: &mut Scratch) {
        let (pair, vector) = (place / TILE_VECTORS, place % TILE_VECTORS);
        for (row, score) in scores.into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe {
                let row = room.as_mut_ptr().add((2 * pair + row) * width::<S>());
                simd.store(row.add(vector * S::LANES), simd::exp2(simd, score));
            }
        }
    }

    #[inline(always)]
    unsafe fn total<S: Simd>(simd: S, keys: usize, room: &Scratch) -> [S::Vector; TILE_VECTORS] {
        let mut totals = [simd.splat(0.0); TILE_VECTORS];
        for key in 0..keys {
            // SAFETY: the caller's.
            let weights = unsafe { load_row(simd, room.as_ptr().add(key * width::<S>())) };
            for (total, weight) in totals.iter_mut().zip(weights) {
                *total = simd.add(*total, weight);
            }
        }
        totals
    }

    #[inline(always)]
    unsafe fn weighed(self, first_key: usize, keys: usize, _: usize, room: &Scratch) -> Plain {
        Plain {
            left: Left {
                // SAFETY: the caller's.
                start: unsafe { self.at(first_key) },
                row_stride: 1,
                term_stride: self.stride,
            },
            right: room.as_ptr(),
            terms: keys,
        }
    }
}

/// Values and weights of two keys side by side.
pub(super) struct PairRoom {
    /// `[keys / 2, dim]`, of all keys.
    values: Scratch<u32>,
    /// `[keys / 2, width]`, of some.
    weights: Scratch<u32>,
}

/// Values and weights are paired.
impl Values for Rows<bf16> {
    const OCTAVE: f32 = 128.0;
    const EQUAL: f32 = PAIR_ONE;
    type Factors = Paired;
    type Room = PairRoom;

    fn room(keys: usize, dim: usize, [weights, width]: [usize; 2]) -> PairRoom {
        PairRoom {
            values: Scratch::new(keys.div_ceil(2) * dim),
            weights: Scratch::new(weights.div_ceil(2) * width),
        }
    }

    #[inline(always)]
    unsafe fn prepare<S: Simd>(self, simd: S, keys: usize, dim: usize, room: &mut PairRoom) {
        let values = |key: usize| {
            // SAFETY: the caller's.
            unsafe { self.slice(key, dim) }
        };
        for (pair, target) in room.values.chunks_exact_mut(dim).enumerate() {
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
    unsafe fn weigh<S: Simd>(
        simd: S,
        [first, second]: [S::Vector; 2],
        place: usize,
        room: &mut PairRoom,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let target = room.weights.as_mut_ptr().add(place * S::LANES);
            simd.store_words(target, simd.exp2_pair(first, second));
        }
    }

    /// Of weights as the values meet them, so that what rounding adds to a weight is in the total too.
    #[inline(always)]
    unsafe fn total<S: Simd>(simd: S, keys: usize, room: &PairRoom) -> [S::Vector; TILE_VECTORS] {
        /// So many sums go on while one waits for its last product.
        const CHAINS: usize = 4;
        let one = u32::from(bf16::ONE.to_bits());
        let ones = simd.splat_word(one | one << 16);
        let pairs = keys.div_ceil(2);
        let mut chains = [[simd.splat(0.0); TILE_VECTORS]; CHAINS];
        for first in (0..pairs).step_by(CHAINS) {
            for (chain, totals) in chains.iter_mut().enumerate().take(pairs - first) {
                let weights = (first + chain) * width::<S>();
                for (index, total) in totals.iter_mut().enumerate() {
                    // SAFETY: the caller's.
                    let weights = unsafe {
                        simd.load_words(room.weights.as_ptr().add(weights + index * S::LANES))
                    };
                    *total = simd.dot(weights, ones, *total);
                }
            }
        }
        let [mut totals, others @ ..] = chains;
        for other in others {
            for (total, other) in totals.iter_mut().zip(other) {
                *total = simd.add(*total, other);
            }
        }
        totals
    }

    #[inline(always)]
    unsafe fn weighed(self, first_key: usize, keys: usize, dim: usize, room: &PairRoom) -> Paired {
        Paired {
            left: LeftPairs {
                start: room.values[first_key / 2 * dim..].as_ptr().cast(),
                row_stride: 2,
                term_stride: 2 * dim,
            },
            right: room.weights.as_ptr(),
            pairs: keys.div_ceil(2),
        }
    }
}
