//! A block of tiles of an output picture.

use std::marker::PhantomData;
use std::ops::Range;

use super::algorithm::{Algorithm, POINTS};
use super::kernels::Kernels;
use super::panel::Panel;
use super::tiles::Tiles;
use super::{GROUP, Geometry, Weight};
use crate::flex::Target;
use crate::flex::conv::cut::Rectangle;
use crate::flex::simd::{Kernel, MAX_LANES, Simd, TILE_VECTORS};
use crate::flex::tile::Scratch;

/// For how many output channels the products are kept at a time: 400 KB of them for 16 products.
const CHANNELS: usize = 64;

/// The memory of a task, which the next one uses again.
pub(super) struct Buffers {
    /// Two rows for each row that the block sees, of its even numbers and of its odd ones, for up to two channels.
    lines: Scratch<f32>,
    /// The right factors: for each product, each word of input channels, one of each tile.
    right: Scratch<u32>,
    /// The products: for each of them, each output channel, one of each tile.
    sums: Scratch<f32>,
}

impl Buffers {
    pub(super) fn new<A: Algorithm, W: Weight>(geometry: &Geometry, tiles: &Tiles) -> Self {
        let words = geometry.channels_in / W::CHANNELS;
        let products = A::POINTS * A::POINTS;
        Self {
            lines: Scratch::new(2 * 2 * seen::<A>(tiles.cut.most[0]) * tiles.line()),
            // The last row of tiles may begin at the end, and fill a whole vector.
            right: Scratch::new(products * distance(words * tiles.pitch) + 2 * MAX_LANES),
            sums: Scratch::new(products * distance(CHANNELS * tiles.pitch) + 2 * MAX_LANES),
        }
    }
}

/// How many rows so many rows of tiles see.
const fn seen<A: Algorithm>(rows: usize) -> usize {
    (rows - 1) * A::STEP + A::SEEN
}

/// From a product to the next, of so many numbers: at a power of two they would drive each other out of the cache.
const fn distance(numbers: usize) -> usize {
    numbers + MAX_LANES
}

/// Some output channels of a block, with weights of type `W`.
pub(super) struct Block<'a, A, W> {
    pub(super) geometry: &'a Geometry,
    pub(super) tiles: &'a Tiles,
    pub(super) buffers: &'a mut Buffers,
    pub(super) input: &'a [f32],
    pub(super) kernels: &'a Kernels,
    pub(super) bias: &'a [f32],
    pub(super) target: Target,
    /// Which of all blocks.
    pub(super) index: usize,
    /// Whole groups.
    pub(super) channels: Range<usize>,
    pub(super) of: PhantomData<(A, W)>,
}

impl<A: Algorithm, W: Weight> Kernel for Block<'_, A, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (geometry, tiles) = (self.geometry, self.tiles);
        let place = Place::<A, W> {
            geometry,
            tiles,
            at: tiles.cut.rectangle(self.index),
            of: PhantomData,
        };
        let Buffers { lines, right, sums } = self.buffers;
        for word in 0..geometry.channels_in / W::CHANNELS {
            place.see(simd, self.input, word * W::CHANNELS, lines);
            place.transform(simd, lines, word, right);
        }
        for first in self.channels.clone().step_by(CHANNELS) {
            let channels = first..self.channels.end.min(first + CHANNELS);
            place.multiply(simd, self.kernels, channels.clone(), right, sums);
            for (row, channel) in channels.enumerate() {
                // SAFETY: these channels of the block are this task's alone.
                unsafe { place.store(simd, sums, row, channel, self.bias[channel], self.target) };
            }
        }
    }
}

/// Where a block lies.
struct Place<'a, A, W> {
    geometry: &'a Geometry,
    tiles: &'a Tiles,
    /// In tiles.
    at: Rectangle,
    of: PhantomData<(A, W)>,
}

