//! A 3x3 convolution of a picture whose every pixel is repeated in a square of two by two, without that picture.
//!
//! Of the three rows that an output pixel sees two are the same, and so with the columns: it sees two by two pixels of the small
//! picture, through sums of the kernel's weights, of which there are four sets, one for each place in the square. Four multiplications
//! stand for nine.

use std::ops::Range;

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Shape, Tensor, bf16};
use rayon::prelude::*;

use super::Geometry;
use super::gathered::Part;
use super::weight::Weight;
use crate::flex::simd::Kernel;
use crate::flex::{contiguous, filled, for_rows, primitive, tensor, weights};
use crate::plain::{in_f32, to_f32};

/// Which of a kernel's three rows, or columns, fall on the first and on the second that an output pixel sees: of the even
/// ones and of the odd ones.
const FALLS: [[Range<usize>; 2]; 2] = [[0..1, 1..3], [0..2, 2..3]];

/// Of how many pixels on the products that are saved are more than the sums of weights that are made.
pub(crate) const UPSAMPLED_PIXELS: usize = 1024;

/// How many kernels a task sums up.
const KERNELS: usize = 4096;

/// As [`crate::upsample_conv2d`].
pub(crate) fn upsample_conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
) -> Tensor<4> {
    let [channels_out, channels_in, ..] = weight.dims();
    let channels = [channels_out, channels_in];
    let bias = bias.map_or_else(|| vec![0.0; channels_out], weights);
    let in_pairs = weight.dtype() == DType::BF16;
    let weight = contiguous(primitive(if in_pairs { weight } else { to_f32(weight) }));
    in_f32(x, |x| {
        let shape = x.dims();
        let x = contiguous(primitive(x));
        tensor(if in_pairs {
            convolve(&x, shape, weight.storage::<bf16>(), channels, &bias)
        } else {
            convolve(&x, shape, weight.storage::<f32>(), channels, &bias)
        })
    })
}

fn convolve<W: Weight>(
    x: &FlexTensor,
    shape: [usize; 4],
    weight: &[W],
    [channels_out, channels_in]: [usize; 2],
    bias: &[f32],
) -> FlexTensor
where
    for<'a> Part<'a, W>: Kernel<Output = ()>,
{
    let of_place = |row: usize, column: usize| {
        let padding = [(1 - row, row), (1 - column, column)];
        let options = ConvOptions::new_with_padding([1, 1], padding, [1, 1], 1);
        let geometry = Geometry::new(shape, [channels_out, channels_in, 2, 2], &options);
        geometry.convolve(x, &summed(weight, [row, column]), bias)
    };
    let places = [
        [of_place(0, 0), of_place(0, 1)],
        [of_place(1, 0), of_place(1, 1)],
    ];
    let [batch, _, height, width] = shape;
    interleaved(&places, [batch, channels_out, height, width])
}

/// The kernels of two by two for one place in the squares.
fn summed<W: Weight>(weight: &[W], [row, column]: [usize; 2]) -> Vec<W> {
    let mut sums = vec![W::from_f32(0.0); weight.len() / 9 * 4];
    let tasks = sums
        .par_chunks_mut(4 * KERNELS)
        .zip(weight.par_chunks(9 * KERNELS));
    tasks.for_each(|(sums, weight)| {
        for (sums, kernel) in sums.chunks_exact_mut(4).zip(weight.chunks_exact(9)) {
            for (index, sum) in sums.iter_mut().enumerate() {
                let (rows, columns) = (&FALLS[row][index / 2], &FALLS[column][index % 2]);
                let numbers = rows
                    .clone()
                    .flat_map(|row| columns.clone().map(move |column| 3 * row + column));
                *sum = W::from_f32(numbers.map(|at| kernel[at].to_f32()).sum());
            }
        }
    });
    sums
}

/// The picture whose squares have these pixels at their four places.
fn interleaved(
    places: &[[FlexTensor; 2]; 2],
    [batch, channels, height, width]: [usize; 4],
) -> FlexTensor {
    let places = places
        .each_ref()
        .map(|row| row.each_ref().map(FlexTensor::storage::<f32>));
    let layout = Layout::contiguous(Shape::from([batch, channels, 2 * height, 2 * width]));
    // SAFETY: each row is written to once, whole.
    unsafe {
        filled(layout, |target| {
            for_rows(batch * channels * height, 4 * width, |rows| {
                for row in rows {
                    for (index, places) in places.iter().enumerate() {
                        let [even, odd] = places.map(|place| &place[row * width..][..width]);
                        let target = target.at((2 * row + index) * 2 * width);
                        for (column, (even, odd)) in even.iter().zip(odd).enumerate() {
                            *target.add(2 * column) = *even;
                            *target.add(2 * column + 1) = *odd;
                        }
                    }
                }
            });
        })
    }
}
