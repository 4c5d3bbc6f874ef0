//! Which part of a photo the model looks at.

use ip2p_core::{Region, Size, TargetSize};

/// How much of the photo's longer side a view may have at most: beyond it little is gained by leaving the rest out.
const MOST: f64 = 0.6;

/// The part of a photo that the model is shown where only `region` may change; none for the whole photo.
///
/// Around the region there is half its longer side as context, and at least as much as gives the view the size that the
/// model works at: a view of fewer pixels than the model's would have no detail that the model does not see anyway. If
/// that comes to more than three fifths of the photo's longer side the model is shown all of it.
///
/// # Examples
///
/// ```
/// use ip2p_core::{Region, Size, TargetSize};
/// use ip2p_region::view;
///
/// let region = Region { x: 3000, y: 200, size: Size::new(200, 300) };
/// let view = view(Size::new(4000, 3000), region, TargetSize::Side(512)).expect("a small part");
/// assert_eq!(view, Region { x: 2844, y: 50, size: Size::new(512, 600) });
/// ```
#[must_use]
pub fn view(photo: Size, region: Region, model: TargetSize) -> Option<Region> {
    let context = region.size.longer() / 2;
    let least = match model {
        TargetSize::Side(side) => Size::new(side, side),
        TargetSize::Exact(size) => size,
    };
    let (x, width) = span(
        (region.x, region.size.width),
        context,
        least.width,
        photo.width,
    );
    let (y, height) = span(
        (region.y, region.size.height),
        context,
        least.height,
        photo.height,
    );
    let size = Size::new(width, height);
    let small = f64::from(size.longer()) <= MOST * f64::from(photo.longer());
    small.then_some(Region { x, y, size })
}

/// Where a view begins along an axis of `length`, and how long it is.
fn span((from, region): (u32, u32), context: u32, least: u32, length: u32) -> (u32, u32) {
    let wanted = region.saturating_add(context.saturating_mul(2)).max(least);
    let side = wanted.min(length);
    let middle = u64::from(from) + u64::from(region) / 2;
    let start = middle.saturating_sub(u64::from(side) / 2);
    let start = start.min(u64::from(length - side));
    (u32::try_from(start).expect("within the photo"), side)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_photo_as_small_as_the_models_picture_is_shown_whole() {
        let region = Region {
            x: 3,
            y: 4,
            size: Size::new(10, 10),
        };
        for (photo, model) in [(256, 256), (512, 512), (800, 512)] {
            let photo = Size::new(photo, photo);
            assert_eq!(view(photo, region, TargetSize::Side(model)), None);
        }
        assert!(view(Size::new(1024, 700), region, TargetSize::Side(512)).is_some());
    }

    proptest! {
        #[test]
        fn a_view_holds_the_region_and_lies_within_the_photo(
            width in 1..5000_u32, height in 1..5000_u32, x in 0.0..1.0_f64, y in 0.0..1.0_f64,
            w in 0.0..0.3_f64, h in 0.0..0.3_f64, side in 1..600_u32,
        ) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a u32")]
            let part = |share: f64, of: u32| (share * f64::from(of)) as u32;
            let (x, y) = (part(x, width), part(y, height));
            let size = Size::new(
                part(w, width).clamp(1, width - x),
                part(h, height).clamp(1, height - y),
            );
            let region = Region { x, y, size };
            let photo = Size::new(width, height);
            if let Some(view) = view(photo, region, TargetSize::Side(side)) {
                prop_assert!(view.x <= x && view.x + view.size.width >= x + size.width);
                prop_assert!(view.y <= y && view.y + view.size.height >= y + size.height);
                prop_assert!(view.x + view.size.width <= width && view.y + view.size.height <= height);
                prop_assert!(view.size.longer() < photo.longer());
            }
        }
    }
}
