//! How far pictures are from one another.

use image::{GrayImage, RgbImage};

/// The peak signal-to-noise ratio in dB, over the pixels of `mask` that are `inside` (255) or not, or over all.
///
/// Infinite for equal pictures; none if there is no such pixel.
///
/// # Panics
///
/// If the sizes differ.
#[must_use]
pub fn psnr(a: &RgbImage, b: &RgbImage, mask: Option<(&GrayImage, bool)>) -> Option<f64> {
    let error = mean_squared_error(a, b, mask)?;
    Some(10.0 * (255.0_f64.powi(2) / error).log10())
}

/// The mean squared difference of the bytes, over the same pixels as [`psnr`].
///
/// # Panics
///
/// If the sizes differ.
#[must_use]
pub fn mean_squared_error(
    a: &RgbImage,
    b: &RgbImage,
    mask: Option<(&GrayImage, bool)>,
) -> Option<f64> {
    assert_eq!(a.dimensions(), b.dimensions(), "pictures differ in size");
    let (mut sum, mut count) = (0.0, 0_u64);
    for ((x, y, a), b) in a.enumerate_pixels().zip(b.pixels()) {
        if let Some((mask, inside)) = mask
            && (mask.get_pixel(x, y)[0] > 127) != inside
        {
            continue;
        }
        for (a, b) in a.0.iter().zip(b.0) {
            sum += (f64::from(*a) - f64::from(b)).powi(2);
            count += 1;
        }
    }
    (count > 0).then(|| sum / count as f64)
}
