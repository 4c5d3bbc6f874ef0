//! Group and layer normalisation: the statistics in one pass, the result in a second over what is then in the cache.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::simd::{self, Kernel, Simd, dispatch, map, sum_of};
use super::{Target, contiguous, filled, for_rows, primitive, tensor, weights};
use crate::plain::in_f32;
use crate::{Activation, group_length};

/// Group normalisation of `[batch, channels, height, width]`, in place where nobody else holds `x`.
pub(crate) fn group_norm(
    x: Tensor<4>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
    activation: Activation,
) -> Tensor<4> {
    let dims @ [batch, channels, height, width] = x.dims();
    let length = group_length(dims, groups);
    let (weight, bias) = (weights(weight), weights(bias));
    assert!(
        weight.len() == channels && bias.len() == channels,
        "group_norm of {channels} channels needs as many weights and biases"
    );
    in_f32(x, |x| {
        tensor(in_place_or_new(primitive(x), |source, target| {
            for_rows(batch * groups, length, |tasks| {
                for task in tasks {
                    let first = task % groups * (channels / groups);
                    let channels = first..first + channels / groups;
                    // SAFETY: group `task` of `batch * groups` of `length` numbers each, in both memories.
                    let (source, target) =
                        unsafe { (source.at(task * length), target.at(task * length)) };
                    dispatch(Group {
                        source,
                        target,
                        plane: height * width,
                        weight: &weight[channels.clone()],
                        bias: &bias[channels],
                        eps,
                        activation,
                    });
                }
            });
        }))
    })
}

/// Layer normalisation of the last axis, in place where nobody else holds `x`.
pub(crate) fn layer_norm(x: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<3> {
    let [batch, tokens, width] = x.dims();
    let (weight, bias) = (weights(weight), weights(bias));
    assert!(
        weight.len() == width && bias.len() == width,
        "layer_norm of width {width} needs as many weights and biases"
    );
    in_f32(x, |x| {
        tensor(in_place_or_new(primitive(x), |source, target| {
            for_rows(batch * tokens, width, |rows| {
                // SAFETY: rows of `batch * tokens` of `width` numbers each, in both memories.
                let (source, target) =
                    unsafe { (source.at(rows.start * width), target.at(rows.start * width)) };
                dispatch(Rows {
                    source,
                    target,
                    count: rows.len(),
                    weight: &weight,
                    bias: &bias,
                    eps,
                });
            });
        }))
    })
}

/// Calls `body` with the memory of `x` and memory for as much again, which is the same if nobody else holds `x`.
///
/// `body` must write to all of the target.
fn in_place_or_new(x: FlexTensor, body: impl FnOnce(Target, Target)) -> FlexTensor {
    let mut x = contiguous(x);
    if let Some(numbers) = x.try_storage_mut::<f32>() {
        let target = Target(numbers.as_mut_ptr());
        body(target, target);
        return x;
    }
    let source = Target(x.storage::<f32>().as_ptr().cast_mut());
    // SAFETY: both callers go over all groups or rows.
    unsafe { filled(x.layout().clone(), |target| body(source, target)) }
}

/// The mean and the biased variance.
///
/// Of strips that fit the level-1 cache first, about their own mean, then put together in `f64` (Chan et al. 1979), so that the
/// result is that of two passes over memory for the price of one.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
pub(super) fn moments<S: Simd>(simd: S, numbers: &[f32]) -> (f64, f64) {
    const STRIP: usize = 4096;
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for strip in numbers.chunks(STRIP) {
        let sum = sum_of(
            simd,
            strip,
            0.0,
            #[inline(always)]
            |x| x,
        );
        let strip_count = strip.len() as f64;
        let strip_mean = (f64::from(sum) / strip_count) as f32;
        let centre = simd.splat(strip_mean);
        // About the rounded mean; the shift between it and the true one is taken back out below.
        let shift = f64::from(sum) / strip_count - f64::from(strip_mean);
        let strip_squares = f64::from(sum_of(
            simd,
            strip,
            strip_mean,
            #[inline(always)]
            |x| {
                let centred = simd.sub(x, centre);
                simd.mul(centred, centred)
            },
        )) - strip_count * shift * shift;
        let difference = f64::from(sum) / strip_count - mean;
        let total = count + strip_count;
        mean += difference * strip_count / total;
        squares += strip_squares + difference * difference * count * strip_count / total;
        count = total;
    }
    (mean, squares / count)
}

struct Group<'a> {
    source: *const f32,
    target: *mut f32,
    plane: usize,
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f64,
    activation: Activation,
}

