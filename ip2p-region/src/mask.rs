//! Where a photo may change.

use std::fmt;

use ip2p_core::{Error, Region, Result, Size};
use ip2p_io::{Photo, RgbPicture};

use crate::planes::{Planes, Taps};

/// How much each pixel of a picture takes of the edit: 0 keeps the photo's byte, 255 has the edit's.
///
/// # Examples
///
/// ```
/// use ip2p_core::{Region, Size};
/// use ip2p_region::{Mask, Place};
///
/// let size = Size::new(8, 4);
/// let left = Mask::from_region(size, Region { x: 0, y: 0, size: Size::new(4, 4) });
/// assert_eq!(left.coverage(), 0.5);
/// assert_eq!(left.union(&left.inverted()).coverage(), 1.0);
/// let corner = left.intersection(&"top".parse::<Place>()?.mask(size));
/// assert!(corner.coverage() < 0.5);
/// # Ok::<(), ip2p_core::Error>(())
/// ```
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

    pub(crate) fn merge(&self, other: &Self, with: impl Fn(u8, u8) -> u8) -> Self {
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

    /// The same mask at a photo's size, and what a user should know of it: that it had another, or that it is white all over
    /// and so none.
    #[must_use]
    pub fn fitted(&self, photo: Size) -> (Self, Option<String>) {
        let said = if self.size != photo {
            let own = self.size;
            Some(format!(
                "the mask of {own} was fitted to the photo's {photo}"
            ))
        } else if self.weights.iter().all(|&weight| weight == 255) {
            Some("the mask is white all over: the whole photo may change".to_owned())
        } else {
            None
        };
        (self.resized(photo), said)
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

    /// The mask of a part of the picture.
    ///
    /// # Panics
    ///
    /// If the region is empty or not within the picture.
    #[must_use]
    pub fn part(&self, region: Region) -> Self {
        let Region { x, y, size } = region;
        let columns = x as usize..(x + size.width) as usize;
        let rows = self.weights.chunks_exact(self.size.width as usize);
        let rows = rows.skip(y as usize).take(size.height as usize);
        Self {
            size,
            weights: rows
                .flat_map(|row| &row[columns.clone()])
                .copied()
                .collect(),
        }
    }

    /// The mask of a larger picture in which this one lies at `region`, and that keeps what is around it.
    ///
    /// # Panics
    ///
    /// If the region is not of the mask's size or not within the picture.
    #[must_use]
    pub fn within(&self, size: Size, region: Region) -> Self {
        assert_eq!(self.size, region.size, "the mask fills the region");
        let mut all = Self::of(size, |_, _| 0);
        let columns = region.x as usize..(region.x + region.size.width) as usize;
        let rows = all.weights.chunks_exact_mut(size.width as usize);
        let own = self.weights.chunks_exact(self.size.width as usize);
        for (row, own) in rows.skip(region.y as usize).zip(own) {
            row[columns.clone()].copy_from_slice(own);
        }
        all
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
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask")
            .field("size", &self.size)
            .field("coverage", &self.coverage())
            .finish_non_exhaustive()
    }
}

/// How bright a pixel is: ITU-R BT.601, as Pillow's mode `L`.
pub(crate) fn brightness(pixel: &[u8]) -> u8 {
    let [r, g, b] = [0, 1, 2].map(|channel| u32::from(pixel[channel]));
    u8::try_from((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16).expect("weights sum to 2^16")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "just clamped"
)]
pub(crate) fn to_byte(weight: f32) -> u8 {
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

    #[test]
    fn a_part_lies_where_it_was() {
        let mask = Mask::from_region(Size::new(10, 8), region(3, 2, 4, 3));
        let around = region(2, 1, 6, 5);
        let part = mask.part(around);
        assert_eq!(part.bounds(), Some(region(1, 1, 4, 3)));
        assert_eq!(part.within(mask.size(), around), mask);
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
        fn union_and_intersection_are_each_others_inverse(a in 0..=255_u8, b in 0..=255_u8) {
            let mask = |weight| Mask::new(Size::new(1, 1), vec![weight]).unwrap();
            let (a, b) = (mask(a), mask(b));
            prop_assert_eq!(a.union(&b).inverted(), a.inverted().intersection(&b.inverted()));
        }
    }
}