impl<A: Algorithm, W: Weight> Place<'_, A, W> {
    /// Copies what the block sees of the channels of a word to `lines`: zeros for the padding; even numbers and odd ones apart if tiles are
    /// two apart.
    #[inline(always)]
    fn see<S: Simd>(&self, simd: S, input: &[f32], channel: usize, lines: &mut [f32]) {
        let [height, width] = self.geometry.input;
        let line = self.tiles.line();
        let rows = seen::<A>(self.at.size[0]);
        // A tile sees up to two numbers more than the next one's first.
        let length = self.at.size[1] + 2;
        let first = signed(A::STEP * self.at.origin[1]) - signed(self.geometry.padding[1]);
        for index in 0..W::CHANNELS {
            let plane = self.at.picture * self.geometry.channels_in + channel + index;
            for row in 0..rows {
                let at = 2 * (index * rows + row) * line;
                let lines = &mut lines[at..][..2 * line];
                let seen = (A::STEP * self.at.origin[0] + row)
                    .checked_sub(self.geometry.padding[0])
                    .filter(|&row| row < height);
                let Some(seen) = seen else {
                    lines.fill(0.0);
                    continue;
                };
                let source = input[(plane * height + seen) * width..][..width].as_ptr();
                let load = |at: usize| {
                    let at = first + signed(A::STEP * at);
                    // SAFETY: only the lanes within the row are read.
                    move |further: usize| unsafe {
                        let at = at + signed(further);
                        simd.load_where(source.wrapping_offset(at), within::<S>(at, width))
                    }
                };
                for at in (0..length).step_by(S::LANES) {
                    let load = load(at);
                    let [even, odd] = if A::STEP == 2 {
                        simd.unzip(load(0), load(S::LANES))
                    } else {
                        [load(0); 2]
                    };
                    // SAFETY: a line has room for a vector more than the tiles.
                    unsafe {
                        simd.store(lines.as_mut_ptr().add(at), even);
                        if A::STEP == 2 {
                            simd.store(lines.as_mut_ptr().add(line + at), odd);
                        }
                    }
                }
            }
        }
    }

    /// Transforms what the tiles see of the channels of a word.
    #[inline(always)]
    fn transform<S: Simd>(&self, simd: S, lines: &[f32], word: usize, right: &mut [u32]) {
        let [rows, columns] = self.at.size;
        for row in 0..rows {
            for column in (0..columns).step_by(S::LANES) {
                let lines = &lines[2 * A::STEP * row * self.tiles.line() + column..];
                let tile = word * self.tiles.pitch + row * columns + column;
                // One after the other, so that the numbers stay in the registers.
                self.transform_row::<S, 0>(simd, lines, tile, right);
                self.transform_row::<S, 1>(simd, lines, tile, right);
                self.transform_row::<S, 2>(simd, lines, tile, right);
                if A::POINTS == 4 {
                    self.transform_row::<S, 3>(simd, lines, tile, right);
                }
            }
        }
    }

    /// The right factors of one row of products of some tiles side by side.
    #[inline(always)]
    fn transform_row<S: Simd, const ROW: usize>(
        &self,
        simd: S,
        lines: &[f32],
        tile: usize,
        right: &mut [u32],
    ) {
        let line = self.tiles.line();
        let channel = 2 * seen::<A>(self.at.size[0]) * line;
        let mut factors = [[simd.splat(0.0); POINTS]; 2];
        for (index, factors) in factors.iter_mut().enumerate().take(W::CHANNELS) {
            let lines = &lines[index * channel..];
            // What the tiles see, even numbers and odd ones apart if they are two apart.
            let mut across = [simd.splat(0.0); 4];
            for (at, across) in across.iter_mut().enumerate().take(A::SEEN) {
                let at = if A::STEP == 2 {
                    at % 2 * line + at / 2
                } else {
                    at
                };
                let mut down = [simd.splat(0.0); 4];
                for (row, number) in down.iter_mut().enumerate().take(A::SEEN) {
                    let lines = &lines[2 * row * line + at..][..S::LANES];
                    // SAFETY: the slice is as long.
                    *number = unsafe { simd.load(lines.as_ptr()) };
                }
                *across = A::input(simd, down)[ROW];
            }
            *factors = A::input(simd, across);
        }
        let words = self.geometry.channels_in / W::CHANNELS;
        let product = distance(words * self.tiles.pitch);
        for column in 0..A::POINTS {
            let at = (ROW * A::POINTS + column) * product + tile;
            let channels = factors.map(|factors| factors[column]);
            let target = right[at..][..S::LANES].as_mut_ptr();
            // SAFETY: the slice is as long. What it holds beyond the row of tiles is of the next ones, which come later.
            unsafe { W::store_words(simd, channels, target) };
        }
    }

    /// The products of some output channels, whole groups.
    #[inline(always)]
    fn multiply<S: Simd>(
        &self,
        simd: S,
        kernels: &Kernels,
        channels: Range<usize>,
        right: &[u32],
        sums: &mut [f32],
    ) {
        let pitch = self.tiles.pitch;
        let words = self.geometry.channels_in / W::CHANNELS;
        let tiles = (self.at.size[0] * self.at.size[1]).next_multiple_of(S::LANES);
        for product in 0..A::POINTS * A::POINTS {
            let right = &right[product * distance(words * pitch)..][..words * pitch];
            let sums = &mut sums[product * distance(CHANNELS * pitch)..][..CHANNELS * pitch];
            for tile in (0..tiles).step_by(TILE_VECTORS * S::LANES) {
                for group in 0..channels.len() / GROUP {
                    let left = kernels.of(channels.start / GROUP + group, product);
                    for row in (0..GROUP).step_by(S::TILE_ROWS) {
                        let mut panel = Panel {
                            left: &left[row..],
                            right: &right[tile..],
                            sums: &mut sums[(group * GROUP + row) * pitch + tile..],
                            words,
                            pitch,
                        };
                        match (S::TILE_ROWS, (tiles - tile) / S::LANES) {
                            (8, 1) => panel.multiply::<S, W, 8, 1>(simd),
                            (8, 2) => panel.multiply::<S, W, 8, 2>(simd),
                            (8, _) => panel.multiply::<S, W, 8, TILE_VECTORS>(simd),
                            (_, 1) => panel.multiply::<S, W, 4, 1>(simd),
                            (_, 2) => panel.multiply::<S, W, 4, 2>(simd),
                            (..) => panel.multiply::<S, W, 4, TILE_VECTORS>(simd),
                        }
                    }
                }
            }
        }
    }

    /// Transforms the products of the output channel `channel`, which is the `row`th in `sums`, and writes its pixels.
    ///
    /// # Safety
    ///
    /// Nobody else may hold this channel of the block.
    #[inline(always)]
    unsafe fn store<S: Simd>(
        &self,
        simd: S,
        sums: &[f32],
        row: usize,
        channel: usize,
        bias: f32,
        target: Target,
    ) {
        let pitch = self.tiles.pitch;
        let [height, width] = self.geometry.output;
        let plane = (self.at.picture * self.geometry.channels_out + channel) * height * width;
        let bias = simd.splat(bias);
        for tile_row in 0..self.at.size[0] {
            for column in (0..self.at.size[1]).step_by(S::LANES) {
                let place = row * pitch + tile_row * self.at.size[1] + column;
                let mut down = [[simd.splat(0.0); POINTS]; 2];
                for column in 0..A::POINTS {
                    let mut products = [simd.splat(0.0); POINTS];
                    for (row, product) in products.iter_mut().enumerate().take(A::POINTS) {
                        let at = (row * A::POINTS + column) * distance(CHANNELS * pitch) + place;
                        // SAFETY: the slice is as long.
                        *product = unsafe { simd.load(sums[at..][..S::LANES].as_ptr()) };
                    }
                    for (down, number) in down.iter_mut().zip(A::output(simd, products)) {
                        down[column] = number;
                    }
                }
                let left = 2 * (self.at.origin[1] + column);
                let count = (2 * S::LANES)
                    .min(2 * (self.at.size[1] - column))
                    .min(width - left);
                for (index, down) in down.into_iter().enumerate() {
                    let top = 2 * (self.at.origin[0] + tile_row) + index;
                    if top == height {
                        break;
                    }
                    let [even, odd] = A::output(simd, down).map(|pixels| simd.add(pixels, bias));
                    // SAFETY: `count` pixels of the row are in the tiles.
                    unsafe {
                        let target = target.at(plane + top * width + left);
                        write(simd, simd.zip(even, odd), target, count);
                    }
                }
            }
        }
    }
}

/// Writes the first `count` numbers of two vectors.
///
/// # Safety
///
/// They must be writable.
#[inline(always)]
unsafe fn write<S: Simd>(simd: S, numbers: [S::Vector; 2], target: *mut f32, count: usize) {
    let mut room = [0.0; 2 * MAX_LANES];
    let whole = count == 2 * S::LANES;
    let to = if whole { target } else { room.as_mut_ptr() };
    // SAFETY: the caller's, or there is as much room.
    unsafe {
        for (index, numbers) in numbers.into_iter().enumerate() {
            simd.store(to.add(index * S::LANES), numbers);
        }
        if !whole {
            target.copy_from_nonoverlapping(room.as_ptr(), count);
        }
    }
}

/// A place that may lie before the first.
fn signed(place: usize) -> isize {
    place.cast_signed()
}

/// A bit for each lane that lies in a row of `width` numbers, if the first is at `at`.
#[inline(always)]
fn within<S: Simd>(at: isize, width: usize) -> u32 {
    let lanes = S::LANES.cast_signed();
    let end = (width.cast_signed() - at).clamp(0, lanes);
    let begin = (-at).clamp(0, end);
    (1_u32 << end) - (1 << begin)
}
