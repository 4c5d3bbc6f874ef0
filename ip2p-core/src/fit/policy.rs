//! The policies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::size::{Rounding, contained_size, cover_box, model_size, original_size};
use super::{FitPlan, MAX_MODEL_SIDE, Rect, SizeStep};
use crate::{Error, Result, Size, TargetSize};

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
    /// The photo's own size, made up to what the model requires (a multiple of 8 for Stable Diffusion) by mirroring at the
    /// right and the bottom: no pixel is lost or resampled. The target size is not used.
    Native,
    /// The original repository's arithmetic, to the pixel: `edit_cli.py:87-92` at `0dffd1e`. Its sizes are those of
    /// floating-point noise in 8 % of cases, may be longer than the target, and are multiples of 64 for every model.
    Original,
    /// diffusers' arithmetic: the photo stretched to its own size, down to what the model requires
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

    /// Plans how a photo of this size is fitted for a model whose pictures have sides in these steps.
    ///
    /// With [`TargetSize::Side`] the model's longer side is that long, and its shorter the multiple of
    /// [`SizeStep::chosen`] that keeps the photo's proportions best: the nearest one for `cover` and `stretch`, the next
    /// above for `contain`, at least one. With [`TargetSize::Exact`] the model's size is that one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the photo has no pixels, the target is not a multiple of [`SizeStep::chosen`] (of
    /// [`SizeStep::required`] if both sides are given; `original` takes any single number), or the model's picture would
    /// be larger than [`MAX_MODEL_SIDE`] or smaller than the policy can do.
    ///
    /// # Examples
    ///
    /// ```
    /// use ip2p_core::{FitPolicy, Size, SizeStep, TargetSize};
    ///
    /// let photo = Size::new(1920, 1080);
    /// let plan = FitPolicy::Contain.plan(photo, TargetSize::Side(512), SizeStep::default())?;
    /// assert_eq!(plan.model, Size::new(512, 320));
    /// assert_eq!(plan.resized, Size::new(512, 288));
    /// assert_eq!(plan.offset, (0, 16));
    /// # Ok::<(), ip2p_core::Error>(())
    /// ```
    pub fn plan(self, photo: Size, target: TargetSize, step: SizeStep) -> Result<FitPlan> {
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
                let model = model_size(photo, target, step, Rounding::Nearest)?;
                plan(cover_box(photo, model), model, (0, 0), model)
            }
            Self::Contain => {
                let model = model_size(photo, target, step, Rounding::Up)?;
                let resized = contained_size(photo, model);
                let offset = (
                    (model.width - resized.width) / 2,
                    (model.height - resized.height) / 2,
                );
                plan(whole, resized, offset, model)
            }
            Self::Stretch => {
                let model = model_size(photo, target, step, Rounding::Nearest)?;
                plan(whole, model, (0, 0), model)
            }
            Self::Native => {
                let up = |side: u32| side.next_multiple_of(step.required).max(step.chosen);
                check_photo_side(self, photo)?;
                let model = Size::new(up(photo.width), up(photo.height));
                plan(whole, photo, (0, 0), model)
            }
            Self::Original => {
                let model = original_size(photo, target, step)?;
                plan(cover_box(photo, model), model, (0, 0), model)
            }
            Self::Diffusers => {
                check_photo_side(self, photo)?;
                let down = |side: u32| side - side % step.required;
                let model = Size::new(down(photo.width), down(photo.height));
                if model.is_empty() {
                    let least = Size::new(step.required, step.required);
                    let expected = format!("at least {least} for --fit diffusers");
                    return Err(Error::setting("photo size", expected, photo));
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
            .plan(
                Size::new(photo.0, photo.1),
                target.into(),
                SizeStep::default(),
            )
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
                .plan(photo, TargetSize::default(), SizeStep::default())
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

    /// A model with a factor of 4 to its latents and three levels.
    const SMALL: SizeStep = SizeStep {
        required: 4,
        chosen: 16,
    };

    #[test]
    fn sizes_are_in_the_steps_of_the_model() {
        let model = |policy: FitPolicy, photo: (u32, u32), target: TargetSize| {
            let plan = policy.plan(Size::new(photo.0, photo.1), target, SMALL);
            plan.map(|plan| (plan.model.width, plan.model.height))
        };
        let side = TargetSize::Side(256);
        let cases = [
            (FitPolicy::Contain, (3000, 2000), (256, 176)),
            (FitPolicy::Cover, (1920, 1080), (256, 144)),
            (FitPolicy::Contain, (10_000, 1), (256, 16)),
            (FitPolicy::Native, (101, 1), (104, 16)),
            (FitPolicy::Diffusers, (101, 9), (100, 8)),
            (FitPolicy::Original, (1920, 1080), (320, 192)),
        ];
        for (policy, photo, expected) in cases {
            assert_eq!(model(policy, photo, side).unwrap(), expected, "{policy}");
        }
        let exact = Size::new(100, 60).into();
        assert_eq!(model(FitPolicy::Stretch, (7, 7), exact).unwrap(), (100, 60));
        for target in [TargetSize::Side(200), Size::new(98, 64).into()] {
            assert!(
                model(FitPolicy::Stretch, (7, 7), target).is_err(),
                "{target}"
            );
        }
        let error = model(FitPolicy::Diffusers, (101, 3), side).unwrap_err();
        assert!(error.to_string().contains("at least 4x4"), "{error}");
        let odd = SizeStep::new(24, 1).unwrap();
        let error = FitPolicy::Original.plan(Size::new(640, 480), side, odd);
        assert!(error.unwrap_err().to_string().contains("multiples of 24"));
    }

    #[test]
    fn a_target_that_no_model_can_work_at_is_refused() {
        for target in ["0", "32", "500", "4160", "500x512", "640x0", "640x32"] {
            for policy in [FitPolicy::Cover, FitPolicy::Contain, FitPolicy::Stretch] {
                let refused = policy.plan(
                    Size::new(640, 480),
                    target.parse().unwrap(),
                    SizeStep::default(),
                );
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
                let error = policy
                    .plan(photo, TargetSize::default(), SizeStep::default())
                    .unwrap_err();
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
            let fits = policy
                .plan(Size::new(1, 1), TargetSize::default(), SizeStep::default())
                .is_ok();
            assert_eq!(fits, policy != FitPolicy::Diffusers, "{policy}");
        }
    }

    #[test]
    fn a_photo_too_large_for_its_own_size_is_refused() {
        let photo = Size::new(6000, 4000);
        for policy in [FitPolicy::Native, FitPolicy::Diffusers] {
            assert!(
                policy
                    .plan(photo, TargetSize::default(), SizeStep::default())
                    .is_err()
            );
        }
        assert!(
            FitPolicy::Cover
                .plan(photo, TargetSize::default(), SizeStep::default())
                .is_ok()
        );
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
        fn sizes_are_multiples_of_the_step_and_keep_proportions_within_one(
            photo in sizes(), steps in 1..32_u32, small: bool,
        ) {
            let step = if small { SMALL } else { SizeStep::default() };
            let side = steps * step.chosen;
            for policy in [FitPolicy::Cover, FitPolicy::Contain, FitPolicy::Stretch] {
                let model = policy.plan(photo, TargetSize::Side(side), step).unwrap().model;
                prop_assert_eq!(model.longer(), side);
                prop_assert_eq!(model.shorter() % step.chosen, 0);
                let exact = f64::from(side) * f64::from(photo.shorter()) / f64::from(photo.longer());
                let off = (f64::from(model.shorter()) - exact).abs();
                prop_assert!(off < f64::from(step.chosen) || model.shorter() == step.chosen, "{} {}", model, exact);
                prop_assert_eq!(model.width >= model.height, photo.width >= photo.height || model.width == model.height);
            }
        }
    }
}
