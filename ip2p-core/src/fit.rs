//! How a photo becomes a picture of the model's size, and where that picture lies on the photo.
//!
//! Only arithmetic: a [`FitPlan`] says which rectangle of the photo is resampled to which size and where the result is
//! laid in the model's picture; `ip2p-io` moves the pixels. All policies give the same four numbers, so that one piece
//! of code applies them all, and one puts the edited picture back.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, Size, TargetSize};

/// What the sides of the model's picture are multiples of where we choose them: the latents are an eighth of the
/// picture, and a Stable Diffusion U-Net halves them three times.
pub const MODEL_SIZE_STEP: u32 = 64;

/// What the sides of the model's picture must be multiples of in any case: the picture is eight times the latents.
pub const LATENT_STEP: u32 = 8;

/// The longest side of a picture that a model is given, in pixels.
pub const MAX_MODEL_SIDE: u32 = 4096;

/// How a photo becomes a picture of the model's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FitPolicy {
    /// Scaled in proportion to cover the size; what hangs over is cut off evenly and stays as it was in the photo.
    Cover,
    /// Scaled in proportion to lie within the size; the rest mirrors the picture and is cut off the result.
    ///
    /// The default, for with it the whole photo is edited and no proportion is changed.
    #[default]
    Contain,
    /// Scaled to the size, whatever becomes of the proportions.
    Stretch,
    /// The photo's own size, made up to a multiple of 8 by mirroring at the right and the bottom: no pixel is lost or
    /// resampled. The target size is not used.
    Native,
    /// The original repository's arithmetic, to the pixel: `edit_cli.py:87-92` at `0dffd1e`. Its sizes are those of
    /// floating-point noise in 8 % of cases, and may be longer than the target.
    Original,
    /// diffusers' arithmetic: the photo stretched to its own size, down to a multiple of 8
    /// (`image_processor.py`, `VaeImageProcessor.get_default_height_width`). The target size is not used.
    Diffusers,
}

impl FitPolicy {
    /// Every policy there is.
    pub const ALL: [Self; 6] = [
        Self::Cover,
        Self::Contain,
        Self::Stretch,
        Self::Native,
        Self::Original,
        Self::Diffusers,
    ];

    /// The name, as the command spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cover => "cover",
            Self::Contain => "contain",
            Self::Stretch => "stretch",
            Self::Native => "native",
            Self::Original => "original",
            Self::Diffusers => "diffusers",
        }
    }

    /// Whether the target size matters: if not, a caller who was given one should say so.
    #[must_use]
    pub fn uses_target(self) -> bool {
        !matches!(self, Self::Native | Self::Diffusers)
    }

    /// Plans how a photo of this size is fitted.
    ///
    /// With [`TargetSize::Side`] the model's longer side is that long, and its shorter the multiple of 64 that keeps
    /// the photo's proportions best: the nearest one for `cover` and `stretch`, the next above for `contain`, at least
    /// 64. With [`TargetSize::Exact`] the model's size is that one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the photo has no pixels, the target is not a multiple of 64 (of 8 if both sides are
    /// given; `original` takes any single number), or the model's picture would be larger than [`MAX_MODEL_SIDE`] or
    /// smaller than the policy can do.
    ///
    /// # Examples
    ///
    /// ```
    /// use ip2p_core::{FitPolicy, Size, TargetSize};
    ///
    /// let plan = FitPolicy::Contain.plan(Size::new(1920, 1080), TargetSize::Side(512))?;
    /// assert_eq!(plan.model, Size::new(512, 320));
    /// assert_eq!(plan.resized, Size::new(512, 288));
    /// assert_eq!(plan.offset, (0, 16));
    /// # Ok::<(), ip2p_core::Error>(())
    /// ```
    pub fn plan(self, photo: Size, target: TargetSize) -> Result<FitPlan> {
        if photo.is_empty() {
            return Err(Error::setting("photo size", "at least 1x1", photo));
        }
        let whole = Rect::of(photo);
        let plan = |source, resized, offset, model| FitPlan {
            photo,
            source,
            resized,
            offset,
            model,
        };
        let plan = match self {
            Self::Cover => {
                let model = model_size(photo, target, Rounding::Nearest)?;
                plan(cover_box(photo, model), model, (0, 0), model)
            }
            Self::Contain => {
                let model = model_size(photo, target, Rounding::Up)?;
                let resized = contained_size(photo, model);
                let offset = (
                    (model.width - resized.width) / 2,
                    (model.height - resized.height) / 2,
                );
                plan(whole, resized, offset, model)
            }
            Self::Stretch => {
                let model = model_size(photo, target, Rounding::Nearest)?;
                plan(whole, model, (0, 0), model)
            }
            Self::Native => {
                let up = |side: u32| side.next_multiple_of(LATENT_STEP).max(MODEL_SIZE_STEP);
                check_photo_side(self, photo)?;
                let model = Size::new(up(photo.width), up(photo.height));
                plan(whole, photo, (0, 0), model)
            }
            Self::Original => {
                let model = original_size(photo, target)?;
                plan(cover_box(photo, model), model, (0, 0), model)
            }
            Self::Diffusers => {
                check_photo_side(self, photo)?;
                let down = |side: u32| side - side % LATENT_STEP;
                let model = Size::new(down(photo.width), down(photo.height));
                if model.is_empty() {
                    return Err(Error::setting(
                        "photo size",
                        "at least 8x8 for --fit diffusers",
                        photo,
                    ));
                }
                plan(whole, model, (0, 0), model)
            }
        };
        Ok(plan)
    }
}

