//! DPM-Solver++(2M) for the stochastic equation.

use burn::tensor::Tensor;
use ip2p_core::Result;

use super::dpmpp_2m::extrapolated;
use super::{Evaluation, Moved, Position, Sampler, Solver, lambda_step};
use crate::Denoiser;

/// k-diffusion's `sample_dpmpp_2m_sde` with the midpoint rule; at η = 1 diffusers' `sde-dpmsolver++`.
///
/// Lu et al. (2022), <https://arxiv.org/abs/2211.01095>, section 6. The noise of each step is independent: no Brownian
/// tree, so that other step counts give other pictures, as in diffusers.
#[derive(Debug)]
pub(super) struct DpmPp2mSde {
    sampler: Sampler,
    old: Option<Evaluation>,
}

impl DpmPp2mSde {
    pub(super) fn new(sampler: &Sampler) -> Self {
        Self {
            sampler: sampler.clone(),
            old: None,
        }
    }
}

impl Solver for DpmPp2mSde {
    fn step(
        &mut self,
        x: Tensor<4>,
        at: &Position,
        model: &mut dyn Denoiser,
        noise: &mut dyn FnMut() -> Tensor<4>,
    ) -> Result<Moved> {
        let denoised = model.denoise(x.clone(), at.sigma)?;
        if at.sigma_next == 0.0 {
            return Ok(Moved {
                x: denoised.clone(),
                denoised,
            });
        }
        let h = lambda_step(at.sigma, at.sigma_next);
        let eta_h = self.sampler.eta * h;
        let denoised_d = match &self.old {
            Some(old) if !self.sampler.is_final_of_lower_order(at) => {
                let r = lambda_step(old.sigma, at.sigma) / h;
                extrapolated(&denoised, &old.denoised, 1.0 / (2.0 * r))
            }
            _ => denoised.clone(),
        };
        let mut x =
            x * (at.sigma_next / at.sigma * (-eta_h).exp()) - denoised_d * (-h - eta_h).exp_m1();
        if eta_h > 0.0 {
            let sigma_up = at.sigma_next * (-(-2.0 * eta_h).exp_m1()).sqrt();
            x = x + noise() * sigma_up;
        }
        self.old = Some(Evaluation {
            sigma: at.sigma,
            denoised: denoised.clone(),
        });
        Ok(Moved { x, denoised })
    }
}
