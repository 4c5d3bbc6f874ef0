//! Lanczos resampling, equal to Pillow's to the bit.
//!
//! Both reference tools resize with Pillow, and a picture that differs by one level in a few pixels is another input to
//! the model. Pillow's way (`Resample.c`): weights in `f64`, rounded to 22 fractional bits; a pass along one axis, rounded
//! to bytes and clipped; a pass along the other over those. Libraries that keep more or fewer bits between the passes, or
//! in the weights, give other last digits (`fast_image_resize`'s weights have 16 bits), and the passes in the other order
//! give differences of 30 levels at edges, because of the clipping.
//!
//! The order is that of Pillow 13; earlier versions always begin with the rows.

use std::ops::Range;

use ip2p_core::{Rect, Size};
use rayon::prelude::*;

use super::rgb::{CHANNELS, RgbPicture};

/// How many fractional bits a weight has: 32 less the 8 of a byte less 2 for sums above one.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Half of what is shifted out, so that the shift rounds.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// The lobes of the window at each side.
const LOBES: f64 = 3.0;

/// Resamples the part `source` of a picture to `size` with Lanczos' window of three lobes, as Pillow's
/// `Image.resize(size, Resampling.LANCZOS, box)` does.
///
/// Where `source` is the whole picture and `size` its own, the picture comes back as it is.
///
/// # Panics
///
/// If `size` is empty, or `source` is empty or not within the picture.
#[must_use]
pub fn resize_lanczos(picture: &RgbPicture, source: Rect, size: Size) -> RgbPicture {
    let from = picture.size();
    assert!(!size.is_empty(), "resampling to {size}");
    let horizontal = Axis::new(from.width, (source.left, source.right), size.width);
    let vertical = Axis::new(from.height, (source.top, source.bottom), size.height);
    match (horizontal.identity, vertical.identity) {
        (true, true) => picture.clone(),
        (false, true) => resample_rows(picture, &horizontal),
        (true, false) => resample_columns(picture, &vertical),
        (false, false) if begins_with_columns(from, size) => {
            resample_rows(&resample_columns(picture, &vertical), &horizontal)
        }
        (false, false) => resample_columns(&resample_rows(picture, &horizontal), &vertical),
    }
}

/// Whether Pillow 13 makes the picture lower before it changes its width: where that takes away more than twice as many
/// rows as columns go.
///
/// Found by comparing with both orders, each pass done by itself, at 3 660 sizes.
fn begins_with_columns(from: Size, to: Size) -> bool {
    let less = |from: u32, to: u32| i64::from(from) - i64::from(to);
    let (columns, rows) = (less(from.width, to.width), less(from.height, to.height));
    rows > 0 && rows > 2 * columns
}

/// The weights with which pixels along one axis become others.
struct Axis {
    to: u32,
    /// Whether the axis is left as it is.
    identity: bool,
    /// For each pixel made: those that it is made of.
    windows: Vec<Window>,
    /// The windows' weights, one after another.
    weights: Vec<i32>,
}

struct Window {
    pixels: Range<usize>,
    /// Where in [`Axis::weights`] its weights begin.
    weights: usize,
}

impl Axis {
    /// `precompute_coeffs` and `normalize_coeffs_8bpc` of Pillow's `Resample.c`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "edges are within a side, and `as` clamps at 0; the box is f32 in Pillow too"
    )]
    fn new(from: u32, (start, end): (f64, f64), to: u32) -> Self {
        assert!(
            0.0 <= start && start < end && end <= f64::from(from),
            "{start}..{end} of {from}"
        );
        let (start, end) = (start as f32, end as f32);
        let scale = f64::from(end - start) / f64::from(to);
        // A picture that shrinks is averaged over what a pixel covers.
        let filter_scale = scale.max(1.0);
        let support = LOBES * filter_scale;
        let mut windows = Vec::with_capacity(to as usize);
        let mut weights = Vec::new();
        let mut exact = Vec::new();
        for pixel in 0..to {
            let center = f64::from(start) + (f64::from(pixel) + 0.5) * scale;
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(from as usize);
            exact.clear();
            exact.extend(
                (first..end).map(|x| lanczos((x as f64 - center + 0.5) * (1.0 / filter_scale))),
            );
            let sum: f64 = exact.iter().sum();
            windows.push(Window {
                pixels: first..end,
                weights: weights.len(),
            });
            weights.extend(exact.iter().map(|weight| fixed_point(weight / sum)));
        }
        #[expect(clippy::float_cmp, reason = "as Pillow compares them")]
        let identity = from == to && start == 0.0 && f64::from(end) == f64::from(from);
        Self {
            to,
            identity,
            windows,
            weights,
        }
    }

    fn weights(&self, window: &Window) -> &[i32] {
        &self.weights[window.weights..window.weights + window.pixels.len()]
    }
}

