//! A random square of a picture, in slightly other colours.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a side lies between the sides that it is drawn from, and a cast to a byte clips"
)]

use image::imageops::{FilterType, crop_imm, flip_horizontal_in_place, resize};
use image::{Rgb, RgbImage};
use rand::{Rng, RngExt};

/// The side of the smallest crop, in parts of the picture's shorter side.
const SMALLEST: f64 = 0.4;
/// The least standard deviation of brightness of a crop, in steps of 1 of 255: less is empty sky.
const LIVELY: f64 = 10.0;
/// How often another crop is tried in place of an empty one.
const TRIES: usize = 6;

/// A square crop, resized to `size`, mirrored or not, with mild changes of light and colour.
pub(super) fn crop(picture: &RgbImage, size: u32, rng: &mut impl Rng) -> RgbImage {
    let mut crop = square(picture, size, rng);
    for _ in 1..TRIES {
        if deviation(&crop) >= LIVELY {
            break;
        }
        crop = square(picture, size, rng);
    }
    if rng.random_bool(0.5) {
        flip_horizontal_in_place(&mut crop);
    }
    jitter(&mut crop, rng);
    crop
}

fn square(picture: &RgbImage, size: u32, rng: &mut impl Rng) -> RgbImage {
    let (width, height) = picture.dimensions();
    let shorter = width.min(height);
    let smallest = (f64::from(shorter) * SMALLEST).max(f64::from(size.min(shorter)));
    let side = rng.random_range(smallest..=f64::from(shorter)).round() as u32;
    let x = rng.random_range(0..=width - side);
    let y = rng.random_range(0..=height - side);
    let square = crop_imm(picture, x, y, side, side);
    resize(&*square, size, size, FilterType::CatmullRom)
}

fn deviation(picture: &RgbImage) -> f64 {
    let brightness = |pixel: &Rgb<u8>| pixel.0.iter().map(|&c| f64::from(c)).sum::<f64>() / 3.0;
    let count = f64::from(picture.width() * picture.height());
    let mean = picture.pixels().map(brightness).sum::<f64>() / count;
    let square = |pixel| (brightness(pixel) - mean).powi(2);
    (picture.pixels().map(square).sum::<f64>() / count).sqrt()
}

/// Brightness, warmth and saturation up to a few percent off.
fn jitter(picture: &mut RgbImage, rng: &mut impl Rng) {
    let light = rng.random_range(0.85..1.15f32);
    let warmth = rng.random_range(-0.05..0.05f32);
    let saturation = rng.random_range(0.8..1.2f32);
    let gains = [light * (1.0 + warmth), light, light * (1.0 - warmth)];
    for pixel in picture.pixels_mut() {
        let [r, g, b] = pixel.0.map(f32::from);
        let grey = 0.299 * r + 0.587 * g + 0.114 * b;
        for (channel, gain) in pixel.0.iter_mut().zip(gains) {
            let colour = grey + saturation * (f32::from(*channel) - grey);
            *channel = (gain * colour).round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    #[test]
    fn a_crop_has_its_size_whatever_the_picture() {
        let mut rng = rng(0, 0);
        for (width, height) in [(1, 1), (3, 40), (200, 100), (64, 64)] {
            let picture = RgbImage::from_pixel(width, height, Rgb([90, 120, 40]));
            assert_eq!(crop(&picture, 33, &mut rng).dimensions(), (33, 33));
        }
    }

    #[test]
    fn a_crop_of_one_colour_keeps_it_but_for_the_jitter() {
        let picture = RgbImage::from_pixel(90, 60, Rgb([100, 120, 80]));
        for index in 0..50 {
            for pixel in crop(&picture, 8, &mut rng(4, index)).pixels() {
                for (&got, meant) in pixel.0.iter().zip([100.0, 120.0, 80.0]) {
                    assert!((f64::from(got) / meant - 1.0).abs() < 0.30, "{pixel:?}");
                }
            }
        }
    }

    #[test]
    fn an_empty_sky_is_passed_over() {
        let picture = RgbImage::from_fn(400, 100, |x, y| {
            let checks = if (x / 20 + y / 20) % 2 == 0 { 20 } else { 200 };
            Rgb(if x < 300 { [180; 3] } else { [checks; 3] })
        });
        let lively =
            (0..100).filter(|&index| deviation(&crop(&picture, 16, &mut rng(1, index))) >= 8.0);
        assert!(lively.count() > 85);
    }
}
