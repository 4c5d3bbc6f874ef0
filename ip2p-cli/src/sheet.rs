//! Pictures made small enough to stand beside others.

use ip2p::core::Rect;
use ip2p::io::resize_lanczos;
use ip2p::{RgbPicture, Size};

/// The size of the same proportions whose longer side is at most `side`.
pub(crate) fn within(size: Size, side: u32) -> Size {
    let longer = size.longer();
    if longer <= side {
        return size;
    }
    let scale = |length: u32| {
        let scaled = u64::from(length) * u64::from(side) / u64::from(longer);
        u32::try_from(scaled).map_or(side, |length| length.max(1))
    };
    Size::new(scale(size.width), scale(size.height))
}

pub(crate) fn scaled(picture: &RgbPicture, size: Size) -> RgbPicture {
    let whole = Rect::of(picture.size());
    resize_lanczos(picture, whole, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_keeps_the_proportions() {
        assert_eq!(within(Size::new(4000, 3000), 400), Size::new(400, 300));
        assert_eq!(within(Size::new(10, 4000), 400), Size::new(1, 400));
        assert_eq!(within(Size::new(80, 60), 400), Size::new(80, 60));
    }
}
