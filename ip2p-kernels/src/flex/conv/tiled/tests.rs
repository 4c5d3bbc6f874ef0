//! Tiles with every instruction set.

use burn::tensor::bf16;
use burn::tensor::ops::ConvOptions;

use super::*;
use crate::flex::conv::formula::convolved;
use crate::flex::simd::dispatch_each;

/// All tiles of a convolution, one after the other.
struct Whole<'a, W> {
    geometry: &'a Geometry,
    tiling: &'a Tiling,
    input: &'a [f32],
    weight: &'a [W],
    bias: &'a [f32],
}

impl<W: Weight> Kernel for Whole<'_, W> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self {
            geometry,
            tiling,
            input,
            weight,
            bias,
        } = self;
        let channels = geometry.channels_out;
        let mut output = vec![f32::NAN; geometry.pixels() * channels];
        let mut buffers = Buffers::new::<W>(geometry, tiling, channels);
        for index in 0..tiling.cut.count(geometry.batch) {
            let tile = Tile {
                geometry,
                tiling,
                buffers: &mut buffers,
                input,
                weight,
                bias,
                target: Target(output.as_mut_ptr()),
                index,
                first_channel: 0,
                channels,
            };
            tile.run(simd);
        }
        output
    }
}

/// With each instruction set, the tiles of a convolution are that convolution.
fn assert_is_its_formula<W: Weight>(
    shape: [usize; 4],
    kernel: [usize; 2],
    padding: [(usize, usize); 2],
    of: impl Fn(f32) -> W,
    back: impl Fn(W) -> f32,
) {
    const CHANNELS: usize = 13;
    let options = ConvOptions::new_with_padding([1, 1], padding, [1, 1], 1);
    let geometry = Geometry::new(shape, [CHANNELS, shape[1], kernel[0], kernel[1]], &options);
    let number = |index: usize| (index as f32 * 0.7).sin();
    // Numbers of the input that `bf16` holds too, so that only the order of the sums differs.
    let input: Vec<f32> = (0..shape.iter().product())
        .map(|index| bf16::from_f32(number(index)).to_f32())
        .collect();
    let weight: Vec<W> = (0..CHANNELS * geometry.terms())
        .map(|index| of(number(3 * index)))
        .collect();
    let bias: Vec<f32> = (0..CHANNELS).map(number).collect();
    let tiling = Tiling::new::<W>(&geometry).expect("few channels waste little");
    let exact: Vec<f32> = weight.iter().map(|x| back(*x)).collect();
    let expected = convolved(&geometry, &input, &exact, &bias);
    let results = dispatch_each(|| Whole {
        geometry: &geometry,
        tiling: &tiling,
        input: &input,
        weight: &weight,
        bias: &bias,
    });
    for (set, found) in results {
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let difference = (f64::from(*found) - expected).abs();
            assert!(
                difference < 1e-3,
                "{set}, number {index} of {geometry:?}: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn tiles_are_the_convolution_with_every_instruction_set() {
    // Several tiles in both directions with lower ones at the ends, more channels than are multiplied at a time; kernels and
    // paddings that are not square; padding beyond what the kernel sees.
    let cases = [
        ([2, 6, 37, 130], [3, 3], [(1, 1), (1, 1)]),
        ([1, 70, 21, 16], [3, 3], [(1, 1), (1, 1)]),
        ([1, 4, 9, 33], [5, 2], [(0, 3), (1, 0)]),
        ([1, 2, 5, 7], [2, 3], [(4, 0), (3, 5)]),
    ];
    for (shape, kernel, padding) in cases {
        assert_is_its_formula(shape, kernel, padding, |x| x, |x| x);
        assert_is_its_formula(shape, kernel, padding, bf16::from_f32, bf16::to_f32);
    }
}
