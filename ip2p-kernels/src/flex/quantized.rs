//! Weights of whole numbers of 8 bits, with a scale for each channel of the output.

use burn::backend::flex::{FlexQTensor, FlexTensor, Layout};
use burn::backend::{BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind};
use burn::tensor::quantization::{QuantScheme, QuantStore, QuantValue, ScaleDtype};
use burn::tensor::{Bytes, DType, Shape, Tensor, bf16};
use rayon::prelude::*;

use super::simd::{Kernel, MAX_LANES, Simd, dispatch, lanes};
use super::{contiguous, primitive};
use crate::plain::to_f32;

/// The greatest byte that has an opposite.
const GREATEST: f32 = 127.0;

/// The least numbers along an axis that share a scale, for burn.
const LEAST: u8 = 16;

/// How many channels of the input the kernels of a convolution must be of, in whole parts.
const CHANNELS: usize = MAX_LANES;

/// Weights in bytes, and what 1 stands for in those of each channel of the output.
pub(super) struct Quantized {
    bytes: FlexTensor,
    pub(super) scales: Vec<f32>,
}

impl Quantized {
    /// The matrix `[width_in, width_out]` that such a weight is, if it is as [`quantize`] makes it and on flex.
    pub(super) fn matrix(weight: &Tensor<2>) -> Option<Self> {
        let [rows, columns] = weight.dims();
        let Self { bytes, scales } = Self::of(weight, rows * columns)?;
        let mut blocks = scales.chunks_exact(columns);
        let first = blocks.next()?;
        let same = blocks.all(|block| block == first);
        (same && bytes.is_contiguous()).then(|| Self {
            scales: first.to_vec(),
            bytes,
        })
    }

    /// As [`Self::matrix`], of kernels `[width_out, width_in, 1, 1]` of one pixel that [`quantize_turned`] has made.
    pub(super) fn pointwise(weight: &Tensor<4>) -> Option<Self> {
        Self::of_one_pixel(weight, [1, weight.dims()[0]])
    }

    /// The kernels `[channels_out, channels_in, 1, 1]` of one pixel that such a weight is, if it is as [`quantize`] makes it and on flex.
    pub(super) fn pixels(weight: &Tensor<4>) -> Option<Self> {
        Self::of_one_pixel(weight, [weight.dims()[1], 1])
    }

    fn of_one_pixel(weight: &Tensor<4>, strides: [usize; 2]) -> Option<Self> {
        let [channels_out, channels_in, height, width] = weight.dims();
        let Self { bytes, scales } = Self::of(weight, channels_out * channels_in * height * width)?;
        let strides = strides.map(usize::cast_signed);
        let fits = [height, width] == [1, 1] && bytes.layout().strides()[..2] == strides;
        fits.then_some(())?;
        Self::with_scales(bytes, &scales, channels_out)
    }

    /// The kernels `[channels_out, channels_in, 3, 3]` that such a weight is, if it is as [`quantize`] makes it and on flex.
    pub(super) fn kernels(weight: &Tensor<4>) -> Option<Self> {
        let [channels_out, channels_in, height, width] = weight.dims();
        let Self { bytes, scales } = Self::of(weight, channels_out * channels_in * height * width)?;
        let strides = [9 * channels_in, 1, 3 * channels_in, channels_in].map(usize::cast_signed);
        let kernels = [height, width] == [3, 3]
            && channels_in.is_multiple_of(CHANNELS)
            && bytes.layout().strides() == strides;
        kernels.then_some(())?;
        Self::with_scales(bytes, &scales, channels_out)
    }

    /// Weights with the scales of each output channel, if those of all its blocks are the same.
    fn with_scales(bytes: FlexTensor, scales: &[f32], channels_out: usize) -> Option<Self> {
        let each = scales.len() / channels_out;
        if each * channels_out != scales.len() || each == 0 {
            return None;
        }
        let blocks = scales.chunks_exact(each);
        let same = |block: &[f32]| {
            block
                .iter()
                .all(|scale| scale.to_bits() == block[0].to_bits())
        };
        let scales = blocks.clone().map(|block| block[0]).collect();
        blocks.clone().all(same).then_some(Self { bytes, scales })
    }

    /// A weight of so many numbers as it is, if it has scales of blocks and no others.
    fn of<const D: usize>(weight: &Tensor<D>, length: usize) -> Option<Self> {
        let DType::QFloat(scheme) = weight.dtype() else {
            return None;
        };
        let DispatchTensor { kind, .. } = weight.clone().into_dispatch();
        let DispatchTensorKind::Flex(BackendTensor::Quantized(weight)) = kind else {
            return None;
        };
        let bytes = weight.tensor().clone();
        let whole = length > 0
            && scheme.num_levels() == 1
            && scheme.block_size().is_some()
            && bytes.layout().start_offset() == 0
            && bytes.bytes().len() == length
            && bytes.dtype() == DType::I8;
        whole.then(|| Self {
            scales: weight.scales().to_vec(),
            bytes,
        })
    }

    pub(super) fn bytes(&self) -> &[i8] {
        self.bytes.storage()
    }

