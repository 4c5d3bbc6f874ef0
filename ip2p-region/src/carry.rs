//! The change of a small picture, carried to a large photo.
//!
//! An edited picture that is enlarged is blurred, and one that came through an autoencoder has lost detail even at its own
//! size. What changed is far smoother than the picture: so the change is what is enlarged. Around every pixel the edited
//! picture is, as well as it can be, an affine function of the colours before the edit; that function is applied to the
//! photo's own colours, fine detail and all. Where the sentence dims, tints or blurs, the function says how; where an
//! object went, it says that the old detail counts for nothing; where nothing changed, it is the identity and the photo
//! stays to the byte. What no such function explains, the edges of a new object, is added as it is.
//!
//! The function is that of the guided filter: He, Sun and Tang (2013), "Guided image filtering", eq. 11 and 14 for a
//! colour guide, fitted at the small size and applied at the large one as in He and Sun (2015),
//! <https://arxiv.org/abs/1505.00996>. It leans towards the identity rather than to a constant: both sides of eq. 14 have
//! `ε` added, so that an unchanged region gives the identity exactly.

use ip2p_core::{FitPlan, Rect, Region, Result, Size};
use ip2p_io::{Photo, RgbPicture, resize_lanczos};
use rayon::prelude::*;

use crate::planes::{Planes, Taps};

/// How far around a pixel its function is fitted, in pixels of the model's picture.
const RADIUS: usize = 4;

/// The variance of colours, in squares of the full range, below which the identity is preferred: that of 4 levels.
const EPSILON: f64 = 2.5e-4;

/// How much a pixel of the photo counts: for each colour before, the three after; then what is added.
type Change = Planes<12>;

/// The edited photo: what changed from `before` to `after`, carried to the photo at its own size.
///
/// Both are pictures of the model's size, of the photo that `plan` fits: `before` as the autoencoder gives it back
/// unedited, so that what the autoencoder does to a picture is no part of the change. What the model did not see, because
/// the plan cut it off, stays as it was; so do transparency and colour profile.
///
/// # Errors
///
/// [`Error::InvalidSetting`](ip2p_core::Error::InvalidSetting) if the plan is for a photo or pictures of another size.
///
/// # Examples
///
/// ```
/// use ip2p_core::{FitPolicy, Size, SizeStep, TargetSize};
/// use ip2p_io::{Photo, RgbPicture, fit};
/// use ip2p_region::carry;
///
/// let size = Size::new(128, 128);
/// let detail = |at: u32| u8::try_from(at * 7 % 200).expect("a byte");
/// let photo = Photo::from(RgbPicture::new(size, (0..128 * 128 * 3).map(detail).collect())?);
/// let plan = FitPolicy::Contain.plan(size, TargetSize::Side(64), SizeStep::default())?;
/// // What nobody changed stays to the byte, however small the model's picture was.
/// let small = fit(&photo, &plan)?;
/// assert_eq!(carry(&small, &small, &plan, &photo)?.rgb(), photo.rgb());
/// # Ok::<(), ip2p_core::Error>(())
/// ```
pub fn carry(
    before: &RgbPicture,
    after: &RgbPicture,
    plan: &FitPlan,
    photo: &Photo,
) -> Result<Photo> {
    plan.check_photo(photo.size())?;
    plan.check_picture(before.size())?;
    plan.check_picture(after.size())?;
    let region = plan.edited();
    let part = plan.edited_box();
    let size = working_size(part, region.size);
    let part = |picture| resize_lanczos(picture, part, size);
    let change = fit(&part(before), &part(after));
    Ok(photo.with_rgb(apply(&change, region, photo.rgb())))
}

/// The size that the functions are fitted at: that of the model's pixels, or the photo's where those are fewer.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a picture, whose sides are u32"
)]
fn working_size(part: Rect, region: Size) -> Size {
    let side = |length: f64, photo: u32| (length.ceil() as u32).clamp(1, photo);
    Size::new(
        side(part.right - part.left, region.width),
        side(part.bottom - part.top, region.height),
    )
}

