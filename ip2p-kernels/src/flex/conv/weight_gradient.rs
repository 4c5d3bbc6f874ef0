//! The gradient of a convolution's kernels: for each position of the kernel a product of matrices, `[channels_out, pixels] ·
//! [pixels, channels_in]`.
//!
//! A picture is packed once, its channels side by side at each pixel and zeros around it. What a position of the kernel
//! sees of a row is then one piece of memory, which the inner loop of every product here reads as it lies. A tile's
//! sums stay in registers over the whole picture.

use burn::backend::flex::FlexTensor;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::super::scratch::Scratch;
use super::super::simd::{Kernel, Simd, TILE_VECTORS, dispatch};
use super::super::tile::{Left, for_tiles, load_row, multiply, store_row, width};
use super::super::{contiguous, primitive};
use super::Geometry;

/// The gradient of the kernels of a convolution of `x`, without groups or dilation, in `f32`, from that of its output.
pub(crate) fn conv2d_weight_backward(
    x: Tensor<4>,
    gradient: Tensor<4>,
    kernel: [usize; 2],
    options: &ConvOptions<2>,
) -> Tensor<4> {
    let ([_, channels_in, ..], [_, channels_out, ..]) = (x.dims(), gradient.dims());
    let shape = [channels_out, channels_in, kernel[0], kernel[1]];
    let geometry = Geometry::new(x.dims(), shape, options);
    let device = x.device();
    let [x, gradient] = [x, gradient].map(|x| contiguous(primitive(x)));
    let sums = sum(&geometry, &x, &gradient);
    Tensor::from_data(TensorData::new(sums, shape), &device)
}

/// The sum over all pictures, as `[channels_out, channels_in, positions]`.
fn sum(geometry: &Geometry, x: &FlexTensor, gradient: &FlexTensor) -> Vec<f32> {
    let (x, gradient) = (x.storage::<f32>(), gradient.storage::<f32>());
    let [height, width] = geometry.input;
    let picture = geometry.channels_in * height * width;
    let output = geometry.channels_out * geometry.plane();
    let length = geometry.channels_out * geometry.terms();
    // As many runs of pictures as threads: each has sums of its own.
    let run = geometry.batch.div_ceil(rayon::current_num_threads()).max(1);
    let parts: Vec<Vec<f32>> = (0..geometry.batch.div_ceil(run))
        .into_par_iter()
        .map(|part| {
            let pictures = part * run..geometry.batch.min((part + 1) * run);
            dispatch(Pictures {
                geometry,
                x: &x[pictures.start * picture..pictures.end * picture],
                gradient: &gradient[pictures.start * output..pictures.end * output],
            })
        })
        .collect();
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_else(|| vec![0.0; length]);
    for part in parts {
        for (total, number) in total.iter_mut().zip(part) {
            *total += number;
        }
    }
    total
}

/// Some pictures, one after the other.
struct Pictures<'a> {
    geometry: &'a Geometry,
    x: &'a [f32],
    gradient: &'a [f32],
}

/// A packed picture: for each phase of the stride the pixels that a position of the kernel in that phase can see, in rows.
struct Packed {
    numbers: Scratch,
    /// Pixels in a row, and rows, of a phase.
    row: usize,
    rows: usize,
}

impl Packed {
    fn new<S: Simd>(geometry: &Geometry) -> Self {
        let [row, rows] = [1, 0].map(|axis| {
            let (stride, kernel) = (geometry.stride[axis], geometry.kernel[axis]);
            geometry.output[axis] + (kernel - 1) / stride
        });
        let phases = geometry.stride[0] * geometry.stride[1];
        Self {
            numbers: Scratch::new(phases * rows * row * width::<S>()),
            row,
            rows,
        }
    }

    /// Packs the channels of a picture from `first` on, as many as a tile is wide; missing ones stay zero.
    fn fill<S: Simd>(&mut self, geometry: &Geometry, picture: &[f32], first: usize) {
        let width = width::<S>();
        let [input_height, input_width] = geometry.input;
        let [down, across] = geometry.stride;
        let channels = width.min(geometry.channels_in - first);
        let (rows, row) = (self.rows, self.row);
        for (index, pixels) in self.numbers.chunks_exact_mut(row * width).enumerate() {
            let (phase, at) = (index / rows, index % rows);
            let y = (at * down + phase / across).wrapping_sub(geometry.padding[0]);
            for (at, pixel) in pixels.chunks_exact_mut(width).enumerate() {
                let x = (at * across + phase % across).wrapping_sub(geometry.padding[1]);
                if y >= input_height || x >= input_width {
                    pixel[..channels].fill(0.0);
                    continue;
                }
                let source = &picture[(first * input_height + y) * input_width + x..];
                let source = source.iter().step_by(input_height * input_width);
                for (number, source) in pixel[..channels].iter_mut().zip(source) {
                    *number = *source;
                }
            }
        }
    }

    /// The pixel that position `[down, across]` of the kernel sees at the beginning of output row `y`.
    fn row<S: Simd>(&self, geometry: &Geometry, position: [usize; 2], y: usize) -> *const f32 {
        let [down, across] = geometry.stride;
        let phase = position[0] % down * across + position[1] % across;
        let row = phase * self.rows + y + position[0] / down;
        self.numbers[(row * self.row + position[1] / across) * width::<S>()..].as_ptr()
    }
}