    /// Kernels as numbers of `bf16` that lie as those of any convolution.
    pub(super) fn to_bf16(&self) -> Vec<bf16> {
        let kernel = self.bytes().len() / self.scales.len();
        let channels = kernel / 9;
        let mut numbers = vec![bf16::ZERO; self.bytes().len()];
        let kernels = numbers.par_chunks_exact_mut(kernel);
        let sources = self.bytes().par_chunks_exact(kernel).zip(&self.scales);
        kernels.zip(sources).for_each(|(numbers, (bytes, scale))| {
            for (position, bytes) in bytes.chunks_exact(channels).enumerate() {
                for (channel, byte) in bytes.iter().enumerate() {
                    numbers[9 * channel + position] = bf16::from_f32(f32::from(*byte) * scale);
                }
            }
        });
        numbers
    }
}

/// As [`crate::quantize`], of weights on flex.
pub(crate) fn quantize<const D: usize>(weight: Tensor<D>) -> Tensor<D> {
    let weights = match weight.dims()[..] {
        [rows, columns] => block(rows).map(|block| {
            let (bytes, scales) = matrix(&numbers(&weight), columns);
            let layout = Layout::contiguous(Shape::from([rows, columns]));
            let scales = scales.repeat(rows / usize::from(block));
            tensor(bytes, layout, scales, &[block, 1])
        }),
        [channels_out, channels_in, 1, 1] => block(channels_in).map(|block| {
            let (bytes, scales) = kernels(&numbers(&weight), channels_in);
            let layout = Layout::contiguous(Shape::from([channels_out, channels_in, 1, 1]));
            let scales = each_block(&scales, channels_in, block);
            tensor(bytes, layout, scales, &[block, 1, 1])
        }),
        [channels_out, channels_in, 3, 3] if channels_in.is_multiple_of(CHANNELS) => {
            block(channels_in).map(|block| {
                let (bytes, scales) = kernels(&numbers(&weight), channels_in);
                let shape = Shape::from([channels_out, 3, 3, channels_in]);
                let layout = Layout::contiguous(shape).permute(&[0, 3, 1, 2]);
                let scales = each_block(&scales, channels_in, block);
                tensor(bytes, layout, scales, &[block, 3, 3])
            })
        }
        _ => None,
    };
    as_weight(weight, weights)
}

/// As [`crate::quantize_pointwise`], of weights on flex.
pub(crate) fn quantize_turned<const D: usize>(weight: Tensor<D>) -> Tensor<D> {
    let [channels_out, channels_in] = [weight.dims()[0], weight.dims()[1]];
    let weights = block(channels_in).map(|block| {
        let turned = weight.clone().flatten::<2>(1, 3).transpose();
        let (bytes, scales) = matrix(&numbers(&turned), channels_out);
        let shape = Shape::from([channels_in, channels_out, 1, 1]);
        let layout = Layout::contiguous(shape).transpose(0, 1);
        let scales = each_block(&scales, channels_in, block);
        tensor(bytes, layout, scales, &[block, 1, 1])
    });
    as_weight(weight, weights)
}

/// The scales of the blocks of each output channel.
fn each_block(scales: &[f32], channels_in: usize, block: u8) -> Vec<f32> {
    let blocks = channels_in / usize::from(block);
    let scales = scales.iter().flat_map(|scale| vec![*scale; blocks]);
    scales.collect()
}

/// The quantised weights, or those that there were.
fn as_weight<const D: usize>(weight: Tensor<D>, quantized: Option<FlexQTensor>) -> Tensor<D> {
    quantized.map_or(weight, |weights| {
        Tensor::from_dispatch(DispatchTensor {
            kind: DispatchTensorKind::Flex(BackendTensor::Quantized(weights)),
            autodiff: DispatchAutodiffContext::Disabled,
        })
    })
}

/// How many numbers along an axis have a scale, for burn: as many as divide the axis into few parts. None if a part would be a few
/// numbers.
fn block(length: usize) -> Option<u8> {
    let divides = |block: &u8| length.is_multiple_of((*block).into());
    (LEAST..=u8::MAX).rev().find(divides)
}

/// The weights in burn's terms: in blocks whose scales are the same along all axes but one.
fn tensor(bytes: Vec<i8>, layout: Layout, scales: Vec<f32>, block: &[u8]) -> FlexQTensor {
    let scheme = QuantScheme::default()
        .with_value(QuantValue::Q8S)
        .with_store(QuantStore::Native)
        .per_block(block, ScaleDtype::F32);
    let bytes = FlexTensor::new(Bytes::from_elems(bytes), layout, DType::I8);
    FlexQTensor::new(bytes, scheme, scales, None)
}

/// The numbers of weights, in order.
fn numbers<const D: usize>(weight: &Tensor<D>) -> FlexTensor {
    contiguous(primitive(to_f32(weight.clone())))
}

