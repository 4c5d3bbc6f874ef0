//! The gradients of group normalisation with its activation.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::norm::moments;
use super::simd::{self, Kernel, Simd, dispatch, map};
use super::{Target, contiguous, filled, primitive, tensor, weights};
use crate::{Activation, group_length};

/// The gradients of what [`super::group_norm`] was given.
pub(crate) struct GroupNormGradients {
    pub(crate) x: Tensor<4>,
    pub(crate) weight: Tensor<1>,
    pub(crate) bias: Tensor<1>,
}

/// The gradients of a group normalisation of `[batch, channels, height, width]` in `f32`, from that of its output.
///
/// With `n = (x − mean) / deviation` and `h` the gradient of `n · weight + bias`, that of `x` is
/// `(h · weight − mean(h · weight) − n · mean(h · weight · n)) / deviation`, the means over the group.
pub(crate) fn group_norm_backward(
    x: Tensor<4>,
    gradient: Tensor<4>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
    activation: Activation,
) -> GroupNormGradients {
    let dims @ [batch, channels, height, width] = x.dims();
    let device = x.device();
    let (length, plane) = (group_length(dims, groups), height * width);
    let (weight, bias) = (weights(weight), weights(bias));
    let [x, gradient] = [x, gradient].map(|x| contiguous(primitive(x)));
    let (numbers, gradients) = (x.storage::<f32>(), gradient.storage::<f32>());
    // Of each picture and channel: what its gradients of weight and bias sum up to.
    let mut sums = vec![[0.0_f32; 2]; batch * channels];
    // SAFETY: each group is in one task, which writes to all of it.
    let result = unsafe {
        filled(x.layout().clone(), |target| {
            let width = channels / groups;
            sums.par_chunks_exact_mut(width)
                .enumerate()
                .for_each(|(task, sums)| {
                    let first = task % groups * width;
                    let part = task * length..(task + 1) * length;
                    dispatch(Group {
                        x: &numbers[part.clone()],
                        gradient: &gradients[part],
                        target: Target(target.at(task * length)),
                        plane,
                        weight: &weight[first..first + width],
                        bias: &bias[first..first + width],
                        eps,
                        activation,
                        sums,
                    });
                });
        })
    };
    let total = |of: usize| {
        let totals: Vec<f32> = (0..channels)
            .map(|channel| {
                let pictures = sums.iter().skip(channel).step_by(channels);
                pictures.map(|sums| sums[of]).sum()
            })
            .collect();
        Tensor::<1>::from_floats(totals.as_slice(), &device)
    };
    GroupNormGradients {
        x: tensor(result),
        weight: total(0),
        bias: total(1),
    }
}

struct Group<'a> {
    x: &'a [f32],
    gradient: &'a [f32],
    target: Target,
    plane: usize,
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f64,
    activation: Activation,
    /// For each channel the gradients of its weight and bias.
    sums: &'a mut [[f32; 2]],
}

impl Kernel for Group<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
    fn run<S: Simd>(self, simd: S) {
        let plane = self.plane;
        let (mean, variance) = moments(simd, self.x);
        let (mean, factor) = (mean as f32, (1.0 / (variance + self.eps).sqrt()) as f32);
        let normal =
            |simd: S, x: S::Vector| simd.mul(simd.sub(x, simd.splat(mean)), simd.splat(factor));
        let (mut of_group, mut of_normal) = (0.0_f64, 0.0_f64);
        for (channel, (&weight, &bias)) in self.weight.iter().zip(self.bias).enumerate() {
            let part = channel * plane..(channel + 1) * plane;
            let (x, gradient) = (&self.x[part.clone()], &self.gradient[part]);
            // SAFETY: a channel of the group.
            let target = unsafe { self.target.at(channel * plane) };
            // What the activation leaves of the gradient, first into the memory of the result.
            // SAFETY: `plane` numbers each.
            unsafe {
                map(
                    simd,
                    [x.as_ptr(), gradient.as_ptr()],
                    target,
                    plane,
                    #[inline(always)]
                    |[x, gradient]| match self.activation {
                        Activation::None => gradient,
                        Activation::Silu => {
                            let y =
                                simd.mul_add(normal(simd, x), simd.splat(weight), simd.splat(bias));
                            simd.mul(gradient, simd::silu_slope(simd, y))
                        }
                    },
                );
            }
            // SAFETY: written above; read-only until the loop below.
            let left = unsafe { std::slice::from_raw_parts(target, plane) };
            let [sum, with_normal] = sums(simd, left, x, mean, factor);
            self.sums[channel] = [with_normal, sum];
            of_group += f64::from(sum) * f64::from(weight);
            of_normal += f64::from(with_normal) * f64::from(weight);
        }
        let count = self.x.len() as f64;
        let (of_group, of_normal) = ((of_group / count) as f32, (of_normal / count) as f32);
        for (channel, &weight) in self.weight.iter().enumerate() {
            let x = &self.x[channel * plane..];
            // SAFETY: a channel of the group, of `plane` numbers in both memories.
            unsafe {
                let target = self.target.at(channel * plane);
                map(
                    simd,
                    [x.as_ptr(), target.cast_const()],
                    target,
                    plane,
                    #[inline(always)]
                    |[x, left]| {
                        let rest = simd.mul_add(
                            normal(simd, x),
                            simd.splat(-of_normal),
                            simd.splat(-of_group),
                        );
                        simd.mul(
                            simd.mul_add(left, simd.splat(weight), rest),
                            simd.splat(factor),
                        )
                    },
                );
            }
        }
    }
}

/// The sum of `left`, and that of its products with `(x − mean) · factor`.
#[inline(always)]
fn sums<S: Simd>(simd: S, left: &[f32], x: &[f32], mean: f32, factor: f32) -> [f32; 2] {
    const LANES: usize = simd::MAX_LANES;
    let centre = simd.splat(mean);
    let mut totals = [[simd.splat(0.0); 2]; 2];
    let mut add = |index: usize, left: *const f32, x: *const f32| {
        // SAFETY: the callers give at least `LANES` numbers each.
        let (left, x) = unsafe { (simd.load(left), simd.load(x)) };
        let [sum, product] = totals[index];
        totals[index] = [
            simd.add(sum, left),
            simd.mul_add(left, simd.sub(x, centre), product),
        ];
    };
    let whole = left.len() - left.len() % S::LANES;
    for (index, at) in (0..whole).step_by(S::LANES).enumerate() {
        add(index % 2, left[at..].as_ptr(), x[at..].as_ptr());
    }
    if whole < left.len() {
        let (mut last_left, mut last_x) = ([0.0; LANES], [0.0; LANES]);
        last_left[..left.len() - whole].copy_from_slice(&left[whole..]);
        last_x[..left.len() - whole].copy_from_slice(&x[whole..left.len()]);
        add(0, last_left.as_ptr(), last_x.as_ptr());
    }
    let [[a, b], [c, d]] = totals;
    [simd.sum(simd.add(a, c)), simd.sum(simd.add(b, d)) * factor]
}
