//! A block of tiles of an output picture, for kernels that are transformed before.

use std::marker::PhantomData;
use std::ops::Range;

use super::algorithm::Algorithm;
use super::kernels::Kernels;
use super::numbers::Numbers;
use super::place::Place;
use super::product::Sizes;
use super::tiles::Tiles;
use super::{GROUP, Geometry};
use crate::flex::Target;
use crate::flex::scratch::Scratch;
use crate::flex::simd::{Kernel, MAX_LANES, Simd};

/// For how many output channels the products are kept at a time: 400 KB of them for 16 products.
const CHANNELS: usize = 64;

/// The sizes of the products of a block.
fn sizes<N: Numbers>(geometry: &Geometry, tiles: &Tiles) -> Sizes {
    Sizes::new::<N>(geometry, CHANNELS, tiles.pitch)
}

/// The memory of a task, which the next one uses again.
pub(super) struct Buffers {
    lines: Scratch<f32>,
    /// The right factors: for each product, each word of input channels, one of each tile.
    right: Scratch<u32>,
    /// The products: for each of them, each output channel, one of each tile.
    sums: Scratch<f32>,
}

impl Buffers {
    pub(super) fn new<A: Algorithm, N: Numbers>(geometry: &Geometry, tiles: &Tiles) -> Self {
        let products = A::POINTS * A::POINTS;
        let sizes = sizes::<N>(geometry, tiles);
        Self {
            lines: Scratch::new(tiles.lines::<A>()),
            // The last row of tiles may begin at the end, and fill a whole vector.
            right: Scratch::new(products * sizes.right() + 2 * MAX_LANES),
            sums: Scratch::new(products * sizes.sums() + 2 * MAX_LANES),
        }
    }
}

/// Some output channels of a block, with weights of type `N`.
pub(super) struct Block<'a, A, N> {
    pub(super) geometry: &'a Geometry,
    pub(super) tiles: &'a Tiles,
    pub(super) buffers: &'a mut Buffers,
    pub(super) input: &'a [f32],
    pub(super) kernels: Kernels<'a>,
    pub(super) bias: &'a [f32],
    pub(super) target: Target,
    /// Which of all blocks.
    pub(super) index: usize,
    /// Whole groups.
    pub(super) channels: Range<usize>,
    pub(super) of: PhantomData<(A, N)>,
}

impl<A: Algorithm, N: Numbers> Kernel for Block<'_, A, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let at = (self.tiles.block(self.index), 0);
        let place = Place::<A, N::Seen>::new(simd, self.geometry, self.tiles, at);
        let sizes = sizes::<N>(self.geometry, self.tiles);
        let Buffers { lines, right, sums } = self.buffers;
        for word in 0..sizes.seen {
            // SAFETY: there are as many words of each product, and a vector more.
            unsafe {
                let right = right.as_mut_ptr();
                place.see(simd, self.input, word, lines, right, sizes.right());
            }
        }
        for seen in right.chunks_exact_mut(sizes.right()) {
            sizes.settle::<N, S>(simd, seen, place.tiles());
        }
        for first in self.channels.clone().step_by(CHANNELS) {
            let channels = first..self.channels.end.min(first + CHANNELS);
            let groups = channels.start / GROUP..channels.end / GROUP;
            let seen = (&right[..], place.tiles());
            sizes.multiply::<A, N, S>(simd, self.kernels, groups, seen, sums);
            for (row, channel) in channels.enumerate() {
                let sums = &sums[row * sizes.pitch..];
                let bias = self.bias[channel];
                // SAFETY: these channels of the block are this task's alone.
                unsafe { place.store(simd, sums, sizes.sums(), channel, bias, self.target) };
            }
        }
    }
}
