//! All tiles of few and small pictures, for kernels that are transformed when they are wanted.
//!
//! With so few tiles the kernels are the larger part. Each task transforms those of a few output channels, which then are in a cache
//! while all tiles are multiplied with them.

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use super::algorithm::Algorithm;
use super::kernels::{Group, Kernels, Layout};
use super::numbers::Numbers;
use super::place::Place;
use super::product::Sizes;
use super::tiles::{self, Tiles};
use super::{Filters, GROUP, Geometry};
use crate::flex::scratch::Scratch;
use crate::flex::simd::{Kernel, MAX_LANES, Simd};
use crate::flex::{Target, for_tasks, wanted};

/// How many output channels a task multiplies at a time: 1.3 MB of kernels of 1280 input channels, which a task reads once.
const CHANNELS: usize = 32;

/// A convolution, its tiles and their right factors.
pub(super) struct AtOnce<'a, A, N> {
    geometry: &'a Geometry,
    tiles: Tiles,
    sizes: Sizes,
    layout: Layout,
    right: Scratch<u32>,
    of: PhantomData<(A, N)>,
}

impl<'a, A: Algorithm, N: Numbers> AtOnce<'a, A, N> {
    pub(super) fn new(geometry: &'a Geometry) -> Self {
        let tiles = Tiles::at_once(geometry);
        let sizes = Sizes::new::<N>(geometry, CHANNELS, tiles.pitch);
        Self {
            geometry,
            right: Scratch::new(A::POINTS * A::POINTS * sizes.right()),
            tiles,
            sizes,
            layout: Layout::new::<A, N>(geometry.channels_in),
            of: PhantomData,
        }
    }

    /// The memory of a task.
    pub(super) fn buffers(&self) -> Buffers {
        Buffers {
            kernels: Scratch::new(CHANNELS / GROUP * self.layout.group),
            sums: Scratch::new(A::POINTS * A::POINTS * self.sizes.sums() + 2 * MAX_LANES),
        }
    }

    /// Transforms what the tiles see, in parallel; `run` runs what each task takes.
    pub(super) fn see(&mut self, input: &[f32], run: impl Fn(See<'_, '_, A, N>) + Sync) {
        let right = Target(self.right.as_mut_ptr().cast());
        let words = self.sizes.seen;
        let step = words.div_ceil(wanted()).max(1);
        let whole: &Self = self;
        for_tasks(
            words.div_ceil(step),
            || Scratch::new(whole.tiles.lines::<A>()),
            |lines, task| {
                let first = task * step;
                run(See {
                    whole,
                    input,
                    lines,
                    right,
                    words: first..words.min(first + step),
                });
            },
        );
    }

    /// Makes the right factors of what the tiles see, in parallel; `run` runs what each task takes.
    pub(super) fn settle(&mut self, run: impl Fn(Settle<'_, N>) + Sync) {
        let (sizes, tiles) = (self.sizes, tiles::count(self.geometry));
        self.right
            .par_chunks_exact_mut(sizes.right())
            .for_each(|seen| {
                run(Settle {
                    seen,
                    sizes,
                    tiles,
                    of: PhantomData,
                });
            });
    }

    /// How many tasks the output channels are.
    pub(super) fn tasks(&self) -> usize {
        self.geometry.channels_out.div_ceil(CHANNELS)
    }

    /// The output channels of a task.
    pub(super) fn channels(&self, task: usize) -> Range<usize> {
        let first = task * CHANNELS;
        first..self.geometry.channels_out.min(first + CHANNELS)
    }

    /// Each rectangle of tiles.
    #[inline(always)]
    fn places<S: Simd>(&self, simd: S) -> impl Iterator<Item = Place<'a, A, N::Seen>> {
        let mut first = 0;
        (0..self.tiles.blocks()).map(move |block| {
            let at = (self.tiles.block(block), first);
            let place = Place::new(simd, self.geometry, &self.tiles, at);
            first += place.tiles();
            place
        })
    }
}

/// What all tiles see of some words of input channels.
pub(super) struct See<'a, 'b, A, N> {
    whole: &'a AtOnce<'b, A, N>,
    input: &'a [f32],
    lines: &'a mut Scratch<f32>,
    right: Target,
    words: Range<usize>,
}

impl<A: Algorithm, N: Numbers> Kernel for See<'_, '_, A, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let product = self.whole.sizes.right();
        for place in self.whole.places(simd) {
            for word in self.words.clone() {
                // SAFETY: a row of the right factors has room for a vector behind the last tile; these words are this task's alone.
                unsafe {
                    let right = self.right.at(0).cast();
                    place.see(simd, self.input, word, self.lines, right, product);
                }
            }
        }
    }
}

/// The right factors of a product.
pub(super) struct Settle<'a, N> {
    seen: &'a mut [u32],
    sizes: Sizes,
    tiles: usize,
    of: PhantomData<N>,
}

impl<N: Numbers> Kernel for Settle<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.sizes.settle::<N, S>(simd, self.seen, self.tiles);
    }
}

/// The memory of a task.
pub(super) struct Buffers {
    kernels: Scratch<u32>,
    sums: Scratch<f32>,
}

/// Some output channels of all pictures.
pub(super) struct Channels<'a, 'b, A, N> {
    pub(super) whole: &'a AtOnce<'b, A, N>,
    pub(super) buffers: &'a mut Buffers,
    pub(super) filters: Filters<'a, N>,
    pub(super) bias: &'a [f32],
    pub(super) target: Target,
    pub(super) range: Range<usize>,
}

impl<A: Algorithm, N: Numbers> Kernel for Channels<'_, '_, A, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Buffers { kernels, sums } = self.buffers;
        let (whole, layout) = (self.whole, self.whole.layout);
        let first = self.range.start / GROUP;
        let groups = self.range.len() / GROUP;
        let targets = kernels.chunks_exact_mut(layout.group);
        for (index, target) in targets.take(groups).enumerate() {
            let group = Group::<A, N> {
                filters: (self.filters).group(first + index, whole.geometry.channels_in),
                target: target.as_mut_ptr(),
                layout,
                of: PhantomData,
            };
            group.run(simd);
        }
        let kernels = Kernels {
            words: kernels,
            layout,
        };
        let tiles = tiles::count(whole.geometry);
        let sizes = whole.sizes;
        sizes.multiply::<A, N, S>(simd, kernels, 0..groups, (&whole.right, tiles), sums);
        for place in whole.places(simd) {
            for (row, channel) in self.range.clone().enumerate() {
                let sums = &sums[row * sizes.pitch..];
                let bias = self.bias[channel];
                // SAFETY: these channels are this task's alone.
                unsafe { place.store(simd, sums, sizes.sums(), channel, bias, self.target) };
            }
        }
    }
}
