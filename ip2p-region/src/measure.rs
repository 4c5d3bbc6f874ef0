//! What a mask tells of pictures, and of another mask.

use ip2p_io::RgbPicture;

use crate::mask::Mask;

impl Mask {
    /// What of this picture's mask belongs to another's, measured by how much of either is of both: intersection over
    /// union of the weights, 0 to 1; 1 if both are empty.
    ///
    /// # Panics
    ///
    /// If the sizes differ.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> f64 {
        let union = self.union(other).coverage();
        if union == 0.0 {
            return 1.0;
        }
        self.intersection(other).coverage() / union
    }

    /// How far a picture went from another where this mask has the edit, and where it has not: the mean differences of the
    /// bytes as shares of 255, each weighted by the mask.
    ///
    /// Of a side that has no pixels it is 0.
    ///
    /// # Panics
    ///
    /// If the sizes differ.
    #[must_use]
    pub fn change(&self, before: &RgbPicture, after: &RgbPicture) -> [f64; 2] {
        assert_eq!(before.size(), self.size(), "a mask of the picture");
        assert_eq!(after.size(), self.size(), "a mask of the picture");
        let pixels = |picture| RgbPicture::pixels(picture).chunks_exact(3);
        let pairs = pixels(before).zip(pixels(after)).zip(self.weights());
        let (mut sums, mut counts) = ([0_u64; 2], [0_u64; 2]);
        for ((before, after), &weight) in pairs {
            let differences = before
                .iter()
                .zip(after)
                .map(|(a, b)| u64::from(a.abs_diff(*b)));
            let difference: u64 = differences.sum();
            for (side, weight) in [weight, 255 - weight].into_iter().enumerate() {
                sums[side] += difference * u64::from(weight);
                counts[side] += 3 * 255 * u64::from(weight);
            }
        }
        [0, 1].map(|side| sums[side] as f64 / counts[side].max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use ip2p_core::{Region, Size};

    use super::*;

    #[test]
    fn the_overlap_is_intersection_over_union() {
        let of_size = Size::new(10, 1);
        let part = |x| {
            let size = Size::new(4, 1);
            Mask::from_region(of_size, Region { x, y: 0, size })
        };
        let [a, b] = [0, 2].map(part);
        assert!((a.overlap(&b) - 2.0 / 6.0).abs() < 1e-12);
        let empty = part(20);
        assert_eq!((empty.overlap(&empty), empty.overlap(&a)), (1.0, 0.0));
    }

    #[test]
    fn the_change_is_told_apart_inside_and_outside() {
        let size = Size::new(2, 1);
        let picture = |bytes: [u8; 6]| RgbPicture::new(size, bytes.to_vec()).unwrap();
        let (black, after) = (picture([0; 6]), picture([255, 255, 255, 51, 51, 51]));
        let change = |weights| Mask::new(size, weights).unwrap().change(&black, &after);
        assert_eq!(change(vec![255, 0]), [1.0, 0.2]);
        assert_eq!(change(vec![0, 0]), [0.0, 0.6]);
        assert_eq!(change(vec![255, 255]), [0.6, 0.0]);
    }
}
