//! The noise that a checkpoint was trained with.
//!
//! A table with one sigma for each training timestep. Everything after it is `f64`, but the table itself is made in
//! `f32` where the reference makes it so: at the first timestep `1 − β` rounds to 7 digits, which moves the smallest
//! sigma by 1e-5 of itself, as much as the results may differ by. (Bit for bit it cannot be had: `torch.linspace`
//! rounds differently with AVX-512 and without. What remains is 3e-7.)

use std::f64::consts::FRAC_PI_2;

use ip2p_core::{BetaSchedule, CheckpointProfile, EdmNoise, Error, Result};

use crate::linspace::linspace;

/// What stands for ᾱ = 0 at the last timestep under a zero terminal SNR, so that its sigma is finite: diffusers'
/// choice, the smallest positive `f16`.
const TERMINAL_ALPHA: f64 = 1.0 / 16_777_216.0;

/// The most training timesteps that a config may ask for: a hundred times what anyone has used.
const MAX_TIMESTEPS: usize = 100_000;

/// How a sigma between two training timesteps is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// Sigma is linear in the timestep: diffusers.
    Linear,
    /// The logarithm of sigma is linear in the timestep: k-diffusion.
    LogLinear,
}

/// The noise of the training timesteps: ᾱ and sigma of each.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseSchedule {
    alphas_cumprod: Vec<f64>,
    sigmas: Vec<f64>,
    /// Whether the training knew every sigma between the ends, and no timesteps.
    is_continuous: bool,
}

impl NoiseSchedule {
    /// The noise that a checkpoint of this profile was trained with.
    ///
    /// A training over a continuous range ([`EdmNoise`]) has as many timesteps here as the profile says, evenly spaced in the
    /// logarithm of sigma, which is what its network is told.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the profile's betas do not give a noise that grows from timestep to timestep.
    pub fn new(profile: &CheckpointProfile) -> Result<Self> {
        Self::with_terminal_alpha(profile, TERMINAL_ALPHA)
    }

    /// As [`NoiseSchedule::new`], with another stand-in for ᾱ = 0.
    pub(crate) fn with_terminal_alpha(profile: &CheckpointProfile, terminal: f64) -> Result<Self> {
        check(profile)?;
        if let Some(edm) = &profile.edm {
            return Ok(Self::continuous(edm, profile.train_timesteps));
        }
        let mut alphas: Vec<f32> = betas(profile)?.into_iter().map(|beta| 1.0 - beta).collect();
        if profile.zero_terminal_snr {
            alphas = rescale_zero_terminal_snr(&alphas);
        }
        let mut alphas_cumprod: Vec<f64> = cumprod(&alphas).into_iter().map(f64::from).collect();
        if profile.zero_terminal_snr {
            let last = alphas_cumprod.len() - 1;
            // With large betas the timestep before may have less than the stand-in.
            alphas_cumprod[last] = terminal.min(alphas_cumprod[last - 1] / 2.0);
        }
        let sigmas: Vec<f64> = alphas_cumprod
            .iter()
            .map(|alpha| ((1.0 - alpha) / alpha).sqrt())
            .collect();
        let grows = sigmas.windows(2).all(|pair| pair[0] < pair[1]);
        let positive = sigmas[0] > 0.0 && sigmas[sigmas.len() - 1].is_finite();
        if grows && positive {
            Ok(Self {
                alphas_cumprod,
                sigmas,
                is_continuous: false,
            })
        } else {
            Err(Error::setting(
                "beta_start, beta_end",
                "betas whose noise grows from each training timestep to the next",
                format!("{} to {}", profile.beta_start, profile.beta_end),
            ))
        }
    }

    fn continuous(edm: &EdmNoise, timesteps: usize) -> Self {
        let (min, max) = (edm.sigma_min, edm.sigma_max);
        let mut sigmas: Vec<f64> = linspace(min.ln(), max.ln(), timesteps)
            .map(f64::exp)
            .collect();
        // Without the rounding of a logarithm.
        sigmas[0] = min;
        sigmas[timesteps - 1] = max;
        Self {
            alphas_cumprod: sigmas
                .iter()
                .map(|sigma| 1.0 / (1.0 + sigma * sigma))
                .collect(),
            sigmas,
            is_continuous: true,
        }
    }

    /// Whether the training knew every sigma between the ends, and no timesteps.
    pub(crate) fn is_continuous(&self) -> bool {
        self.is_continuous
    }

    /// ᾱ of each training timestep, falling.
    #[must_use]
    pub fn alphas_cumprod(&self) -> &[f64] {
        &self.alphas_cumprod
    }

    /// Sigma of each training timestep, rising: `√((1 − ᾱ) / ᾱ)`.
    #[must_use]
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    /// The number of training timesteps.
    #[must_use]
    pub fn timesteps(&self) -> usize {
        self.sigmas.len()
    }

    /// The sigma of timestep 0.
    #[must_use]
    pub fn sigma_min(&self) -> f64 {
        self.sigmas[0]
    }

