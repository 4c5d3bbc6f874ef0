//! Convolution of stride 1 that gathers nothing.
//!
//! A task takes a tile of an output picture, whole rows or parts of them, and some of the output channels. It copies what the tile
//! sees of the input, with its padding, in rows of one pitch. Whatever the position in the kernel, neighbours in the output then see
//! neighbours in the copy, from the end of a row into the next as well: a vector of output pixels is a sum of vectors that lie at fixed
//! distances in the copy, and the few sums that run over the end of a row are left out in the end. The copy of some channels
//! fits the level-1 cache; all output channels are multiplied with them before the next, and the sums stay with the task.

use super::Geometry;
use super::cut::{Cut, Rectangle};
use super::weight::{Rows, Terms, Weight};
use crate::flex::Target;
use crate::flex::scratch::Scratch;
use crate::flex::simd::{Kernel, MAX_LANES, Simd, TILE_VECTORS};
use crate::flex::tile::{for_tiles, widest};

/// How many bytes of the copy are multiplied at a time: with the weights of a tile, within a level-1 cache of 48 KB and
/// nearly within one of 32 KB.
const COPY: usize = 30_000;

/// How many input channels are multiplied at a time at most, of 3x3 kernels in pairs: more do not make the sums cheaper.
const TERMS: usize = 128;

/// How wide a tile may be, and how many pixels it may have. Lower ones see more of their neighbours than of themselves.
const COLUMNS: usize = 64;
const PIXELS: usize = 640;

/// How many output channels may be multiplied with a whole tile for nothing before gathering is cheaper.
const WASTE: f64 = 32.0;

/// How the output pictures of a convolution are cut into tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    pub(super) cut: Cut,
    /// Numbers from a row of the copy to the next, and from a channel to the next.
    pitch: usize,
    plane: usize,
    /// How many channels of the copy are multiplied at a time.
    planes: usize,
}

impl Tiling {
    /// The tiles for weights of type `W`; none where gathering is faster.
    pub(super) fn new<W: Weight>(geometry: &Geometry) -> Option<Self> {
        let [height, width] = geometry.output;
        let fits = geometry.stride == [1, 1]
            && geometry.channels_in.is_multiple_of(W::CHANNELS)
            && height * width > 0;
        // One position sees each number once, and to copy it for that is to gather it.
        if !fits || geometry.positions() == 1 {
            return None;
        }
        let lanes = widest() / TILE_VECTORS;
        let columns = width.div_ceil(width.div_ceil(COLUMNS));
        let pitch = columns + geometry.kernel[1] - 1;
        // What is computed for nothing, a part of what is not: sums over the ends of rows, and those that fill a vector or the last tile.
        let waste = |rows: usize| {
            let computed =
                pixels(rows, columns, pitch).next_multiple_of(lanes) * height.div_ceil(rows);
            computed as f64 / (height * columns) as f64 - 1.0
        };
        // To copy what several tiles see costs about a tenth of multiplying it with few channels.
        let cost = |rows: usize| {
            let seen = (rows + geometry.kernel[0] - 1) as f64 / rows as f64;
            waste(rows) + 0.1 * seen
        };
        let rows = (1..=height)
            .take_while(|&rows| rows == 1 || pixels(rows, columns, pitch) <= PIXELS)
            .min_by(|&a, &b| cost(a).total_cmp(&cost(b)))?;
        if waste(rows) * geometry.channels_out as f64 > WASTE {
            return None;
        }
        let copied = (rows + geometry.kernel[0] - 1) * pitch;
        // A line more than that, and not a power of two: channels would drive each other out of the cache.
        let plane = copied.next_multiple_of(MAX_LANES) + MAX_LANES;
        let all = geometry.channels_in / W::CHANNELS;
        let most = (COPY / (4 * copied))
            .min(TERMS / geometry.positions())
            .max(1);
        Some(Self {
            cut: Cut {
                picture: geometry.output,
                most: [rows, columns],
            },
            pitch,
            plane,
            planes: all.div_ceil(all.div_ceil(most).max(1)),
        })
    }
}

/// The pixels of the output from the first of a tile to its last, with those between its rows.
fn pixels(rows: usize, columns: usize, pitch: usize) -> usize {
    (rows - 1) * pitch + columns
}

/// The memory of a task, which the next one uses again.
pub(super) struct Buffers {
    copy: Scratch<u32>,
    packed: Scratch<u32>,
    sums: Scratch<f32>,
    offsets: Vec<usize>,
}