impl fmt::Display for FitPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FitPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.name() == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                Error::setting("fit", format!("one of {names}"), text)
            })
    }
}

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

    /// Whether the model's picture has pixels that stand for none of the photo's.
    #[must_use]
    pub fn is_padded(&self) -> bool {
        self.resized != self.model
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

/// Which way the shorter side goes to a multiple of [`MODEL_SIZE_STEP`].
#[derive(Clone, Copy)]
enum Rounding {
    Nearest,
    Up,
}

fn model_size(photo: Size, target: TargetSize, rounding: Rounding) -> Result<Size> {
    let step = u64::from(MODEL_SIZE_STEP);
    match target {
        TargetSize::Side(side) => {
            if !side.is_multiple_of(MODEL_SIZE_STEP)
                || !(MODEL_SIZE_STEP..=MAX_MODEL_SIDE).contains(&side)
            {
                let expected = format!(
                    "a multiple of {MODEL_SIZE_STEP} from {MODEL_SIZE_STEP} to {MAX_MODEL_SIDE}"
                );
                return Err(Error::setting("size", expected, side));
            }
            // In proportion the shorter side would be `scaled / longer`.
            let scaled = u64::from(side) * u64::from(photo.shorter());
            let longer = u64::from(photo.longer());
            let steps = match rounding {
                Rounding::Nearest => (2 * scaled + step * longer) / (2 * step * longer),
                Rounding::Up => scaled.div_ceil(step * longer),
            };
            let shorter = u32::try_from(steps.max(1) * step).expect("at most the longer side");
            Ok(if photo.width >= photo.height {
                Size::new(side, shorter)
            } else {
                Size::new(shorter, side)
            })
        }
        TargetSize::Exact(size) => {
            let fits = |side: u32| {
                side.is_multiple_of(LATENT_STEP)
                    && (MODEL_SIZE_STEP..=MAX_MODEL_SIDE).contains(&side)
            };
            if fits(size.width) && fits(size.height) {
                Ok(size)
            } else {
                let expected = format!(
                    "multiples of {LATENT_STEP} from {MODEL_SIZE_STEP} to {MAX_MODEL_SIDE}"
                );
                Err(Error::setting("size", expected, size))
            }
        }
    }
}

/// The largest size of the photo's proportions within `model`, to the nearest pixel.
fn contained_size(photo: Size, model: Size) -> Size {
    let scale = |side: u32, from: u32, to: u32| {
        let (side, from, to) = (u64::from(side), u64::from(from), u64::from(to));
        let scaled = (2 * side * to + from) / (2 * from);
        u32::try_from(scaled.max(1)).expect("within the model's size")
    };
    let wider = u64::from(photo.width) * u64::from(model.height)
        >= u64::from(photo.height) * u64::from(model.width);
    if wider {
        let height = scale(photo.height, photo.width, model.width);
        Size::new(model.width, height)
    } else {
        let width = scale(photo.width, photo.height, model.height);
        Size::new(width, model.height)
    }
}

/// The largest part of the photo that has the proportions of `model`, in the middle: the crop box of Pillow's
/// `ImageOps.fit`, in its arithmetic.
fn cover_box(photo: Size, model: Size) -> Rect {
    let (width, height) = (f64::from(photo.width), f64::from(photo.height));
    let photo_ratio = width / height;
    let model_ratio = f64::from(model.width) / f64::from(model.height);
    #[expect(clippy::float_cmp, reason = "as Pillow compares them")]
    let (crop_width, crop_height) = if photo_ratio == model_ratio {
        (width, height)
    } else if photo_ratio >= model_ratio {
        (model_ratio * height, height)
    } else {
        (width, width / model_ratio)
    };
    let left = (width - crop_width) * 0.5;
    let top = (height - crop_height) * 0.5;
    Rect {
        left,
        top,
        right: left + crop_width,
        bottom: top + crop_height,
    }
}

/// The size that the original repository gives a photo: `edit_cli.py:87-91` at `0dffd1e`, rounding errors and all.
fn original_size(photo: Size, target: TargetSize) -> Result<Size> {
    let TargetSize::Side(resolution) = target else {
        let expected = "one number for --fit original, as the original's --resolution";
        return Err(Error::setting("size", expected, target));
    };
    if !(1..=MAX_MODEL_SIDE).contains(&resolution) {
        let expected = format!("from 1 to {MAX_MODEL_SIDE}");
        return Err(Error::setting("size", expected, resolution));
    }
    let shorter = f64::from(photo.shorter());
    let factor = f64::from(resolution) / f64::from(photo.longer());
    let factor = (shorter * factor / 64.0).ceil() * 64.0 / shorter;
    let side = |side: u32| python_floor_div(f64::from(side) * factor, 64.0) * 64.0;
    let (width, height) = (side(photo.width), side(photo.height));
    let allowed = 64.0..=f64::from(MAX_MODEL_SIDE);
    if allowed.contains(&width) && allowed.contains(&height) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "just checked"
        )]
        Ok(Size::new(width as u32, height as u32))
    } else {
        let expected = format!(
            "one that --fit original brings to a size from 64 to {MAX_MODEL_SIDE}, not to {width}x{height}"
        );
        Err(Error::setting("photo size", expected, photo))
    }
}

