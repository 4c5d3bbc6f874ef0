//! A plan, and its inverse: which pixels of the photo the model's picture stands for.

use crate::{Error, Result, Size};

/// A rectangle in pixels, whose edges may lie between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// The left edge: 0 is that of the picture.
    pub left: f64,
    /// The upper edge: 0 is that of the picture.
    pub top: f64,
    /// The right edge.
    pub right: f64,
    /// The lower edge.
    pub bottom: f64,
}

impl Rect {
    /// The whole of a picture.
    #[must_use]
    pub fn of(size: Size) -> Self {
        Self {
            left: 0.0,
            top: 0.0,
            right: f64::from(size.width),
            bottom: f64::from(size.height),
        }
    }
}

/// A rectangle of whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Pixels to its left.
    pub x: u32,
    /// Pixels above it.
    pub y: u32,
    /// Its size.
    pub size: Size,
}

/// How a photo becomes the model's picture, and which part of the photo that picture stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitPlan {
    /// The photo's size.
    pub photo: Size,
    /// The part of the photo that the model sees.
    pub source: Rect,
    /// What that part is resampled to.
    pub resized: Size,
    /// Where that lies in the model's picture: pixels from the left and from the top. The rest is padding.
    pub offset: (u32, u32),
    /// The size that the model works at.
    pub model: Size,
}

impl From<Size> for Region {
    /// The whole of a picture.
    fn from(size: Size) -> Self {
        Self { x: 0, y: 0, size }
    }
}

impl FitPlan {
    /// The pixels of the photo that the model's picture stands for, at least one.
    ///
    /// Those that the model saw only in part, at the edge of [`FitPlan::source`], are not among them.
    #[must_use]
    pub fn edited(&self) -> Region {
        let Rect {
            left,
            top,
            right,
            bottom,
        } = self.source;
        let (x, width) = inner_pixels(left, right, self.photo.width);
        let (y, height) = inner_pixels(top, bottom, self.photo.height);
        Region {
            x,
            y,
            size: Size::new(width, height),
        }
    }

    /// The part of the model's picture that stands for [`FitPlan::edited`]: resampled to that region's size, it lies on
    /// the photo to a fraction of a pixel.
    #[must_use]
    pub fn edited_box(&self) -> Rect {
        let Region { x, y, size } = self.edited();
        let Rect {
            left,
            top,
            right,
            bottom,
        } = self.source;
        let (left, right) = to_model(
            (x, size.width),
            (left, right),
            self.offset.0,
            self.resized.width,
        );
        let (top, bottom) = to_model(
            (y, size.height),
            (top, bottom),
            self.offset.1,
            self.resized.height,
        );
        Rect {
            left,
            top,
            right,
            bottom,
        }
    }

    /// Whether the plan is for a photo of this size.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if not.
    pub fn check_photo(&self, size: Size) -> Result<()> {
        check_size("photo size", size, self.photo)
    }

    /// Whether the model's pictures have this size.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if not.
    pub fn check_picture(&self, size: Size) -> Result<()> {
        check_size("picture size", size, self.model)
    }

    /// Whether the model's picture has pixels that stand for none of the photo's.
    #[must_use]
    pub fn is_padded(&self) -> bool {
        self.resized != self.model
    }
}

fn check_size(name: &'static str, size: Size, planned: Size) -> Result<()> {
    if size == planned {
        Ok(())
    } else {
        Err(Error::setting(name, format!("{planned}, as planned"), size))
    }
}

/// Arithmetic on fractions of pixels may be this far off.
const SUBPIXEL: f64 = 1e-6;

/// The first pixel and the number of those that lie wholly between two edges, or else the one that they lie in.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the photo, whose sides are u32"
)]
fn inner_pixels(from: f64, to: f64, side: u32) -> (u32, u32) {
    let side = f64::from(side);
    let first = (from - SUBPIXEL).ceil().clamp(0.0, side - 1.0);
    let last = (to + SUBPIXEL).floor().min(side);
    if last > first {
        (first as u32, (last - first) as u32)
    } else {
        (from.floor().clamp(0.0, side - 1.0) as u32, 1)
    }
}

/// Where pixels of the photo lie in the model's picture, along one axis.
fn to_model(
    (first, count): (u32, u32),
    (from, to): (f64, f64),
    offset: u32,
    resized: u32,
) -> (f64, f64) {
    let scale = f64::from(resized) / (to - from);
    let place = |pixel: u32| {
        let within = (f64::from(pixel) - from) * scale;
        f64::from(offset) + within.clamp(0.0, f64::from(resized))
    };
    (place(first), place(first + count))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{FitPolicy, SizeStep, TargetSize};

    #[test]
    fn the_cropped_edge_is_not_part_of_what_is_edited() {
        // 0.5 pixels of 101 are cut off at each side: the model sees half of the outer columns.
        let target = Size::new(512, 512).into();
        let plan = FitPolicy::Cover
            .plan(Size::new(101, 100), target, SizeStep::default())
            .unwrap();
        assert_eq!(
            plan.edited(),
            Region {
                x: 1,
                y: 0,
                size: Size::new(99, 100)
            }
        );
        let edited = plan.edited_box();
        assert!((edited.left - 2.56).abs() < 1e-9, "{edited:?}");
        assert!((edited.right - 509.44).abs() < 1e-9, "{edited:?}");
    }

    fn sizes() -> impl Strategy<Value = Size> {
        (1..5000_u32, 1..5000_u32).prop_map(|(width, height)| Size::new(width, height))
    }

    proptest! {
        #[test]
        fn every_plan_stays_within_its_pictures(photo in sizes(), steps in 1..32_u32) {
            for policy in FitPolicy::ALL {
                let Ok(plan) = policy.plan(photo, TargetSize::Side(steps * 64), SizeStep::default()) else { continue };
                prop_assert!(plan.offset.0 + plan.resized.width <= plan.model.width);
                prop_assert!(plan.offset.1 + plan.resized.height <= plan.model.height);
                prop_assert!(!plan.resized.is_empty());
                prop_assert_eq!((plan.model.width % 8, plan.model.height % 8), (0, 0));
                let Region { x, y, size } = plan.edited();
                prop_assert!(x + size.width <= photo.width && y + size.height <= photo.height && !size.is_empty());
                let edited = plan.edited_box();
                prop_assert!(0.0 <= edited.left && edited.left < edited.right, "{:?}", edited);
                prop_assert!(0.0 <= edited.top && edited.top < edited.bottom, "{:?}", edited);
                prop_assert!(edited.right <= f64::from(plan.model.width), "{:?}", edited);
                prop_assert!(edited.bottom <= f64::from(plan.model.height), "{:?}", edited);
            }
        }

        #[test]
        fn all_but_cropping_policies_edit_the_whole_photo(photo in sizes()) {
            for policy in [FitPolicy::Contain, FitPolicy::Stretch, FitPolicy::Native, FitPolicy::Diffusers] {
                let Ok(plan) = policy.plan(photo, TargetSize::default(), SizeStep::default()) else { continue };
                prop_assert_eq!(plan.edited(), Region { x: 0, y: 0, size: photo });
            }
        }
    }
}
