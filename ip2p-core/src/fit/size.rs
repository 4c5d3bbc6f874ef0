//! The size that the model works at: ours in whole numbers, the original repository's in its floating-point ones.

use super::{LATENT_STEP, MAX_MODEL_SIDE, MODEL_SIZE_STEP, Rect};
use crate::{Error, Result, Size, TargetSize};

/// Which way the shorter side goes to a multiple of [`MODEL_SIZE_STEP`].
#[derive(Clone, Copy)]
pub(super) enum Rounding {
    Nearest,
    Up,
}

/// The model's size for a target that is to be kept.
pub(super) fn model_size(photo: Size, target: TargetSize, rounding: Rounding) -> Result<Size> {
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

/// The size that the original repository gives a photo: `edit_cli.py:87-91` at `0dffd1e`, rounding errors and all.
pub(super) fn original_size(photo: Size, target: TargetSize) -> Result<Size> {
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
