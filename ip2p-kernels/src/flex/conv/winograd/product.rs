//! The products of transformed kernels with what tiles see.

use super::algorithm::{Algorithm, POINTS};
use super::kernels::Kernels;
use super::numbers::Numbers;
use super::panel::Panel;
use super::{GROUP, Geometry};
use crate::flex::conv::weight::Weight;
use crate::flex::simd::{MAX_LANES, Simd, TILE_VECTORS};

/// The sizes of the products of some output channels with some tiles.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// Of input channels: how many words, and how many when the tiles see them.
    words: usize,
    pub(super) seen: usize,
    /// How many output channels at most.
    pub(super) channels: usize,
    /// From a row of right factors, or of products, to the next.
    pub(super) pitch: usize,
}

impl Sizes {
    pub(super) fn new<N: Numbers>(geometry: &Geometry, channels: usize, pitch: usize) -> Self {
        Self {
            words: geometry.channels_in / N::WORD,
            seen: geometry.channels_in / N::Seen::CHANNELS,
            channels,
            pitch,
        }
    }

    /// From the right factors of a product to those of the next: at a power of two they would drive each other out of the cache.
    pub(super) fn right(self) -> usize {
        self.seen.max(self.words + 1) * self.pitch + MAX_LANES
    }

    /// From the sums of a product to those of the next.
    pub(super) fn sums(self) -> usize {
        self.channels * self.pitch + MAX_LANES
    }

    /// Makes the right factors of a product of what `tiles` tiles have seen.
    #[inline(always)]
    pub(super) fn settle<N: Numbers, S: Simd>(self, simd: S, seen: &mut [u32], tiles: usize) {
        N::settle(simd, seen, self.words * N::WORD, self.pitch, tiles);
    }

    /// The products of `groups` of output channels with the first `tiles` tiles: for each product, each channel, one of each tile.
    #[inline(always)]
    pub(super) fn multiply<A: Algorithm, N: Numbers, S: Simd>(
        self,
        simd: S,
        kernels: Kernels<'_>,
        groups: std::ops::Range<usize>,
        (right, tiles): (&[u32], usize),
        sums: &mut [f32],
    ) {
        const { assert!(GROUP == 8 && POINTS <= 4) };
        let Self { words, pitch, .. } = self;
        let tiles = tiles.next_multiple_of(S::LANES);
        for product in 0..A::POINTS * A::POINTS {
            let right = &right[product * self.right()..][..self.right()];
            let sums = &mut sums[product * self.sums()..][..self.channels * pitch];
            for tile in (0..tiles).step_by(TILE_VECTORS * S::LANES) {
                for (index, group) in groups.clone().enumerate() {
                    let left = kernels.of(group, product);
                    for row in (0..GROUP).step_by(S::TILE_ROWS) {
                        let mut panel = Panel {
                            left: &left[row * kernels.layout.row..],
                            row: kernels.layout.row,
                            group: kernels.layout.group,
                            right: &right[tile..],
                            sums: &mut sums[(index * GROUP + row) * pitch + tile..],
                            words,
                            pitch,
                        };
                        match (S::TILE_ROWS, (tiles - tile) / S::LANES) {
                            (8, 1) => panel.multiply::<S, N, 8, 1>(simd),
                            (8, 2) => panel.multiply::<S, N, 8, 2>(simd),
                            (8, _) => panel.multiply::<S, N, 8, TILE_VECTORS>(simd),
                            (_, 1) => panel.multiply::<S, N, 4, 1>(simd),
                            (_, 2) => panel.multiply::<S, N, 4, 2>(simd),
                            (..) => panel.multiply::<S, N, 4, TILE_VECTORS>(simd),
                        }
                    }
                }
            }
        }
    }
}
