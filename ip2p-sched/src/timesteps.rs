//! Where in the training a noise level is.

use crate::noise_schedule::{Interpolation, NoiseSchedule};

/// The timestep that the network is told for a sigma.
#[derive(Debug, Clone)]
pub(crate) struct Timesteps {
    pub(crate) noise: NoiseSchedule,
    pub(crate) interpolation: Interpolation,
    pub(crate) rounding: Rounding,
}

/// What becomes of a fractional timestep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// It stays: the network's time embedding is defined for it.
    None,
    /// The nearest whole one, of two the even one, as numpy rounds.
    Nearest,
    /// The whole one below.
    Down,
}

/// Far more than the error of `exp(ln(sigma))`, so that whole timesteps are not rounded down to the one below.
const WHOLE: f64 = 1e-6;

impl Timesteps {
    /// The noise level of a timestep.
    pub(crate) fn sigma(&self, timestep: f64) -> f64 {
        self.noise.sigma(timestep, self.interpolation)
    }

    pub(crate) fn at(&self, sigma: f64) -> f64 {
        if self.noise.is_continuous() {
            // `c_noise`; Karras et al. (2022), <https://arxiv.org/abs/2206.00364>, table 1.
            return 0.25 * sigma.max(f64::MIN_POSITIVE).ln();
        }
        let timestep = self.noise.timestep(sigma, self.interpolation);
        match self.rounding {
            Rounding::None => timestep,
            Rounding::Nearest => timestep.round_ties_even(),
            Rounding::Down => (timestep + WHOLE).floor(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ip2p_core::CheckpointProfile;

    use super::*;

    #[test]
    fn rounding_down_keeps_whole_timesteps() {
        let noise = NoiseSchedule::new(&CheckpointProfile::default()).unwrap();
        let max = noise.sigma_max();
        let timesteps = Timesteps {
            noise,
            interpolation: Interpolation::LogLinear,
            rounding: Rounding::Down,
        };
        assert_eq!(timesteps.at(max.ln().exp()).to_string(), "999");
        assert_eq!(timesteps.at(max * 0.9999).to_string(), "998");
    }
}
