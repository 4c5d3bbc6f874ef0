//! Where a photo may change.

use std::fmt;

use ip2p_core::{Error, Region, Result, Size};
use ip2p_io::{Photo, RgbPicture};

use crate::planes::{Planes, Taps};

/// How much each pixel of a picture takes of the edit: 0 keeps the photo's byte, 255 has the edit's.
#[derive(Clone, PartialEq, Eq)]
pub struct Mask {
    size: Size,
    weights: Vec<u8>,
}

impl Mask {
    /// A mask of these weights, row by row from the top.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if there is not one weight for each pixel, or no pixels.
    pub fn new(size: Size, weights: Vec<u8>) -> Result<Self> {
        if size.is_empty() || weights.len() as u64 != size.pixels() {
            let expected = format!("one weight for each pixel of {size}, at least one");
            return Err(Error::setting("mask", expected, weights.len()));
        }
        Ok(Self { size, weights })
    }

    /// The mask that a picture shows: its transparency if it has any, opaque being the edit, else its brightness, white
    /// being the edit.
    #[must_use]
    pub fn from_photo(photo: &Photo) -> Self {
        let weights = match photo.alpha() {
            Some(alpha) => alpha.to_vec(),
            None => photo
                .rgb()
                .pixels()
                .chunks_exact(3)
                .map(brightness)
                .collect(),
        };
        Self {
            size: photo.size(),
            weights,
        }
    }

    /// The pixels of a rectangle; what of it lies beyond the picture is left out.
    #[must_use]
    pub fn from_region(size: Size, region: Region) -> Self {
        let inside = |at: u32, from: u32, length: u32| at >= from && at - from < length;
        Self::of(size, |x, y| {
            let inside =
                inside(x, region.x, region.size.width) && inside(y, region.y, region.size.height);
            if inside { 255 } else { 0 }
        })
    }

    /// What `weight` says of each pixel, from its column and row.
    pub(crate) fn of(size: Size, weight: impl Fn(u32, u32) -> u8) -> Self {
        let weight = &weight;
        let rows = (0..size.height).flat_map(|y| (0..size.width).map(move |x| weight(x, y)));
        Self {
            size,
            weights: rows.collect(),
        }
    }

    /// Width and height.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// The weights, row by row from the top.
    #[must_use]
    pub fn weights(&self) -> &[u8] {
        &self.weights
    }

    /// Where either mask has the edit.
    ///
    /// # Panics
    ///
    /// If the sizes differ.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.merge(other, u8::max)
    }

    /// Where both masks have the edit.
    ///
    /// # Panics
    ///
    /// If the sizes differ.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.merge(other, u8::min)
    }

    fn merge(&self, other: &Self, with: impl Fn(u8, u8) -> u8) -> Self {
        assert_eq!(self.size, other.size, "masks of one picture");
        let pairs = self.weights.iter().zip(&other.weights);
        Self {
            size: self.size,
            weights: pairs.map(|(&a, &b)| with(a, b)).collect(),
        }
    }

    /// The edit where the photo was, and the photo where the edit was.
    #[must_use]
    pub fn inverted(&self) -> Self {
        self.map(|weight| 255 - weight)
    }

    /// All of the edit from half on, nothing of it below.
    #[must_use]
    pub fn hardened(&self) -> Self {
        self.map(|weight| if weight < 128 { 0 } else { 255 })
    }

    fn map(&self, change: impl Fn(u8) -> u8) -> Self {
        Self {
            size: self.size,
            weights: self.weights.iter().map(|&weight| change(weight)).collect(),
        }
    }

    /// With edges softened over `radius` pixels to each side; 0 changes nothing.
    ///
    /// Three means over squares, whose sum of radii this is: close to Gaussian, and nothing beyond the radius.
    #[must_use]
    pub fn feathered(&self, radius: u32) -> Self {
        let mut planes = Planes::new(self.size, |at| [f32::from(self.weights[at])]);
        for part in 0..3 {
            planes = planes.means(((radius + part) / 3) as usize);
        }
        Self {
            size: self.size,
            weights: planes
                .values
                .iter()
                .map(|&[weight]| to_byte(weight))
                .collect(),
        }
    }

    /// The same mask of a picture of another size.
    #[must_use]
    pub fn resized(&self, size: Size) -> Self {
        if size == self.size {
            return self.clone();
        }
        let planes = self.shrunk_to(size);
        let columns = Taps::along(planes.size.width, size.width);
        let rows = Taps::along(planes.size.height, size.height);
        let weights = (0..size.height as usize).flat_map(|y| planes.row(y, &columns, &rows));
        Self {
            size,
            weights: weights.map(|[weight]| to_byte(weight)).collect(),
        }
    }

    /// The weights, averaged over what a pixel of `size` covers along the axes on which that is smaller.
    fn shrunk_to(&self, size: Size) -> Planes<1> {
        let made = Size::new(
            self.size.width.min(size.width),
            self.size.height.min(size.height),
        );
        // Which pixels the pixel `at` of `to` covers, of `from`.
        let covers = |at: usize, from: u32, to: u32| {
            let edge = |at: usize| at * from as usize / to as usize;
            edge(at)..edge(at + 1).max(edge(at) + 1)
        };
        let width = self.size.width as usize;
        Planes::new(made, |at| {
            let (x, y) = (at % made.width as usize, at / made.width as usize);
            let columns = covers(x, self.size.width, made.width);
            let rows = covers(y, self.size.height, made.height);
            let count = (columns.len() * rows.len()) as f32;
            let weights = rows.flat_map(|row| &self.weights[row * width..][columns.clone()]);
            [weights.map(|&weight| f32::from(weight)).sum::<f32>() / count]
        })
    }

    /// The share of the picture that has the edit, 0 to 1.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        let sum: u64 = self.weights.iter().map(|&weight| u64::from(weight)).sum();
        sum as f64 / (255.0 * self.weights.len() as f64)
    }

    /// The smallest rectangle that holds every pixel with anything of the edit; none if there are none.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "a place within the picture is a u32"
    )]
    pub fn bounds(&self) -> Option<Region> {
        let rows = || self.weights.chunks_exact(self.size.width as usize);
        let any = |row: &[u8]| row.iter().any(|&weight| weight > 0);
        let top = rows().position(any)?;
        let bottom = rows().rposition(any)?;
        let columns = |row: &[u8]| row.iter().position(|&weight| weight > 0);
        let last = |row: &[u8]| row.iter().rposition(|&weight| weight > 0);
        let left = rows().filter_map(columns).min()?;
        let right = rows().filter_map(last).max()?;
        let side = |length: usize| u32::try_from(length).expect("within the picture");
        Some(Region {
            x: side(left),
            y: side(top),
            size: Size::new(side(right - left + 1), side(bottom - top + 1)),
        })
    }

    /// The mask as a grey picture: white where the edit is.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "there are as many bytes as the size says"
    )]
    pub fn to_picture(&self) -> RgbPicture {
        let pixels = self.weights.iter().flat_map(|&weight| [weight; 3]);
        RgbPicture::new(self.size, pixels.collect()).expect("three bytes for each pixel")
    }

    /// The mask over a photo: what keeps the photo is greyed and darkened.
    ///
    /// # Panics
    ///
    /// If the sizes differ.
    #[must_use]
    pub fn over(&self, photo: &Photo) -> Photo {
        assert_eq!(self.size, photo.size(), "a mask of the photo");
        let pixels = photo.rgb().pixels().chunks_exact(3).zip(&self.weights);
        let shown = pixels.flat_map(|(pixel, &weight)| {
            let grey = brightness(pixel) / 3;
            [0, 1, 2].map(|channel| blend(grey, pixel[channel], weight))
        });
        let shown = RgbPicture::new(self.size, shown.collect());
        photo.with_rgb(shown.expect("three bytes for each pixel"))
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask")
            .field("size", &self.size)
            .field("coverage", &self.coverage())
            .finish_non_exhaustive()
    }
}

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
    for (name, size) in [("edited size", edited.size()), ("mask size", mask.size)] {
        if size != photo.size() {
            return Err(Error::setting(
                name,
                format!("{}, the photo's", photo.size()),
                size,
            ));
        }
    }
    let pixels = photo.rgb().pixels().iter().zip(edited.pixels());
    let weights = mask.weights.iter().flat_map(|&weight| [weight; 3]);
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

