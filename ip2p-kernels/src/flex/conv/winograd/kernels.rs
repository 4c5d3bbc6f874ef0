//! The transformed kernels of a convolution: the left factors of its products.

use std::marker::PhantomData;

use rayon::prelude::*;

use super::algorithm::{Algorithm, POINTS};
use super::{GROUP, Weight};
use crate::flex::simd::{Kernel, MAX_LANES, Simd};

/// How many vectors of words before they are wanted the kernels are fetched: 4.5 KB.
const AHEAD: usize = 8;

/// Transformed kernels: for each group of [`GROUP`] output channels, each product and each channel of the group, one of each word
/// of input channels.
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
    pub(super) fn new<A: Algorithm, W: Weight>(channels_in: usize) -> Self {
        // Whole vectors, and an odd number of them: at a power of two the rows would drive each other out of the cache.
        let row = ((channels_in / W::CHANNELS).div_ceil(MAX_LANES) | 1) * MAX_LANES;
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
pub(super) fn transformed<A: Algorithm, W: Weight>(
    weight: &[W],
    layout: Layout,
    run: impl Fn(Group<'_, A, W>) + Sync,
) -> Vec<u32> {
    let numbers = GROUP * layout.channels_in * 9;
    let length = weight.len() / numbers * layout.group;
    let mut words = Vec::with_capacity(length);
    words.spare_capacity_mut()[..length]
        .par_chunks_exact_mut(layout.group)
        .zip(weight.par_chunks_exact(numbers))
        .for_each(|(target, weight)| {
            run(Group {
                weight,
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
pub(super) struct Group<'a, A, W> {
    pub(super) weight: &'a [W],
    /// Of as many words as the layout says.
    pub(super) target: *mut u32,
    pub(super) layout: Layout,
    pub(super) of: PhantomData<A>,
}

impl<A: Algorithm, W: Weight> Kernel for Group<'_, A, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let channels_in = self.layout.channels_in;
        let step = S::LANES * W::CHANNELS;
        for (row, kernels) in self.weight.chunks_exact(channels_in * 9).enumerate() {
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
}

impl<A: Algorithm, W: Weight> Group<'_, A, W> {
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
