//! Rows of numbers with a lane for each row, and back.

use crate::flex::simd::{MAX_LANES, Simd, lanes};

/// Swaps the axes of `LANES` vectors.
#[inline(always)]
pub(super) fn transpose<S: Simd>(simd: S, vectors: &mut [S::Vector; MAX_LANES]) {
    // Numbers at distance of half of the vectors come beside each other, as often as halves them to one.
    let mut stage = 1;
    while stage < S::LANES {
        let before = *vectors;
        for index in 0..S::LANES / 2 {
            let [low, high] = simd.zip(before[index], before[index + S::LANES / 2]);
            vectors[2 * index] = low;
            vectors[2 * index + 1] = high;
        }
        stage *= 2;
    }
}

/// Writes the numbers of up to `LANES` rows, times `factor`, with a lane for each row: zeros where there is no row. Of the source and of
/// the target it takes the start and the numbers from a row to the next, or from a vector.
///
/// # Safety
///
/// `length` numbers must be readable from each of `count` rows on, and as many vectors writable.
#[inline(always)]
pub(super) unsafe fn to_lanes<S: Simd>(
    simd: S,
    (source, row): (*const f32, usize),
    (count, length): (usize, usize),
    factor: S::Vector,
    (target, stride): (*mut f32, usize),
) {
    for at in (0..length).step_by(S::LANES) {
        let numbers = S::LANES.min(length - at);
        let lanes = lanes::<S>(numbers);
        let mut vectors = [simd.splat(0.0); MAX_LANES];
        for (index, vector) in vectors.iter_mut().enumerate().take(count) {
            // SAFETY: the caller's.
            *vector = simd.mul(
                unsafe { simd.load_where(source.add(index * row + at), lanes) },
                factor,
            );
        }
        transpose(simd, &mut vectors);
        for (index, vector) in vectors.into_iter().enumerate().take(numbers) {
            // SAFETY: the caller's.
            unsafe { simd.store(target.add((at + index) * stride), vector) };
        }
    }
}

/// Writes up to `LANES` rows of numbers that have a lane for each row, times `factors`: the inverse of [`to_lanes`].
///
/// # Safety
///
/// As many vectors must be readable, and `length` numbers writable from each of `count` rows on.
#[inline(always)]
pub(super) unsafe fn from_lanes<S: Simd>(
    simd: S,
    (source, stride): (*const f32, usize),
    (count, length): (usize, usize),
    factors: S::Vector,
    (target, row): (*mut f32, usize),
) {
    for at in (0..length).step_by(S::LANES) {
        let numbers = S::LANES.min(length - at);
        let mut vectors = [simd.splat(0.0); MAX_LANES];
        for (index, vector) in vectors.iter_mut().enumerate().take(numbers) {
            // SAFETY: the caller's.
            *vector = simd.mul(
                unsafe { simd.load(source.add((at + index) * stride)) },
                factors,
            );
        }
        transpose(simd, &mut vectors);
        for (index, vector) in vectors.into_iter().enumerate().take(count) {
            // SAFETY: the caller's.
            unsafe {
                let target = target.add(index * row + at);
                if numbers == S::LANES {
                    simd.store(target, vector);
                } else {
                    let mut rest = [0.0; MAX_LANES];
                    simd.store(rest.as_mut_ptr(), vector);
                    target.copy_from_nonoverlapping(rest.as_ptr(), numbers);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flex::simd::{Kernel, dispatch_each};

    /// Rows of 21 numbers, to lanes and back.
    struct ThereAndBack<'a>(&'a [f32]);

    impl Kernel for ThereAndBack<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            const LENGTH: usize = 21;
            let Self(numbers) = self;
            for count in 1..=S::LANES {
                let mut lanes = vec![f32::NAN; LENGTH * S::LANES];
                let mut back = vec![f32::NAN; count * LENGTH];
                let size = (count, LENGTH);
                let (two, half) = (simd.splat(2.0), simd.splat(0.5));
                let (rows, lanes_of) = ((numbers.as_ptr(), LENGTH), lanes.as_mut_ptr());
                // SAFETY: there are as many rows and lanes.
                unsafe {
                    to_lanes(simd, rows, size, two, (lanes_of, S::LANES));
                    let rows = (back.as_mut_ptr(), LENGTH);
                    from_lanes(simd, (lanes_of, S::LANES), size, half, rows);
                }
                assert_eq!(back, numbers[..count * LENGTH], "{count} rows");
                for (at, lanes) in lanes.chunks_exact(S::LANES).enumerate() {
                    let row = |lane: usize| 2.0 * numbers[lane * LENGTH + at];
                    let rows = (0..S::LANES).map(|lane| if lane < count { row(lane) } else { 0.0 });
                    let expected: Vec<f32> = rows.collect();
                    assert_eq!(lanes, expected, "{at} of {count}");
                }
            }
        }
    }

    #[test]
    fn rows_become_lanes_and_lanes_rows_with_every_instruction_set() {
        let numbers: Vec<f32> = (0..21 * MAX_LANES).map(|index| index as f32).collect();
        dispatch_each(|| ThereAndBack(&numbers));
    }
}