/// How bright a pixel is: ITU-R BT.601, as Pillow's mode `L`.
fn brightness(pixel: &[u8]) -> u8 {
    let [r, g, b] = [0, 1, 2].map(|channel| u32::from(pixel[channel]));
    u8::try_from((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16).expect("weights sum to 2^16")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "just clamped"
)]
fn to_byte(weight: f32) -> u8 {
    weight.round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn region(x: u32, y: u32, width: u32, height: u32) -> Region {
        Region {
            x,
            y,
            size: Size::new(width, height),
        }
    }

    #[test]
    fn a_box_is_cut_at_the_picture_and_found_again() {
        let mask = Mask::from_region(Size::new(10, 8), region(7, 2, 20, 3));
        assert_eq!(mask.bounds(), Some(region(7, 2, 3, 3)));
        assert!((mask.coverage() - 9.0 / 80.0).abs() < 1e-12);
        assert_eq!(
            Mask::from_region(Size::new(4, 4), region(9, 9, 1, 1)).bounds(),
            None
        );
    }

    #[test]
    fn alpha_is_the_mask_where_there_is_any_and_else_brightness() {
        let photo =
            |pixels: Vec<u8>| -> Photo { RgbPicture::new(Size::new(2, 1), pixels).unwrap().into() };
        let grey = Mask::from_photo(&photo(vec![255, 255, 255, 0, 0, 0]));
        assert_eq!(grey.weights(), [255, 0]);
        let red = Mask::from_photo(&photo(vec![255, 0, 0, 100, 100, 100]));
        assert_eq!(red.weights(), [76, 100]);
    }

    #[test]
    fn a_mask_survives_being_larger_for_a_while() {
        let mask = Mask::from_region(Size::new(16, 16), region(4, 4, 8, 8));
        let back = mask
            .resized(Size::new(64, 48))
            .resized(mask.size())
            .hardened();
        assert_eq!(back, mask);
    }

    proptest! {
        #[test]
        fn feathering_stays_within_its_radius(radius in 0..12_u32) {
            let mask = Mask::from_region(Size::new(40, 40), region(15, 15, 10, 10));
            let soft = mask.feathered(radius);
            for (at, &weight) in soft.weights().iter().enumerate() {
                let (x, y) = (at as u32 % 40, at as u32 / 40);
                let away = |at: u32| 15_u32.saturating_sub(at).max(at.saturating_sub(24));
                prop_assert!(weight == 0 || away(x).max(away(y)) <= radius, "{x} {y}");
            }
            prop_assert_eq!(radius == 0, soft == mask);
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

        #[test]
        fn union_and_intersection_are_each_others_inverse(a in 0..=255_u8, b in 0..=255_u8) {
            let mask = |weight| Mask::new(Size::new(1, 1), vec![weight]).unwrap();
            let (a, b) = (mask(a), mask(b));
            prop_assert_eq!(a.union(&b).inverted(), a.inverted().intersection(&b.inverted()));
        }
    }
}
