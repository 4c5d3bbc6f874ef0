//! A cheap look at latents: no autoencoder, a pixel for each of the latents.
//!
//! Colours are nearly linear in the channels of latents. For Stable Diffusion the factors are known; for any other
//! autoencoder they are those that best turn the photo's own latents into the photo.

use burn::tensor::{FloatDType, Tensor, TensorData};
use ip2p_core::{ModelFamily, Size};
use ip2p_io::RgbPicture;

/// How much red, green and blue each of Stable Diffusion's latent channels stands for, at values of about ±1: the linear
/// fit that ComfyUI uses (`latent_formats.py`, `SD15.latent_rgb_factors`).
const STABLE_DIFFUSION: [[f32; 3]; 4] = [
    [0.3512, 0.2297, 0.3227],
    [0.3250, 0.4974, 0.2350],
    [-0.2829, 0.1762, 0.2721],
    [-0.2120, -0.2616, -0.7177],
];

/// How much a channel that says nothing of the colours is held at 0, for each pixel.
const RIDGE: f64 = 1e-3;

/// What the channels of latents stand for.
#[derive(Debug, Clone)]
pub(crate) struct LatentColours {
    /// Red, green and blue of each channel, and after them those of latents that are all 0; from −1 to 1.
    factors: Vec<[f32; 3]>,
}

impl LatentColours {
    /// The colours of the latents of a photo.
    ///
    /// # Shapes
    ///
    /// - rgb: `[1, 3, height, width]`, values in `[-1, 1]`
    /// - latents: `[1, channels, height / f, width / f]`, scaled as the U-Net's are
    pub(crate) fn new(family: ModelFamily, rgb: &Tensor<4>, latents: &Tensor<4>) -> Self {
        let known = matches!(family, ModelFamily::Sd1 | ModelFamily::Sd2);
        if known && latents.dims()[1] == STABLE_DIFFUSION.len() {
            let factors = STABLE_DIFFUSION.into_iter().chain([[0.0; 3]]);
            return Self {
                factors: factors.collect(),
            };
        }
        Self::fitted(rgb, latents)
    }

    /// Least squares: `(XᵀX + ridge) · factors = XᵀY`, of latents and a 1 in the rows of `X` and the mean colours of the
    /// pixels that they stand for in those of `Y`.
    fn fitted(rgb: &Tensor<4>, latents: &Tensor<4>) -> Self {
        let [_, channels, height, width] = latents.dims();
        let factor = rgb.dims()[2] / height;
        let pixels = height * width;
        let colours = rgb
            .clone()
            .cast(FloatDType::F32)
            .reshape([3 * height, factor, width, factor])
            .mean_dim(3)
            .mean_dim(1)
            .reshape([3, pixels]);
        let values = latents
            .clone()
            .cast(FloatDType::F32)
            .reshape([channels, pixels]);
        let ones = Tensor::<2>::ones([1, pixels], &values.device());
        let rows = Tensor::cat(vec![values, ones, colours], 0);
        // Both products at once: the last three rows and columns are the colours.
        let products: Vec<f64> = (rows.clone().matmul(rows.transpose()) / pixels as f64)
            .into_data()
            .convert::<f64>()
            .try_into_vec()
            .expect("just converted");
        let side = channels + 4;
        let mut equations: Vec<Vec<f64>> = products
            .chunks(side)
            .take(channels + 1)
            .map(<[f64]>::to_vec)
            .collect();
        for (channel, equation) in equations.iter_mut().enumerate().take(channels) {
            equation[channel] += RIDGE;
        }
        Self {
            factors: solve(equations),
        }
    }

