//! A cheap look at latents: no autoencoder, a pixel for each of the latents.

use burn::tensor::{Tensor, TensorData};
use ip2p_core::{ModelFamily, Size};
use ip2p_io::RgbPicture;

/// How much red, green and blue each of Stable Diffusion's latent channels stands for, at values of about ±1: the
/// linear fit that ComfyUI uses (`latent_formats.py`, `SD15.latent_rgb_factors`).
const RGB_FACTORS: [[f32; 3]; 4] = [
    [0.3512, 0.2297, 0.3227],
    [0.3250, 0.4974, 0.2350],
    [-0.2829, 0.1762, 0.2721],
    [-0.2120, -0.2616, -0.7177],
];

/// What latents `[batch, channels, height, width]` roughly look like, one picture each of `height` by `width` pixels.
///
/// The latents of other families than Stable Diffusion, whose channels mean something else, are shown grey.
pub(crate) fn previews(latents: &Tensor<4>, family: ModelFamily) -> Vec<RgbPicture> {
    let [batch, channels, height, width] = latents.dims();
    let known = matches!(family, ModelFamily::Sd1 | ModelFamily::Sd2);
    let factors: Vec<f32> = if known && channels == RGB_FACTORS.len() {
        RGB_FACTORS.concat()
    } else {
        vec![1.0 / channels as f32; channels * 3]
    };
    let factors =
        Tensor::<2>::from_data(TensorData::new(factors, [channels, 3]), &latents.device());
    let pixels = latents
        .clone()
        .permute([0, 2, 3, 1])
        .reshape([batch * height * width, channels])
        .matmul(factors);
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
    let rgb: Vec<u8> = values
        .into_iter()
        .map(|value| value.round() as u8)
        .collect();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "less than a picture whose sides are u32"
    )]
    let size = Size::new(width as u32, height as u32);
    let picture = |rgb: &[u8]| {
        RgbPicture::new(size, rgb.to_vec()).expect("three bytes a pixel, and at least one")
    };
    rgb.chunks(height * width * 3).map(picture).collect()
}
