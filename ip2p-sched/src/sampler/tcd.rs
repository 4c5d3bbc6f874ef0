//! Strategic stochastic sampling of trajectory consistency models.

use burn::tensor::Tensor;
use ip2p_core::Result;

use super::ancestral::euler_step;
use super::{Moved, Position, Solver};
use crate::{Denoiser, Schedule};

/// Zheng et al. (2024), <https://arxiv.org/abs/2402.19159>, algorithm 4; diffusers' `TCDScheduler.step`.
///
/// Each step goes down to the timestep `(1 − γ)` times the next one, and with fresh noise back up to that. A γ of 0 is
/// DDIM, one of 1 consistency sampling: down to no noise at all.
#[derive(Debug)]
pub(super) struct Tcd {
    eta: f64,
    /// The noise level that each step goes down to.
    turns: Vec<f64>,
}

impl Tcd {
    pub(super) fn new(eta: f64, schedule: &Schedule) -> Self {
        let turns = schedule.steps().iter().map(|step| {
            let timestep = shortened(schedule.timestep(step.sigma_next), eta);
            // A schedule that ends without noise ends below the sigma of timestep 0.
            schedule.sigma(timestep).min(step.sigma_next)
        });
        Self {
            eta,
            turns: turns.collect(),
        }
    }
}

/// The whole timestep below `(1 − eta)` times this one, computed in `f32` as the reference does.
#[expect(clippy::cast_possible_truncation, reason = "that is the purpose")]
fn shortened(timestep: f64, eta: f64) -> f64 {
    f64::from(((1.0 - eta) as f32 * timestep as f32).floor())
}

impl Solver for Tcd {
    fn step(
        &mut self,
        x: Tensor<4>,
        at: &Position,
        model: &mut dyn Denoiser,
        noise: &mut dyn FnMut() -> Tensor<4>,
    ) -> Result<Moved> {
        let denoised = model.denoise(x.clone(), at.sigma)?;
        let down = self.turns[at.index];
        let mut x = euler_step(x, denoised.clone(), at.sigma, down);
        if self.eta > 0.0 && !at.is_last() {
            let up = (at.sigma_next.powi(2) - down.powi(2)).max(0.0).sqrt();
            x = x + noise() * up;
        }
        Ok(Moved { x, denoised })
    }
}

#[cfg(test)]
mod tests {
    use ip2p_core::CheckpointProfile;

    use super::*;
    use crate::{NoiseSchedule, SamplerKind, ScheduleKind};

    #[test]
    fn the_share_of_noise_says_how_far_down_a_step_goes() {
        let noise = NoiseSchedule::new(&CheckpointProfile::default()).unwrap();
        let schedule =
            Schedule::for_sampler(&noise, SamplerKind::Tcd, &ScheduleKind::Normal, 4).unwrap();
        let timesteps = |eta| {
            let turns = Tcd::new(eta, &schedule).turns;
            turns
                .iter()
                .map(|&sigma| schedule.timestep(sigma).round())
                .collect::<Vec<_>>()
        };
        assert_eq!(timesteps(0.0), [759.0, 499.0, 259.0, 0.0]);
        assert_eq!(timesteps(0.3), [531.0, 349.0, 181.0, 0.0]);
        assert_eq!(timesteps(1.0), [0.0; 4]);
        assert_eq!(Tcd::new(0.3, &schedule).turns[3].to_string(), "0");
    }
}
