//! 3x3 convolution of stride 1 by minimal filtering: F(2x2, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural
//! Networks" (2015), section 4.1.
//!
//! An output picture is cut into tiles of two by two pixels. What a tile sees of the input is transformed to 4 x 4 numbers, and so is
//! each kernel; their products, summed over the channels, are transformed back to the tile. 16 multiplications stand for 36. A
//! picture that is doubled first, each pixel repeated two by two, has rows of which two are the same, and 9 of the 16 are enough.
//!
//! The kernels are transformed once a call. A task then takes a block of tiles and some output channels; it multiplies a few
//! channels at a time with the whole block, so that the sums of all 16 products are still in a level-2 cache when they are
//! transformed back.

mod algorithm;
mod block;
mod kernels;
mod panel;
mod tiles;

use std::marker::PhantomData;

use rayon::prelude::*;

pub(super) use self::algorithm::{Algorithm, Doubled, Single};
use self::block::{Block, Buffers};
use self::kernels::transformed;
use self::tiles::Tiles;
use super::weight::Weight;
use super::{Geometry, Split};
use crate::flex::Target;
use crate::flex::simd::dispatch;

/// How many output channels are multiplied together.
const GROUP: usize = 8;

/// From how many tiles on what is saved is more than the transformations of the kernels cost.
const TILES: usize = 256;

/// From how many channels on what is saved is more than the transformations of the tiles cost.
const CHANNELS: usize = 16;

/// Whether a convolution can be made so, and is faster for it.
pub(super) fn fits(geometry: &Geometry) -> bool {
    let [height, width] = geometry.output;
    geometry.kernel == [3, 3]
        && geometry.stride == [1, 1]
        && geometry.channels_in.is_multiple_of(4)
        && geometry.channels_out.is_multiple_of(GROUP)
        && geometry.channels_in.min(geometry.channels_out) >= CHANNELS
        && geometry.batch * height.div_ceil(2) * width.div_ceil(2) >= TILES
}

/// Convolves blocks of the pictures, in parallel.
pub(super) fn convolve<A: Algorithm, W: Weight>(
    geometry: &Geometry,
    input: &[f32],
    weight: &[W],
    bias: &[f32],
    target: Target,
) {
    let (channels_in, channels_out) = (geometry.channels_in, geometry.channels_out);
    let kernels = transformed::<A, W>(weight, channels_in, channels_out, |group| dispatch(group));
    let tiles = Tiles::new(geometry);
    let split = Split::new(tiles.cut.count(geometry.batch), channels_out);
    (0..split.tasks()).into_par_iter().for_each_init(
        || Buffers::new::<A, W>(geometry, &tiles),
        |buffers, task| {
            let (index, channels) = split.part(task);
            dispatch(Block::<A, W> {
                geometry,
                tiles: &tiles,
                buffers,
                input,
                kernels: &kernels,
                bias,
                target,
                index,
                channels,
                of: PhantomData,
            });
        },
    );
}

#[cfg(test)]
mod tests;
