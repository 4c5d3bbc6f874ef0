//! DPM-Solver++(2M).

use burn::tensor::Tensor;
use ip2p_core::Result;

use super::{Evaluation, Moved, Position, Sampler, Solver, lambda_step};
use crate::Denoiser;

/// Lu et al. (2022), <https://arxiv.org/abs/2211.01095>, algorithm 2; k-diffusion's `sample_dpmpp_2m`.
#[derive(Debug)]
pub(super) struct DpmPp2m {
    sampler: Sampler,
    old: Option<Evaluation>,
}

impl DpmPp2m {
    pub(super) fn new(sampler: &Sampler) -> Self {
        Self {
            sampler: sampler.clone(),
            old: None,
        }
    }
}

impl Solver for DpmPp2m {
    fn step(
        &mut self,
        x: Tensor<4>,
        at: &Position,
        model: &mut dyn Denoiser,
        _noise: &mut dyn FnMut() -> Tensor<4>,
    ) -> Result<Moved> {
        let denoised = model.denoise(x.clone(), at.sigma)?;
        let h = lambda_step(at.sigma, at.sigma_next);
        let first_order = at.sigma_next == 0.0 || self.sampler.is_final_of_lower_order(at);
        let denoised_d = match &self.old {
            Some(old) if !first_order => {
                let r = lambda_step(old.sigma, at.sigma) / h;
                extrapolated(&denoised, &old.denoised, 1.0 / (2.0 * r))
            }
            _ => denoised.clone(),
        };
        let x = x * (at.sigma_next / at.sigma) - denoised_d * (-h).exp_m1();
        self.old = Some(Evaluation {
            sigma: at.sigma,
            denoised: denoised.clone(),
        });
        Ok(Moved { x, denoised })
    }
}

/// `denoised`, moved on by `by` times what it has changed since `old`.
pub(super) fn extrapolated(denoised: &Tensor<4>, old: &Tensor<4>, by: f64) -> Tensor<4> {
    denoised.clone() * (1.0 + by) - old.clone() * by
}
