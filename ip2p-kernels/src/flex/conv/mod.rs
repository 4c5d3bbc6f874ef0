//! Two-dimensional convolution as a product of matrices, `[channels_out, terms] · [terms, pixels]`, whose right factor is never stored
//! whole: [`winograd`] where a 3x3 kernel pays for its transformations, [`tiled`] where the stride is 1 and little is lost at the ends
//! of rows, [`gathered`] elsewhere.
//!
//! The terms are the input channels times the positions of the kernel; the pixels are those of all pictures in a row. The weights are
//! read where they lie.

mod bytes;
mod cut;
#[cfg(test)]
mod formula;
mod gathered;
mod panel;
mod tiled;
mod weight;
#[cfg(feature = "autodiff")]
mod weight_gradient;
mod winograd;

use std::ops::Range;

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Shape, Tensor, bf16};

use self::gathered::Part;
use self::tiled::{Buffers, Tile, Tiling};
use self::weight::Weight;
#[cfg(feature = "autodiff")]
pub(crate) use self::weight_gradient::conv2d_weight_backward;
use self::winograd::{Doubled, Filters, Numbers, Single};
use super::quantized::Quantized;
use super::simd::{Kernel, dispatch};
use super::tile::widest;
use super::{Target, contiguous, filled, for_tasks, primitive, tensor, wanted, weights};
use crate::plain::{in_f32, to_f32};

/// How many panels a task takes: gathered, 400 KB with 512-bit vectors, under half of a level-2 cache of 1 MB.
const PANELS: usize = 4;

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
    computed(&geometry, x, weight, bias)
}

/// Whether [`upsample_conv2d`] has a body for such input and so many channels of output.
pub(crate) fn upsamples(x: [usize; 4], channels_out: usize) -> bool {
    winograd::fits(&Geometry::doubled(x, channels_out))
}

/// As [`crate::upsample_conv2d`], where it [`upsamples`].
pub(crate) fn upsample_conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
) -> Tensor<4> {
    let geometry = Geometry::doubled(x.dims(), weight.dims()[0]);
    computed(&geometry, x, weight, bias)
}

fn computed(
    geometry: &Geometry,
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
) -> Tensor<4> {
    let bias = bias.map_or_else(|| vec![0.0; geometry.channels_out], weights);
    if let Some(kernels) = Quantized::pixels(&weight).filter(|_| geometry.in_bytes()) {
        return in_f32(x, |x| {
            let x = contiguous(primitive(x));
            let (input, scales) = (x.storage::<f32>(), &kernels.scales);
            // SAFETY: each pixel of each channel is in one task.
            tensor(unsafe {
                filled(geometry.layout(), |target| {
                    geometry.convolve_panels(input, kernels.bytes(), scales, &bias, target);
                })
            })
        });
    }
    if let Some(kernels) = Quantized::kernels(&weight) {
        return in_f32(x, |x| {
            let x = contiguous(primitive(x));
            tensor(if winograd::fits(geometry) {
                let filters = Filters {
                    weight: kernels.bytes(),
                    scales: &kernels.scales,
                };
                geometry.filter(&x, filters, &bias)
            } else {
                geometry.convolve(&x, &kernels.to_bf16(), &bias)
            })
        });
    }
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
    /// Whether each pixel of the input stands for two by two.
    doubled: bool,
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
            doubled: false,
        }
    }

    /// A 3x3 convolution, with a pixel of padding, of a picture whose pixels are repeated two by two first.
    fn doubled([batch, channels_in, height, width]: [usize; 4], channels_out: usize) -> Self {
        Self {
            batch,
            channels_in,
            channels_out,
            input: [height, width],
            output: [2 * height, 2 * width],
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            doubled: true,
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

    /// Whether kernels of one pixel can be multiplied in bytes.
    fn in_bytes(&self) -> bool {
        self.positions() == 1 && self.terms().is_multiple_of(4)
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
        if winograd::fits(self) {
            let scales = &[];
            return self.filter(x, Filters { weight, scales }, bias);
        }
        assert!(!self.doubled, "only filtering doubles a picture");
        let input = x.storage::<f32>();
        // SAFETY: each pixel of each channel is in one task.
        unsafe {
            filled(self.layout(), |target| {
                if let Some(tiling) = Tiling::new::<W>(self) {
                    self.convolve_tiles(&tiling, input, weight, bias, target);
                } else {
                    self.convolve_panels(input, weight, &[], bias, target);
                }
            })
        }
    }

    /// Convolves by minimal filtering.
    fn filter<N: Numbers>(
        &self,
        x: &FlexTensor,
        filters: Filters<'_, N>,
        bias: &[f32],
    ) -> FlexTensor {
        let input = x.storage::<f32>();
        // SAFETY: each pixel of each channel is in one task.
        unsafe {
            filled(self.layout(), |target| {
                if self.doubled {
                    winograd::convolve::<Doubled, N>(self, input, filters, bias, target);
                } else {
                    winograd::convolve::<Single, N>(self, input, filters, bias, target);
                }
            })
        }
    }

    /// Of the output.
    fn layout(&self) -> Layout {
        let [height, width] = self.output;
        Layout::contiguous(Shape::from([self.batch, self.channels_out, height, width]))
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
        let split = Split::new(tiling.cut.count(self.batch), self.channels_out);
        for_tasks(
            split.tasks(),
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
        scales: &'a [f32],
        bias: &'a [f32],
        target: Target,
    ) where
        Part<'a, W>: Kernel<Output = ()>,
    {
        let step = PANELS * widest();
        let split = Split::new(self.pixels().div_ceil(step), self.channels_out);
        let run = |(): &mut (), task| {
            let (part, channels) = split.part(task);
            dispatch(Part {
                geometry: self,
                input,
                weight,
                scales,
                bias,
                target,
                first_pixel: part * step,
                pixels: step.min(self.pixels() - part * step),
                first_channel: channels.start,
                channels: channels.len(),
            });
        };
        for_tasks(split.tasks(), || (), run);
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
        let splits = wanted()
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
