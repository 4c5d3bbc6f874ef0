//! A photo and an edit of it, put together by a mask.

use ip2p_core::{Error, Result};
use ip2p_io::{Photo, RgbPicture};

use crate::mask::{Mask, brightness};

/// The photo with the edit where the mask has it: where the mask is 0 every byte is the photo's, where it is 255 the
/// edit's.
///
/// # Errors
///
/// [`Error::InvalidSetting`] if the edit or the mask is not of the photo's size.
#[expect(
    clippy::missing_panics_doc,
    reason = "there are as many bytes as the size says"
)]
pub fn composite(photo: &Photo, edited: &RgbPicture, mask: &Mask) -> Result<Photo> {
    for (name, size) in [("edited size", edited.size()), ("mask size", mask.size())] {
        if size != photo.size() {
            return Err(Error::setting(
                name,
                format!("{}, the photo's", photo.size()),
                size,
            ));
        }
    }
    let pixels = photo.rgb().pixels().iter().zip(edited.pixels());
    let weights = mask.weights().iter().flat_map(|&weight| [weight; 3]);
    let mixed = pixels
        .zip(weights)
        .map(|((&photo, &edited), weight)| blend(photo, edited, weight));
    let mixed = RgbPicture::new(photo.size(), mixed.collect());
    Ok(photo.with_rgb(mixed.expect("three bytes for each pixel")))
}

/// Between two bytes: the first at 0, the second at 255.
fn blend(from: u8, to: u8, weight: u8) -> u8 {
    let weight = u32::from(weight);
    let sum = u32::from(from) * (255 - weight) + u32::from(to) * weight;
    u8::try_from((sum + 127) / 255).expect("between two bytes")
}

impl Mask {
    /// The mask over a photo: what keeps the photo is greyed and darkened.
    ///
    /// # Panics
    ///
    /// If the sizes differ.
    #[must_use]
    pub fn over(&self, photo: &Photo) -> Photo {
        assert_eq!(self.size(), photo.size(), "a mask of the photo");
        let pixels = photo.rgb().pixels().chunks_exact(3).zip(self.weights());
        let shown = pixels.flat_map(|(pixel, &weight)| {
            let grey = brightness(pixel) / 3;
            [0, 1, 2].map(|channel| blend(grey, pixel[channel], weight))
        });
        let shown = RgbPicture::new(self.size(), shown.collect());
        photo.with_rgb(shown.expect("three bytes for each pixel"))
    }
}

#[cfg(test)]
mod tests {
    use ip2p_core::Size;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn outside_a_mask_every_byte_is_the_photos(
            weights in proptest::collection::vec(0..=255_u8, 20),
            bytes in proptest::collection::vec(0..=255_u8, 120),
        ) {
            let picture = |bytes: &[u8]| RgbPicture::new(Size::new(5, 4), bytes.to_vec()).unwrap();
            let (photo, edited) = (Photo::from(picture(&bytes[..60])), picture(&bytes[60..]));
            let mask = Mask::new(Size::new(5, 4), weights).unwrap();
            let mixed = composite(&photo, &edited, &mask).unwrap();
            for (at, &byte) in mixed.rgb().pixels().iter().enumerate() {
                let (from, to) = (photo.rgb().pixels()[at], edited.pixels()[at]);
                match mask.weights()[at / 3] {
                    0 => prop_assert_eq!(byte, from),
                    255 => prop_assert_eq!(byte, to),
                    _ => prop_assert!(byte >= from.min(to) && byte <= from.max(to)),
                }
            }
        }
    }
}
