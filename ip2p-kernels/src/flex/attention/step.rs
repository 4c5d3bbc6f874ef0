//! One step over the keys: scores, weights, and the weighted sum of values.

use super::super::simd::{self, MAX_LANES, Simd, TILE_VECTORS};
use super::super::tile::{Factors, for_tiles, load_row, store_row, width};
use super::keys::Keys;
use super::values::Values;
use super::{Block, Head};

/// Some keys.
pub(super) struct Seen {
    /// The first.
    pub(super) first_key: usize,
    /// How many; at most [`super::KEYS`].
    pub(super) keys: usize,
    /// How many of them the first query of the block sees, where it does not see all keys there are; negative where the first that
    /// sees one comes after it.
    pub(super) visible: Option<isize>,
}

impl Seen {
    /// Takes these keys and their values into a block.
    #[inline(always)]
    pub(super) fn extend<S: Simd, K: Keys, V: Values>(
        &self,
        simd: S,
        head: &Head<K, V>,
        block: &mut Block<K>,
        scores: &mut [f32],
        room: &mut V::Room,
    ) {
        let width = width::<S>();
        if self
            .visible
            .is_some_and(|visible| visible + width.cast_signed() <= 1)
        {
            return; // not even the last query sees one
        }
        let greatest = self.score(simd, head, block, scores);
        let mut shrink = [0.0; TILE_VECTORS * MAX_LANES];
        self.weigh::<S, K, V>(simd, block, greatest, scores, &mut shrink, room);
        let sums = block.sums.as_mut_ptr();
        // SAFETY: `keys` rows of values are left, `weigh` has made `keys` rows of weights, and `sums` has `value_dim` rows.
        unsafe {
            let dim = head.value_dim;
            let weighed = (head.v).weighed(self.first_key, self.keys, dim, scores, room);
            for_tiles!(S, dim, |first| add_values(
                simd,
                weighed.skip(first),
                sums.add(first * width),
                shrink.as_ptr(),
            ));
        }
    }

    /// Writes the scores of the keys, a row each, and gives the greatest of each query.
    #[inline(always)]
    fn score<S: Simd, K: Keys, V>(
        &self,
        simd: S,
        head: &Head<K, V>,
        block: &Block<K>,
        scores: &mut [f32],
    ) -> [S::Vector; TILE_VECTORS] {
        let width = width::<S>();
        // SAFETY: one of the head's keys.
        let factors = unsafe { (head.k).scores(self.first_key, head.dim, &block.queries) };
        let target = scores.as_mut_ptr();
        let mut greatest = [simd.splat(f32::NEG_INFINITY); TILE_VECTORS];
        // SAFETY: `keys` rows of keys are left, and `scores` has `KEYS` rows.
        unsafe {
            for_tiles!(S, self.keys, |first| score_keys(
                simd,
                factors.skip(first),
                target.add(first * width),
                &mut greatest,
            ));
        }
        let Some(visible) = self
            .visible
            .filter(|&visible| visible < self.keys.cast_signed())
        else {
            return greatest;
        };
        let mut greatest = [f32::NEG_INFINITY; TILE_VECTORS * MAX_LANES];
        for (key, row) in scores.chunks_exact_mut(width).take(self.keys).enumerate() {
            for (lane, (score, greatest)) in row.iter_mut().zip(&mut greatest).enumerate() {
                if key.cast_signed() >= visible + lane.cast_signed() {
                    *score = f32::NEG_INFINITY;
                }
                *greatest = greatest.max(*score);
            }
        }
        // SAFETY: as wide as the widest row.
        unsafe { load_row(simd, greatest.as_ptr()) }
    }

    /// Turns scores into weights, and tells by what the sums so far have to shrink now that a greater score is known.
    #[inline(always)]
    fn weigh<S: Simd, K: Keys, V: Values>(
        &self,
        simd: S,
        block: &mut Block<K>,
        greatest: [S::Vector; TILE_VECTORS],
        scores: &mut [f32],
        shrink: &mut [f32; TILE_VECTORS * MAX_LANES],
        room: &mut V::Room,
    ) {
        let mut totals = [simd.splat(0.0); TILE_VECTORS];
        let mut base = [simd.splat(0.0); TILE_VECTORS];
        // SAFETY: all three are as wide as the widest row, and `scores` has `KEYS` rows.
        unsafe {
            let before = load_row(simd, block.greatest.as_ptr());
            let total = load_row(simd, block.total.as_ptr());
            for index in 0..TILE_VECTORS {
                let now = simd.max(before[index], greatest[index]);
                store_at(simd, &mut block.greatest, index, now);
                // A query that has seen no key yet has -∞ here, and -∞ - -∞ is NaN.
                base[index] = simd.max(now, simd.splat(f32::MIN));
                let factor = simd::exp2(simd, simd.sub(before[index], base[index]));
                store_at(simd, shrink, index, factor);
                totals[index] = simd.mul(total[index], factor);
            }
            V::weigh(simd, scores, self.keys, base, &mut totals, room);
            store_row(simd, block.total.as_mut_ptr(), totals);
        }
    }
}

/// Writes the vector of a row that stands at `index`.
#[inline(always)]
fn store_at<S: Simd>(
    simd: S,
    row: &mut [f32; TILE_VECTORS * MAX_LANES],
    index: usize,
    vector: S::Vector,
) {
    // SAFETY: as wide as the widest row.
    unsafe { simd.store(row.as_mut_ptr().add(index * S::LANES), vector) };
}

/// The scores of `ROWS` keys.
///
/// # Safety
///
/// As for [`Factors::multiply`]; `ROWS` rows of `target` must be writable.
#[inline(always)]
unsafe fn score_keys<S: Simd, const ROWS: usize>(
    simd: S,
    factors: impl Factors,
    target: *mut f32,
    greatest: &mut [S::Vector; TILE_VECTORS],
) {
    // SAFETY: the caller's.
    let scores = unsafe { factors.multiply::<S, ROWS>(simd) };
    for (row, scores) in scores.into_iter().enumerate() {
        for (greatest, score) in greatest.iter_mut().zip(scores) {
            *greatest = simd.max(*greatest, score);
        }
        // SAFETY: the caller's.
        unsafe { store_row(simd, target.add(row * width::<S>()), scores) };
    }
}

/// Shrinks `ROWS` rows of `sums` and adds the values of some keys, each times its weight.
///
/// # Safety
///
/// As for [`Factors::multiply`]; `ROWS` rows of `sums` must be readable and writable, and one of `shrink` readable.
#[inline(always)]
unsafe fn add_values<S: Simd, const ROWS: usize>(
    simd: S,
    weighed: impl Factors,
    sums: *mut f32,
    shrink: *const f32,
) {
    // SAFETY: the caller's.
    unsafe {
        let shrink = load_row(simd, shrink);
        let products = weighed.multiply::<S, ROWS>(simd);
        for (row, mut products) in products.into_iter().enumerate() {
            let sums = sums.add(row * width::<S>());
            let before = load_row(simd, sums);
            for ((product, before), shrink) in products.iter_mut().zip(before).zip(shrink) {
                *product = simd.mul_add(before, shrink, *product);
            }
            store_row(simd, sums, products);
        }
    }
}