impl Buffers {
    /// For a tile and so many channels of its output.
    pub(super) fn new<W: Weight>(geometry: &Geometry, tiling: &Tiling, channels: usize) -> Self {
        let planes = geometry.channels_in / W::CHANNELS;
        let [rows, columns] = tiling.cut.most;
        let pixels = pixels(rows, columns, tiling.pitch).next_multiple_of(MAX_LANES);
        let offsets = (0..tiling.planes * geometry.positions()).map(|term| {
            let (plane, position) = (term / geometry.positions(), term % geometry.positions());
            let [row, column] = [position / geometry.kernel[1], position % geometry.kernel[1]];
            plane * tiling.plane + row * tiling.pitch + column
        });
        Self {
            // The last vectors may begin in the last row and end behind it.
            copy: Scratch::new(planes * tiling.plane + TILE_VECTORS * MAX_LANES + tiling.pitch),
            packed: Scratch::new(8 * tiling.planes * geometry.positions() + MAX_LANES),
            sums: Scratch::new(channels * pixels),
            offsets: offsets.collect(),
        }
    }
}

/// A tile of some output channels, with weights of type `W`.
pub(super) struct Tile<'a, W> {
    pub(super) geometry: &'a Geometry,
    pub(super) tiling: &'a Tiling,
    pub(super) buffers: &'a mut Buffers,
    pub(super) input: &'a [f32],
    pub(super) weight: &'a [W],
    pub(super) bias: &'a [f32],
    pub(super) target: Target,
    /// Which of all tiles.
    pub(super) index: usize,
    pub(super) first_channel: usize,
    pub(super) channels: usize,
}

impl<W: Weight> Kernel for Tile<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (geometry, tiling) = (self.geometry, self.tiling);
        let Buffers {
            copy,
            packed,
            sums,
            offsets,
        } = self.buffers;
        let place = Place {
            geometry,
            tiling,
            at: tiling.cut.rectangle(self.index),
        };
        place.copy::<S, W>(simd, self.input, copy);
        let pixels =
            pixels(place.at.size[0], place.at.size[1], tiling.pitch).next_multiple_of(S::LANES);
        let (positions, all_planes) = (geometry.positions(), geometry.channels_in / W::CHANNELS);
        for first_plane in (0..all_planes).step_by(tiling.planes) {
            let planes = tiling.planes.min(all_planes - first_plane);
            let mut products = Products::<W> {
                weight: self.weight,
                bias: (first_plane == 0).then_some(&self.bias[self.first_channel..]),
                terms: Terms {
                    first: self.first_channel * geometry.terms()
                        + first_plane * W::CHANNELS * positions,
                    row_stride: geometry.terms(),
                    rows: 0,
                    planes,
                    positions,
                },
                packed: &mut *packed,
                right: copy[first_plane * tiling.plane..].as_ptr(),
                offsets: &offsets[..planes * positions],
                sums: &mut sums[..self.channels * pixels],
                pixels,
            };
            // SAFETY: the sums have as many channels, and so have the weights and the bias from the first channel on; the copy is
            // readable from every pixel of the tile at every offset, and a panel behind the last.
            unsafe {
                for_tiles!(S, self.channels, |row| add_rows(simd, &mut products, row));
            }
        }
        // SAFETY: these channels of the tile are this task's alone.
        unsafe { place.store(sums, pixels, self.target, self.first_channel, self.channels) };
    }
}

/// Where a tile lies.
struct Place<'a> {
    geometry: &'a Geometry,
    tiling: &'a Tiling,
    at: Rectangle,
}

