//! Heun's method.

use burn::tensor::Tensor;
use ip2p_core::Result;

use super::ancestral::euler_step;
use super::{Moved, Position, Solver};
use crate::Denoiser;

/// Karras et al. (2022), <https://arxiv.org/abs/2206.00364>, algorithm 2 without churn.
#[derive(Debug)]
pub(super) struct Heun;

impl Solver for Heun {
    fn step(
        &mut self,
        x: Tensor<4>,
        at: &Position,
        model: &mut dyn Denoiser,
        _noise: &mut dyn FnMut() -> Tensor<4>,
    ) -> Result<Moved> {
        let denoised = model.denoise(x.clone(), at.sigma)?;
        let x_2 = euler_step(x.clone(), denoised.clone(), at.sigma, at.sigma_next);
        if at.sigma_next == 0.0 {
            return Ok(Moved { x: x_2, denoised });
        }
        let denoised_2 = model.denoise(x_2.clone(), at.sigma_next)?;
        // x + dt · (d + d_2) / 2, the half of it with d being x_2.
        let d_2 = (x_2.clone() - denoised_2) / at.sigma_next;
        let dt = at.sigma_next - at.sigma;
        let x = (x_2 + x + d_2 * dt) * 0.5;
        Ok(Moved { x, denoised })
    }
}
