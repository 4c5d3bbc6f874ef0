//! A tile's width of output pixels: what they see of the input, and where they are stored.

use super::Geometry;
use crate::flex::Target;
use crate::flex::simd::{MAX_LANES, Simd, TILE_VECTORS};
use crate::flex::tile::{load_row, store_row, width};

/// The most pixels of a panel.
const WIDTH: usize = TILE_VECTORS * MAX_LANES;

/// Some output pixels, one after the other, perhaps of several pictures.
pub(super) struct Panel {
    /// The parts of it that lie in one picture each.
    runs: Vec<Run>,
    source: Source,
}

/// Pixels of one picture.
#[derive(Clone, Copy)]
struct Run {
    /// The first of them, in the panel.
    lane: usize,
    count: usize,
    picture: usize,
    /// The first of them, in the picture.
    pixel: usize,
}

/// Where the input of a panel is found, at each position of the kernel.
enum Source {
    /// A step of one pixel leads to the next number of the input, so that it is read whole vectors at a time. For each run and each
    /// position of the kernel, the lanes that see the picture and not the padding, a bit each, a word a vector.
    Shifted(Vec<[u32; TILE_VECTORS]>),
    /// For each position of the kernel and each lane, the place in the first channel, or [`PADDING`].
    Scattered(Vec<u32>),
}

/// No place in the input.
const PADDING: u32 = u32::MAX;

impl Panel {
    /// The `count` pixels from `first` on.
    pub(super) fn new<S: Simd>(geometry: &Geometry, first: usize, count: usize) -> Self {
        let plane = geometry.plane();
        let mut runs = Vec::new();
        let mut lane = 0;
        while lane < count {
            let pixel = (first + lane) % plane;
            let run = Run {
                lane,
                count: (count - lane).min(plane - pixel),
                picture: (first + lane) / plane,
                pixel,
            };
            lane += run.count;
            runs.push(run);
        }
        let shifts = geometry.stride == [1, 1] && geometry.output[1] == geometry.input[1];
        let source = if shifts {
            Source::Shifted(shifted::<S>(geometry, &runs))
        } else {
            Source::Scattered(scattered(geometry, &runs))
        };
        Self { runs, source }
    }

    /// Writes the input of the panel, a row a term, from `first_term` on.
    #[inline(always)]
    pub(super) fn gather<S: Simd>(
        &self,
        simd: S,
        geometry: &Geometry,
        input: &[f32],
        first_term: usize,
        target: &mut [f32],
    ) {
        for (term, row) in (first_term..).zip(target.chunks_exact_mut(width::<S>())) {
            let vectors = self.row(simd, geometry, input, term);
            // SAFETY: a row is as wide.
            unsafe { store_row(simd, row.as_mut_ptr(), vectors) };
        }
    }

    /// Writes the input of the panel in `bf16`, a row two terms, from `first_term` on.
    #[inline(always)]
    pub(super) fn gather_pairs<S: Simd>(
        &self,
        simd: S,
        geometry: &Geometry,
        input: &[f32],
        first_term: usize,
        target: &mut [u32],
    ) {
        for (pair, row) in target.chunks_exact_mut(width::<S>()).enumerate() {
            let term = first_term + 2 * pair;
            // No closure: it would be compiled without the instructions.
            let first = self.row(simd, geometry, input, term);
            let second = self.row(simd, geometry, input, term + 1);
            for (index, (first, second)) in first.into_iter().zip(second).enumerate() {
                let pairs = simd.pair(first, second);
                // SAFETY: a row is as wide.
                unsafe { simd.store_words(row.as_mut_ptr().add(index * S::LANES), pairs) };
            }
        }
    }

    /// The input of the panel for one term.
    #[inline(always)]
    fn row<S: Simd>(
        &self,
        simd: S,
        geometry: &Geometry,
        input: &[f32],
        term: usize,
    ) -> [S::Vector; TILE_VECTORS] {
        let positions = geometry.positions();
        let plane = geometry.input[0] * geometry.input[1];
        let (channel, position) = (term / positions, term % positions);
        match &self.source {
            Source::Shifted(seen) => {
                let mut vectors = [simd.splat(0.0); TILE_VECTORS];
                for (index, run) in self.runs.iter().enumerate() {
                    let first = (run.picture * geometry.channels_in + channel) * plane;
                    let start = input
                        .as_ptr()
                        .wrapping_add(first + run.pixel)
                        .wrapping_offset(shift(geometry, position))
                        .wrapping_sub(run.lane);
                    let seen = seen[index * positions + position];
                    for (at, vector) in vectors.iter_mut().enumerate() {
                        // SAFETY: only lanes whose bit is set are read, and those see the picture.
                        let part =
                            unsafe { simd.load_where(start.wrapping_add(at * S::LANES), seen[at]) };
                        // No lane is in two runs.
                        *vector = if index == 0 {
                            part
                        } else {
                            simd.add(*vector, part)
                        };
                    }
                }
                vectors
            }
            Source::Scattered(places) => {
                let channel = &input[channel * plane..];
                let mut row = [0.0; WIDTH];
                for (number, &place) in row.iter_mut().zip(&places[position * WIDTH..][..WIDTH]) {
                    *number = match place {
                        PADDING => 0.0,
                        place => channel[place as usize],
                    };
                }
                // SAFETY: as wide as the widest row.
                unsafe { load_row(simd, row.as_ptr()) }
            }
        }
    }