/// A matrix of so many columns in bytes, and what 1 stands for in each column.
fn matrix(numbers: &FlexTensor, columns: usize) -> (Vec<i8>, Vec<f32>) {
    let numbers = numbers.storage::<f32>();
    let mut greatest = vec![0.0_f32; columns];
    for row in numbers.chunks_exact(columns) {
        for (greatest, number) in greatest.iter_mut().zip(row) {
            *greatest = greatest.max(number.abs());
        }
    }
    let (scales, inverses): (Vec<f32>, Vec<f32>) = greatest.into_iter().map(scale).unzip();
    let mut bytes = vec![0; numbers.len()];
    let targets = bytes.par_chunks_exact_mut(columns);
    let rows = targets.zip(numbers.par_chunks_exact(columns));
    rows.for_each(|(target, row)| {
        dispatch(Row {
            numbers: row,
            inverses: &inverses,
            target,
        });
    });
    (bytes, scales)
}

/// Kernels of one pixel or 3x3 in bytes, those of each output channel a position after the other, and what 1 stands for in each output
/// channel.
fn kernels(numbers: &FlexTensor, channels_in: usize) -> (Vec<i8>, Vec<f32>) {
    let length = numbers.layout().num_elements() / numbers.layout().shape()[0];
    let numbers = numbers.storage::<f32>();
    let mut bytes = vec![0; numbers.len()];
    let targets = bytes.par_chunks_exact_mut(length);
    let kernels = targets.zip(numbers.par_chunks_exact(length));
    let scales = kernels.map(|(target, kernels)| {
        let greatest = kernels.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let (scale, inverse) = scale(greatest);
        if length == channels_in {
            let inverses = &vec![inverse; length];
            dispatch(Row {
                numbers: kernels,
                inverses,
                target,
            });
        } else {
            dispatch(Positions {
                kernels,
                inverse,
                target,
            });
        }
        scale
    });
    let scales = scales.collect();
    (bytes, scales)
}

/// What 1 stands for where the greatest magnitude is this, and its inverse.
pub(super) fn scale(greatest: f32) -> (f32, f32) {
    let scale = greatest / GREATEST;
    (scale, if scale > 0.0 { 1.0 / scale } else { 0.0 })
}

/// As [`scale`], of a vector. What is not finite has no byte: the scale says it.
#[inline(always)]
pub(super) fn scales<S: Simd>(simd: S, greatest: S::Vector) -> [S::Vector; 2] {
    let some = simd.max(greatest, simd.splat(f32::MIN_POSITIVE * GREATEST));
    [
        simd.mul(greatest, simd.splat(1.0 / GREATEST)),
        simd.div(simd.splat(GREATEST), some),
    ]
}

/// The sum of bytes.
#[inline(always)]
pub(super) fn sum_of_bytes<S: Simd>(simd: S, bytes: &[i8]) -> i32 {
    let ones = simd.splat_word(0x0101_0101);
    let mut sums = simd.splat_word(0);
    let mut vectors = bytes.chunks_exact(4 * S::LANES);
    for vector in &mut vectors {
        // SAFETY: a chunk is a vector, which may lie anywhere.
        let words = unsafe { simd.load_words(vector.as_ptr().cast()) };
        sums = simd.dot_bytes(ones, words, sums);
    }
    let mut lanes = [0; MAX_LANES];
    // SAFETY: `LANES` is at most `MAX_LANES`.
    unsafe { simd.store_words(lanes.as_mut_ptr(), sums) };
    let rest = vectors.remainder().iter().map(|byte| i32::from(*byte));
    lanes.into_iter().map(u32::cast_signed).chain(rest).sum()
}

/// A row of numbers, each times one of `inverses`, rounded to bytes.
struct Row<'a> {
    numbers: &'a [f32],
    inverses: &'a [f32],
    target: &'a mut [i8],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let length = self.target.len();
        assert!(self.numbers.len() == length && self.inverses.len() == length);
        for at in (0..length).step_by(S::LANES) {
            let count = S::LANES.min(length - at);
            let lanes = lanes::<S>(count);
            let mut bytes = [0; MAX_LANES];
            // SAFETY: so many numbers are left, and a vector is at most as wide as the bytes.
            unsafe {
                let number = simd.load_where(self.numbers.as_ptr().add(at), lanes);
                let inverse = simd.load_where(self.inverses.as_ptr().add(at), lanes);
                simd.store_bytes(bytes.as_mut_ptr(), simd.mul(number, inverse));
            }
            self.target[at..][..count].copy_from_slice(&bytes[..count]);
        }
    }
}

/// 3x3 kernels of one output channel times `inverse`, rounded to bytes, a position after the other.
struct Positions<'a> {
    kernels: &'a [f32],
    inverse: f32,
    target: &'a mut [i8],
}

impl Kernel for Positions<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let channels = self.target.len() / 9;
        assert!(self.kernels.len() == 9 * channels && channels.is_multiple_of(S::LANES));
        let inverse = simd.splat(self.inverse);
        for channel in (0..channels).step_by(S::LANES) {
            // SAFETY: as asserted.
            unsafe {
                let positions = simd.ninths(self.kernels[9 * channel..].as_ptr());
                for (position, numbers) in positions.into_iter().enumerate() {
                    let target = self.target.as_mut_ptr().add(position * channels + channel);
                    simd.store_bytes(target, simd.mul(numbers, inverse));
                }
            }
        }
    }
}
