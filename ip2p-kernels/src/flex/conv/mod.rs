//! Two-dimensional convolution as a product of matrices, `[channels_out, terms] · [terms, pixels]`, whose right factor is never stored
//! whole.
//!
//! The terms are the input channels times the positions of the kernel; the pixels are those of all pictures in a row. A task takes
//! some of the pixels, a tile's width at a time ([`Panel`]), and some of the output channels. It gathers a few hundred terms of its
//! panels and multiplies all its channels with them before it goes on to the next terms, so that what it gathers stays in
//! the level-2 cache, and the weights pass through once. The weights are read where they lie.

mod pairs;
mod panel;
mod tiled;
#[cfg(feature = "autodiff")]
mod weight_gradient;

use std::ops::Range;

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Shape, Tensor, bf16};
use rayon::prelude::*;

use self::panel::Panel;
use self::tiled::{Buffers, Tile, Tiling, Weight};
#[cfg(feature = "autodiff")]
pub(crate) use self::weight_gradient::conv2d_weight_backward;
use super::simd::{Kernel, Simd, TILE_VECTORS, dispatch};
use super::tile::{Factors, Left, Plain, Scratch, for_tiles, load_row, store_row, widest, width};
use super::{Target, contiguous, filled, primitive, tensor, weights};
use crate::plain::{in_f32, to_f32};

/// Numbers in a cache line.
const LINE: usize = 16;

/// How many terms are gathered at a time.
const TERMS: usize = 512;

/// How many panels a task takes: gathered, 400 KB with 512-bit vectors, under half of a level-2 cache of 1 MB.
const PANELS: usize = 4;

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
    let in_pairs = weight.dtype() == DType::BF16 && geometry.terms().is_multiple_of(2);
    let weight = contiguous(primitive(if in_pairs { weight } else { to_f32(weight) }));
    in_f32(x, |x| {
        let x = contiguous(primitive(x));
        tensor(if in_pairs {
            geometry.convolve(&x, weight.storage::<bf16>(), &bias)
        } else {
            geometry.convolve(&x, weight.storage::<f32>(), &bias)
        })
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

    fn convolve<'a, W: Weight>(
        &'a self,
        x: &'a FlexTensor,
        weight: &'a [W],
        bias: &'a [f32],
    ) -> FlexTensor
    where
        Part<'a, W>: Kernel<Output = ()>,
    {
        let [height, width] = self.output;
        let shape = Shape::from([self.batch, self.channels_out, height, width]);
        let input = x.storage::<f32>();
        // SAFETY: each pixel of each channel is in one task.
        unsafe {
            filled(Layout::contiguous(shape), |target| {
                match Tiling::new::<W>(self) {
                    Some(tiling) => self.convolve_tiles(&tiling, input, weight, bias, target),
                    None => self.convolve_panels(input, weight, bias, target),
                }
            })
        }
    }

    /// Convolves tiles of the pictures, in parallel.
    fn convolve_tiles<W: Weight>(
        &self,
        tiling: &Tiling,
        input: &[f32],
        weight: &[W],
        bias: &[f32],
        target: Target,
    ) {
        let split = Split::new(tiling.count(self), self.channels_out);
        (0..split.tasks()).into_par_iter().for_each_init(
            || Buffers::new::<W>(self, tiling, split.channels),
            |buffers, task| {
                let (index, channels) = split.part(task);
                dispatch(Tile {
                    geometry: self,
                    tiling,
                    buffers,
                    input,
                    weight,
                    bias,
                    target,
                    index,
                    first_channel: channels.start,
                    channels: channels.len(),
                });
            },
        );
    }

    /// Convolves panels of pixels whose input is gathered, in parallel.
    fn convolve_panels<'a, W: Sync>(
        &'a self,
        input: &'a [f32],
        weight: &'a [W],
        bias: &'a [f32],
        target: Target,
    ) where
        Part<'a, W>: Kernel<Output = ()>,
    {
        let step = PANELS * widest();
        let split = Split::new(self.pixels().div_ceil(step), self.channels_out);
        (0..split.tasks()).into_par_iter().for_each(|task| {
            let (part, channels) = split.part(task);
            dispatch(Part {
                geometry: self,
                input,
                weight,
                bias,
                target,
                first_pixel: part * step,
                pixels: step.min(self.pixels() - part * step),
                first_channel: channels.start,
                channels: channels.len(),
            });
        });
    }
}

