//! Two-dimensional convolution as a product of matrices, `[channels_out, terms] · [terms, pixels]`, whose right factor is never stored
//! whole.
//!
//! The terms are the input channels times the positions of the kernel; the pixels are those of all pictures in a row. A task takes
//! some of the pixels, a tile's width at a time ([`Panel`]), and some of the output channels. It gathers a few hundred terms of its
//! panels and multiplies all its channels with them before it goes on to the next terms, so that what it gathers stays in
//! the level-2 cache, and the weights pass through once. The weights are read where they lie.

mod panel;

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Shape, Tensor};
use rayon::prelude::*;

use self::panel::Panel;
use super::simd::{Kernel, Simd, TILE_VECTORS, dispatch};
use super::tile::{Left, for_tiles, load_row, multiply, store_row, width};
use super::{Target, contiguous, filled, primitive, tensor, weights};
use crate::plain::{in_f32, to_f32};

/// How many terms are gathered at a time.
const TERMS: usize = 256;

/// How many panels a task takes: gathered, 400 KB with 512-bit vectors.
const PANELS: usize = 8;

/// How many tasks there should be for each thread, so that none waits long for the last.
const TASKS_PER_THREAD: usize = 4;

/// The least channels of a task, since every task gathers its pixels itself.
const CHANNELS: usize = 160;

/// Convolution of `[batch, channels, height, width]` without groups or dilation.
pub(crate) fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: &ConvOptions<2>,
) -> Tensor<4> {
    let geometry = Geometry::new(x.dims(), weight.dims(), options);
    let bias = bias.map_or_else(|| vec![0.0; geometry.channels_out], weights);
    in_f32(x, |x| {
        let [x, weight] = [x, to_f32(weight)].map(|x| contiguous(primitive(x)));
        tensor(geometry.convolve(&x, &weight, &bias))
    })
}

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    batch: usize,
    channels_in: usize,
    channels_out: usize,
    /// Height and width of the input, the output, the kernel.
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    /// Rows above and columns to the left.
    padding: [usize; 2],
}

impl Geometry {
    fn new(
        [batch, channels_in, height, width]: [usize; 4],
        [channels_out, weight_in, kernel_height, kernel_width]: [usize; 4],
        options: &ConvOptions<2>,
    ) -> Self {
        assert_eq!(
            channels_in, weight_in,
            "conv2d of {channels_in} channels cannot have weights for {weight_in}"
        );
        let (input, kernel) = ([height, width], [kernel_height, kernel_width]);
        let output = std::array::from_fn(|axis| {
            let (begin, end) = options.padding[axis];
            let padded = input[axis] + begin + end;
            assert!(
                padded >= kernel[axis],
                "conv2d of a kernel of {kernel:?} on padded input of {padded}"
            );
            (padded - kernel[axis]) / options.stride[axis] + 1
        });
        Self {
            batch,
            channels_in,
            channels_out,
            input,
            output,
            kernel,
            stride: options.stride,
            padding: options.padding_begin(),
        }
    }

    /// How many products are summed up for an output number.
    fn terms(&self) -> usize {
        self.channels_in * self.positions()
    }

    /// Positions of the kernel.
    fn positions(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Pixels of one output picture.
    fn plane(&self) -> usize {
        self.output[0] * self.output[1]
    }

    fn pixels(&self) -> usize {
        self.batch * self.plane()
    }

    fn convolve(&self, x: &FlexTensor, weight: &FlexTensor, bias: &[f32]) -> FlexTensor {
        let [height, width] = self.output;
        let shape = Shape::from([self.batch, self.channels_out, height, width]);
        let step = dispatch(Step);
        let parts = self.pixels().div_ceil(step);
        let wanted = rayon::current_num_threads() * TASKS_PER_THREAD;
        let splits = wanted
            .div_ceil(parts.max(1))
            .min(self.channels_out / CHANNELS)
            .max(1);
        // Whole tiles, so that only the last task has a lower one.
        let channels = self.channels_out.div_ceil(splits).next_multiple_of(8);
        let splits = self.channels_out.div_ceil(channels);
        let (input, weight) = (x.storage::<f32>(), weight.storage::<f32>());
        // SAFETY: each pixel of each channel is in one task.
        unsafe {
            filled(Layout::contiguous(shape), |target| {
                (0..parts * splits).into_par_iter().for_each(|task| {
                    let (part, split) = (task / splits, task % splits);
                    let first = split * channels;
                    dispatch(Part {
                        geometry: self,
                        input,
                        weight,
                        bias,
                        target,
                        first_pixel: part * step,
                        pixels: step.min(self.pixels() - part * step),
                        first_channel: first,
                        channels: channels.min(self.channels_out - first),
                    });
                });
            })
        }
    }
}

/// How many pixels a task takes.
struct Step;

impl Kernel for Step {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        PANELS * width::<S>()
    }
}

