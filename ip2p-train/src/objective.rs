//! What the U-Net is asked for at a noise level, and how much a mistake there counts.

use ip2p::core::PredictionType;
use serde::{Deserialize, Serialize};

/// How much the loss of a noise level counts.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossWeight {
    /// As much as of any other.
    #[default]
    Uniform,
    /// Min-SNR; Hang et al. (2023), <https://arxiv.org/abs/2303.09556>, eq. 5: the loss of the image counts `min(SNR, γ)`.
    MinSnr(f64),
}

impl LossWeight {
    /// The weight of the squared error of what the network returns, at `ᾱ = alpha_cumprod`.
    ///
    /// With `SNR = ᾱ / (1 − ᾱ)`, Min-SNR is `min(SNR, γ)` for the image, divided by `SNR` for the noise and by `SNR + 1` for
    /// the velocity.
    #[must_use]
    pub fn weight(self, prediction: PredictionType, alpha_cumprod: f64) -> f64 {
        let Self::MinSnr(gamma) = self else {
            return 1.0;
        };
        let snr = alpha_cumprod / (1.0 - alpha_cumprod);
        let clipped = snr.min(gamma);
        match prediction {
            PredictionType::Epsilon => clipped / snr,
            PredictionType::VPrediction => clipped / (snr + 1.0),
            _ => clipped,
        }
    }
}

/// How `image` and `noise` make the network's input and its target at `ᾱ = alpha_cumprod`: the factors of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixture {
    /// The noisy latents: `image · input.0 + noise · input.1`.
    pub input: (f64, f64),
    /// What the network is to return: `image · target.0 + noise · target.1`.
    pub target: (f64, f64),
}

impl Mixture {
    /// The mixture of a prediction kind.
    ///
    /// Ho et al. (2020), <https://arxiv.org/abs/2006.11239>, eq. 4, and for the velocity Salimans and Ho (2022),
    /// <https://arxiv.org/abs/2202.00512>, appendix D.
    #[must_use]
    pub fn new(prediction: PredictionType, alpha_cumprod: f64) -> Self {
        let (alpha, sigma) = (alpha_cumprod.sqrt(), (1.0 - alpha_cumprod).sqrt());
        let target = match prediction {
            PredictionType::VPrediction => (-sigma, alpha),
            PredictionType::Sample => (1.0, 0.0),
            _ => (0.0, 1.0),
        };
        Self {
            input: (alpha, sigma),
            target,
        }
    }
}

/// Which conditions a training example keeps, so that the network learns the branches that guidance needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Whether it keeps its sentence.
    pub text: bool,
    /// Whether it keeps its picture.
    pub image: bool,
}

/// Which conditions an example keeps for one uniform draw in `[0, 1)`: a share of 5 % each lose the sentence, both, and the
/// picture, for `share = 0.05`.
///
/// The original's rule (`ldm/models/diffusion/ddpm_edit.py`, `get_input`): the sentence goes below `2 share`, the picture
/// from `share` to `3 share`.
#[must_use]
pub fn kept(draw: f64, share: f64) -> Kept {
    Kept {
        text: draw >= 2.0 * share,
        image: !(share..3.0 * share).contains(&draw),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_draw_drops_the_sentence_both_and_the_picture_in_equal_shares() {
        let mut counts = [0; 4];
        for i in 0..10_000 {
            let Kept { text, image } = kept((f64::from(i) + 0.5) / 10_000.0, 0.05);
            counts[usize::from(text) * 2 + usize::from(image)] += 1;
        }
        // Neither, picture alone, sentence alone, both.
        assert_eq!(counts, [500, 500, 500, 8500]);
    }

    proptest! {
        /// The three kinds of Min-SNR are one weight of the image's error: an error `e` of the image is one of
        /// `e · √SNR` of the noise and of `e · √(SNR + 1)` of the velocity.
        #[test]
        fn min_snr_weighs_the_error_of_the_image_alike(alpha in 0.001..0.999_f64) {
            let weight = LossWeight::MinSnr(5.0);
            let snr = alpha / (1.0 - alpha);
            let image = weight.weight(PredictionType::Sample, alpha);
            let noise = weight.weight(PredictionType::Epsilon, alpha) * snr;
            let velocity = weight.weight(PredictionType::VPrediction, alpha) * (snr + 1.0);
            prop_assert!((image - noise).abs() < 1e-9 * image && (image - velocity).abs() < 1e-9 * image);
        }

        /// From input and target, the image comes back by the formula of the sampler.
        #[test]
        fn a_perfect_network_gives_the_image(alpha in 0.001..0.999_f64, image in -3.0..3.0_f64, noise in -3.0..3.0_f64) {
            let mixture = Mixture::new(PredictionType::VPrediction, alpha);
            let mix = |(a, b): (f64, f64)| -> f64 { a * image + b * noise };
            let (x, v) = (mix(mixture.input), mix(mixture.target));
            let back: f64 = alpha.sqrt() * x - (1.0 - alpha).sqrt() * v;
            prop_assert!((back - image).abs() < 1e-9);
        }
    }
}
