//! What a sampler asks for, and how a network gives it.
//!
//! Samplers work on `x = image + sigma · noise` and ask one question: what is the image? ([`Denoiser`].) What a network
//! was trained to return, and how its input is scaled, is dealt with once, here, and no sampler knows of it.

use burn::tensor::Tensor;
use ip2p_core::{Error, PredictionType, Result};

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

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tolerance};

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
}
