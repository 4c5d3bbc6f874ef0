//! Adding an adaptation to one tensor.

use burn::tensor::{Device, Tensor};
use ip2p_core::{Error, Result};
use rayon::prelude::*;

use super::{Lora, Magnitude, into_numbers, numbers, open};

/// Numbers that are added at a time: as many as the cache of a processor holds.
const CHUNK: usize = 1 << 16;

/// Numbers of a product that are in memory at a time.
const PRODUCT: usize = 1 << 20;

/// What a file adds to one tensor of a network.
#[derive(Debug, Clone)]
pub(crate) struct Patch {
    pub(super) lora: Lora,
    /// Index of the layer.
    pub(super) layer: usize,
    pub(super) target: Target,
}

/// Which tensor of the layer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The weight, of which only the first inputs are adapted if there is a number.
    Weight {
        inputs: Option<usize>,
    },
    Bias,
}

impl Patch {
    /// Whether what is added depends on the tensor itself.
    pub(crate) fn needs_base(&self) -> bool {
        self.lora.0.layers[self.layer].magnitude.is_some()
    }

    /// Adds to `sum` what the adaptation makes of `base`, the tensor as the checkpoint has it, in PyTorch's layout with `rows`
    /// outputs. The base is needed where [`Self::needs_base`].
    ///
    /// Every adaptation is of the checkpoint's own weights: in which order several are added does not matter.
    pub(crate) fn add(
        &self,
        base: Option<&[f32]>,
        rows: usize,
        sum: &mut [f32],
        device: &Device,
    ) -> Result<()> {
        let opened = &self.lora.0;
        let layer = &opened.layers[self.layer];
        let mut file = open(&opened.path)?;
        let mut read = |info: &_| numbers(&opened.path, &mut file, info);
        let inputs = match self.target {
            Target::Bias => {
                return match &layer.bias {
                    Some(bias) => {
                        let delta = read(&bias.info)?;
                        self.add_scaled(sum, &delta, opened.weight * bias.scale)
                    }
                    None => Ok(()),
                };
            }
            Target::Weight { inputs } => inputs,
        };
        let Some(factors) = &layer.factors else {
            return Ok(());
        };
        if inputs.is_none()
            && layer.magnitude.is_none()
            && let Some([up, down]) = factors.pair(&mut read, device)?
        {
            return self.add_product(sum, &up, &down, opened.weight * layer.scale);
        }
        let mut delta = into_numbers(factors.multiply(&mut read, device)?.into_data())?;
        if let Some(adapted) = inputs {
            delta = widened(&delta, adapted, sum.len() / rows.max(1));
        }
        let Some((magnitude, base)) = layer.magnitude.as_ref().zip(base) else {
            return self.add_scaled(sum, &delta, opened.weight * layer.scale);
        };
        let lengths = read(&magnitude.info)?;
        scale(&mut delta, layer.scale);
        decompose(base, &mut delta, &lengths, rows, magnitude);
        self.add_scaled(sum, &delta, opened.weight)
    }

    /// Adds a multiple of a product, some rows of it at a time: memory that is asked of the system anew for every layer costs more
    /// than the product.
    fn add_product(
        &self,
        sum: &mut [f32],
        up: &Tensor<2>,
        down: &Tensor<2>,
        factor: f64,
    ) -> Result<()> {
        let columns = down.dims()[1].max(1);
        let rows = (PRODUCT / columns).max(1);
        for (index, sum) in sum.chunks_mut(rows * columns).enumerate() {
            let some = up.clone().narrow(0, index * rows, sum.len() / columns);
            let delta = into_numbers(some.matmul(down.clone()).into_data())?;
            self.add_scaled(sum, &delta, factor)?;
        }
        Ok(())
    }

    /// Adds a multiple of the difference to the sum, which has to stay finite.
    fn add_scaled(&self, sum: &mut [f32], delta: &[f32], factor: f64) -> Result<()> {
        // The factor is rounded to `f32` once, as PyTorch does.
        #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
        let factor = factor as f32;
        let are_finite = sum
            .par_chunks_mut(CHUNK)
            .zip(delta.par_chunks(CHUNK))
            .map(|(sum, delta)| {
                let add = |all, (sum, delta): (&mut f32, &f32)| {
                    *sum += factor * delta;
                    all & sum.is_finite()
                };
                sum.iter_mut().zip(delta).fold(true, add)
            })
            .reduce(|| true, |a, b| a & b);
        if are_finite {
            return Ok(());
        }
        let opened = &self.lora.0;
        let name = &opened.layers[self.layer].name;
        let reason = format!("makes layer {name} infinite or no number");
        Err(Error::checkpoint(&opened.path, reason))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
fn scale(delta: &mut [f32], factor: f64) {
    let factor = factor as f32;
    for number in delta {
        *number *= factor;
    }
}

/// Rows of `adapted` numbers as rows of `columns`, with zeros behind.
fn widened(delta: &[f32], adapted: usize, columns: usize) -> Vec<f32> {
    let mut wide = vec![0.0; delta.len() / adapted * columns];
    for (wide, narrow) in wide
        .chunks_exact_mut(columns)
        .zip(delta.chunks_exact(adapted))
    {
        wide[..adapted].copy_from_slice(narrow);
    }
    wide
}

/// `DoRA`: the sum of weight and difference has the direction, `lengths` the lengths; `delta` becomes the difference to `base`.
fn decompose(base: &[f32], delta: &mut [f32], lengths: &[f32], rows: usize, magnitude: &Magnitude) {
    let columns = base.len() / rows.max(1);
    // Which length a number has: that of its output, or of its input, behind which a convolution's pixels lie.
    let pixels = columns / lengths.len().max(1);
    let index = |i: usize| {
        if magnitude.is_per_input {
            i % columns / pixels
        } else {
            i / columns
        }
    };
    let mut squares = vec![0.0_f64; lengths.len()];
    for (i, (base, delta)) in base.iter().zip(delta.iter()).enumerate() {
        squares[index(i)] += f64::from(base + delta).powi(2);
    }
    for (i, (base, delta)) in base.iter().zip(delta.iter_mut()).enumerate() {
        let at = index(i);
        #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
        let factor = (f64::from(lengths[at]) / squares[at].sqrt()) as f32;
        *delta = (*base + *delta) * factor - base;
    }
}