    /// The sigma of the last timestep.
    #[must_use]
    pub fn sigma_max(&self) -> f64 {
        self.sigmas[self.sigmas.len() - 1]
    }

    /// The sigma at a timestep, which may be fractional; outside the training range, the nearest end's.
    #[must_use]
    pub fn sigma(&self, timestep: f64, interpolation: Interpolation) -> f64 {
        let timestep = timestep.clamp(0.0, (self.sigmas.len() - 1) as f64);
        let (low, high) = (index(timestep.floor()), index(timestep.ceil()));
        if low == high {
            return self.sigmas[low];
        }
        let w = timestep.fract();
        match interpolation {
            Interpolation::Linear => (1.0 - w) * self.sigmas[low] + w * self.sigmas[high],
            Interpolation::LogLinear => {
                ((1.0 - w) * self.sigmas[low].ln() + w * self.sigmas[high].ln()).exp()
            }
        }
    }

    /// The fractional timestep at which the noise has this sigma; beyond the ends, the end.
    ///
    /// The inverse of [`NoiseSchedule::sigma`].
    #[must_use]
    pub fn timestep(&self, sigma: f64, interpolation: Interpolation) -> f64 {
        let not_above = self.sigmas.partition_point(|&table| table <= sigma);
        let low = not_above.saturating_sub(1).min(self.sigmas.len() - 2);
        let scale = |sigma: f64| match interpolation {
            Interpolation::Linear => sigma,
            Interpolation::LogLinear => sigma.max(f64::MIN_POSITIVE).ln(),
        };
        let (from, to) = (scale(self.sigmas[low]), scale(self.sigmas[low + 1]));
        let w = ((scale(sigma) - from) / (to - from)).clamp(0.0, 1.0);
        low as f64 + w
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number within the table"
)]
fn index(timestep: f64) -> usize {
    timestep as usize
}

fn check(profile: &CheckpointProfile) -> Result<()> {
    let timesteps = profile.train_timesteps;
    if !(2..=MAX_TIMESTEPS).contains(&timesteps) {
        let expected = format!("between 2 and {MAX_TIMESTEPS}");
        return Err(Error::setting("train_timesteps", expected, timesteps));
    }
    if let Some(edm) = &profile.edm {
        return edm.check();
    }
    // The cosine schedule has no ends to choose.
    if profile.beta_schedule == BetaSchedule::Cosine {
        return Ok(());
    }
    for (name, beta) in [
        ("beta_start", profile.beta_start),
        ("beta_end", profile.beta_end),
    ] {
        if !(beta > 0.0 && beta < 1.0) {
            return Err(Error::setting(name, "above 0 and below 1", beta));
        }
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "the table is made in f32")]
fn betas(profile: &CheckpointProfile) -> Result<Vec<f32>> {
    let (start, end, count) = (
        profile.beta_start,
        profile.beta_end,
        profile.train_timesteps,
    );
    Ok(match profile.beta_schedule {
        BetaSchedule::Linear => linspace(start, end, count)
            .map(|beta| beta as f32)
            .collect(),
        BetaSchedule::ScaledLinear => linspace(start.sqrt(), end.sqrt(), count)
            .map(|root| (root as f32).powi(2))
            .collect(),
        BetaSchedule::Cosine => (0..count).map(|i| cosine_beta(i, count) as f32).collect(),
        other => {
            return Err(Error::setting(
                "beta_schedule",
                "linear, scaled_linear or squaredcos_cap_v2",
                format!("{other:?}"),
            ));
        }
    })
}