/// How parts of the output pictures are split further, by channels.
struct Split {
    parts: usize,
    channels: usize,
    channels_out: usize,
}

impl Split {
    fn new(parts: usize, channels_out: usize) -> Self {
        let wanted = rayon::current_num_threads() * TASKS_PER_THREAD;
        let splits = wanted
            .div_ceil(parts.max(1))
            .min(channels_out / CHANNELS)
            .max(1);
        Self {
            parts,
            // Whole tiles, so that only the last task has a lower one.
            channels: channels_out.div_ceil(splits).next_multiple_of(8),
            channels_out,
        }
    }

    fn tasks(&self) -> usize {
        self.parts * self.channels_out.div_ceil(self.channels)
    }

    /// Which part of the pictures a task has, and which channels.
    fn part(&self, task: usize) -> (usize, Range<usize>) {
        let splits = self.channels_out.div_ceil(self.channels);
        let first = task % splits * self.channels;
        (
            task / splits,
            first..self.channels_out.min(first + self.channels),
        )
    }
}

/// Some pixels of some output channels, with weights of type `W`.
struct Part<'a, W> {
    geometry: &'a Geometry,
    input: &'a [f32],
    weight: &'a [W],
    bias: &'a [f32],
    target: Target,
    first_pixel: usize,
    pixels: usize,
    first_channel: usize,
    channels: usize,
}

impl<W> Part<'_, W> {
    /// Its pixels, a tile's width at a time.
    fn panels<S: Simd>(&self) -> Vec<Panel> {
        let width = width::<S>();
        (0..self.pixels)
            .step_by(width)
            .map(|offset| {
                let first = self.first_pixel + offset;
                Panel::new::<S>(self.geometry, first, width.min(self.pixels - offset))
            })
            .collect()
    }

    /// Fetches the output that products will soon be added to.
    #[inline(always)]
    fn prefetch<S: Simd, const ROWS: usize>(&self, simd: S, panel: &Panel, channel: usize) {
        let (plane, width) = (self.geometry.plane(), width::<S>());
        if let Some(target) = panel.whole(simd, self.geometry, self.target, channel) {
            for row in 0..ROWS {
                for line in (0..width).step_by(LINE) {
                    simd.prefetch(target.wrapping_add(row * plane + line));
                }
                simd.prefetch(target.wrapping_add(row * plane + width - 1));
            }
        }
    }

    /// Adds products to `ROWS` output channels of a panel, or to their bias where these are the first.
    ///
    /// # Safety
    ///
    /// The output must have so many channels from `channel` on, and the panel must be this task's alone.
    #[inline(always)]
    unsafe fn add<S: Simd, const ROWS: usize>(
        &self,
        simd: S,
        panel: &Panel,
        channel: usize,
        first: bool,
        products: [[S::Vector; TILE_VECTORS]; ROWS],
    ) {
        let (geometry, target) = (self.geometry, self.target);
        let plane = geometry.plane();
        let whole = panel.whole(simd, geometry, target, channel);
        for (row, mut products) in products.into_iter().enumerate() {
            // SAFETY: the caller's.
            unsafe {
                let before = match (first, whole) {
                    (true, _) => [simd.splat(self.bias[channel + row]); TILE_VECTORS],
                    (false, Some(target)) => load_row(simd, target.add(row * plane)),
                    (false, None) => panel.load(simd, geometry, target, channel + row),
                };
                for (sum, before) in products.iter_mut().zip(before) {
                    *sum = simd.add(*sum, before);
                }
                match whole {
                    Some(target) => store_row(simd, target.add(row * plane), products),
                    None => panel.store(simd, geometry, target, channel + row, products),
                }
            }
        }
    }
}