/// Some pixels of some output channels.
struct Part<'a> {
    geometry: &'a Geometry,
    input: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    target: Target,
    first_pixel: usize,
    pixels: usize,
    first_channel: usize,
    channels: usize,
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let geometry = self.geometry;
        let width = width::<S>();
        let all_terms = geometry.terms();
        let panels: Vec<Panel> = (0..self.pixels)
            .step_by(width)
            .map(|offset| {
                let first = self.first_pixel + offset;
                Panel::new::<S>(geometry, first, width.min(self.pixels - offset))
            })
            .collect();
        let mut gathered = vec![0.0; panels.len() * TERMS * width];
        for first_term in (0..all_terms).step_by(TERMS) {
            let terms = TERMS.min(all_terms - first_term);
            for (panel, target) in panels.iter().zip(gathered.chunks_exact_mut(TERMS * width)) {
                panel.gather(
                    simd,
                    geometry,
                    self.input,
                    first_term,
                    &mut target[..terms * width],
                );
            }
            let left = Left {
                start: self.weight[self.first_channel * all_terms + first_term..].as_ptr(),
                row_stride: all_terms,
                term_stride: 1,
            };
            let sums = Sums {
                part: &self,
                panels: &panels,
                gathered: &gathered,
                terms,
                begin: first_term == 0,
            };
            // SAFETY: the weights have `channels` rows from the first channel on, of `terms` terms from the first term on.
            unsafe {
                for_tiles!(S, self.channels, |first| add_products(
                    simd,
                    &sums,
                    left.skip(first),
                    self.first_channel + first,
                ));
            }
        }
    }
}

/// What the products of some terms are added to.
struct Sums<'a> {
    part: &'a Part<'a>,
    panels: &'a [Panel],
    gathered: &'a [f32],
    terms: usize,
    /// Whether these are the first terms, and the sums begin with the bias.
    begin: bool,
}

/// Adds the products of some terms to `ROWS` output channels of each panel.
///
/// # Safety
///
/// `left` must be readable for `ROWS` rows and as many terms; the output must have so many channels from `channel` on.
#[inline(always)]
unsafe fn add_products<S: Simd, const ROWS: usize>(
    simd: S,
    sums: &Sums<'_>,
    left: Left,
    channel: usize,
) {
    let width = width::<S>();
    let part = sums.part;
    let gathered = sums.gathered.chunks_exact(TERMS * width);
    for (panel, right) in sums.panels.iter().zip(gathered) {
        let mut tile = [[simd.splat(0.0); TILE_VECTORS]; ROWS];
        for (row, tile) in tile.iter_mut().enumerate() {
            // SAFETY: a channel of the output; the panel is this task's alone.
            *tile = unsafe {
                if sums.begin {
                    [simd.splat(part.bias[channel + row]); TILE_VECTORS]
                } else if let Some(target) =
                    panel.whole(simd, part.geometry, part.target, channel + row)
                {
                    load_row(simd, target)
                } else {
                    panel.load(simd, part.geometry, part.target, channel + row)
                }
            };
        }
        // SAFETY: the caller's; `gather` has filled `terms` rows of each panel.
        let tile = unsafe { multiply(simd, left, right.as_ptr(), sums.terms, tile) };
        for (row, tile) in tile.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe {
                if let Some(target) = panel.whole(simd, part.geometry, part.target, channel + row) {
                    store_row(simd, target, tile);
                } else {
                    panel.store(simd, part.geometry, part.target, channel + row, tile);
                }
            }
        }
    }
}
