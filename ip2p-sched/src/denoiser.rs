//! What a sampler asks for, and how a network gives it.
//!
//! Samplers work on `x = image + sigma · noise` and ask one question: what is the image? ([`Denoiser`].) What a network
//! was trained to return, and how its input is scaled, is dealt with once, here, and no sampler knows of it.

use burn::tensor::Tensor;
use ip2p_core::{CheckpointProfile, Error, PredictionType, Result};

/// A guess at the image under the noise.
///
/// Any `FnMut(Tensor<4>, f64) -> Result<Tensor<4>>` is one.
pub trait Denoiser {
    /// The image that `x = image + sigma · noise` most likely is.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, 4, height / 8, width / 8]`
    /// - output: the same
    ///
    /// # Errors
    ///
    /// Whatever the network behind it reports.
    fn denoise(&mut self, x: Tensor<4>, sigma: f64) -> Result<Tensor<4>>;
}

impl<F> Denoiser for F
where
    F: FnMut(Tensor<4>, f64) -> Result<Tensor<4>>,
{
    fn denoise(&mut self, x: Tensor<4>, sigma: f64) -> Result<Tensor<4>> {
        self(x, sigma)
    }
}

/// What `x` is multiplied by for the network, which expects noisy latents of variance 1.
///
/// Karras et al. (2022), <https://arxiv.org/abs/2206.00364>, table 1, columns VP and iDDPM.
#[must_use]
pub fn c_in(sigma: f64) -> f64 {
    1.0 / (sigma * sigma + 1.0).sqrt()
}

/// The image that follows from what the network returned for `x · c_in(sigma)`.
///
/// `x · c_skip + output · c_out`, Karras et al. (2022), <https://arxiv.org/abs/2206.00364>, eq. 7.
///
/// # Shapes
///
/// - `x`, `output`: `[batch, 4, height / 8, width / 8]`
/// - output: the same
///
/// # Errors
///
/// [`Error::InvalidSetting`] for a prediction that this version does not know.
pub fn denoised(
    prediction: PredictionType,
    x: Tensor<4>,
    output: Tensor<4>,
    sigma: f64,
) -> Result<Tensor<4>> {
    match prediction {
        PredictionType::Epsilon => Ok(x - output * sigma),
        PredictionType::VPrediction => {
            let c_skip = c_in(sigma).powi(2);
            let c_out = -sigma * c_in(sigma);
            Ok(x * c_skip + output * c_out)
        }
        PredictionType::Sample => Ok(output),
        other => Err(Error::setting(
            "prediction",
            "epsilon, v_prediction or sample",
            format!("{other:?}"),
        )),
    }
}

/// How a checkpoint's network is asked, and what is made of its answer: `c_in`, `c_skip` and `c_out` of Karras et al.
/// (2022), <https://arxiv.org/abs/2206.00364>, eq. 7, by the conventions of the training.
///
/// With betas, [`c_in`] and [`denoised`]. Where the training was over a continuous range of noise (EDM) the same with its
/// `sigma_data`, and a network of "epsilon" returns what that paper calls *F*, not the noise: diffusers'
/// `EDMEulerScheduler`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preconditioning {
    prediction: PredictionType,
    /// The deviation that the training took the latents to have, if it was one without betas.
    sigma_data: Option<f64>,
}

impl Preconditioning {
    /// That of a checkpoint of this profile.
    #[must_use]
    pub fn new(profile: &CheckpointProfile) -> Self {
        Self {
            prediction: profile.prediction,
            sigma_data: profile.edm.map(|edm| edm.sigma_data),
        }
    }

    /// What `x = image + sigma · noise` is multiplied by for the network.
    #[must_use]
    pub fn c_in(self, sigma: f64) -> f64 {
        let data = self.sigma_data.unwrap_or(1.0);
        1.0 / (sigma * sigma + data * data).sqrt()
    }

    /// The image that follows from what the network returned for `x · c_in(sigma)`.
    ///
    /// # Shapes
    ///
    /// - `x`, `output`: `[batch, 4, height / 8, width / 8]`
    /// - output: the same
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] for a prediction that this version does not know.
    pub fn denoised(self, x: Tensor<4>, output: Tensor<4>, sigma: f64) -> Result<Tensor<4>> {
        let Some(data) = self.sigma_data else {
            return denoised(self.prediction, x, output, sigma);
        };
        let sign = match self.prediction {
            PredictionType::Epsilon => 1.0,
            PredictionType::VPrediction => -1.0,
            other => {
                return Err(Error::setting(
                    "prediction",
                    "epsilon or v_prediction with a noise without betas",
                    format!("{other:?}"),
                ));
            }
        };
        let c_skip = (data * self.c_in(sigma)).powi(2);
        let c_out = sign * sigma * data * self.c_in(sigma);
        Ok(x * c_skip + output * c_out)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tolerance};
    use ip2p_core::EdmNoise;

    use super::*;

    /// What a perfect network of each kind returns leads back to the image.
    #[test]
    fn every_prediction_gives_back_the_image() {
        let device = Device::flex();
        let image = Tensor::<4>::random([2, 4, 3, 5], Distribution::Normal(0.0, 1.0), &device);
        let noise = image.random_like(Distribution::Normal(0.0, 1.0));
        for sigma in [0.03, 1.0, 14.6] {
            let x = image.clone() + noise.clone() * sigma;
            let velocity = (noise.clone() - image.clone() * sigma) * c_in(sigma);
            for (prediction, output) in [
                (PredictionType::Epsilon, noise.clone()),
                (PredictionType::VPrediction, velocity),
                (PredictionType::Sample, image.clone()),
            ] {
                denoised(prediction, x.clone(), output, sigma)
                    .unwrap()
                    .into_data()
                    .assert_approx_eq::<f32>(&image.to_data(), Tolerance::absolute(2e-5));
            }
        }
    }
    #[test]
    fn a_velocity_without_betas_is_the_velocity_with_them_where_latents_have_variance_1() {
        let device = Device::flex();
        let x = Tensor::<4>::random([1, 4, 3, 5], Distribution::Normal(0.0, 9.0), &device);
        let output = x.random_like(Distribution::Normal(0.0, 1.0));
        let with = |sigma_data, prediction| {
            Preconditioning::new(&CheckpointProfile {
                prediction,
                edm: Some(EdmNoise {
                    sigma_min: 0.002,
                    sigma_max: 120.0,
                    sigma_data,
                }),
                ..CheckpointProfile::default()
            })
        };
        let edm = with(1.0, PredictionType::VPrediction);
        for sigma in [0.002, 1.0, 120.0] {
            assert!((edm.c_in(sigma) - c_in(sigma)).abs() < 1e-15);
            let expected = denoised(
                PredictionType::VPrediction,
                x.clone(),
                output.clone(),
                sigma,
            );
            edm.denoised(x.clone(), output.clone(), sigma)
                .unwrap()
                .into_data()
                .assert_approx_eq::<f32>(&expected.unwrap().into_data(), Tolerance::absolute(2e-5));
        }
        // Another deviation: c_skip = 0.25 / 1.25, c_out = 0.5 / √1.25.
        let other = with(0.5, PredictionType::Epsilon);
        let expected = x.clone() * 0.2 + output.clone() * 0.447_213_6;
        other
            .denoised(x.clone(), output.clone(), 1.0)
            .unwrap()
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(2e-5));
        assert!(
            with(1.0, PredictionType::Sample)
                .denoised(x, output, 1.0)
                .is_err()
        );
    }
}