    /// The panel's row of an output channel, if it is as wide as a tile and in one piece.
    #[inline(always)]
    pub(super) fn whole<S: Simd>(
        &self,
        _: S,
        geometry: &Geometry,
        target: Target,
        channel: usize,
    ) -> Option<*mut f32> {
        match self.runs[..] {
            [run] if run.count == TILE_VECTORS * S::LANES => {
                Some(run.target(geometry, target, channel))
            }
            _ => None,
        }
    }

    /// The sums so far of an output channel.
    ///
    /// # Safety
    ///
    /// They must have been stored.
    #[inline(always)]
    pub(super) unsafe fn load<S: Simd>(
        &self,
        simd: S,
        geometry: &Geometry,
        target: Target,
        channel: usize,
    ) -> [S::Vector; TILE_VECTORS] {
        let mut row = [0.0; WIDTH];
        for run in &self.runs {
            let source = run.target(geometry, target, channel);
            // SAFETY: the run is `count` pixels of the panel and of the output.
            unsafe {
                row.as_mut_ptr()
                    .add(run.lane)
                    .copy_from_nonoverlapping(source, run.count);
            }
        }
        // SAFETY: as wide as the widest row.
        unsafe { load_row(simd, row.as_ptr()) }
    }

    /// Stores the sums of an output channel.
    ///
    /// # Safety
    ///
    /// Nobody else may hold these pixels.
    #[inline(always)]
    pub(super) unsafe fn store<S: Simd>(
        &self,
        simd: S,
        geometry: &Geometry,
        target: Target,
        channel: usize,
        vectors: [S::Vector; TILE_VECTORS],
    ) {
        let mut row = [0.0; WIDTH];
        // SAFETY: as wide as the widest row.
        unsafe { store_row(simd, row.as_mut_ptr(), vectors) };
        for run in &self.runs {
            let target = run.target(geometry, target, channel);
            // SAFETY: the run is `count` pixels of the panel and of the output.
            unsafe { target.copy_from_nonoverlapping(row.as_ptr().add(run.lane), run.count) };
        }
    }
}

impl Run {
    /// The address of the run in an output channel.
    #[inline(always)]
    fn target(&self, geometry: &Geometry, target: Target, channel: usize) -> *mut f32 {
        let plane = self.picture * geometry.channels_out + channel;
        // SAFETY: a pixel of the output.
        unsafe { target.at(plane * geometry.plane() + self.pixel) }
    }

    /// The row and the column of the input that a lane sees at a position of the kernel, if that is not padding.
    fn sees(&self, geometry: &Geometry, lane: usize, position: usize) -> Option<[usize; 2]> {
        let pixel = self.pixel + lane - self.lane;
        let output = [pixel / geometry.output[1], pixel % geometry.output[1]];
        let kernel = [position / geometry.kernel[1], position % geometry.kernel[1]];
        let [row, column] = [0, 1].map(|axis| {
            (output[axis] * geometry.stride[axis] + kernel[axis])
                .checked_sub(geometry.padding[axis])
                .filter(|&at| at < geometry.input[axis])
        });
        Some([row?, column?])
    }

    fn lanes(&self) -> std::ops::Range<usize> {
        self.lane..self.lane + self.count
    }
}

/// How far from its own place in the picture a pixel sees the input, where both are as wide and the stride is 1.
#[inline(always)]
fn shift(geometry: &Geometry, position: usize) -> isize {
    let [row, column] = [position / geometry.kernel[1], position % geometry.kernel[1]];
    let [above, left] = geometry.padding.map(usize::cast_signed);
    (row.cast_signed() - above) * geometry.input[1].cast_signed() + column.cast_signed() - left
}

fn shifted<S: Simd>(geometry: &Geometry, runs: &[Run]) -> Vec<[u32; TILE_VECTORS]> {
    let mut seen = Vec::with_capacity(runs.len() * geometry.positions());
    for run in runs {
        for position in 0..geometry.positions() {
            let mut words = [0; TILE_VECTORS];
            for lane in run.lanes() {
                if run.sees(geometry, lane, position).is_some() {
                    words[lane / S::LANES] |= 1 << (lane % S::LANES);
                }
            }
            seen.push(words);
        }
    }
    seen
}

fn scattered(geometry: &Geometry, runs: &[Run]) -> Vec<u32> {
    let mut places = vec![PADDING; geometry.positions() * WIDTH];
    let [height, width] = geometry.input;
    for run in runs {
        let picture = run.picture * geometry.channels_in * height * width;
        for position in 0..geometry.positions() {
            for lane in run.lanes() {
                if let Some([row, column]) = run.sees(geometry, lane, position) {
                    let place = u32::try_from(picture + row * width + column)
                        .ok()
                        .filter(|&place| place != PADDING)
                        .expect("fewer than 2^32 numbers to convolve");
                    places[position * WIDTH + lane] = place;
                }
            }
        }
    }
    places
}
