//! The transformed kernels of a convolution.

use std::marker::PhantomData;

use rayon::prelude::*;

use super::algorithm::{Algorithm, POINTS};
use super::{GROUP, Weight};
use crate::flex::simd::{Kernel, MAX_LANES, Simd};

/// The transformed kernels: for each group of [`GROUP`] output channels, each product and each word of input channels, one of
/// each channel of the group.
pub(super) struct Kernels {
    words: Vec<u32>,
    /// From a product to the next.
    pub(super) stride: usize,
    /// From a group to the next.
    group: usize,
}

impl Kernels {
    /// Those of a group and a product.
    pub(super) fn of(&self, group: usize, product: usize) -> &[u32] {
        &self.words[group * self.group + product * self.stride..][..self.stride]
    }
}

/// Transforms kernels of `[channels_out, channels_in, 3, 3]`; `run` runs what each group takes.
pub(super) fn transformed<A: Algorithm, W: Weight>(
    weight: &[W],
    channels_in: usize,
    channels_out: usize,
    run: impl Fn(Group<'_, A, W>) + Sync,
) -> Kernels {
    let stride = GROUP * channels_in / W::CHANNELS;
    let group = A::POINTS * A::POINTS * stride;
    let length = channels_out / GROUP * group;
    let mut words = Vec::with_capacity(length);
    words.spare_capacity_mut()[..length]
        .par_chunks_exact_mut(group)
        .zip(weight.par_chunks_exact(GROUP * channels_in * 9))
        .for_each(|(target, weight)| {
            run(Group {
                weight,
                target: target.as_mut_ptr().cast(),
                channels_in,
                stride,
                of: PhantomData,
            });
        });
    // SAFETY: of that capacity; each group has written to each of its words.
    unsafe { words.set_len(length) };
    Kernels {
        words,
        stride,
        group,
    }
}

/// The kernels of a group of output channels.
pub(super) struct Group<'a, A, W> {
    weight: &'a [W],
    /// Of `POINTS² · stride` words.
    target: *mut u32,
    channels_in: usize,
    stride: usize,
    of: PhantomData<A>,
}

impl<A: Algorithm, W: Weight> Kernel for Group<'_, A, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // So many input channels, of each output channel, are in the lanes of a vector.
        let across = S::LANES / GROUP;
        for first in (0..self.channels_in).step_by(across * W::CHANNELS) {
            let mut products = [[[simd.splat(0.0); POINTS]; POINTS]; 2];
            for (channel, products) in products.iter_mut().enumerate().take(W::CHANNELS) {
                *products = self.transform(simd, first + channel);
            }
            let place = first / W::CHANNELS * GROUP;
            for row in 0..A::POINTS {
                for column in 0..A::POINTS {
                    let at = (row * A::POINTS + column) * self.stride + place;
                    let channels = products.map(|products| products[row][column]);
                    // SAFETY: the input channels are a multiple of four, so that the last vector too is within a product.
                    unsafe { W::store_words(simd, channels, self.target.add(at)) };
                }
            }
        }
    }
}

impl<A: Algorithm, W: Weight> Group<'_, A, W> {
    /// The transformed kernels of every [`Weight::CHANNELS`]th input channel from `first` on, the output channels of the group side by
    /// side.
    #[inline(always)]
    fn transform<S: Simd>(&self, simd: S, first: usize) -> [[S::Vector; POINTS]; POINTS] {
        let mut numbers = [[0.0; MAX_LANES]; 9];
        for lane in 0..S::LANES {
            let channel = first + lane / GROUP * W::CHANNELS;
            let kernel = &self.weight[(lane % GROUP * self.channels_in + channel) * 9..][..9];
            for (numbers, number) in numbers.iter_mut().zip(kernel) {
                numbers[lane] = number.to_f32();
            }
        }
        let mut rows = [[simd.splat(0.0); POINTS]; 3];
        for (row, numbers) in rows.iter_mut().zip(numbers.chunks_exact(3)) {
            let mut kernel = [simd.splat(0.0); 3];
            for (kernel, numbers) in kernel.iter_mut().zip(numbers) {
                // SAFETY: there are `MAX_LANES` numbers.
                *kernel = unsafe { simd.load(numbers.as_ptr()) };
            }
            *row = A::kernel(simd, kernel);
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