impl Kernel for Part<'_, f32> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let geometry = self.geometry;
        let width = width::<S>();
        let all_terms = geometry.terms();
        let panels = self.panels::<S>();
        let mut gathered = Scratch::new(panels.len() * TERMS * width);
        for first_term in (0..all_terms).step_by(TERMS) {
            let terms = TERMS.min(all_terms - first_term);
            for (panel, target) in panels.iter().zip(gathered.chunks_exact_mut(TERMS * width)) {
                let target = &mut target[..terms * width];
                panel.gather(simd, geometry, self.input, first_term, target);
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
    part: &'a Part<'a, f32>,
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
    let gathered = sums.gathered.chunks_exact(TERMS * width::<S>());
    for (panel, right) in sums.panels.iter().zip(gathered) {
        let factors = Plain {
            left,
            right: right.as_ptr(),
            terms: sums.terms,
        };
        // SAFETY: the caller's; `gather` has filled `terms` rows of each panel, which is this task's alone.
        unsafe { add_product::<S, ROWS>(simd, sums.part, panel, channel, sums.begin, factors) };
    }
}

/// Adds a product to `ROWS` output channels of a panel, or to their bias where it is of the first terms.
///
/// # Safety
///
/// As for [`Factors::multiply`] and [`Part::add`].
#[inline(always)]
unsafe fn add_product<S: Simd, const ROWS: usize>(
    simd: S,
    part: &Part<'_, impl Sized>,
    panel: &Panel,
    channel: usize,
    first: bool,
    factors: impl Factors,
) {
    part.prefetch::<S, ROWS>(simd, panel, channel);
    // SAFETY: the caller's.
    unsafe {
        let products = factors.multiply::<S, ROWS>(simd);
        part.add(simd, panel, channel, first, products);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flex::simd::dispatch_each;

    /// A whole convolution as one task.
    struct Whole<'a, W> {
        geometry: Geometry,
        input: &'a [f32],
        weight: &'a [W],
    }

    impl<W> Kernel for Whole<'_, W>
    where
        for<'b> Part<'b, W>: Kernel,
    {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let (pixels, channels) = (self.geometry.pixels(), self.geometry.channels_out);
            let mut output = vec![f32::NAN; pixels * channels];
            let part = Part {
                geometry: &self.geometry,
                input: self.input,
                weight: self.weight,
                bias: &[0.5; 13],
                target: Target(output.as_mut_ptr()),
                first_pixel: 0,
                pixels,
                first_channel: 0,
                channels,
            };
            part.run(simd);
            output
        }
    }

    fn assert_sets_agree<W>(stride: usize, padding: (usize, usize), of: impl Fn(f32) -> W)
    where
        for<'b> Part<'b, W>: Kernel,
    {
        // More terms than are gathered at a time, pictures of fewer pixels than a panel, a rest of channels.
        let options = ConvOptions::new_with_padding([stride; 2], [padding; 2], [1, 1], 1);
        let geometry = Geometry::new([3, 60, 7, 5], [13, 60, 3, 3], &options);
        let numbers: Vec<f32> = (0_u16..10_000)
            .map(|index| (f32::from(index) * 0.7).sin())
            .collect();
        let weight: Vec<W> = numbers[..13 * 60 * 9].iter().map(|x| of(*x)).collect();
        let mut results = dispatch_each(|| Whole {
            geometry,
            input: &numbers[..3 * 60 * 7 * 5],
            weight: &weight,
        })
        .into_iter();
        let (_, portable) = results.next().expect("the portable one always runs");
        assert!(portable.iter().all(|number| number.is_finite()));
        for (set, result) in results {
            for (number, portable) in result.iter().zip(&portable) {
                let difference = (number - portable).abs();
                assert!(difference < 1e-3, "{set}: {number}, not {portable}");
            }
        }
    }

    #[test]
    fn instruction_sets_agree() {
        assert_sets_agree(1, (1, 1), |x| x);
        assert_sets_agree(2, (0, 1), |x| x);
    }

    #[test]
    fn instruction_sets_agree_on_weights_of_bf16() {
        assert_sets_agree(1, (1, 1), bf16::from_f32);
        assert_sets_agree(2, (0, 1), bf16::from_f32);
    }
}
