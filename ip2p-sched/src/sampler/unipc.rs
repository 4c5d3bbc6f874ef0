//! UniPC of second order.
//!
//! Each step predicts from this noise level to the next; and before that it corrects: it takes the step before once more,
//! now that the denoiser has been asked at its end. The denoiser is not asked again for the corrected latents: that is
//! what makes the correction free.

use burn::tensor::Tensor;
use ip2p_core::Result;

use super::{Evaluation, Moved, Position, Sampler, Solver, lambda_step};
use crate::Denoiser;

/// Zhao et al. (2023), <https://arxiv.org/abs/2302.04867>, algorithms 7 and 8 with `B₂(h) = e^h − 1`; diffusers'
/// `UniPCMultistepScheduler` with `solver_order=2, solver_type="bh2", predict_x0=True`.
#[derive(Debug)]
pub(super) struct UniPc {
    sampler: Sampler,
    before: Option<Before>,
}

/// The step before.
#[derive(Debug)]
struct Before {
    /// The latents that it left from, corrected.
    x: Tensor<4>,
    /// What the denoiser said there, and, if the step was of second order or the next may be, a step earlier.
    at: Evaluation,
    earlier: Option<Evaluation>,
    order: usize,
}

impl UniPc {
    pub(super) fn new(sampler: &Sampler) -> Self {
        Self {
            sampler: sampler.clone(),
            before: None,
        }
    }

    fn order(&self, at: &Position) -> usize {
        let first = self.before.is_none() || at.sigma_next == 0.0;
        if first || (self.sampler.lower_order_final && at.is_last()) {
            1
        } else {
            2
        }
    }
}

impl Solver for UniPc {
    fn step(
        &mut self,
        x: Tensor<4>,
        at: &Position,
        model: &mut dyn Denoiser,
        _noise: &mut dyn FnMut() -> Tensor<4>,
    ) -> Result<Moved> {
        let denoised = model.denoise(x.clone(), at.sigma)?;
        let now = Evaluation {
            sigma: at.sigma,
            denoised: denoised.clone(),
        };
        let order = self.order(at);
        let (x, earlier) = match self.before.take() {
            None => (x, None),
            Some(before) => (corrected(&before, &now), Some(before.at)),
        };
        let predicted = match &earlier {
            Some(earlier) if order == 2 => {
                // For second order the paper simplifies the weight to a half.
                let (_, d1) = difference(&now, earlier, at.sigma_next);
                exponential_step(x.clone(), &now, at.sigma_next, Some(d1 * 0.5))
            }
            _ => exponential_step(x.clone(), &now, at.sigma_next, None),
        };
        self.before = Some(Before {
            x,
            at: now,
            earlier,
            order,
        });
        Ok(Moved {
            x: predicted,
            denoised,
        })
    }
}

/// The step before, taken again with what the denoiser said at its end.
fn corrected(before: &Before, now: &Evaluation) -> Tensor<4> {
    let d1_t = now.denoised.clone() - before.at.denoised.clone();
    let correction = match &before.earlier {
        Some(earlier) if before.order == 2 => {
            let (r, d1) = difference(&before.at, earlier, now.sigma);
            let (rho_1, rho_t) = corrector_weights(lambda_step(before.at.sigma, now.sigma), r);
            d1 * rho_1 + d1_t * rho_t
        }
        _ => d1_t * 0.5,
    };
    exponential_step(before.x.clone(), &before.at, now.sigma, Some(correction))
}

/// The exponential integrator from `from` to `sigma_next`, with what corrects the denoised image on the way.
fn exponential_step(
    x: Tensor<4>,
    from: &Evaluation,
    sigma_next: f64,
    correction: Option<Tensor<4>>,
) -> Tensor<4> {
    let denoised = match correction {
        Some(correction) => from.denoised.clone() + correction,
        None => from.denoised.clone(),
    };
    // h·φ₁(−h), which is B₂(−h) too.
    let h_phi_1 = (-lambda_step(from.sigma, sigma_next)).exp_m1();
    x * (sigma_next / from.sigma) - denoised * h_phi_1
}

/// `r` and `D₁ / r`: how far back the earlier evaluation lies in steps of this one, negative, and the slope since then.
fn difference(now: &Evaluation, earlier: &Evaluation, sigma_next: f64) -> (f64, Tensor<4>) {
    let r = lambda_step(now.sigma, earlier.sigma) / lambda_step(now.sigma, sigma_next);
    let slope = (earlier.denoised.clone() - now.denoised.clone()) / r;
    (r, slope)
}

/// The solution ρ of `R ρ = b` with `R = [[1, 1], [r, 1]]` and `b_k = k!·h·φ_{k+1}(−h) / B₂(−h)`: ibid., eq. 8.
fn corrector_weights(h: f64, r: f64) -> (f64, f64) {
    let hh = -h;
    let b_h = hh.exp_m1();
    let h_phi_2 = b_h / hh - 1.0;
    let h_phi_3 = h_phi_2 / hh - 0.5;
    let (b_1, b_2) = (h_phi_2 / b_h, 2.0 * h_phi_3 / b_h);
    let rho_1 = (b_1 - b_2) / (1.0 - r);
    (rho_1, b_1 - rho_1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corrector_weights_solve_the_order_conditions() {
        for (h, r) in [(0.3, -1.1), (1.7, -0.4), (0.05, -2.0)] {
            let (rho_1, rho_t) = corrector_weights(h, r);
            // The weights integrate s and s² against e^{h(s − 1)} exactly; here by a fine midpoint rule.
            let n = 200_000_u32;
            let moment = |power: i32| -> f64 {
                (0..n)
                    .map(|i| {
                        let s = (f64::from(i) + 0.5) / f64::from(n);
                        (h * (s - 1.0)).exp() * s.powi(power) / f64::from(n)
                    })
                    .sum()
            };
            let weight = |power| h * moment(power) / -(-h).exp_m1();
            assert!((rho_1 + rho_t - weight(1)).abs() < 1e-8, "{h} {r}");
            assert!((rho_1 * r + rho_t - weight(2)).abs() < 1e-8, "{h} {r}");
        }
    }
}
