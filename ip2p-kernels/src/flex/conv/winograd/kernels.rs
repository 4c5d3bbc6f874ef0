//! The transformed kernels of a convolution: the left factors of its products.

use std::marker::PhantomData;

use rayon::prelude::*;

use super::algorithm::{Algorithm, POINTS};
use super::numbers::{Numbers, more};
use super::{Filters, GROUP, Weight};
use crate::flex::quantized::scale;
use crate::flex::simd::{Kernel, MAX_LANES, Simd};

/// How many vectors of words before they are wanted the kernels are fetched: 4.5 KB.
const AHEAD: usize = 8;

/// Transformed kernels: for each group of [`GROUP`] output channels, each product and each channel of the group, one of each word
/// of input channels, and what more is said of them.
#[derive(Clone, Copy)]
pub(super) struct Kernels<'a> {
    pub(super) words: &'a [u32],
    pub(super) layout: Layout,
}

impl<'a> Kernels<'a> {
    /// Those of a group and a product: a row for each channel.
    pub(super) fn of(self, group: usize, product: usize) -> &'a [u32] {
        let place = group * self.layout.group + product * self.layout.product;
        &self.words[place..][..self.layout.product]
    }
}

/// How transformed kernels lie.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    channels_in: usize,
    /// Words from a channel to the next, from a product to the next, and from a group to the next.
    pub(super) row: usize,
    product: usize,
    pub(super) group: usize,
}

impl Layout {
    pub(super) fn new<A: Algorithm, N: Numbers>(channels_in: usize) -> Self {
        let words = channels_in / N::WORD + N::MORE;
        // Whole vectors, and an odd number of them: at a power of two the rows would drive each other out of the cache.
        let row = (words.div_ceil(MAX_LANES) | 1) * MAX_LANES;
        let product = GROUP * row;
        Self {
            channels_in,
            row,
            product,
            group: A::POINTS * A::POINTS * product,
        }
    }
}

/// Transforms kernels of `[channels_out, channels_in, 3, 3]`; `run` runs what each group takes.
pub(super) fn transformed<A: Algorithm, N: Numbers>(
    filters: Filters<'_, N>,
    layout: Layout,
    run: impl Fn(Group<'_, A, N>) + Sync,
) -> Vec<u32> {
    let groups = filters.weight.len() / (GROUP * layout.channels_in * 9);
    let length = groups * layout.group;
    let mut words = Vec::with_capacity(length);
    words.spare_capacity_mut()[..length]
        .par_chunks_exact_mut(layout.group)
        .enumerate()
        .for_each(|(group, target)| {
            run(Group {
                filters: filters.group(group, layout.channels_in),
                target: target.as_mut_ptr().cast(),
                layout,
                of: PhantomData,
            });
        });
    // SAFETY: of that capacity; each group has written to each word that a product reads.
    unsafe { words.set_len(length) };
    words
}

/// The kernels of a group of output channels.
pub(in super::super) struct Group<'a, A, N> {
    pub(super) filters: Filters<'a, N>,
    /// Of as many words as the layout says.
    pub(super) target: *mut u32,
    pub(super) layout: Layout,
    pub(super) of: PhantomData<A>,
}

impl<A: Algorithm, N: Numbers> Kernel for Group<'_, A, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        N::transform(simd, &self);
    }
}

impl<A: Algorithm> Group<'_, A, i8> {
    /// Transforms the kernels, which are bytes: once for the greatest of each product, and again to round them.
    #[inline(always)]
    pub(super) fn transform_bytes<S: Simd>(&self, simd: S) {
        let (channels_in, layout) = (self.layout.channels_in, self.layout);
        assert!(channels_in.is_multiple_of(S::LANES));
        let rows = self.filters.weight.chunks_exact(9 * channels_in);
        for (row, (kernels, unit)) in rows.zip(self.filters.scales).enumerate() {
            let kernels = Bytes::<A> {
                kernels,
                channels_in,
                of: PhantomData,
            };
            let mut most = [[simd.splat(0.0); POINTS]; POINTS];
            for channel in (0..channels_in).step_by(S::LANES) {
                let products = kernels.transformed(simd, channel);
                for (most, product) in most
                    .as_flattened_mut()
                    .iter_mut()
                    .zip(products.as_flattened())
                {
                    *most = simd.max_magnitude(*most, *product);
                }
            }
            let most = most.map(|row| row.map(|most| simd.greatest(most)));
            let inverses = most.map(|row| row.map(|most| simd.splat(scale(most).1)));
            // SAFETY: a row of each product has as many bytes, and more behind them; they are this group's alone.
            unsafe {
                let target = self.target.add(row * layout.row);
                for channel in (0..channels_in).step_by(S::LANES) {
                    let products = kernels.transformed(simd, channel);
                    for at in 0..A::POINTS * A::POINTS {
                        let (row, column) = (at / A::POINTS, at % A::POINTS);
                        let product = simd.mul(products[row][column], inverses[row][column]);
                        let target = target.add(at * layout.product).cast::<i8>();
                        simd.store_bytes(target.add(channel), product);
                    }
                }
                let words = channels_in / 4;
                for at in 0..A::POINTS * A::POINTS {
                    let target = target.add(at * layout.product);
                    let greatest = most[at / A::POINTS][at % A::POINTS];
                    let bytes = std::slice::from_raw_parts(target.cast(), channels_in);
                    let more = more(simd, bytes, greatest, *unit);
                    target.add(words).cast::<[u32; 2]>().write_unaligned(more);
                    // What is beyond is not read; but it is memory that was never written.
                    let beyond = words + more.len();
                    target.add(beyond).write_bytes(0, layout.row - beyond);
                }
            }
        }
    }
}