/// The functions that make `before` into `after`.
fn fit(before: &RgbPicture, after: &RgbPicture) -> Change {
    let colours = |picture: &RgbPicture| {
        Planes::new(picture.size(), |at| colour(&picture.pixels()[at * 3..]))
    };
    let (guide, target) = (colours(before), colours(after));
    let (guide_means, target_means) = (guide.means(RADIUS), target.means(RADIUS));
    let product = |a: &Planes<3>, b: &Planes<3>, at: usize| -> [f32; 9] {
        std::array::from_fn(|i| a.values[at][i / 3] * b.values[at][i % 3])
    };
    let squares = Planes::new(guide.size, |at| product(&guide, &guide, at)).means(RADIUS);
    let products = Planes::new(guide.size, |at| product(&guide, &target, at)).means(RADIUS);
    let matrices = Planes::new(guide.size, |at| {
        let covariance = |of: &Planes<9>, with: &Planes<3>| -> [f64; 9] {
            let means = product(&guide_means, with, at);
            std::array::from_fn(|i| {
                let leaning = if i % 4 == 0 { EPSILON } else { 0.0 };
                f64::from(of.values[at][i]) - f64::from(means[i]) + leaning
            })
        };
        solve(
            covariance(&squares, &guide_means),
            covariance(&products, &target_means),
        )
    });
    let matrices = matrices.means(RADIUS);
    Planes::new(guide.size, |at| {
        let matrix = matrices.values[at];
        let explained = transform(&matrix, guide.values[at]);
        std::array::from_fn(|i| match i.checked_sub(9) {
            None => matrix[i],
            Some(channel) => target.values[at][channel] - explained[channel],
        })
    })
}

/// `X` of `A X = B`, all three by three and row by row, `A` symmetric and positive.
#[expect(
    clippy::cast_possible_truncation,
    reason = "colours are computed in f32"
)]
fn solve(a: [f64; 9], b: [f64; 9]) -> [f32; 9] {
    let minor = |i: usize, j: usize| {
        let at = |row: usize, column: usize| a[(i + row) % 3 * 3 + (j + column) % 3];
        at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)
    };
    let determinant: f64 = (0..3).map(|j| a[j] * minor(0, j)).sum();
    std::array::from_fn(|i| {
        // The inverse is the transpose of the minors, over the determinant.
        let row = (0..3).map(|k| minor(k, i / 3) * b[k * 3 + i % 3]);
        (row.sum::<f64>() / determinant) as f32
    })
}

/// The colours after, of those before.
fn transform(matrix: &[f32], colour: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|j| (0..3).map(|i| matrix[i * 3 + j] * colour[i]).sum())
}

/// A pixel's colours, in `[0, 1]`.
fn colour(pixel: &[u8]) -> [f32; 3] {
    std::array::from_fn(|channel| f32::from(pixel[channel]) / 255.0)
}

/// The photo with its pixels in `region` changed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0 to 255"
)]
fn apply(change: &Change, region: Region, photo: &RgbPicture) -> RgbPicture {
    let columns = Taps::along(change.size.width, region.size.width);
    let rows = Taps::along(change.size.height, region.size.height);
    let stride = photo.size().width as usize * 3;
    let mut pixels = photo.pixels().to_vec();
    pixels
        .par_chunks_exact_mut(stride)
        .skip(region.y as usize)
        .take(region.size.height as usize)
        .enumerate()
        .for_each(|(y, row)| {
            let change = change.row(y, &columns, &rows);
            let row = row[region.x as usize * 3..].chunks_exact_mut(3);
            for (pixel, change) in row.zip(change) {
                let after = transform(&change, colour(pixel));
                for channel in 0..3 {
                    let level = (after[channel] + change[9 + channel]).clamp(0.0, 1.0) * 255.0;
                    pixel[channel] = level.round() as u8;
                }
            }
        });
    RgbPicture::new(photo.size(), pixels).expect("a picture of the photo's size")
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "levels of a picture"
)]
mod tests {
    use ip2p_core::{FitPolicy, SizeStep, TargetSize};
    use ip2p_io::fit as fitted;
    use proptest::prelude::*;

    use super::*;