/// Lanczos' window of the sinc function.
fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| {
        if x == 0.0 {
            1.0
        } else {
            let x = x * std::f64::consts::PI;
            x.sin() / x
        }
    };
    if (-LOBES..LOBES).contains(&x) {
        sinc(x) * sinc(x / LOBES)
    } else {
        0.0
    }
}

/// Rounds half away from zero.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a weight is less than 2, and truncation is half of the rounding"
)]
fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1_u32 << PRECISION_BITS);
    (scaled + 0.5_f64.copysign(weight)) as i32
}

/// Rounds a sum of weighted bytes to a byte.
#[expect(clippy::cast_sign_loss, reason = "just clamped")]
fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// The pass that changes the width.
fn resample_rows(picture: &RgbPicture, axis: &Axis) -> RgbPicture {
    let Size { width, height } = picture.size();
    let source = picture.pixels().par_chunks_exact(width as usize * CHANNELS);
    let mut made = vec![0; height as usize * axis.windows.len() * CHANNELS];
    made.par_chunks_exact_mut(axis.windows.len() * CHANNELS)
        .zip(source)
        .for_each(|(made, row)| {
            for (pixel, window) in made.chunks_exact_mut(CHANNELS).zip(&axis.windows) {
                let Range { start, end } = window.pixels;
                let bytes = row[start * CHANNELS..end * CHANNELS].chunks_exact(CHANNELS);
                let mut sums = [HALF; CHANNELS];
                for (bytes, weight) in bytes.zip(axis.weights(window)) {
                    for (sum, byte) in sums.iter_mut().zip(bytes) {
                        *sum += i32::from(*byte) * weight;
                    }
                }
                for (byte, sum) in pixel.iter_mut().zip(sums) {
                    *byte = to_byte(sum);
                }
            }
        });
    RgbPicture::from_pixels(Size::new(axis.to, height), made)
}

/// The pass that changes the height.
fn resample_columns(picture: &RgbPicture, axis: &Axis) -> RgbPicture {
    let width = picture.size().width;
    let stride = width as usize * CHANNELS;
    let rows = picture.pixels();
    let mut made = vec![0; axis.windows.len() * stride];
    made.par_chunks_exact_mut(stride)
        .zip(&axis.windows)
        .for_each_init(
            || vec![0_i32; stride],
            |sums, (made, window)| {
                sums.fill(HALF);
                let rows = rows.chunks_exact(stride).skip(window.pixels.start);
                for (row, weight) in rows.zip(axis.weights(window)) {
                    for (sum, byte) in sums.iter_mut().zip(row) {
                        *sum += i32::from(*byte) * weight;
                    }
                }
                for (byte, sum) in made.iter_mut().zip(sums.iter()) {
                    *byte = to_byte(*sum);
                }
            },
        );
    RgbPicture::from_pixels(Size::new(width, axis.to), made)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picture(size: Size, seed: u32) -> RgbPicture {
        let bytes = 0..u32::try_from(size.pixels() * 3).unwrap();
        let pixels = bytes.map(|i| (i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as u8);
        RgbPicture::new(size, pixels.collect()).unwrap()
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let size = Size::new(7, 5);
        let picture = picture(size, 1);
        assert_eq!(resize_lanczos(&picture, Rect::of(size), size), picture);
    }

    #[test]
    fn one_pixel_becomes_a_plain_picture() {
        let dot = RgbPicture::new(Size::new(1, 1), vec![1, 128, 255]).unwrap();
        let big = resize_lanczos(&dot, Rect::of(dot.size()), Size::new(64, 65));
        assert!(big.pixels().chunks(3).all(|pixel| pixel == [1, 128, 255]));
    }

    proptest! {
        #[test]
        fn a_plain_picture_stays_plain(
            from in (1..40_u32, 1..40_u32), to in (1..40_u32, 1..40_u32), level in 0..=255_u8,
            edges in (0.0..0.4, 0.0..0.4, 0.6..1.0, 0.6..1.0),
        ) {
            let from = Size::new(from.0, from.1);
            let plain = RgbPicture::new(from, [level].repeat((from.width * from.height * 3) as usize)).unwrap();
            let source = Rect {
                left: edges.0 * f64::from(from.width),
                top: edges.1 * f64::from(from.height),
                right: edges.2 * f64::from(from.width),
                bottom: edges.3 * f64::from(from.height),
            };
            let resized = resize_lanczos(&plain, source, Size::new(to.0, to.1));
            prop_assert!(resized.pixels().iter().all(|&byte| byte == level));
        }

        #[test]
        fn any_picture_can_be_resampled_to_any_size(
            from in (1..40_u32, 1..40_u32), to in (1..40_u32, 1..40_u32), seed: u32,
        ) {
            let (from, to) = (Size::new(from.0, from.1), Size::new(to.0, to.1));
            let resized = resize_lanczos(&picture(from, seed), Rect::of(from), to);
            prop_assert_eq!(resized.size(), to);
        }
    }
}
