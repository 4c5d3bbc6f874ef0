//! Blocks of tiles with every instruction set.

use burn::tensor::bf16;
use burn::tensor::ops::ConvOptions;

use super::*;
use crate::flex::conv::formula::{convolved, number};
use crate::flex::conv::weight::Weight;
use crate::flex::simd::{Kernel, Simd, dispatch_each, to_byte};

/// All blocks of a convolution, one after the other.
struct Whole<'a, A, N> {
    geometry: &'a Geometry,
    input: &'a [f32],
    filters: Filters<'a, N>,
    bias: &'a [f32],
    at_once: bool,
    of: PhantomData<A>,
}

impl<A: Algorithm, N: Numbers> Whole<'_, A, N> {
    #[inline(always)]
    fn in_blocks<S: Simd>(&self, simd: S, target: Target) {
        let geometry = self.geometry;
        let layout = Layout::new::<A, N>(geometry.channels_in);
        let words = transformed::<A, N>(self.filters, layout, |group| group.run(simd));
        let tiles = Tiles::in_blocks(geometry);
        let mut buffers = block::Buffers::new::<A, N>(geometry, &tiles);
        for index in 0..tiles.blocks() {
            let block = Block::<A, N> {
                geometry,
                tiles: &tiles,
                buffers: &mut buffers,
                input: self.input,
                kernels: Kernels {
                    words: &words,
                    layout,
                },
                bias: self.bias,
                target,
                index,
                channels: 0..geometry.channels_out,
                of: PhantomData,
            };
            block.run(simd);
        }
    }

    #[inline(always)]
    fn at_once<S: Simd>(&self, simd: S, target: Target) {
        let mut whole = AtOnce::<A, N>::new(self.geometry);
        whole.see(self.input, |part| part.run(simd));
        whole.settle(|product| product.run(simd));
        let mut buffers = whole.buffers();
        for task in 0..whole.tasks() {
            let channels = at_once::Channels {
                whole: &whole,
                buffers: &mut buffers,
                filters: self.filters,
                bias: self.bias,
                target,
                range: whole.channels(task),
            };
            channels.run(simd);
        }
    }
}

impl<A: Algorithm, N: Numbers> Kernel for Whole<'_, A, N> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        let geometry = self.geometry;
        let mut output = vec![f32::NAN; geometry.pixels() * geometry.channels_out];
        let target = Target(output.as_mut_ptr());
        if self.at_once {
            self.at_once(simd, target);
        } else {
            self.in_blocks(simd, target);
        }
        output
    }
}

/// The picture with each pixel repeated two by two.
fn doubled(input: &[f32], width: usize) -> Vec<f32> {
    let rows = input.chunks_exact(width).map(|row| {
        let row: Vec<f32> = row.iter().flat_map(|&pixel| [pixel; 2]).collect();
        [row.clone(), row].concat()
    });
    rows.flatten().collect()
}

/// Kernels of each type: the numbers, what 1 stands for in each output channel, and how they lie as numbers of `f32`.
trait Kernels3x3: Numbers {
    fn of(weights: [usize; 4]) -> (Vec<Self>, Vec<f32>, Vec<f32>);
}

impl<W: Weight> Kernels3x3 for W {
    fn of(weights: [usize; 4]) -> (Vec<Self>, Vec<f32>, Vec<f32>) {
        let length = weights.iter().product();
        let weight: Vec<W> = (0..length).map(|i| W::from_f32(number(3 * i))).collect();
        let exact = weight.iter().map(|weight| weight.to_f32()).collect();
        (weight, Vec::new(), exact)
    }
}

