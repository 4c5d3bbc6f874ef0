//! One step over the keys: scores, weights, and the weighted sum of values.

use super::super::simd::{self, MAX_LANES, Simd, TILE_VECTORS};
use super::super::tile::{Beside, Factors, for_low_tiles, for_tiles, load_row, store_row, width};
use super::keys::Keys;
use super::values::Values;
use super::{Block, Head};

/// The greatest total of weights that is not begun anew: far from the greatest `f32`, and so are the sums of values then.
const MOST: f32 = (1_u64 << 40) as f32;

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
        let sees_all = self.visible.is_none() && self.first_key > 0;
        if !(sees_all && self.weigh_at_once(simd, head, block, room)) {
            let greatest = self.score(simd, head, block, scores);
            self.weigh::<S, K, V>(simd, block, greatest, scores, room);
        }
        let sums = block.sums.as_mut_ptr();
        // SAFETY: `keys` rows of values are left and have weights, and `sums` has `value_dim` rows.
        unsafe {
            let dim = head.value_dim;
            let weighed = (head.v).weighed(self.first_key, self.keys, dim, room);
            // In low tiles: what a tall one writes at once holds up the products after it, and here the terms are few.
            let mut first = 0;
            for_low_tiles!(
                S,
                dim,
                first,
                add_values(simd, weighed.skip(first), sums.add(first * width))
            );
        }
    }

    /// Turns scores into weights soon after they are known, without knowing the greatest of them: that of the keys before will do as long
    /// as no total becomes too great. Tells whether it did; otherwise nothing has changed but the room.
    #[inline(always)]
    fn weigh_at_once<S: Simd, K: Keys, V: Values>(
        &self,
        simd: S,
        head: &Head<K, V>,
        block: &mut Block<K>,
        room: &mut V::Room,
    ) -> bool {
        // SAFETY: one of the head's keys, of which `keys` rows are left; the vectors are as wide as the widest.
        unsafe {
            let factors = (head.k).scores(self.first_key, head.dim, &block.queries);
            let mut begin = load_row(simd, block.base.as_ptr());
            for begin in &mut begin {
                *begin = simd.sub(simd.splat(V::EQUAL), *begin);
            }
            self.weigh_tiles::<S, K, V>(simd, factors, begin, room);
            let mut totals = V::total(simd, self.keys, room);
            for (total, before) in totals.iter_mut().zip(load_row(simd, block.total.as_ptr())) {
                *total = simd.add(*total, before);
            }
            let mut after = [0.0; TILE_VECTORS * MAX_LANES];
            store_row(simd, after.as_mut_ptr(), totals);
            let within = after.iter().all(|&total| total <= MOST);
            if within {
                block.total = after;
            }
            within
        }
    }

    /// Turns the scores of these keys into weights, those of a tile beside the products of the next where there are registers for both.
    ///
    /// # Safety
    ///
    /// The left factor must have as many rows, and the room be for as many keys.
    #[inline(always)]
    unsafe fn weigh_tiles<S: Simd, K: Keys, V: Values>(
        &self,
        simd: S,
        factors: K::Factors,
        begin: [S::Vector; TILE_VECTORS],
        room: &mut V::Room,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let mut first = 0;
            if S::TILE_ROWS == 8 && self.keys >= TILE {
                let scores = factors.multiply(simd, [begin; TILE], &mut ());
                let weights = Weights::<V> { first, room };
                let mut before = Scores { scores, weights };
                first += TILE;
                while first + TILE <= self.keys {
                    let factors = factors.skip(first);
                    before.scores = factors.multiply(simd, [begin; TILE], &mut before);
                    before.weights.first = first;
                    first += TILE;
                }
                before.all(simd);
            }
            for_low_tiles!(
                S,
                self.keys,
                first,
                weigh_keys(
                    simd,
                    factors.skip(first),
                    begin,
                    Weights::<V> { first, room }
                )
            );
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

    /// Turns scores into weights, and shrinks the sums so far now that a greater score is known.
    #[inline(always)]
    fn weigh<S: Simd, K: Keys, V: Values>(
        &self,
        simd: S,
        block: &mut Block<K>,
        greatest: [S::Vector; TILE_VECTORS],
        scores: &[f32],
        room: &mut V::Room,
    ) {
        let width = width::<S>();
        let mut totals = [simd.splat(0.0); TILE_VECTORS];
        let mut base = [simd.splat(0.0); TILE_VECTORS];
        let mut shrink = [simd.splat(0.0); TILE_VECTORS];
        // SAFETY: all are as wide as the widest row, and `scores` has `KEYS` rows.
        unsafe {
            let before = load_row(simd, block.base.as_ptr());
            let total = load_row(simd, block.total.as_ptr());
            for index in 0..TILE_VECTORS {
                let now = simd.max(before[index], greatest[index]);
                store_at(simd, &mut block.base, index, now);
                // A query that has seen no key yet has -∞ here, and -∞ - -∞ is NaN.
                base[index] = simd.max(now, simd.splat(f32::MIN));
                let above = simd.sub(before[index], base[index]);
                shrink[index] = simd::exp2(simd, simd.mul(above, simd.splat(1.0 / V::OCTAVE)));
                totals[index] = simd.mul(total[index], shrink[index]);
            }
            for row in block.sums.chunks_exact_mut(width) {
                let mut sums = load_row(simd, row.as_ptr());
                for (sum, shrink) in sums.iter_mut().zip(shrink) {
                    *sum = simd.mul(*sum, shrink);
                }
                store_row(simd, row.as_mut_ptr(), sums);
            }
            let none = [simd.splat(f32::NEG_INFINITY); TILE_VECTORS];
            for (pair, rows) in scores[..self.keys * width].chunks(2 * width).enumerate() {
                let first = load_above::<S, V>(simd, rows.as_ptr(), &base);
                let next = if rows.len() == width {
                    none
                } else {
                    load_above::<S, V>(simd, rows[width..].as_ptr(), &base)
                };
                for (index, scores) in first.into_iter().zip(next).enumerate() {
                    V::weigh(simd, scores.into(), pair * TILE_VECTORS + index, room);
                }
            }
            for (total, sum) in totals.iter_mut().zip(V::total(simd, self.keys, room)) {
                *total = simd.add(*total, sum);
            }
            store_row(simd, block.total.as_mut_ptr(), totals);
        }
    }
}

