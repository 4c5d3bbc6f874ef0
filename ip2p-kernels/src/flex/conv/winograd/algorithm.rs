//! The transformations, along one axis; each is applied along both.

use crate::flex::simd::Simd;

/// Up to how many products an axis has.
pub(super) const POINTS: usize = 4;

/// How a row of a tile is computed from what it sees and a row of a kernel.
pub(in super::super) trait Algorithm: Send + Sync {
    /// How many products there are.
    const POINTS: usize;
    /// How many numbers of the input a tile sees.
    const SEEN: usize;
    /// From what a tile sees to what the next one does: 1 or 2.
    const STEP: usize;

    /// The left factors: a kernel's three numbers transformed.
    fn kernel<S: Simd>(simd: S, kernel: [S::Vector; 3]) -> [S::Vector; POINTS];

    /// The right factors: what a tile sees transformed.
    fn input<S: Simd>(simd: S, seen: [S::Vector; 4]) -> [S::Vector; POINTS];

    /// The two pixels of a tile.
    fn output<S: Simd>(simd: S, products: [S::Vector; POINTS]) -> [S::Vector; 2];
}

/// Each output pixel sees three neighbours: Lavin and Gray (2015), equations 5 and 6.
pub(in super::super) struct Single;

impl Algorithm for Single {
    const POINTS: usize = 4;
    const SEEN: usize = 4;
    const STEP: usize = 2;

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, [a, b, c]: [S::Vector; 3]) -> [S::Vector; POINTS] {
        let half = simd.splat(0.5);
        let outer = simd.mul(half, simd.add(a, c));
        let middle = simd.mul(half, b);
        [a, simd.add(outer, middle), simd.sub(outer, middle), c]
    }

    #[inline(always)]
    fn input<S: Simd>(simd: S, [a, b, c, d]: [S::Vector; 4]) -> [S::Vector; POINTS] {
        [
            simd.sub(a, c),
            simd.add(b, c),
            simd.sub(c, b),
            simd.sub(b, d),
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, [a, b, c, d]: [S::Vector; POINTS]) -> [S::Vector; 2] {
        [simd.add(simd.add(a, b), c), simd.sub(simd.sub(b, c), d)]
    }
}

/// Each pixel of the input is repeated first, so that a tile is one of them and sees `a, b, b, c`: as [`Single`], whose third
/// product is with `b - b`, and with the factor 2 of the second moved from the input to the kernel.
pub(in super::super) struct Doubled;

impl Algorithm for Doubled {
    const POINTS: usize = 3;
    const SEEN: usize = 3;
    const STEP: usize = 1;

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, [a, b, c]: [S::Vector; 3]) -> [S::Vector; POINTS] {
        [a, simd.add(simd.add(a, b), c), c, simd.splat(0.0)]
    }

    #[inline(always)]
    fn input<S: Simd>(simd: S, [a, b, c, _]: [S::Vector; 4]) -> [S::Vector; POINTS] {
        [simd.sub(a, b), b, simd.sub(b, c), simd.splat(0.0)]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, [a, b, c, _]: [S::Vector; POINTS]) -> [S::Vector; 2] {
        [simd.add(a, b), simd.sub(b, c)]
    }
}