impl Place<'_> {
    /// Copies what the tile sees of the input, zeros for the padding.
    #[inline(always)]
    fn copy<S: Simd, W: Weight>(&self, simd: S, input: &[f32], target: &mut [u32]) {
        let (geometry, pitch) = (self.geometry, self.tiling.pitch);
        let [height, width] = geometry.input;
        let rows = self.at.size[0] + geometry.kernel[0] - 1;
        // The columns of the copy that lie in the picture.
        let begin = geometry.padding[1]
            .saturating_sub(self.at.origin[1])
            .min(pitch);
        let end = (width + geometry.padding[1])
            .saturating_sub(self.at.origin[1])
            .clamp(begin, pitch);
        for plane in 0..geometry.channels_in / W::CHANNELS {
            let channels = [0, 1].map(|channel| {
                let channel = (plane * W::CHANNELS + channel).min(geometry.channels_in - 1);
                (self.at.picture * geometry.channels_in + channel) * height * width
            });
            for row in 0..rows {
                let target = &mut target[plane * self.tiling.plane + row * pitch..];
                let seen = (self.at.origin[0] + row)
                    .checked_sub(geometry.padding[0])
                    .filter(|&row| row < height && begin < end);
                let Some(seen) = seen else {
                    target[..pitch].fill(0);
                    continue;
                };
                target[..begin].fill(0);
                let place = seen * width + self.at.origin[1] + begin - geometry.padding[1];
                let sources = channels.map(|channel| &input[channel + place..][..end - begin]);
                let room = &mut target[begin..][..(end - begin).next_multiple_of(S::LANES)];
                // SAFETY: the slices are as long.
                unsafe {
                    W::copy(
                        simd,
                        sources.map(<[f32]>::as_ptr),
                        room.as_mut_ptr(),
                        end - begin,
                    );
                }
                target[end..pitch].fill(0);
            }
        }
    }

    /// Writes the sums to the output.
    ///
    /// # Safety
    ///
    /// Nobody else may hold these channels of the tile.
    unsafe fn store(
        &self,
        sums: &[f32],
        pixels: usize,
        target: Target,
        first: usize,
        channels: usize,
    ) {
        let [_, width] = self.geometry.output;
        let [rows, columns] = self.at.size;
        for (channel, sums) in sums.chunks_exact(pixels).take(channels).enumerate() {
            let plane = self.at.picture * self.geometry.channels_out + first + channel;
            for row in 0..rows {
                let source = &sums[row * self.tiling.pitch..][..columns];
                let place = plane * self.geometry.plane()
                    + (self.at.origin[0] + row) * width
                    + self.at.origin[1];
                // SAFETY: a row of the tile is within its output picture.
                unsafe {
                    target
                        .at(place)
                        .copy_from_nonoverlapping(source.as_ptr(), columns);
                };
            }
        }
    }
}

/// What the products of some terms are added to, for all channels of a task.
struct Products<'a, W> {
    weight: &'a [W],
    /// What the sums begin with, if these are the first terms.
    bias: Option<&'a [f32]>,
    terms: Terms,
    packed: &'a mut [u32],
    /// The copy of the first channel of the terms.
    right: *const u32,
    /// Where the copy is seen, for each term.
    offsets: &'a [usize],
    sums: &'a mut [f32],
    pixels: usize,
}

impl<W: Weight> Products<'_, W> {
    /// Adds the products of its terms to `ROWS` output channels.
    ///
    /// # Safety
    ///
    /// There must be as many channels, from `row` on, of the sums, the bias and the weights; `right` must be readable at each
    /// offset from each pixel on, for a tile's width.
    #[inline(always)]
    unsafe fn add<S: Simd, const ROWS: usize>(&mut self, simd: S, row: usize) {
        let terms = Terms {
            first: self.terms.first + row * self.terms.row_stride,
            rows: ROWS,
            ..self.terms
        };
        let left = W::left(simd, self.weight, &terms, self.packed);
        for pixel in (0..self.pixels).step_by(TILE_VECTORS * S::LANES) {
            // SAFETY: the caller's.
            unsafe {
                match (self.pixels - pixel) / S::LANES {
                    1 => self.add_panel::<S, ROWS, 1>(simd, left, row, pixel),
                    2 => self.add_panel::<S, ROWS, 2>(simd, left, row, pixel),
                    _ => self.add_panel::<S, ROWS, TILE_VECTORS>(simd, left, row, pixel),
                }
            }
        }
    }

    /// As [`Self::add`], to `VECTORS` vectors from `pixel` on.
    #[inline(always)]
    unsafe fn add_panel<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        left: Rows,
        row: usize,
        pixel: usize,
    ) {
        let mut sums = [[simd.splat(0.0); VECTORS]; ROWS];
        for (term, &offset) in self.offsets.iter().enumerate() {
            let mut words = [left.start; ROWS];
            // SAFETY: the caller's.
            unsafe {
                for (row, word) in words.iter_mut().enumerate() {
                    *word = left.start.add(row * left.stride + term);
                }
                W::add_products(simd, words, self.right.add(offset + pixel), &mut sums);
            }
        }
        for (row, sums) in (row..).zip(sums) {
            let target = self.sums[row * self.pixels + pixel..][..VECTORS * S::LANES].as_mut_ptr();
            for (index, sum) in sums.into_iter().enumerate() {
                // SAFETY: the slice is as long.
                unsafe {
                    let target = target.add(index * S::LANES);
                    let before = match self.bias {
                        Some(bias) => simd.splat(bias[row]),
                        None => simd.load(target),
                    };
                    simd.store(target, simd.add(before, sum));
                }
            }
        }
    }
}

/// As [`Products::add`].
#[inline(always)]
unsafe fn add_rows<S: Simd, const ROWS: usize>(
    simd: S,
    products: &mut Products<'_, impl Weight>,
    row: usize,
) {
    // SAFETY: the caller's.
    unsafe { products.add::<S, ROWS>(simd, row) };
}

#[cfg(test)]
mod tests;
