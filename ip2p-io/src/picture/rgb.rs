//! A picture without anything but its pixels.

use std::fmt;

use ip2p_core::{Error, Region, Result, Size};

/// The channels of a pixel.
pub(super) const CHANNELS: usize = 3;

/// A picture of eight-bit red, green and blue.
#[derive(Clone, PartialEq, Eq)]
pub struct RgbPicture {
    size: Size,
    pixels: Vec<u8>,
}

impl RgbPicture {
    /// A picture of these pixels: red, green and blue of each, row by row from the top.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if there are not three bytes for each pixel, or no pixels.
    pub fn new(size: Size, pixels: Vec<u8>) -> Result<Self> {
        if size.is_empty() {
            return Err(Error::setting("picture size", "at least 1x1", size));
        }
        let expected = size.pixels().saturating_mul(CHANNELS as u64);
        if pixels.len() as u64 != expected {
            let expected = format!("{expected} bytes for {size}");
            return Err(Error::setting("pixels", expected, pixels.len()));
        }
        Ok(Self { size, pixels })
    }

    /// As [`RgbPicture::new`], where we made the pixels.
    ///
    /// # Panics
    ///
    /// If there are not three bytes for each pixel, or no pixels.
    pub(super) fn from_pixels(size: Size, pixels: Vec<u8>) -> Self {
        Self::new(size, pixels).expect("three bytes were made for each pixel")
    }

    /// Width and height.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// Red, green and blue of each pixel, row by row from the top.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The bytes alone, as [`RgbPicture::pixels`].
    #[must_use]
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// How far another picture is from this one: the mean difference of the bytes, as a share of 255.
    ///
    /// 0 for equal pictures, 1 for black and white. A local edit changes the mean little, however clearly it is seen.
    ///
    /// # Panics
    ///
    /// If the sizes differ.
    #[must_use]
    pub fn difference(&self, other: &Self) -> f64 {
        assert_eq!(self.size, other.size, "pictures of one size are compared");
        let pairs = self.pixels.iter().zip(&other.pixels);
        let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / (255.0 * self.pixels.len() as f64)
    }

    /// The peak signal-to-noise ratio to another picture in dB, over the pixels that `counts` says of, row by row.
    ///
    /// Infinite if they are the same there; none if no pixel counts.
    ///
    /// # Panics
    ///
    /// If the sizes differ.
    #[must_use]
    pub fn psnr(&self, other: &Self, counts: impl Fn(usize) -> bool) -> Option<f64> {
        assert_eq!(self.size, other.size, "pictures of one size are compared");
        let pixels = self.pixels.chunks_exact(CHANNELS);
        let pairs = pixels.zip(other.pixels.chunks_exact(CHANNELS));
        let (mut squares, mut bytes) = (0_u64, 0_u64);
        for (_, (a, b)) in pairs.enumerate().filter(|(at, _)| counts(*at)) {
            squares += a
                .iter()
                .zip(b)
                .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
                .sum::<u64>();
            bytes += CHANNELS as u64;
        }
        let mean = squares as f64 / bytes as f64;
        (bytes > 0).then(|| 10.0 * (255.0_f64.powi(2) / mean).log10())
    }

    /// The rows, from the top.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.pixels
            .chunks_exact(self.size.width as usize * CHANNELS)
    }

    /// The pixels of `region`.
    ///
    /// # Panics
    ///
    /// If the region is empty or not within the picture.
    #[must_use]
    pub fn part(&self, region: Region) -> Self {
        let Region { x, y, size } = region;
        let columns = x as usize * CHANNELS..(x + size.width) as usize * CHANNELS;
        let rows = self.rows().skip(y as usize).take(size.height as usize);
        let pixels = rows.flat_map(|row| &row[columns.clone()]).copied();
        Self::from_pixels(size, pixels.collect())
    }

    /// Lays `patch` over the pixels of `region`.
    ///
    /// # Panics
    ///
    /// If the region is not of the patch's size or not within the picture.
    pub fn paste(&mut self, patch: &Self, region: Region) {
        assert_eq!(patch.size, region.size, "the patch fills the region");
        let stride = self.size.width as usize * CHANNELS;
        let columns =
            region.x as usize * CHANNELS..(region.x + region.size.width) as usize * CHANNELS;
        let rows = self.pixels.chunks_exact_mut(stride).skip(region.y as usize);
        for (row, patch) in rows.zip(patch.rows()) {
            row[columns.clone()].copy_from_slice(patch);
        }
    }
}

impl fmt::Debug for RgbPicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RgbPicture")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_must_fill_the_size() {
        assert!(RgbPicture::new(Size::new(2, 1), vec![0; 6]).is_ok());
        for (size, bytes) in [((2, 1), 5), ((2, 1), 7), ((0, 1), 0), ((0, 0), 0)] {
            assert!(RgbPicture::new(Size::new(size.0, size.1), vec![0; bytes]).is_err());
        }
        // The count of bytes does not overflow.
        assert!(RgbPicture::new(Size::new(u32::MAX, u32::MAX), vec![]).is_err());
    }

    #[test]
    fn the_difference_is_a_share_of_black_and_white() {
        let picture = |bytes: [u8; 6]| RgbPicture::new(Size::new(2, 1), bytes.to_vec()).unwrap();
        let black = picture([0; 6]);
        assert_eq!(black.difference(&black), 0.0);
        assert_eq!(black.difference(&picture([255; 6])), 1.0);
        assert_eq!(picture([255, 0, 0, 0, 0, 0]).difference(&black), 1.0 / 6.0);
    }

    #[test]
    fn a_patch_changes_only_its_region() {
        let mut picture = RgbPicture::new(Size::new(3, 3), vec![0; 27]).unwrap();
        let patch = RgbPicture::new(Size::new(1, 2), vec![9; 6]).unwrap();
        let region = Region {
            x: 1,
            y: 1,
            size: Size::new(1, 2),
        };
        picture.paste(&patch, region);
        let nines: Vec<_> = (0..27).filter(|&i| picture.pixels()[i] == 9).collect();
        assert_eq!(nines, [12, 13, 14, 21, 22, 23]);
        assert_eq!(picture.part(region), patch);
    }
}
