//! The sizes that pictures are trained at: about one area, many shapes.
//!
//! Aspect buckets are `NovelAI`'s ("Improvements on Stable Diffusion", 2022) and kohya's: rather than squash or crop every
//! picture to a square, as the other trainers of InstructPix2Pix do, each goes to the size whose shape is nearest its own.

use ip2p_core::{Error, Result, Size};

/// Sizes of about one area, with sides that are multiples of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets {
    resolution: u32,
    sizes: Vec<Size>,
}

impl Buckets {
    /// The sizes of at most `resolution`² pixels whose sides are multiples of `step` between half and twice the resolution, each
    /// as large as it can be; of `resolution` 256 and `step` 64: 128x512, 192x320, 256x256, 320x192, 512x128 and
    /// what lies between.
    ///
    /// The step is one that the networks can halve as often as they do: 64 for Stable Diffusion.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the step is 0, or the resolution is no multiple of it or above 16384.
    pub fn new(resolution: u32, step: u32) -> Result<Self> {
        check(resolution, step)?;
        let multiples = |most: u32| (1..=most / step).map(|times| times * step);
        let area = resolution * resolution;
        let mut sizes = Vec::new();
        for longer in multiples(2 * resolution).filter(|&side| side >= resolution) {
            let shorter = multiples(area / longer)
                .filter(|&side| 2 * side >= resolution)
                .max();
            let Some(shorter) = shorter else { continue };
            sizes.extend([Size::new(longer, shorter), Size::new(shorter, longer)]);
        }
        sizes.sort_by_key(|size| (size.width, size.height));
        sizes.dedup();
        Ok(Self { resolution, sizes })
    }

    /// The square alone: what is not square is cropped.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the resolution is 0 or above 16384.
    pub fn square(resolution: u32) -> Result<Self> {
        check(resolution, resolution)?;
        let sizes = vec![Size::new(resolution, resolution)];
        Ok(Self { resolution, sizes })
    }

    /// The side of the square, which is always one of the [`sizes`](Self::sizes).
    #[must_use]
    pub fn resolution(&self) -> u32 {
        self.resolution
    }

    /// The sizes, by width.
    #[must_use]
    pub fn sizes(&self) -> &[Size] {
        &self.sizes
    }

    /// The size that is [nearest](Self::nearest) in shape.
    ///
    /// # Panics
    ///
    /// If `picture` has no pixels.
    #[must_use]
    pub fn nearest_size(&self, picture: Size) -> Size {
        self.sizes[self.nearest(picture)]
    }

    /// Which of the [`sizes`](Self::sizes) is nearest in shape: least in |log (aspect of one / aspect of the other)|, the first of equals.
    ///
    /// # Panics
    ///
    /// If `picture` has no pixels.
    #[must_use]
    pub fn nearest(&self, picture: Size) -> usize {
        assert!(!picture.is_empty(), "a picture of {picture} has no shape");
        let aspect = |size: Size| (f64::from(size.width) / f64::from(size.height)).ln();
        let distance = |size: Size| (aspect(size) - aspect(picture)).abs();
        let nearer =
            |a: &(usize, &Size), b: &(usize, &Size)| distance(*a.1).total_cmp(&distance(*b.1));
        let nearest = self.sizes.iter().enumerate().min_by(nearer);
        nearest.expect("there is a square at least").0
    }
}

fn check(resolution: u32, step: u32) -> Result<()> {
    /// Far above what is trained, and low enough that areas are far from overflowing.
    const MOST: u32 = 16384;
    if step == 0 || resolution == 0 || !resolution.is_multiple_of(step) || resolution > MOST {
        let expected = format!("a multiple of the step {step}, from it to {MOST}");
        return Err(Error::setting("resolution", expected, resolution));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_sizes_at_256_in_steps_of_64() {
        let buckets = Buckets::new(256, 64).expect("a resolution");
        let sizes: Vec<_> = buckets.sizes().iter().map(Size::to_string).collect();
        assert_eq!(
            sizes.join(" "),
            "128x384 128x448 128x512 192x320 256x256 320x192 384x128 448x128 512x128"
        );
    }

    #[test]
    fn a_picture_goes_to_the_nearest_shape_lying_as_standing() {
        let buckets = Buckets::new(512, 64).expect("a resolution");
        for (width, height) in [
            (1920, 1080),
            (4032, 3024),
            (640, 480),
            (700, 690),
            (8000, 1000),
        ] {
            let nearest = |size| buckets.sizes()[buckets.nearest(size)];
            let (lying, standing) = (
                nearest(Size::new(width, height)),
                nearest(Size::new(height, width)),
            );
            assert_eq!(
                (lying.width, lying.height),
                (standing.height, standing.width)
            );
        }
        let square = buckets.nearest(Size::new(512, 512));
        assert_eq!(buckets.sizes()[square], Size::new(512, 512));
    }

    #[test]
    fn settings_without_sizes_are_refused() {
        for (resolution, step) in [(0, 64), (256, 0), (100, 64), (32, 64), (1 << 20, 64)] {
            assert!(
                Buckets::new(resolution, step).is_err(),
                "{resolution} {step}"
            );
        }
        assert!(Buckets::square(0).is_err());
        assert_eq!(
            Buckets::square(100).expect("a square").sizes(),
            [Size::new(100, 100)]
        );
    }

    proptest! {
        #[test]
        fn sizes_have_about_one_area_and_whole_steps(times in 1u32..40, step in 1u32..128) {
            let resolution = times * step;
            let buckets = Buckets::new(resolution, step).expect("a multiple");
            prop_assert!(buckets.sizes().contains(&Size::new(resolution, resolution)));
            for size in buckets.sizes() {
                prop_assert!(size.width % step == 0 && size.height % step == 0);
                prop_assert!(size.pixels() <= u64::from(resolution).pow(2));
                // One step more would be too much.
                let more = u64::from(size.longer()) * u64::from(size.shorter() + step);
                prop_assert!(more > u64::from(resolution).pow(2));
                prop_assert!(buckets.sizes().contains(&Size::new(size.height, size.width)));
            }
        }

        #[test]
        fn a_bucket_is_its_own_nearest(times in 1u32..20) {
            let buckets = Buckets::new(times * 64, 64).expect("a multiple");
            for &size in buckets.sizes() {
                prop_assert_eq!(buckets.sizes()[buckets.nearest(size)], size);
            }
        }
    }
}