impl Kernel for Pictures<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        let geometry = self.geometry;
        let (plane, positions) = (geometry.plane(), geometry.positions());
        let picture = geometry.channels_in * geometry.input[0] * geometry.input[1];
        let output = geometry.channels_out * plane;
        let width = width::<S>();
        let mut packed = Packed::new::<S>(geometry);
        // Of each position and output channel, the sums of a tile's width of input channels.
        let mut sums = Scratch::new(positions * geometry.channels_out * width);
        let mut result = vec![0.0; geometry.channels_out * geometry.terms()];
        for first in (0..geometry.channels_in).step_by(width) {
            let channels = width.min(geometry.channels_in - first);
            packed.numbers.fill(0.0);
            sums.fill(0.0);
            let pictures = self.x.chunks_exact(picture);
            for (x, gradient) in pictures.zip(self.gradient.chunks_exact(output)) {
                packed.fill::<S>(geometry, x, first);
                for position in 0..positions {
                    let at = [position / geometry.kernel[1], position % geometry.kernel[1]];
                    let tile = Tile {
                        geometry,
                        packed: &packed,
                        position: at,
                        gradient,
                    };
                    let sums = &mut sums[position * geometry.channels_out * width..]
                        [..geometry.channels_out * width];
                    // SAFETY: the gradient has so many channels, and the sums a row for each.
                    unsafe {
                        for_tiles!(S, geometry.channels_out, |row| add_picture(
                            simd,
                            &tile,
                            row,
                            sums[row * width..].as_mut_ptr(),
                        ));
                    }
                }
            }
            for (index, row) in sums.chunks_exact(width).enumerate() {
                let (position, out) =
                    (index / geometry.channels_out, index % geometry.channels_out);
                for (channel, &number) in row[..channels].iter().enumerate() {
                    result[(out * geometry.channels_in + first + channel) * positions + position] =
                        number;
                }
            }
        }
        result
    }
}

/// What a tile is computed from.
struct Tile<'a> {
    geometry: &'a Geometry,
    packed: &'a Packed,
    position: [usize; 2],
    gradient: &'a [f32],
}

/// Adds a picture's products to the sums of `ROWS` output channels from `channel` on.
///
/// # Safety
///
/// The gradient must have the channels; `sums` must be readable and writable for `ROWS` rows of a tile's width.
#[inline(always)]
unsafe fn add_picture<S: Simd, const ROWS: usize>(
    simd: S,
    tile: &Tile<'_>,
    channel: usize,
    sums: *mut f32,
) {
    let geometry = tile.geometry;
    let [height, row] = geometry.output;
    let plane = geometry.plane();
    // SAFETY: the caller's; a packed row has the pixels of an output row and those that the kernel reaches beyond.
    unsafe {
        let mut totals = [[simd.splat(0.0); TILE_VECTORS]; ROWS];
        for (index, total) in totals.iter_mut().enumerate() {
            *total = load_row(simd, sums.add(index * width::<S>()));
        }
        for y in 0..height {
            let left = Left {
                start: tile.gradient[channel * plane + y * row..].as_ptr(),
                row_stride: plane,
                term_stride: 1,
            };
            let right = tile.packed.row::<S>(geometry, tile.position, y);
            totals = multiply(simd, left, right, row, totals, &mut ());
        }
        for (index, total) in totals.into_iter().enumerate() {
            store_row(simd, sums.add(index * width::<S>()), total);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tolerance, module};

    use super::*;

    /// A gradient is what changes the loss: against the sum over all pixels, in plain loops.
    #[test]
    fn the_gradient_is_the_sum_over_all_pixels() {
        let device = Device::flex();
        let random = |shape: [usize; 4]| {
            Tensor::<4>::random(shape, Distribution::Uniform(-1.0, 1.0), &device)
        };
        for (channels, size, kernel, stride, padding) in [
            ([3, 5], [6, 7], [3, 3], [1, 1], [1, 1]),
            ([50, 9], [8, 4], [3, 3], [1, 1], [1, 1]),
            ([4, 17], [9, 8], [3, 3], [2, 2], [1, 1]),
            ([4, 2], [5, 5], [1, 1], [1, 1], [0, 0]),
            ([2, 3], [7, 9], [2, 3], [2, 1], [0, 2]),
        ] {
            let x = random([3, channels[0], size[0], size[1]]);
            let weight = random([channels[1], channels[0], kernel[0], kernel[1]])
                .autodiff()
                .require_grad();
            let options = ConvOptions::new(stride, padding, [1, 1], 1);
            let output =
                module::conv2d(x.clone().autodiff(), weight.clone(), None, options.clone());
            let gradient = random(output.dims());
            let loss = (output * gradient.clone().autodiff()).sum();
            let expected = weight.grad(&loss.backward()).expect("it is tracked");
            let found = conv2d_weight_backward(x, gradient, kernel, &options);
            found
                .into_data()
                .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-4));
        }
    }
}
