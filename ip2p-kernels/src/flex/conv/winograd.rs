//! 3x3 convolution of stride 1 by minimal filtering: F(2x2, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural
//! Networks" (2015), section 4.1.
//!
//! An output picture is cut into tiles of two by two pixels. What a tile sees of the input is transformed to 4 x 4 numbers, and so is
//! each kernel; their products, summed over the channels, are transformed back to the tile. 16 multiplications stand for 36. A
//! picture that is doubled first, each pixel repeated two by two, has rows of which two are the same, and 9 of the 16 are enough.
//!
//! Of large pictures, a task takes a block of tiles and some output channels; it multiplies a few channels at a time with the whole
//! block, so that the sums of all 16 products are still in a level-2 cache when they are transformed back ([`block`]). Of small
//! ones, a task takes all tiles and a few output channels ([`at_once`]).

mod algorithm;
mod at_once;
mod block;
mod kernels;
mod numbers;
mod panel;
mod place;
mod product;
mod tiles;

use std::marker::PhantomData;

pub(super) use self::algorithm::{Algorithm, Doubled, Single};
use self::at_once::AtOnce;
use self::block::Block;
use self::kernels::{Kernels, Layout, transformed};
pub(super) use self::numbers::Numbers;
use self::tiles::Tiles;
use super::weight::Weight;
use super::{Geometry, Split};
use crate::flex::simd::dispatch;
use crate::flex::{Target, for_tasks};

/// How many output channels are multiplied together.
const GROUP: usize = 8;

/// From how many tiles on what is saved is more than the transformations of the kernels cost.
const TILES: usize = 12;

/// Up to how many tiles the kernels are the larger part.
const FEW: usize = 512;

/// From how many channels on what is saved is more than the transformations of the tiles cost: of many tiles, and of few.
const CHANNELS: usize = 16;
const CHANNELS_OF_FEW: usize = 128;

/// The kernels of a convolution, and what 1 stands for in those of each output channel if they are whole numbers.
#[derive(Clone, Copy)]
pub(super) struct Filters<'a, N> {
    pub(super) weight: &'a [N],
    pub(super) scales: &'a [f32],
}

impl<N> Filters<'_, N> {
    /// Those of a group of output channels.
    fn group(&self, index: usize, channels_in: usize) -> Self {
        let numbers = GROUP * channels_in * 9;
        Self {
            weight: &self.weight[index * numbers..][..numbers],
            scales: self.scales.get(index * GROUP..).unwrap_or_default(),
        }
    }
}

/// Whether a convolution can be made so, and is faster for it.
pub(super) fn fits(geometry: &Geometry) -> bool {
    let tiles = tiles::count(geometry);
    let channels = if tiles <= FEW {
        CHANNELS_OF_FEW
    } else {
        CHANNELS
    };
    geometry.kernel == [3, 3]
        && geometry.stride == [1, 1]
        && geometry.channels_in.is_multiple_of(4)
        && geometry.channels_out.is_multiple_of(GROUP)
        && geometry.channels_in.min(geometry.channels_out) >= channels
        && tiles >= TILES
}

/// Convolves the pictures, in parallel.
pub(super) fn convolve<A: Algorithm, N: Numbers>(
    geometry: &Geometry,
    input: &[f32],
    filters: Filters<'_, N>,
    bias: &[f32],
    target: Target,
) {
    if tiles::count(geometry) > FEW {
        convolve_blocks::<A, N>(geometry, input, filters, bias, target);
    } else {
        convolve_at_once::<A, N>(geometry, input, filters, bias, target);
    }
}

/// Convolves blocks of tiles, in parallel.
fn convolve_blocks<A: Algorithm, N: Numbers>(
    geometry: &Geometry,
    input: &[f32],
    filters: Filters<'_, N>,
    bias: &[f32],
    target: Target,
) {
    let layout = Layout::new::<A, N>(geometry.channels_in);
    let words = transformed::<A, N>(filters, layout, |group| dispatch(group));
    let tiles = Tiles::in_blocks(geometry);
    let split = Split::new(tiles.blocks(), geometry.channels_out);
    for_tasks(
        split.tasks(),
        || block::Buffers::new::<A, N>(geometry, &tiles),
        |buffers, task| {
            let (index, channels) = split.part(task);
            dispatch(Block::<A, N> {
                geometry,
                tiles: &tiles,
                buffers,
                input,
                kernels: Kernels {
                    words: &words,
                    layout,
                },
                bias,
                target,
                index,
                channels,
                of: PhantomData,
            });
        },
    );
}

/// Convolves all tiles with a few channels at a time, in parallel.
fn convolve_at_once<A: Algorithm, N: Numbers>(
    geometry: &Geometry,
    input: &[f32],
    filters: Filters<'_, N>,
    bias: &[f32],
    target: Target,
) {
    let mut whole = AtOnce::<A, N>::new(geometry);
    whole.see(input, |part| dispatch(part));
    whole.settle(|product| dispatch(product));
    for_tasks(
        whole.tasks(),
        || whole.buffers(),
        |buffers, task| {
            dispatch(at_once::Channels {
                whole: &whole,
                buffers,
                filters,
                bias,
                target,
                range: whole.channels(task),
            });
        },
    );
}

#[cfg(test)]
mod tests;