/// Nichol and Dhariwal (2021), <https://arxiv.org/abs/2102.09672>, eq. 17, with their cap of 0.999.
fn cosine_beta(i: usize, count: usize) -> f64 {
    let alpha_bar = |t: f64| ((t + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
    let t = |i: usize| i as f64 / count as f64;
    (1.0 - alpha_bar(t(i + 1)) / alpha_bar(t(i))).min(0.999)
}

/// Shifts and scales `√ᾱ` so that it starts where it did and ends at 0; returns the new alphas.
///
/// Lin et al. (2023), <https://arxiv.org/abs/2305.08891>, algorithm 1.
fn rescale_zero_terminal_snr(alphas: &[f32]) -> Vec<f32> {
    let roots: Vec<f32> = cumprod(alphas).into_iter().map(f32::sqrt).collect();
    let (first, last) = (roots[0], roots[roots.len() - 1]);
    let alphas_bar: Vec<f32> = roots
        .iter()
        .map(|root| ((root - last) * (first / (first - last))).powi(2))
        .collect();
    let ratios = alphas_bar.windows(2).map(|pair| pair[1] / pair[0]);
    std::iter::once(alphas_bar[0])
        .chain(ratios)
        // By way of the betas, which the reference rounds to f32.
        .map(|alpha| 1.0 - (1.0 - alpha))
        .collect()
}

/// Running products, gathered in `f64` and kept in `f32`, as torch does on the CPU.
#[expect(clippy::cast_possible_truncation, reason = "the table is made in f32")]
fn cumprod(alphas: &[f32]) -> Vec<f32> {
    alphas
        .iter()
        .scan(1.0_f64, |product, &alpha| {
            *product *= f64::from(alpha);
            Some(*product as f32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stable_diffusion() -> NoiseSchedule {
        NoiseSchedule::new(&CheckpointProfile::default()).unwrap()
    }

    #[test]
    fn the_ends_are_those_of_stable_diffusion() {
        let noise = stable_diffusion();
        assert!((noise.sigma_min() - 0.029_167_5).abs() < 1e-6);
        assert!((noise.sigma_max() - 14.614_65).abs() < 1e-5);
    }

    #[test]
    fn every_cosine_beta_is_above_zero() {
        assert!((0..1000).all(|i| cosine_beta(i, 1000) > 0.0));
    }

    #[test]
    fn timestep_inverts_sigma() {
        let noise = stable_diffusion();
        for interpolation in [Interpolation::Linear, Interpolation::LogLinear] {
            for timestep in [0.0, 0.25, 1.0, 499.5, 998.0, 998.75, 999.0] {
                let sigma = noise.sigma(timestep, interpolation);
                let back = noise.timestep(sigma, interpolation);
                assert!((back - timestep).abs() < 1e-9, "{timestep}: {back}");
            }
        }
    }

    #[test]
    fn whole_timesteps_come_back_exactly() {
        let noise = stable_diffusion();
        for (timestep, &sigma) in noise.sigmas().iter().enumerate() {
            for interpolation in [Interpolation::Linear, Interpolation::LogLinear] {
                assert!(noise.timestep(sigma, interpolation) == timestep as f64);
            }
        }
    }

    #[test]
    fn sigmas_outside_the_table_have_the_ends_timesteps() {
        let noise = stable_diffusion();
        for interpolation in [Interpolation::Linear, Interpolation::LogLinear] {
            assert!(noise.timestep(0.0, interpolation) == 0.0);
            assert!(noise.timestep(1e9, interpolation) == 999.0);
        }
    }

    #[test]
    fn zero_terminal_snr_ends_in_nearly_pure_noise_and_starts_as_before() {
        let mut profile = CheckpointProfile::default();
        let plain = NoiseSchedule::new(&profile).unwrap();
        profile.zero_terminal_snr = true;
        let rescaled = NoiseSchedule::new(&profile).unwrap();
        assert!((rescaled.sigma_max() - 4096.0).abs() < 1e-3);
        assert!((rescaled.sigma_min() - plain.sigma_min()).abs() < 1e-6);
    }

    #[test]
    fn the_last_timestep_has_the_most_noise_even_where_the_one_before_has_almost_none_left() {
        let noise = NoiseSchedule::new(&CheckpointProfile {
            beta_schedule: BetaSchedule::Linear,
            beta_start: 0.0001,
            beta_end: 0.02,
            zero_terminal_snr: true,
            ..CheckpointProfile::default()
        })
        .unwrap();
        assert!(noise.sigmas()[998] > 4096.0);
        assert!(noise.sigmas()[999] > noise.sigmas()[998]);
    }

    #[test]
    fn a_continuous_range_is_even_in_the_logarithm() {
        let noise = NoiseSchedule::new(&CheckpointProfile {
            edm: Some(EdmNoise {
                sigma_min: 0.002,
                sigma_max: 120.0,
                sigma_data: 1.0,
            }),
            ..CheckpointProfile::default()
        })
        .unwrap();
        assert!(noise.is_continuous() && noise.timesteps() == 1000);
        assert!(noise.sigma_min() == 0.002 && noise.sigma_max() == 120.0);
        let middle = noise.sigma(499.5, Interpolation::LogLinear);
        assert!(
            (middle - (0.002_f64 * 120.0).sqrt()).abs() < 1e-9,
            "{middle}"
        );
        assert!((noise.alphas_cumprod()[0] - 1.0 / (1.0 + 4e-6)).abs() < 1e-12);
    }

    #[test]
    fn betas_that_make_no_noise_schedule_are_refused() {
        let with = |start, end, timesteps| {
            NoiseSchedule::new(&CheckpointProfile {
                beta_start: start,
                beta_end: end,
                train_timesteps: timesteps,
                ..CheckpointProfile::default()
            })
        };
        assert!(with(0.00085, 0.012, 1000).is_ok());
        assert!(with(0.0, 0.012, 1000).is_err());
        assert!(with(0.00085, f64::NAN, 1000).is_err());
        assert!(with(0.00085, 1.0, 1000).is_err());
        assert!(with(1e-12, 1e-11, 1000).is_err());
        assert!(with(0.00085, 0.012, 1).is_err());
        assert!(with(0.00085, 0.012, usize::MAX).is_err());
    }
}
