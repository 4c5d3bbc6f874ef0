//! Euler, Euler ancestral and DDIM: one step under three names.
//!
//! In `x = image + sigma · noise`, a DDIM step (Song et al. (2020), <https://arxiv.org/abs/2010.02502>, eq. 12) with
//! `σ_t(η)` of eq. 16 divided by `√ᾱ` is k-diffusion's `sample_euler_ancestral` to the letter: `σ_t(η)/√ᾱ` is
//! `sigma_up`, and without noise both are Euler's method. They differ by their usual η, and diffusers gives them
//! different schedules.

use burn::tensor::Tensor;
use ip2p_core::Result;

use super::{Moved, Position, Solver};
use crate::Denoiser;

/// Where a step goes before noise is added, and how much is: `(sigma_down, sigma_up)`.
///
/// `sigma_down² + sigma_up² = sigma_next²`. k-diffusion's `get_ancestral_step` (`sampling.py:51` at `4601bf0`); an η of 0
/// adds none.
#[must_use]
pub fn ancestral_step(sigma: f64, sigma_next: f64, eta: f64) -> (f64, f64) {
    let kept = (1.0 - (sigma_next / sigma).powi(2)).max(0.0);
    let sigma_up = (eta * sigma_next * kept.sqrt()).min(sigma_next);
    let sigma_down = (sigma_next.powi(2) - sigma_up.powi(2)).max(0.0).sqrt();
    (sigma_down, sigma_up)
}

/// Euler's method from `sigma` to `sigma_next`.
///
/// `x + d · dt` with `d = (x − denoised) / sigma` and `dt = sigma_next − sigma`, put so that nothing large cancels when
/// the two are far apart.
pub(super) fn euler_step(
    x: Tensor<4>,
    denoised: Tensor<4>,
    sigma: f64,
    sigma_next: f64,
) -> Tensor<4> {
    (x - denoised.clone()) * (sigma_next / sigma) + denoised
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ancestral {
    pub(super) eta: f64,
}

impl Solver for Ancestral {
    fn step(
        &mut self,
        x: Tensor<4>,
        at: &Position,
        model: &mut dyn Denoiser,
        noise: &mut dyn FnMut() -> Tensor<4>,
    ) -> Result<Moved> {
        let denoised = model.denoise(x.clone(), at.sigma)?;
        let (sigma_down, sigma_up) = ancestral_step(at.sigma, at.sigma_next, self.eta);
        let mut x = euler_step(x, denoised.clone(), at.sigma, sigma_down);
        if sigma_up > 0.0 {
            x = x + noise() * sigma_up;
        }
        Ok(Moved { x, denoised })
    }
}
