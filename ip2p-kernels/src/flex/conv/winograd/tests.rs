//! Blocks of tiles with every instruction set.

use burn::tensor::bf16;
use burn::tensor::ops::ConvOptions;

use super::*;
use crate::flex::conv::formula::convolved;
use crate::flex::simd::{Kernel, Simd, dispatch_each};

/// All blocks of a convolution, one after the other.
struct Whole<'a, A, W> {
    geometry: &'a Geometry,
    input: &'a [f32],
    weight: &'a [W],
    bias: &'a [f32],
    at_once: bool,
    of: PhantomData<A>,
}

impl<A: Algorithm, W: Weight> Whole<'_, A, W> {
    #[inline(always)]
    fn in_blocks<S: Simd>(&self, simd: S, target: Target) {
        let geometry = self.geometry;
        let layout = Layout::new::<A, W>(geometry.channels_in);
        let words = transformed::<A, W>(self.weight, layout, |group| group.run(simd));
        let tiles = Tiles::in_blocks(geometry);
        let mut buffers = block::Buffers::new::<A, W>(geometry, &tiles);
        for index in 0..tiles.blocks() {
            let block = Block::<A, W> {
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
        let mut whole = AtOnce::<A, W>::new(self.geometry);
        whole.see(self.input, |part| part.run(simd));
        let mut buffers = whole.buffers();
        for task in 0..whole.tasks() {
            let channels = at_once::Channels {
                whole: &whole,
                buffers: &mut buffers,
                weight: self.weight,
                bias: self.bias,
                target,
                range: whole.channels(task),
            };
            channels.run(simd);
        }
    }
}

impl<A: Algorithm, W: Weight> Kernel for Whole<'_, A, W> {
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

/// A number of -1 to 1 that looks like chance: sums of those that follow a curve would nearly cancel, and show rounding alone.
fn number(index: usize) -> f32 {
    let mut bits = u32::try_from(index).expect("a small test");
    for factor in [0x7feb_352d_u32, 0x846c_a68b] {
        bits = (bits ^ bits >> 16).wrapping_mul(factor);
    }
    (bits >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// With each instruction set, the blocks of a convolution are that convolution, up to `tolerance` of its largest number.
fn assert_is_its_formula<A: Algorithm, W: Weight>(
    shape: [usize; 4],
    channels_out: usize,
    padding: [(usize, usize); 2],
    tolerance: f64,
) {
    let [batch, channels_in, height, width] = shape;
    let weights = [channels_out, channels_in, 3, 3];
    let options = ConvOptions::new_with_padding([1, 1], padding, [1, 1], 1);
    let input: Vec<f32> = (0..shape.iter().product()).map(number).collect();
    let weight: Vec<W> = (0..weights.iter().product())
        .map(|index| W::from_f32(number(3 * index)))
        .collect();
    let bias: Vec<f32> = (0..channels_out).map(number).collect();
    let exact: Vec<f32> = weight.iter().map(|weight| weight.to_f32()).collect();
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
        dispatch_each(|| Whole::<A, W> {
            geometry: &geometry,
            input: &input,
            weight: &weight,
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

/// In `f32` up to its rounding; in `bf16`, of 8 digits, up to what a few sums of rounded numbers are off.
fn assert_is_its_formula_in_both<A: Algorithm>(
    shape: [usize; 4],
    channels_out: usize,
    padding: [(usize, usize); 2],
) {
    assert_is_its_formula::<A, f32>(shape, channels_out, padding, 2e-6);
    assert_is_its_formula::<A, bf16>(shape, channels_out, padding, 0.01);
}

#[test]
fn blocks_are_the_convolution_with_every_instruction_set() {
    // Several blocks in both directions with smaller ones at the ends, tiles that are cut, fewer and more output channels than
    // are kept at a time; paddings that are none, not the same on all sides, or beyond what the kernel sees.
    assert_is_its_formula_in_both::<Single>([2, 16, 35, 131], 24, [(1, 1), (1, 1)]);
    assert_is_its_formula_in_both::<Single>([1, 20, 33, 32], 72, [(0, 0), (1, 0)]);
    assert_is_its_formula_in_both::<Single>([4, 16, 15, 17], 16, [(4, 0), (3, 5)]);
}

#[test]
fn blocks_of_a_doubled_picture_are_its_convolution_with_every_instruction_set() {
    let padding = [(1, 1), (1, 1)];
    assert_is_its_formula_in_both::<Doubled>([2, 16, 9, 70], 24, padding);
    assert_is_its_formula_in_both::<Doubled>([1, 20, 35, 8], 72, padding);
}
