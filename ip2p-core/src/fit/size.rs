//! The size that the model works at: ours in whole numbers, the original repository's in its floating-point ones.

use super::{MAX_MODEL_SIDE, Rect, SizeStep};
use crate::{Error, Result, Size, TargetSize};

/// Which way the shorter side goes to a multiple of [`SizeStep::chosen`].
#[derive(Clone, Copy)]
pub(super) enum Rounding {
    Nearest,
    Up,
}

/// The model's size for a target that is to be kept.
pub(super) fn model_size(
    photo: Size,
    target: TargetSize,
    step: SizeStep,
    rounding: Rounding,
) -> Result<Size> {
    let SizeStep { required, chosen } = step;
    match target {
        TargetSize::Side(side) => {
            if !side.is_multiple_of(chosen) || !(chosen..=MAX_MODEL_SIDE).contains(&side) {
                let expected = format!("a multiple of {chosen} from {chosen} to {MAX_MODEL_SIDE}");
                return Err(Error::setting("size", expected, side));
            }
            let step = u64::from(chosen);
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
                side.is_multiple_of(required) && (chosen..=MAX_MODEL_SIDE).contains(&side)
            };
            if fits(size.width) && fits(size.height) {
                Ok(size)
            } else {
                let expected = format!("multiples of {required} from {chosen} to {MAX_MODEL_SIDE}");
                Err(Error::setting("size", expected, size))
            }
        }
    }
}

/// The largest size of the photo's proportions within `model`, to the nearest pixel.
pub(super) fn contained_size(photo: Size, model: Size) -> Size {
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
pub(super) fn cover_box(photo: Size, model: Size) -> Rect {
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

/// What the original repository's sizes are multiples of.
const ORIGINAL_STEP: u32 = 64;

/// The size that the original repository gives a photo: `edit_cli.py:87-91` at `0dffd1e`, rounding errors and all.
pub(super) fn original_size(photo: Size, target: TargetSize, step: SizeStep) -> Result<Size> {
    if !ORIGINAL_STEP.is_multiple_of(step.required) {
        let expected = format!(
            "another than original, whose sizes are multiples of {ORIGINAL_STEP}, for this model, whose sizes are \
             multiples of {}",
            step.required
        );
        return Err(Error::setting("fit", expected, "original"));
    }
    let TargetSize::Side(resolution) = target else {
        let expected = "one number for --fit original, as the original's --resolution";
        return Err(Error::setting("size", expected, target));
    };
    if !(1..=MAX_MODEL_SIDE).contains(&resolution) {
        let expected = format!("from 1 to {MAX_MODEL_SIDE}");
        return Err(Error::setting("size", expected, resolution));
    }
    let step = f64::from(ORIGINAL_STEP);
    let shorter = f64::from(photo.shorter());
    let factor = f64::from(resolution) / f64::from(photo.longer());
    let factor = (shorter * factor / step).ceil() * step / shorter;
    let side = |side: u32| python_floor_div(f64::from(side) * factor, step) * step;
    let (width, height) = (side(photo.width), side(photo.height));
    let allowed = step..=f64::from(MAX_MODEL_SIDE);
    if allowed.contains(&width) && allowed.contains(&height) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "just checked"
        )]
        Ok(Size::new(width as u32, height as u32))
    } else {
        let expected = format!(
            "one that --fit original brings to a size from {ORIGINAL_STEP} to {MAX_MODEL_SIDE}, not to {width}x{height}"
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn floor_division_is_exact_on_whole_numbers(x in 0..1_000_000_u32, y in 1..1000_u32) {
            prop_assert_eq!(python_floor_div(f64::from(x), f64::from(y)), f64::from(x / y));
        }
    }
}
