//! Some tiles of an output picture: what they see of the input, and where they are stored.

use std::marker::PhantomData;

use super::algorithm::{Algorithm, POINTS};
use super::tiles::{COLUMNS, Tiles};
use super::{Geometry, Weight};
use crate::flex::Target;
use crate::flex::conv::cut::Rectangle;
use crate::flex::simd::{MAX_LANES, MIN_LANES, Simd};

/// The most vectors in which a row is read: the tiles side by side and two more, of as few lanes as a vector has anywhere.
const STRIPS: usize = (COLUMNS + 2).div_ceil(MIN_LANES);

/// A rectangle of tiles.
pub(super) struct Place<'a, A, W> {
    geometry: &'a Geometry,
    at: Rectangle,
    /// Numbers from a row of `lines` to the next.
    line: usize,
    /// The first tile, among those that are multiplied together.
    first: usize,
    /// From a row of right factors, or of products, to the next.
    pitch: usize,
    /// The first column that its tiles see, which may lie before the picture.
    begin: isize,
    /// Which numbers of a row are within the picture, of each strip: a bit for each lane of two vectors.
    within: [[u32; 2]; STRIPS],
    of: PhantomData<(A, W)>,
}

impl<'a, A: Algorithm, W: Weight> Place<'a, A, W> {
    /// The rectangle `at`, whose first tile is the `first` of `tiles.pitch`.
    #[inline(always)]
    pub(super) fn new<S: Simd>(
        _: S,
        geometry: &'a Geometry,
        tiles: &Tiles,
        (at, first): (Rectangle, usize),
    ) -> Self {
        let begin = signed(A::STEP * at.origin[1]) - signed(geometry.padding[1]);
        let mut within = [[0; 2]; STRIPS];
        for (strip, lanes) in within.iter_mut().enumerate() {
            for (vector, lanes) in lanes.iter_mut().enumerate() {
                let at = begin + signed((A::STEP * strip + vector) * S::LANES);
                *lanes = lanes_within::<S>(at, geometry.input[1]);
            }
        }
        Self {
            geometry,
            at,
            line: tiles.line(),
            first,
            pitch: tiles.pitch,
            begin,
            within,
            of: PhantomData,
        }
    }

    /// How many tiles it has.
    pub(super) fn tiles(&self) -> usize {
        self.at.size[0] * self.at.size[1]
    }

    /// Writes the right factors of a word: for each product, `product` words from one to the next, one of each tile.
    ///
    /// # Safety
    ///
    /// They must be writable, up to a vector more than the tiles; nobody else may hold the word's.
    #[inline(always)]
    pub(super) unsafe fn see<S: Simd>(
        &self,
        simd: S,
        input: &[f32],
        word: usize,
        lines: &mut [f32],
        right: *mut u32,
        product: usize,
    ) {
        self.copy(simd, input, word * W::CHANNELS, lines);
        // SAFETY: the caller's.
        unsafe {
            let right = right.add(word * self.pitch + self.first);
            self.transform(simd, lines, right, product);
        }
    }

    /// Copies what the tiles see of the channels of a word to `lines`: zeros for the padding; even numbers and odd ones apart if tiles are
    /// two apart.
    #[inline(always)]
    fn copy<S: Simd>(&self, simd: S, input: &[f32], channel: usize, lines: &mut [f32]) {
        let [height, width] = self.geometry.input;
        let line = self.line;
        let rows = seen::<A>(self.at.size[0]);
        // A tile sees up to two numbers more than the next one's first.
        let strips = (self.at.size[1] + 2).div_ceil(S::LANES);
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
                let source = source.wrapping_offset(self.begin);
                for (strip, within) in self.within.iter().enumerate().take(strips) {
                    let at = strip * S::LANES;
                    let source = source.wrapping_add(A::STEP * at);
                    // SAFETY: only the lanes within the row are read; a line has room for a vector more than the tiles.
                    unsafe {
                        let first = simd.load_where(source, within[0]);
                        if A::STEP == 1 {
                            simd.store(lines.as_mut_ptr().add(at), first);
                            continue;
                        }
                        let second = simd.load_where(source.wrapping_add(S::LANES), within[1]);
                        let [even, odd] = simd.unzip(first, second);
                        simd.store(lines.as_mut_ptr().add(at), even);
                        simd.store(lines.as_mut_ptr().add(line + at), odd);
                    }
                }
            }
        }
    }

    /// Transforms what the tiles see of the channels of a word.
    ///
    /// # Safety
    ///
    /// As [`Self::see`].
    #[inline(always)]
    unsafe fn transform<S: Simd>(&self, simd: S, lines: &[f32], right: *mut u32, product: usize) {
        let [rows, columns] = self.at.size;
        for row in 0..rows {
            for column in (0..columns).step_by(S::LANES) {
                let lines = &lines[2 * A::STEP * row * self.line + column..];
                // One after the other, so that the numbers stay in the registers.
                // SAFETY: the caller's.
                unsafe {
                    let right = right.add(row * columns + column);
                    self.transform_row::<S, 0>(simd, lines, right, product);
                    self.transform_row::<S, 1>(simd, lines, right, product);
                    self.transform_row::<S, 2>(simd, lines, right, product);
                    if A::POINTS == 4 {
                        self.transform_row::<S, 3>(simd, lines, right, product);
                    }
                }
            }
        }
    }

    /// The right factors of one row of products of some tiles side by side.
    ///
    /// # Safety
    ///
    /// As [`Self::see`].
    #[inline(always)]
    unsafe fn transform_row<S: Simd, const ROW: usize>(
        &self,
        simd: S,
        lines: &[f32],
        right: *mut u32,
        product: usize,
    ) {
        let line = self.line;
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
        for column in 0..A::POINTS {
            let channels = factors.map(|factors| factors[column]);
            // SAFETY: the caller's. What is beyond the row of tiles is of the next ones, which come later.
            unsafe {
                let target = right.add((ROW * A::POINTS + column) * product);
                W::store_words(simd, channels, target);
            }
        }
    }

    /// Transforms the products of an output channel, `product` numbers from one to the next, and writes its pixels.
    ///
    /// # Safety
    ///
    /// Nobody else may hold this channel of the place.
    #[inline(always)]
    pub(super) unsafe fn store<S: Simd>(
        &self,
        simd: S,
        sums: &[f32],
        product: usize,
        channel: usize,
        bias: f32,
        target: Target,
    ) {
        let [height, width] = self.geometry.output;
        let plane = (self.at.picture * self.geometry.channels_out + channel) * height * width;
        let bias = simd.splat(bias);
        for tile_row in 0..self.at.size[0] {
            for column in (0..self.at.size[1]).step_by(S::LANES) {
                let place = self.first + tile_row * self.at.size[1] + column;
                let mut down = [[simd.splat(0.0); POINTS]; 2];
                for column in 0..A::POINTS {
                    let mut products = [simd.splat(0.0); POINTS];
                    for (row, number) in products.iter_mut().enumerate().take(A::POINTS) {
                        let at = (row * A::POINTS + column) * product + place;
                        // SAFETY: the slice is as long.
                        *number = unsafe { simd.load(sums[at..][..S::LANES].as_ptr()) };
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
fn lanes_within<S: Simd>(at: isize, width: usize) -> u32 {
    let lanes = S::LANES.cast_signed();
    let end = (width.cast_signed() - at).clamp(0, lanes);
    let begin = (-at).clamp(0, end);
    (1_u32 << end) - (1 << begin)
}

/// How many rows so many rows of tiles see.
pub(super) const fn seen<A: Algorithm>(rows: usize) -> usize {
    (rows - 1) * A::STEP + A::SEEN
}
