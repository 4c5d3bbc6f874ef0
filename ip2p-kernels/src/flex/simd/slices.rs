//! What is done with all numbers of a slice.

use super::{MAX_LANES, Simd};

/// Writes `function` of the vectors that stand at the same place in each source to that place of `target`.
///
/// The last few numbers get a vector of their own.
///
/// # Safety
///
/// `length` numbers must be readable from each source and writable to `target`, which may be one of the sources but may not
/// overlap them otherwise.
#[inline(always)]
pub(crate) unsafe fn map<S: Simd, const N: usize>(
    simd: S,
    sources: [*const f32; N],
    target: *mut f32,
    length: usize,
    function: impl Fn([S::Vector; N]) -> S::Vector,
) {
    let whole = length - length % S::LANES;
    let mut at = 0;
    while at < whole {
        let mut vectors = [simd.splat(0.0); N];
        for (vector, source) in vectors.iter_mut().zip(sources) {
            // SAFETY: `at + LANES <= length`.
            *vector = unsafe { simd.load(source.add(at)) };
        }
        // SAFETY: as above.
        unsafe { simd.store(target.add(at), function(vectors)) };
        at += S::LANES;
    }
    if whole < length {
        let mut rest = [0.0; MAX_LANES];
        let mut vectors = [simd.splat(0.0); N];
        for (vector, source) in vectors.iter_mut().zip(sources) {
            // SAFETY: `length - whole` numbers are left, fewer than `LANES`, and `LANES` is at most `MAX_LANES`.
            *vector = unsafe {
                source
                    .add(whole)
                    .copy_to_nonoverlapping(rest.as_mut_ptr(), length - whole);
                simd.load(rest.as_ptr())
            };
        }
        // SAFETY: as above.
        unsafe {
            simd.store(rest.as_mut_ptr(), function(vectors));
            target
                .add(whole)
                .copy_from_nonoverlapping(rest.as_ptr(), length - whole);
        }
    }
}

/// The sum of `function` of each number of a slice, in 4 · `LANES` partial sums; `neutral` is a number of which it is 0.
#[inline(always)]
pub(crate) fn sum_of<S: Simd>(
    simd: S,
    numbers: &[f32],
    neutral: f32,
    function: impl Fn(S::Vector) -> S::Vector,
) -> f32 {
    let mut sums = [simd.splat(0.0); 4];
    let mut strips = numbers.chunks_exact(4 * S::LANES);
    for strip in &mut strips {
        for (index, sum) in sums.iter_mut().enumerate() {
            // SAFETY: a strip holds four vectors.
            let vector = unsafe { simd.load(strip.as_ptr().add(index * S::LANES)) };
            *sum = simd.add(*sum, function(vector));
        }
    }
    for rest in strips.remainder().chunks(S::LANES) {
        let mut lanes = [neutral; MAX_LANES];
        lanes[..rest.len()].copy_from_slice(rest);
        // SAFETY: `LANES` is at most `MAX_LANES`.
        let vector = unsafe { simd.load(lanes.as_ptr()) };
        sums[0] = simd.add(sums[0], function(vector));
    }
    let [a, b, c, d] = sums;
    simd.sum(simd.add(simd.add(a, b), simd.add(c, d)))
}