    /// What latents `[1, channels, height, width]` roughly look like, in `height` by `width` pixels.
    fn picture(&self, latents: &Tensor<4>) -> RgbPicture {
        let [_, channels, height, width] = latents.dims();
        let factors = TensorData::new(self.factors.concat(), [channels + 1, 3]);
        let factors = Tensor::<2>::from_data(factors, &latents.device());
        let pixels = latents
            .clone()
            .permute([0, 2, 3, 1])
            .reshape([height * width, channels])
            .matmul(factors.clone().narrow(0, 0, channels))
            + factors.narrow(0, channels, 1);
        let bytes = ((pixels + 1.0) * 127.5).clamp(0.0, 255.0);
        let values = bytes
            .into_data()
            .convert::<f32>()
            .try_into_vec::<f32>()
            .expect("just converted");
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to a byte"
        )]
        let rgb = values
            .into_iter()
            .map(|value| value.round() as u8)
            .collect();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "less than a picture whose sides are u32"
        )]
        let size = Size::new(width as u32, height as u32);
        RgbPicture::new(size, rgb).expect("three bytes a pixel, and at least one")
    }
}

/// What latents `[batch, channels, height, width]` roughly look like, with the colours of each.
pub(crate) fn previews(latents: &Tensor<4>, colours: &[LatentColours]) -> Vec<RgbPicture> {
    let each = latents.clone().split(1, 0).into_iter().zip(colours);
    each.map(|(latents, colours)| colours.picture(&latents))
        .collect()
}

/// Solves linear equations by Gaussian elimination: each has a coefficient for each unknown, and three right sides.
///
/// The matrix is positive definite, so that no pivot is 0.
fn solve(mut equations: Vec<Vec<f64>>) -> Vec<[f32; 3]> {
    let unknowns = equations.len();
    for pivot in 0..unknowns {
        let row = equations[pivot].clone();
        for (index, other) in equations.iter_mut().enumerate() {
            let share = if index == pivot {
                1.0 - 1.0 / row[pivot]
            } else {
                other[pivot] / row[pivot]
            };
            for (value, of_row) in other.iter_mut().zip(&row) {
                *value -= share * of_row;
            }
        }
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "colours need no more than f32"
    )]
    let right_sides = |equation: &Vec<f64>| [0, 1, 2].map(|side| equation[unknowns + side] as f32);
    equations.iter().map(right_sides).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    #[test]
    fn colours_that_are_linear_in_the_latents_are_found() {
        let device = Device::flex();
        let latents = Tensor::<4>::random([1, 5, 6, 8], Distribution::Normal(0.5, 2.0), &device);
        let factors = [
            [0.1, 0.0, 0.02],
            [-0.05, 0.1, 0.0],
            [0.0, 0.04, 0.1],
            [0.0, 0.0, 0.0],
            [0.03, -0.03, 0.05],
            [-0.2, 0.1, 0.0],
        ];
        let colours = LatentColours {
            factors: factors.to_vec(),
        };
        let expected = colours.picture(&latents);
        // The picture of these latents, each pixel a square of 4 by 4.
        let pixels: Vec<f32> = expected
            .pixels()
            .iter()
            .map(|&byte| f32::from(byte) / 127.5 - 1.0)
            .collect();
        let rgb = Tensor::<1>::from_floats(pixels.as_slice(), &device)
            .reshape([1, 6, 8, 3])
            .permute([0, 3, 1, 2]);
        let rgb: Tensor<4> = rgb
            .reshape([3, 6, 1, 8, 1])
            .repeat_dim(2, 4)
            .repeat_dim(4, 4)
            .reshape([1, 3, 24, 32]);

        let found = LatentColours::new(ModelFamily::Custom, &rgb, &latents).picture(&latents);
        let pairs = found.pixels().iter().zip(expected.pixels());
        let furthest = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(furthest <= 2, "{furthest}");
    }

    #[test]
    fn a_photo_of_one_colour_gives_that_colour() {
        let device = Device::flex();
        let rgb = Tensor::full([1, 3, 8, 8], 0.5, &device);
        let latents = Tensor::full([1, 4, 2, 2], 3.0, &device);
        let colours = LatentColours::new(ModelFamily::Custom, &rgb, &latents);
        let picture = colours.picture(&latents);
        assert!(picture.pixels().iter().all(|byte| byte.abs_diff(191) <= 1));
    }

    #[test]
    fn equations_are_solved() {
        let equations = vec![
            vec![4.0, 1.0, 9.0, 4.0, 0.0],
            vec![1.0, 3.0, 5.0, 1.0, 11.0],
        ];
        assert_eq!(solve(equations), [[2.0, 1.0, -1.0], [1.0, 0.0, 4.0]]);
    }
}