/// The kernels of an output channel in bytes, a position after the other.
struct Bytes<'a, A> {
    kernels: &'a [i8],
    channels_in: usize,
    of: PhantomData<A>,
}

impl<A: Algorithm> Bytes<'_, A> {
    /// The products of a vector of input channels.
    #[inline(always)]
    fn transformed<S: Simd>(&self, simd: S, channel: usize) -> [[S::Vector; POINTS]; POINTS] {
        let mut rows = [[simd.splat(0.0); POINTS]; 3];
        for (row, numbers) in rows.iter_mut().enumerate() {
            let mut kernel = [simd.splat(0.0); 3];
            for (column, number) in kernel.iter_mut().enumerate() {
                let at = (3 * row + column) * self.channels_in + channel;
                // SAFETY: the slice is as long.
                *number = unsafe { simd.load_bytes(self.kernels[at..][..S::LANES].as_ptr()) };
            }
            *numbers = A::kernel(simd, kernel);
        }
        let mut products = [[simd.splat(0.0); POINTS]; POINTS];
        for column in 0..A::POINTS {
            let [a, b, c] = rows;
            let transformed = A::kernel(simd, [a[column], b[column], c[column]]);
            for (products, number) in products.iter_mut().zip(transformed) {
                products[column] = number;
            }
        }
        products
    }
}

impl<A: Algorithm, W: Weight> Group<'_, A, W> {
    /// Transforms the kernels to words of the same numbers.
    #[inline(always)]
    pub(super) fn transform_words<S: Simd>(&self, simd: S) {
        let channels_in = self.layout.channels_in;
        let step = S::LANES * W::CHANNELS;
        for (row, kernels) in self
            .filters
            .weight
            .chunks_exact(channels_in * 9)
            .enumerate()
        {
            for (index, kernels) in kernels.chunks(step * 9).enumerate() {
                let mut room = [W::ZERO; 9 * 2 * MAX_LANES];
                let source = if kernels.len() == step * 9 {
                    kernels.as_ptr()
                } else {
                    room[..kernels.len()].copy_from_slice(kernels);
                    room.as_ptr()
                };
                // The hardware fetches ahead within a page alone.
                for line in 0..9 {
                    let ahead = source.wrapping_add(AHEAD * step * 9).cast::<f32>();
                    simd.prefetch(ahead.wrapping_add(line * MAX_LANES));
                }
                // SAFETY: there are as many numbers, and a row of the target is whole vectors.
                unsafe {
                    let kernels = W::kernels(simd, source);
                    let place = row * self.layout.row + index * S::LANES;
                    self.transform(simd, &kernels, self.target.add(place));
                }
            }
            // What is beyond the channels is not read; but it is memory that was never written.
            let written = (channels_in / W::CHANNELS).next_multiple_of(S::LANES);
            for place in (written..self.layout.row).step_by(S::LANES) {
                let zeros = [[simd.splat(0.0); 2]; 9];
                // SAFETY: as above.
                unsafe {
                    let target = self.target.add(row * self.layout.row + place);
                    self.transform(simd, &zeros, target);
                }
            }
        }
    }

    /// Transforms the kernels of a vector of words of input channels.
    ///
    /// # Safety
    ///
    /// A vector must be writable to `target`, for each product.
    #[inline(always)]
    unsafe fn transform<S: Simd>(&self, simd: S, kernels: &[[S::Vector; 2]; 9], target: *mut u32) {
        let mut products = [[[simd.splat(0.0); 2]; POINTS]; POINTS];
        for of in 0..W::CHANNELS {
            let mut rows = [[simd.splat(0.0); POINTS]; 3];
            for (row, kernel) in rows.iter_mut().zip(kernels.chunks_exact(3)) {
                *row = A::kernel(simd, [kernel[0][of], kernel[1][of], kernel[2][of]]);
            }
            for column in 0..A::POINTS {
                let [a, b, c] = rows;
                let transformed = A::kernel(simd, [a[column], b[column], c[column]]);
                for (products, number) in products.iter_mut().zip(transformed) {
                    products[column][of] = number;
                }
            }
        }
        for (row, products) in products.iter().enumerate().take(A::POINTS) {
            for (column, &channels) in products.iter().enumerate().take(A::POINTS) {
                let product = (row * A::POINTS + column) * self.layout.product;
                // SAFETY: the caller's.
                unsafe { W::store_words(simd, channels, target.add(product)) };
            }
        }
    }
}