impl Kernel for Group<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
    fn run<S: Simd>(self, simd: S) {
        let length = self.weight.len() * self.plane;
        // SAFETY: `group_norm` hands out whole groups; the slice is gone before the target is written.
        let (mean, variance) = moments(simd, unsafe {
            std::slice::from_raw_parts(self.source, length)
        });
        let deviation = (variance + self.eps).sqrt();
        for (channel, (&weight, &bias)) in self.weight.iter().zip(self.bias).enumerate() {
            let factor = f64::from(weight) / deviation;
            let scale = simd.splat(factor as f32);
            let shift = simd.splat((f64::from(bias) - mean * factor) as f32);
            // SAFETY: as above.
            unsafe {
                let source = [self.source.add(channel * self.plane)];
                let target = self.target.add(channel * self.plane);
                match self.activation {
                    Activation::None => map(
                        simd,
                        source,
                        target,
                        self.plane,
                        #[inline(always)]
                        |[x]| simd.mul_add(x, scale, shift),
                    ),
                    Activation::Silu => map(
                        simd,
                        source,
                        target,
                        self.plane,
                        #[inline(always)]
                        |[x]| simd::silu(simd, simd.mul_add(x, scale, shift)),
                    ),
                }
            }
        }
    }
}

struct Rows<'a> {
    source: *const f32,
    target: *mut f32,
    count: usize,
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f64,
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
    fn run<S: Simd>(self, simd: S) {
        let width = self.weight.len();
        for row in 0..self.count {
            // SAFETY: `layer_norm` hands out whole rows; the slice is gone before the target is written.
            unsafe {
                let source = self.source.add(row * width);
                let (mean, variance) = moments(simd, std::slice::from_raw_parts(source, width));
                let mean = simd.splat(mean as f32);
                let factor = simd.splat((1.0 / (variance + self.eps).sqrt()) as f32);
                map(
                    simd,
                    [source, self.weight.as_ptr(), self.bias.as_ptr()],
                    self.target.add(row * width),
                    width,
                    #[inline(always)]
                    |[x, weight, bias]| {
                        let normal = simd.mul(simd.sub(x, mean), factor);
                        simd.mul_add(normal, weight, bias)
                    },
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::assert_sets_agree;
    use super::*;

    /// One group of two channels, in place, and then its rows.
    struct Both(Vec<f32>);

    impl Kernel for Both {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let Self(mut numbers) = self;
            let plane = numbers.len() / 2;
            let target = numbers.as_mut_ptr();
            let group = Group {
                source: target,
                target,
                plane,
                weight: &[1.5, -2.0],
                bias: &[0.25, 0.5],
                eps: 1e-5,
                activation: Activation::Silu,
            };
            group.run(simd);
            let (weight, bias) = (vec![0.5; plane], vec![-1.0; plane]);
            let rows = Rows {
                source: target,
                target,
                count: 2,
                weight: &weight,
                bias: &bias,
                eps: 1e-5,
            };
            rows.run(simd);
            numbers
        }
    }

    #[test]
    fn instruction_sets_agree() {
        // Two strips of statistics and a rest that fills no vector.
        let numbers: Vec<f32> = (0_u16..10_006)
            .map(|index| (f32::from(index) * 0.7).sin() * 3.0 + 5.0)
            .collect();
        assert_sets_agree(|| Both(numbers.clone()), 1e-5);
    }
}