/// Python's `x // y` on floats, for numbers above 0 (`float_floor_div` in `CPython`'s `floatobject.c`).
fn python_floor_div(x: f64, y: f64) -> f64 {
    let quotient = (x - x % y) / y;
    let floor = quotient.floor();
    if quotient - floor > 0.5 {
        floor + 1.0
    } else {
        floor
    }
}

fn check_photo_side(policy: FitPolicy, photo: Size) -> Result<()> {
    if photo.longer() <= MAX_MODEL_SIDE {
        return Ok(());
    }
    let expected = format!(
        "at most {MAX_MODEL_SIDE} pixels a side for --fit {policy}, which does not scale it"
    );
    Err(Error::setting("photo size", expected, photo))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(policy: FitPolicy, photo: (u32, u32), target: impl Into<TargetSize>) -> FitPlan {
        policy
            .plan(Size::new(photo.0, photo.1), target.into())
            .unwrap()
    }

    fn model(policy: FitPolicy, photo: (u32, u32)) -> (u32, u32) {
        let Size { width, height } = plan(policy, photo, TargetSize::default()).model;
        (width, height)
    }

    #[test]
    fn original_sizes_are_those_of_the_original_repository() {
        // Run in Python; the golden fixture `images/sizes` has thousands.
        for (photo, expected) in [
            ((1920, 1080), (512, 320)),
            ((3000, 2000), (576, 384)),
            ((300, 1000), (192, 640)),
            ((4032, 3024), (512, 384)),
            ((322, 322), (448, 448)),
            ((319, 277), (512, 384)),
            ((1, 1), (512, 512)),
        ] {
            assert_eq!(model(FitPolicy::Original, photo), expected, "{photo:?}");
        }
    }

    #[test]
    fn a_photo_that_the_original_makes_empty_or_huge_is_refused() {
        // 49 · (64 / 49) is less than 64 in binary.
        for photo in [Size::new(600, 49), Size::new(1, 10_000)] {
            let error = FitPolicy::Original
                .plan(photo, TargetSize::default())
                .unwrap_err();
            assert!(error.to_string().contains("--fit original"), "{error}");
        }
    }

    #[test]
    fn sizes_keep_the_longer_side() {
        assert_eq!(model(FitPolicy::Cover, (1920, 1080)), (512, 320));
        assert_eq!(model(FitPolicy::Cover, (3000, 2000)), (512, 320));
        assert_eq!(model(FitPolicy::Contain, (3000, 2000)), (512, 384));
        assert_eq!(model(FitPolicy::Stretch, (300, 1000)), (128, 512));
        assert_eq!(model(FitPolicy::Contain, (10_000, 1)), (512, 64));
        assert_eq!(model(FitPolicy::Native, (101, 1)), (104, 64));
        assert_eq!(model(FitPolicy::Diffusers, (101, 9)), (96, 8));
    }

    #[test]
    fn a_target_that_no_model_can_work_at_is_refused() {
        for target in ["0", "32", "500", "4160", "500x512", "640x0", "640x32"] {
            for policy in [FitPolicy::Cover, FitPolicy::Contain, FitPolicy::Stretch] {
                let refused = policy.plan(Size::new(640, 480), target.parse().unwrap());
                assert!(refused.is_err(), "{policy} {target}");
            }
        }
        let odd = plan(FitPolicy::Cover, (640, 480), Size::new(640, 360));
        assert_eq!(odd.model, Size::new(640, 360));
    }

    #[test]
    fn photos_without_pixels_are_refused_by_every_policy() {
        for policy in FitPolicy::ALL {
            for photo in [Size::new(0, 0), Size::new(0, 5), Size::new(5, 0)] {
                let error = policy.plan(photo, TargetSize::default()).unwrap_err();
                assert_eq!(
                    error.to_string(),
                    format!("photo size must be at least 1x1, got {photo}")
                );
            }
        }
    }

    #[test]
    fn one_pixel_is_enough_where_the_photo_is_scaled_or_padded() {
        for policy in FitPolicy::ALL {
            let fits = policy.plan(Size::new(1, 1), TargetSize::default()).is_ok();
            assert_eq!(fits, policy != FitPolicy::Diffusers, "{policy}");
        }
    }

    #[test]
    fn a_photo_too_large_for_its_own_size_is_refused() {
        let photo = Size::new(6000, 4000);
        for policy in [FitPolicy::Native, FitPolicy::Diffusers] {
            assert!(policy.plan(photo, TargetSize::default()).is_err());
        }
        assert!(FitPolicy::Cover.plan(photo, TargetSize::default()).is_ok());
    }

    #[test]
    fn the_cropped_edge_is_not_part_of_what_is_edited() {
        // 0.5 pixels of 101 are cut off at each side: the model sees half of the outer columns.
        let plan = plan(FitPolicy::Cover, (101, 100), Size::new(512, 512));
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

    #[test]
    fn names_parse_back() {
        for policy in FitPolicy::ALL {
            assert_eq!(policy.to_string().parse::<FitPolicy>().unwrap(), policy);
        }
        let error = "crop".parse::<FitPolicy>().unwrap_err().to_string();
        assert!(error.contains("cover, contain, stretch"), "{error}");
    }

    fn sizes() -> impl Strategy<Value = Size> {
        (1..5000_u32, 1..5000_u32).prop_map(|(width, height)| Size::new(width, height))
    }

    proptest! {
        #[test]
        fn sizes_are_multiples_of_64_and_keep_proportions_within_one_step(photo in sizes(), steps in 1..32_u32) {
            let side = steps * 64;
            for policy in [FitPolicy::Cover, FitPolicy::Contain, FitPolicy::Stretch] {
                let model = policy.plan(photo, TargetSize::Side(side)).unwrap().model;
                prop_assert_eq!(model.longer(), side);
                prop_assert_eq!(model.shorter() % 64, 0);
                let exact = f64::from(side) * f64::from(photo.shorter()) / f64::from(photo.longer());
                let off = (f64::from(model.shorter()) - exact).abs();
                prop_assert!(off < 64.0 || model.shorter() == 64, "{} {}", model, exact);
                prop_assert_eq!(model.width >= model.height, photo.width >= photo.height || model.width == model.height);
            }
        }

        #[test]
        fn every_plan_stays_within_its_pictures(photo in sizes(), steps in 1..32_u32) {
            for policy in FitPolicy::ALL {
                let Ok(plan) = policy.plan(photo, TargetSize::Side(steps * 64)) else { continue };
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
                let Ok(plan) = policy.plan(photo, TargetSize::default()) else { continue };
                prop_assert_eq!(plan.edited(), Region { x: 0, y: 0, size: photo });
            }
        }

        #[test]
        fn floor_division_is_exact_on_whole_numbers(x in 0..1_000_000_u32, y in 1..1000_u32) {
            prop_assert_eq!(python_floor_div(f64::from(x), f64::from(y)), f64::from(x / y));
        }
    }
}
