//! A photo and an edit of it, put together by a mask.

use ip2p_core::{Error, Result, Size};
use ip2p_io::{Photo, RgbPicture};

use crate::mask::{Mask, brightness, to_byte};
use crate::planes::Planes;

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

/// The shares of the greatest change between which a pixel comes to belong to an edit.
const CHANGED: [f32; 2] = [0.15, 0.35];

/// How many radii, over which a change is averaged, the longer side of a picture has.
const RADII: u32 = 256;

/// Up to how many cells, whose pixels are looked at together, lie along the longer side.
const CELLS: u32 = 1024;

impl Mask {
    /// The mask where it lets something change, less where hardly anything does: a mask of latents is coarse, and around what is edited the
    /// model draws what was there anew, nearly as it was.
    ///
    /// The change of a pixel is the greatest of its colours', averaged over those up to a 256th of the longer side away, and counts by its
    /// share of the greatest there is. Of a picture of more than 1024 pixels a side, the averages are those of squares of pixels, of which
    /// up to 1024 lie along the side.
    ///
    /// # Panics
    ///
    /// If the sizes differ.
    #[must_use]
    pub fn where_changed(&self, photo: &RgbPicture, edited: &RgbPicture) -> Self {
        let size = self.size();
        assert!(
            photo.size() == size && edited.size() == size,
            "a mask of both"
        );
        let side = size.longer().div_ceil(CELLS).max(1);
        let cells = Size::new(size.width.div_ceil(side), size.height.div_ceil(side));
        let change = Planes::new(cells, |at| [self.change_of_cell(photo, edited, side, at)]);
        let change = change
            .means((cells.longer() / RADII).max(1) as usize)
            .values;
        let most = change
            .iter()
            .fold(f32::MIN_POSITIVE, |most, [change]| most.max(*change));
        let [from, to] = CHANGED;
        let share = |[change]: &[f32; 1]| {
            to_byte(255.0 * ((change / most - from) / (to - from)).clamp(0.0, 1.0))
        };
        let shares = Self::new(cells, change.iter().map(share).collect());
        let shares = (shares.expect("a share for each cell"))
            .resized(Size::new(cells.width * side, cells.height * side))
            .part(size.into());
        self.merge(&shares, |weight, share| blend(0, weight, share))
    }

    /// The mean change of the pixels of the cell `at`, counted row by row, by how much the mask lets each change.
    fn change_of_cell(&self, photo: &RgbPicture, edited: &RgbPicture, side: u32, at: usize) -> f32 {
        let [width, height, side] =
            [self.size().width, self.size().height, side].map(|length| length as usize);
        let cells = width.div_ceil(side);
        let (row, column) = (at / cells * side, at % cells * side);
        let columns = column..(column + side).min(width);
        let rows = row..(row + side).min(height);
        let count = rows.len() * columns.len();
        let sum: u64 = rows
            .map(|y| {
                let from = y * width + columns.start;
                let pixels = from..from + columns.len();
                let bytes = 3 * pixels.start..3 * pixels.end;
                let pairs = (photo.pixels()[bytes.clone()].chunks_exact(3))
                    .zip(edited.pixels()[bytes].chunks_exact(3));
                let most = pairs.map(|(a, b)| {
                    let most = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max();
                    u32::from(most.unwrap_or(0))
                });
                let weights = self.weights()[pixels].iter();
                most.zip(weights)
                    .map(|(most, weight)| u64::from(most * u32::from(*weight)))
                    .sum::<u64>()
            })
            .sum();
        sum as f32 / count as f32
    }
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
    use proptest::prelude::*;

    use super::*;

    /// A grey picture with this much more in some rows.
    fn with_rows(size: Size, rows: std::ops::Range<u32>, more: u8) -> RgbPicture {
        let bytes = (0..size.height).flat_map(|y| {
            let byte = if rows.contains(&y) { 100 + more } else { 100 };
            vec![byte; 3 * size.width as usize]
        });
        RgbPicture::new(size, bytes.collect()).unwrap()
    }

    #[test]
    fn what_hardly_changes_within_a_mask_is_the_photos() {
        let size = Size::new(6, 20);
        let photo = with_rows(size, 0..0, 0);
        let mut bytes = with_rows(size, 4..9, 80).pixels().to_vec();
        // Redrawn nearly as it was, all around.
        for (at, byte) in bytes
            .iter_mut()
            .enumerate()
            .filter(|(_, byte)| **byte == 100)
        {
            *byte = 100 + u8::try_from(at % 6).unwrap();
        }
        let edited = RgbPicture::new(size, bytes).unwrap();
        let all = Mask::from_region(size, size.into());
        let found = all.where_changed(&photo, &edited);
        let of_row = |y: usize| found.weights()[y * 6 + 3];
        assert!((4..9).all(|y| of_row(y) == 255), "{found:?}");
        assert!((0..3).chain(10..20).all(|y| of_row(y) == 0), "{found:?}");
        // What the mask kept is kept, and what changes nothing has no part.
        let none = Mask::new(size, vec![0; 120]).unwrap();
        assert_eq!(none.where_changed(&photo, &edited), none);
        assert_eq!(all.where_changed(&photo, &photo), none);
    }

    #[test]
    fn of_a_large_picture_what_changes_is_found_by_squares_of_pixels() {
        // Cells of 3x3 pixels; of the last one of a row two columns lie beyond the picture, which what changes touches.
        let size = Size::new(61, 2050);
        let (columns, rows) = (31..61, 901..1201);
        let photo = with_rows(size, 0..0, 0);
        let changed = (0..size.height).flat_map(|y| {
            let columns = columns.clone();
            let inside = rows.contains(&y);
            (0..size.width).flat_map(move |x| {
                let more = if inside && columns.contains(&x) {
                    80
                } else {
                    0
                };
                [100 + more; 3]
            })
        });
        let edited = RgbPicture::new(size, changed.collect()).unwrap();
        let all = Mask::from_region(size, size.into());
        let found = all.where_changed(&photo, &edited);
        // A radius of two cells, one more that a cell may hold of what changes, and one between two cells.
        let near = 3 * 4;
        for (at, &weight) in (0..).zip(found.weights()) {
            let (x, y) = (at % size.width, at / size.width);
            if columns.contains(&x) && rows.contains(&y) {
                // At the corners a quarter of what a mean is taken of has changed, or a little less.
                assert!(weight > 150, "{x} {y} {weight}");
            } else if x + near < columns.start || y + near < rows.start || y >= rows.end + near {
                assert_eq!(weight, 0, "{x} {y}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_pixel_counts_for_more_than_its_mask_lets_it(
            weights in proptest::collection::vec(0..=255_u8, 20),
            bytes in proptest::collection::vec(0..=255_u8, 120),
        ) {
            let picture = |bytes: &[u8]| RgbPicture::new(Size::new(5, 4), bytes.to_vec()).unwrap();
            let (photo, edited) = (picture(&bytes[..60]), picture(&bytes[60..]));
            let mask = Mask::new(Size::new(5, 4), weights).unwrap();
            let changed = mask.where_changed(&photo, &edited);
            for (&changed, &weight) in changed.weights().iter().zip(mask.weights()) {
                prop_assert!(changed <= weight);
            }
        }

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