impl Kernels3x3 for i8 {
    fn of([channels_out, channels_in, ..]: [usize; 4]) -> (Vec<Self>, Vec<f32>, Vec<f32>) {
        let length = channels_out * channels_in * 9;
        let weight: Vec<i8> = (0..length)
            .map(|i| to_byte(127.0 * number(3 * i)))
            .collect();
        let scales: Vec<f32> = (0..channels_out)
            .map(|i| 0.01 * (1.5 + number(i)))
            .collect();
        let mut exact = vec![0.0; length];
        for (index, number) in exact.iter_mut().enumerate() {
            let (kernel, position) = (index / 9, index % 9);
            let (out, channel) = (kernel / channels_in, kernel % channels_in);
            let byte = weight[(9 * out + position) * channels_in + channel];
            *number = f32::from(byte) * scales[out];
        }
        (weight, scales, exact)
    }
}

/// With each instruction set, the blocks of a convolution are that convolution, up to `tolerance` of its largest number.
fn assert_is_its_formula<A: Algorithm, N: Kernels3x3>(
    shape: [usize; 4],
    channels_out: usize,
    padding: [(usize, usize); 2],
    tolerance: f64,
) {
    let [batch, channels_in, height, width] = shape;
    let weights = [channels_out, channels_in, 3, 3];
    let options = ConvOptions::new_with_padding([1, 1], padding, [1, 1], 1);
    let input: Vec<f32> = (0..shape.iter().product()).map(number).collect();
    let (weight, scales, exact) = N::of(weights);
    let bias: Vec<f32> = (0..channels_out).map(number).collect();
    let (geometry, expected) = if A::STEP == 1 {
        let larger = [batch, channels_in, 2 * height, 2 * width];
        let larger = Geometry::new(larger, weights, &options);
        let expected = convolved(&larger, &doubled(&input, width), &exact, &bias);
        (Geometry::doubled(shape, channels_out), expected)
    } else {
        let geometry = Geometry::new(shape, weights, &options);
        (geometry, convolved(&geometry, &input, &exact, &bias))
    };
    let largest = expected.iter().copied().fold(0.0, f64::max);
    let results = [false, true].map(|at_once| {
        dispatch_each(|| Whole::<A, N> {
            geometry: &geometry,
            input: &input,
            filters: Filters {
                weight: &weight,
                scales: &scales,
            },
            bias: &bias,
            at_once,
            of: PhantomData,
        })
    });
    for (set, found) in results.into_iter().flatten() {
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let difference = (f64::from(*found) - expected).abs();
            assert!(
                difference < tolerance * largest,
                "{set}, number {index} of {geometry:?}: {found}, not {expected} ({largest} at most)"
            );
        }
    }
}

/// In `f32` up to its rounding; in `bf16`, of 8 digits, up to what a few sums of rounded numbers are off; in bytes, of which the
/// greatest number has 7 digits and the others fewer, up to more.
fn assert_is_its_formula_in_all<A: Algorithm>(
    shape: [usize; 4],
    channels_out: usize,
    padding: [(usize, usize); 2],
) {
    assert_is_its_formula::<A, f32>(shape, channels_out, padding, 2e-6);
    assert_is_its_formula::<A, bf16>(shape, channels_out, padding, 0.01);
    if shape[1].is_multiple_of(16) {
        assert_is_its_formula::<A, i8>(shape, channels_out, padding, 0.03);
    }
}

#[test]
fn blocks_are_the_convolution_with_every_instruction_set() {
    // Several blocks in both directions with smaller ones at the ends, tiles that are cut, fewer and more output channels than
    // are kept at a time; paddings that are none, not the same on all sides, or beyond what the kernel sees.
    assert_is_its_formula_in_all::<Single>([2, 16, 35, 131], 24, [(1, 1), (1, 1)]);
    assert_is_its_formula_in_all::<Single>([1, 20, 33, 32], 72, [(0, 0), (1, 0)]);
    assert_is_its_formula_in_all::<Single>([4, 16, 15, 17], 16, [(4, 0), (3, 5)]);
}

#[test]
fn blocks_of_a_doubled_picture_are_its_convolution_with_every_instruction_set() {
    let padding = [(1, 1), (1, 1)];
    assert_is_its_formula_in_all::<Doubled>([2, 16, 9, 70], 24, padding);
    assert_is_its_formula_in_all::<Doubled>([1, 20, 35, 8], 72, padding);
}