    /// A photo with detail finer than the model's pixels.
    fn photo(width: u32, height: u32) -> Photo {
        let level = |x: u32, y: u32, channel: u32| {
            let coarse = (x * 255 / width + y * 40 / height + channel * 20) % 200;
            (20 + coarse + (x * 7 + y * 13 + x * y) % 30) as u8
        };
        let pixels = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |c| level(x, y, c))));
        RgbPicture::new(Size::new(width, height), pixels.collect())
            .unwrap()
            .into()
    }

    fn plan(photo: &Photo, policy: FitPolicy, side: u32) -> FitPlan {
        let target = TargetSize::Side(side);
        policy
            .plan(photo.size(), target, SizeStep::default())
            .unwrap()
    }

    fn map(picture: &RgbPicture, change: impl Fn(f32) -> f32) -> RgbPicture {
        let pixels = picture
            .pixels()
            .iter()
            .map(|&byte| change(f32::from(byte)).round() as u8);
        RgbPicture::new(picture.size(), pixels.collect()).unwrap()
    }

    fn furthest(a: &Photo, b: &Photo) -> u8 {
        let pairs = a.rgb().pixels().iter().zip(b.rgb().pixels());
        pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    #[test]
    fn the_solution_of_three_equations_is_found() {
        let (a, x) = (
            [4.0, 1.0, 0.5, 1.0, 3.0, -0.2, 0.5, -0.2, 2.0],
            [1.0, 2.0, 3.0, -1.0, 0.0, 1.0, 0.5, 0.25, -2.0],
        );
        let b = std::array::from_fn(|i| (0..3).map(|k| a[i / 3 * 3 + k] * x[k * 3 + i % 3]).sum());
        for (found, expected) in solve(a, b).into_iter().zip(x) {
            assert!((f64::from(found) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn the_detail_of_the_photo_is_dimmed_with_it_and_not_blurred() {
        let photo = photo(300, 200);
        let plan = plan(&photo, FitPolicy::Stretch, 64);
        let before = fitted(&photo, &plan).unwrap();
        let after = map(&before, |level| 0.5 * level + 10.0);
        let carried = carry(&before, &after, &plan, &photo).unwrap();
        let exact = photo.with_rgb(map(photo.rgb(), |level| 0.5 * level + 10.0));
        let error = |edited: &Photo| {
            let pairs = edited.rgb().pixels().iter().zip(exact.rgb().pixels());
            let squares = pairs.map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
            squares.sum::<f64>() / exact.rgb().pixels().len() as f64
        };
        let enlarged = ip2p_io::restore(&after, &plan, &photo).unwrap();
        assert!(
            error(&carried) * 4.0 < error(&enlarged),
            "{} {}",
            error(&carried),
            error(&enlarged)
        );
    }

    #[test]
    fn the_detail_of_what_went_goes_with_it() {
        let photo = photo(256, 256);
        let plan = plan(&photo, FitPolicy::Stretch, 64);
        let before = fitted(&photo, &plan).unwrap();
        let grey = map(&before, |_| 90.0);
        let carried = carry(&before, &grey, &plan, &photo).unwrap();
        let deviation = |photo: &Photo| {
            let levels: Vec<f64> = photo.rgb().pixels().iter().map(|&x| f64::from(x)).collect();
            let mean = levels.iter().sum::<f64>() / levels.len() as f64;
            (levels.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / levels.len() as f64).sqrt()
        };
        assert!(
            deviation(&carried) < 0.15 * deviation(&photo),
            "{}",
            deviation(&carried)
        );
    }

    #[test]
    fn a_plan_for_another_size_is_refused() {
        let (wide, tall) = (photo(100, 80), photo(80, 100));
        let plan = plan(&wide, FitPolicy::Stretch, 64);
        let picture = fitted(&wide, &plan).unwrap();
        assert!(carry(&picture, &picture, &plan, &tall).is_err());
        assert!(carry(wide.rgb(), &picture, &plan, &wide).is_err());
        assert!(carry(&picture, wide.rgb(), &plan, &wide).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        /// Of any size, larger or smaller than the model's, whatever the autoencoder does to it.
        #[test]
        fn a_photo_that_nothing_changed_stays_to_the_byte(width in 1..200_u32, height in 1..200_u32) {
            let photo = photo(width, height);
            for policy in FitPolicy::ALL {
                let Ok(plan) = policy.plan(photo.size(), TargetSize::Side(64), SizeStep::default()) else { continue };
                if plan.model.pixels() > 1 << 18 { continue }
                let before = map(&fitted(&photo, &plan).unwrap(), |level| 0.9 * level + 5.0);
                let same = carry(&before, &before, &plan, &photo).unwrap();
                prop_assert_eq!(furthest(&same, &photo), 0);
            }
        }
    }
}