/// Scores as [`Values::weigh`] wants them, `base` being [`Values::EQUAL`].
///
/// # Safety
///
/// A row must be readable.
#[inline(always)]
unsafe fn load_above<S: Simd, V: Values>(
    simd: S,
    scores: *const f32,
    base: &[S::Vector; TILE_VECTORS],
) -> [S::Vector; TILE_VECTORS] {
    // SAFETY: the caller's.
    let mut scores = unsafe { load_row(simd, scores) };
    for (score, &base) in scores.iter_mut().zip(base) {
        *score = simd.add(simd.sub(*score, base), simd.splat(V::EQUAL));
    }
    scores
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
    let scores: [_; ROWS] =
        unsafe { factors.multiply(simd, [[simd.splat(0.0); TILE_VECTORS]; ROWS], &mut ()) };
    for (row, scores) in scores.into_iter().enumerate() {
        for (greatest, score) in greatest.iter_mut().zip(scores) {
            *greatest = simd.max(*greatest, score);
        }
        // SAFETY: the caller's.
        unsafe { store_row(simd, target.add(row * width::<S>()), scores) };
    }
}

/// How many keys are weighed at once.
const TILE: usize = 4;

/// Where the weights of some keys go.
struct Weights<'a, V: Values> {
    /// The first of the keys, an even one.
    first: usize,
    room: &'a mut V::Room,
}

/// The scores of `ROWS` keys, of which weights are to be made.
struct Scores<'a, S: Simd, V: Values, const ROWS: usize> {
    scores: [[S::Vector; TILE_VECTORS]; ROWS],
    weights: Weights<'a, V>,
}

/// A piece is a vector of each of two keys.
impl<S: Simd, V: Values, const ROWS: usize> Beside<S> for Scores<'_, S, V, ROWS> {
    const PIECES: usize = ROWS.div_ceil(2) * TILE_VECTORS;

    #[inline(always)]
    unsafe fn piece(&mut self, simd: S, index: usize) {
        let (pair, vector) = (index / TILE_VECTORS, index % TILE_VECTORS);
        let first = self.scores[2 * pair][vector];
        // The last of an odd count has a key without weight beside it.
        let second = match self.scores.get(2 * pair + 1) {
            Some(scores) => scores[vector],
            None => simd.splat(f32::NEG_INFINITY),
        };
        let place = self.weights.first / 2 * TILE_VECTORS + index;
        // SAFETY: the caller's.
        unsafe { V::weigh(simd, [first, second], place, self.weights.room) };
    }
}

/// Turns the scores of `ROWS` keys into weights.
///
/// # Safety
///
/// As for [`Factors::multiply`] and [`Values::weigh`].
#[inline(always)]
unsafe fn weigh_keys<S: Simd, const ROWS: usize>(
    simd: S,
    factors: impl Factors,
    begin: [S::Vector; TILE_VECTORS],
    weights: Weights<'_, impl Values>,
) {
    // SAFETY: the caller's.
    unsafe {
        let scores = factors.multiply(simd, [begin; ROWS], &mut ());
        Scores { scores, weights }.all(simd);
    }
}

/// Adds the values of some keys, each times its weight, to `ROWS` rows of `sums`.
///
/// # Safety
///
/// As for [`Factors::multiply`]; `ROWS` rows of `sums` must be readable and writable.
#[inline(always)]
unsafe fn add_values<S: Simd, const ROWS: usize>(simd: S, weighed: impl Factors, sums: *mut f32) {
    // SAFETY: the caller's.
    unsafe {
        let mut rows = [[simd.splat(0.0); TILE_VECTORS]; ROWS];
        for (index, row) in rows.iter_mut().enumerate() {
            *row = load_row(simd, sums.add(index * width::<S>()));
        }
        for (index, row) in weighed
            .multiply(simd, rows, &mut ())
            .into_iter()
            .enumerate()
        {
            store_row(simd, sums.add(index * width::<S>()), row);
        }
    }
}
