//! The pixels of a [`FitPlan`]: photo to model's picture, and back onto the photo.

use ip2p_core::{FitPlan, Result, Size};

use super::rgb::{CHANNELS, RgbPicture};
use super::{Photo, resize_lanczos};

/// The model's picture of a photo: resampled, cropped or padded as the plan says.
///
/// Padding mirrors the picture, so that the model sees a photo that goes on rather than bars, which it would paint on.
///
/// # Errors
///
/// [`Error::InvalidSetting`](ip2p_core::Error::InvalidSetting) if the plan is for a photo of another size.
pub fn fit(photo: &Photo, plan: &FitPlan) -> Result<RgbPicture> {
    plan.check_photo(photo.size())?;
    let resized = resize_lanczos(photo.rgb(), plan.source, plan.resized);
    if plan.is_padded() {
        Ok(pad(&resized, plan.offset, plan.model))
    } else {
        Ok(resized)
    }
}

/// The edited photo: the model's picture put back where it lies on the photo, at the photo's own size.
///
/// What the model did not see, because the plan cut it off, stays as it was; so do transparency and colour profile.
///
/// # Errors
///
/// [`Error::InvalidSetting`](ip2p_core::Error::InvalidSetting) if the plan is for a photo or a picture of another size.
pub fn restore(picture: &RgbPicture, plan: &FitPlan, photo: &Photo) -> Result<Photo> {
    plan.check_photo(photo.size())?;
    plan.check_picture(picture.size())?;
    let region = plan.edited();
    let patch = resize_lanczos(picture, plan.edited_box(), region.size);
    let rgb = if region.size == photo.size() {
        patch
    } else {
        let mut rgb = photo.rgb().clone();
        rgb.paste(&patch, region);
        rgb
    };
    Ok(photo.with_rgb(rgb))
}

/// Lays a picture into a larger one, which it fills up with its mirror images.
fn pad(picture: &RgbPicture, offset: (u32, u32), size: Size) -> RgbPicture {
    let columns: Vec<usize> = mirrored(picture.size().width, offset.0, size.width).collect();
    let stride = picture.size().width as usize * CHANNELS;
    let mut pixels = Vec::with_capacity(size.width as usize * size.height as usize * CHANNELS);
    for y in mirrored(picture.size().height, offset.1, size.height) {
        let row = &picture.pixels()[y * stride..(y + 1) * stride];
        for x in &columns {
            pixels.extend_from_slice(&row[x * CHANNELS..(x + 1) * CHANNELS]);
        }
    }
    RgbPicture::from_pixels(size, pixels)
}

/// Which pixel of a side stands at each of `to` places, the side itself beginning at `offset`: it is mirrored about its
/// outermost pixels, which are not repeated.
fn mirrored(side: u32, offset: u32, to: u32) -> impl Iterator<Item = usize> {
    let last = i64::from(side) - 1;
    let period = (2 * last).max(1);
    (0..i64::from(to)).map(move |place| {
        let within = (place - i64::from(offset)).rem_euclid(period);
        let pixel = within.min(period - within).min(last);
        usize::try_from(pixel).expect("between 0 and the last pixel")
    })
}

#[cfg(test)]
mod tests {
    use ip2p_core::{FitPolicy, SizeStep, TargetSize};
    use proptest::prelude::*;

    use super::*;

    fn gradient(width: u32, height: u32) -> Photo {
        let pixels = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| [(x % 251) as u8, (y % 251) as u8, 7]));
        let size = Size::new(width, height);
        RgbPicture::new(size, pixels.collect()).unwrap().into()
    }

    #[test]
    fn padding_mirrors_without_repeating_the_edge() {
        let columns = |side, offset, to| mirrored(side, offset, to).collect::<Vec<_>>();
        assert_eq!(columns(3, 2, 8), [2, 1, 0, 1, 2, 1, 0, 1]);
        assert_eq!(columns(2, 1, 5), [1, 0, 1, 0, 1]);
        assert_eq!(columns(1, 2, 4), [0, 0, 0, 0]);
    }

    #[test]
    fn a_native_fit_comes_back_as_it_was() {
        for (width, height) in [(65, 70), (64, 64), (1, 1), (8, 131)] {
            let photo = gradient(width, height);
            let plan = FitPolicy::Native
                .plan(photo.size(), TargetSize::default(), SizeStep::default())
                .unwrap();
            let picture = fit(&photo, &plan).unwrap();
            assert_eq!(picture.size(), plan.model);
            assert_eq!(restore(&picture, &plan, &photo).unwrap(), photo);
        }
    }

    #[test]
    fn what_cover_cuts_off_stays_as_it_was() {
        let photo = gradient(100, 20);
        let plan = FitPolicy::Cover
            .plan(photo.size(), Size::new(64, 64).into(), SizeStep::default())
            .unwrap();
        let black = RgbPicture::new(plan.model, vec![0; 64 * 64 * 3]).unwrap();
        let edited = restore(&black, &plan, &photo).unwrap();
        let pairs = edited
            .rgb()
            .pixels()
            .chunks(3)
            .zip(photo.rgb().pixels().chunks(3));
        for (at, (edited, original)) in pairs.enumerate() {
            let inside = (40..60).contains(&(at % 100));
            assert_eq!(
                edited,
                if inside { &[0, 0, 0] } else { original },
                "pixel {at}"
            );
        }
    }

    #[test]
    fn an_unedited_picture_lies_where_it_was() {
        // A ramp shows any shift of the picture: 2 levels a pixel.
        let pixels = (0..90_u8).flat_map(|y| (0..120_u8).flat_map(move |x| [2 * x, 2 * y, 0]));
        let rgb = RgbPicture::new(Size::new(120, 90), pixels.collect()).unwrap();
        let photo = Photo::from(rgb);
        for policy in [
            FitPolicy::Cover,
            FitPolicy::Contain,
            FitPolicy::Stretch,
            FitPolicy::Diffusers,
        ] {
            let plan = policy
                .plan(photo.size(), TargetSize::Side(256), SizeStep::default())
                .unwrap();
            let back = restore(&fit(&photo, &plan).unwrap(), &plan, &photo).unwrap();
            let pairs = back.rgb().pixels().iter().zip(photo.rgb().pixels());
            let off = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(off <= 2, "{policy}: {off} levels");
        }
    }

    #[test]
    fn a_plan_for_another_size_is_refused() {
        let (photo, other) = (gradient(100, 80), gradient(80, 100));
        let plan = FitPolicy::Stretch
            .plan(photo.size(), TargetSize::Side(64), SizeStep::default())
            .unwrap();
        assert!(fit(&other, &plan).is_err());
        let picture = fit(&photo, &plan).unwrap();
        assert!(restore(&picture, &plan, &other).is_err());
        assert!(restore(photo.rgb(), &plan, &photo).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_policy_gives_the_planned_size_and_takes_it_back(width in 1..200_u32, height in 1..200_u32) {
            let photo = gradient(width, height);
            for policy in FitPolicy::ALL {
                let Ok(plan) = policy.plan(photo.size(), TargetSize::Side(64), SizeStep::default()) else { continue };
                if plan.model.pixels() > 1 << 20 { continue }
                let picture = fit(&photo, &plan).unwrap();
                prop_assert_eq!(picture.size(), plan.model);
                prop_assert_eq!(restore(&picture, &plan, &photo).unwrap().size(), photo.size());
            }
        }
    }
}
