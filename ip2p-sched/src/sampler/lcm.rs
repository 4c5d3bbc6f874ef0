//! Multi-step sampling of latent consistency models.

use burn::tensor::Tensor;
use ip2p_core::{Error, Result, SamplerKind};

use super::{Moved, Position, Solver};
use crate::Denoiser;
use crate::linspace::linspace;

/// What timesteps are multiplied by for the boundary condition.
pub(super) const TIMESTEP_SCALING: f64 = 10.0;

/// The steps of the teacher, at whose timesteps the network was distilled.
pub(crate) const ORIGINAL_STEPS: usize = 50;

/// The standard deviation of the data, as far as the boundary condition goes.
const SIGMA_DATA: f64 = 0.5;

/// Luo et al. (2023), <https://arxiv.org/abs/2310.04378>, algorithm 3.
#[derive(Debug)]
pub(super) struct Lcm {
    pub(super) timestep_scaling: f64,
}

impl Lcm {
    /// `c_skip` and `c_out`, which make the consistency function the identity at timestep 0: ibid., eq. 9 and below.
    fn boundary(&self, timestep: f64) -> (f64, f64) {
        let scaled = timestep * self.timestep_scaling;
        let norm = scaled.powi(2) + SIGMA_DATA.powi(2);
        (SIGMA_DATA.powi(2) / norm, scaled / norm.sqrt())
    }
}

impl Solver for Lcm {
    fn step(
        &mut self,
        x: Tensor<4>,
        at: &Position,
        model: &mut dyn Denoiser,
        noise: &mut dyn FnMut() -> Tensor<4>,
    ) -> Result<Moved> {
        let denoised = model.denoise(x.clone(), at.sigma)?;
        let (c_skip, c_out) = self.boundary(at.timestep);
        // The boundary condition is written for latents of variance 1.
        let variance_preserving = 1.0 / (at.sigma.powi(2) + 1.0).sqrt();
        let denoised = denoised * c_out + x * (c_skip * variance_preserving);
        let mut x = denoised.clone();
        if at.sigma_next > 0.0 {
            x = x + noise() * at.sigma_next;
        }
        Ok(Moved { x, denoised })
    }
}

/// The timesteps of a run: `steps` of the `original` ones that the network was distilled at, evenly, from the last.
///
/// diffusers' `LCMScheduler.set_timesteps` and `TCDScheduler.set_timesteps`, for the `sampler` that errors name.
///
/// # Errors
///
/// [`Error::InvalidSetting`] if there are more steps than original ones, or more of these than training timesteps.
pub(crate) fn timesteps(
    sampler: SamplerKind,
    train_timesteps: usize,
    original: usize,
    steps: usize,
) -> Result<Vec<f64>> {
    if !(1..=train_timesteps).contains(&original) {
        let expected = format!("between 1 and {train_timesteps}");
        return Err(Error::setting(
            "original_inference_steps",
            expected,
            original,
        ));
    }
    if !(1..=original).contains(&steps) {
        let expected = format!("between 1 and {original} for {sampler}");
        return Err(Error::setting("steps", expected, steps));
    }
    let skip = train_timesteps / original;
    let chosen = linspace(0.0, original as f64, steps + 1).take(steps);
    Ok(chosen
        .map(|index| (original as f64 - index.floor()) * skip as f64 - 1.0)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_consistency_function_is_the_identity_at_timestep_zero() {
        let lcm = Lcm {
            timestep_scaling: TIMESTEP_SCALING,
        };
        assert_eq!(lcm.boundary(0.0), (1.0, 0.0));
        let (c_skip, c_out) = lcm.boundary(999.0);
        assert!(c_skip < 1e-8 && (c_out - 1.0).abs() < 1e-8);
    }

    fn timesteps(train_timesteps: usize, original: usize, steps: usize) -> Result<Vec<f64>> {
        super::timesteps(SamplerKind::Lcm, train_timesteps, original, steps)
    }

    #[test]
    fn the_timesteps_are_those_of_the_teacher() {
        assert_eq!(timesteps(1000, 50, 1).unwrap(), [999.0]);
        assert_eq!(
            timesteps(1000, 50, 4).unwrap(),
            [999.0, 759.0, 499.0, 259.0]
        );
        assert_eq!(timesteps(1000, 50, 50).unwrap()[49], 19.0);
    }

    #[test]
    fn more_steps_than_the_teacher_had_are_refused() {
        assert!(timesteps(1000, 50, 51).is_err());
        assert!(timesteps(1000, 50, 0).is_err());
        assert!(timesteps(1000, 1001, 4).is_err());
        assert!(timesteps(1000, 0, 4).is_err());
    }
}
