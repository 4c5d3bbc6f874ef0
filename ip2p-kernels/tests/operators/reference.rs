//! Numbers to compute with, references in `f64`, and their comparison.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};

/// A tensor of numbers between -4 and 4 that a seed decides.
pub(crate) fn random<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let numbers: Vec<f32> = (0..shape.iter().product())
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / 2_097_152.0 - 4.0
        })
        .collect();
    Tensor::from_data(TensorData::new(numbers, shape), &Device::flex())
}

/// The numbers of a tensor of any float type.
pub(crate) fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.cast(FloatDType::F64)
        .into_data()
        .try_into_vec()
        .expect("just cast")
}

/// The largest difference; infinite where one is NaN and the other not, or the counts differ.
pub(crate) fn error(actual: &[f64], expected: &[f64]) -> f64 {
    if actual.len() != expected.len() {
        return f64::INFINITY;
    }
    actual
        .iter()
        .zip(expected)
        .fold(0.0, |error, (actual, expected)| {
            let difference = (actual - expected).abs();
            if difference.is_nan() && actual.is_nan() != expected.is_nan() {
                f64::INFINITY
            } else {
                error.max(difference)
            }
        })
}

/// The normal distribution, to 1e-15: a series whose terms are all positive.
pub(crate) fn normal_distribution(x: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (x, 0.0_f64, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        sum += term;
        odd += 2.0;
        term *= x * x / odd;
    }
    0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

pub(crate) fn gelu(x: f64) -> f64 {
    x * normal_distribution(x)
}

pub(crate) fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// Group normalisation of `[batch, channels, plane]`.
pub(crate) fn group_norm(
    x: &[f64],
    plane: usize,
    groups: usize,
    [weight, bias]: [&[f64]; 2],
    eps: f64,
) -> Vec<f64> {
    let per_group = weight.len() / groups;
    x.chunks(per_group * plane)
        .enumerate()
        .flat_map(|(group, x)| {
            let count = x.len() as f64;
            let mean = x.iter().sum::<f64>() / count;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            let first = group % groups * per_group;
            x.iter().enumerate().map(move |(index, x)| {
                let channel = first + index / plane;
                (x - mean) / (variance + eps).sqrt() * weight[channel] + bias[channel]
            })
        })
        .collect()
}

/// Attention of one head: `q` of `[queries, dim]`, `k` and `v` of `[keys, dim]`.
pub(crate) fn attention([q, k, v]: [&[f64]; 3], dim: usize, scale: f64, causal: bool) -> Vec<f64> {
    let (queries, keys) = (q.len() / dim, k.len() / dim);
    q.chunks(dim)
        .enumerate()
        .flat_map(|(query, q)| {
            let visible = if causal {
                query + 1 + keys - queries
            } else {
                keys
            };
            let scores: Vec<f64> = k
                .chunks(dim)
                .take(visible)
                .map(|k| q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>() * scale)
                .collect();
            let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores
                .iter()
                .map(|score| (score - greatest).exp())
                .collect();
            let total: f64 = weights.iter().sum();
            (0..dim).map(move |column| {
                let sum: f64 = weights
                    .iter()
                    .zip(v.chunks(dim))
                    .map(|(weight, v)| weight * v[column])
                    .sum();
                sum / total
            })
        })
        .collect()
}
