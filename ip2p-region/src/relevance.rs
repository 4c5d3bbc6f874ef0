//! Where a sentence acts.
//!
//! Mirzaei et al. (2023), "Watch Your Steps", <https://arxiv.org/abs/2308.08947>, section 4.1, take the difference of two
//! predictions of the network, cut off outliers at the quartiles, stretch what is left to 0..1 and edit where it is at least a
//! half. Stretched so, the map of an edit of the whole picture has edges like any other, and a small object is among the
//! outliers. Here a place begins an edit by its share of the greatest change there is, and a lesser share joins what touches it; and where most of
//! the picture changes, measured by how much the photo itself varies, there is no map.

use ip2p_core::Size;

use crate::mask::{Mask, to_byte};
use crate::planes::Planes;

/// The share of the greatest change from which on a place begins an edit: half as in the paper, but of the map as it is.
const SEED: f32 = 0.5;

/// The shares of the greatest change between which a place comes to belong to the edit, if others that do join it to one that begins
/// it: Canny's two thresholds (1986), <https://doi.org/10.1109/TPAMI.1986.4767851>, section VIII. Rays and edges of what is edited change
/// little, and a little is changed anywhere.
const EDGE: [f32; 2] = [0.1, 0.2];

/// What half of the picture changes at least where the edit is of all of it: as a share of how much the photo varies, and of
/// the greatest change. Of 861 edits of drawn scenes four were taken for what they are not with the maps of the small model.
const EVERYWHERE: [f32; 2] = [0.18, 0.1];

/// What counts of a place where a sentence does not look.
const ASIDE: f32 = 0.25;

/// How much a sentence changes each place of a picture.
///
/// # Examples
///
/// ```
/// use ip2p_core::Size;
/// use ip2p_region::Relevance;
///
/// let size = Size::new(16, 16);
/// let of_an_object = |at: usize| if at % 16 < 5 && at / 16 < 5 { 1.0 } else { 0.02 };
/// let changes: Vec<f32> = (0..256).map(of_an_object).collect();
/// let map = Relevance::new(size, &changes);
/// let mask = map.mask(None).expect("an object stands out");
/// assert!(mask.coverage() < 0.2);
/// assert!(Relevance::new(size, &[0.8; 256]).mask(None).is_none());
/// ```
#[derive(Debug, Clone)]
pub struct Relevance {
    map: Planes<1>,
}

impl Relevance {
    /// A map of these changes, row by row from the top, each as a share of how much the photo varies; what is no number
    /// counts as 0.
    ///
    /// # Panics
    ///
    /// If there is not one value for each place, or none.
    #[must_use]
    pub fn new(size: Size, changes: &[f32]) -> Self {
        assert!(!size.is_empty(), "at least one place");
        assert_eq!(changes.len() as u64, size.pixels(), "one for each place");
        let positive = |at: usize| [changes[at].max(0.0)];
        Self {
            map: Planes::new(size, positive),
        }
    }

    /// The size of the map.
    #[must_use]
    pub fn size(&self) -> Size {
        self.map.size
    }

    /// The changes, row by row from the top, each at least 0: as a share of how much the photo varies.
    #[must_use]
    pub fn values(&self) -> Vec<f32> {
        self.map.values.concat()
    }

    /// Where the edit is; none if it is everywhere, or nothing changes.
    ///
    /// A `bias` is where the sentence says that it is: what lies outside counts for a quarter.
    ///
    /// # Panics
    ///
    /// If the bias has another size.
    #[must_use]
    pub fn mask(&self, bias: Option<&Mask>) -> Option<Mask> {
        let size = self.map.size;
        let mut map = self.values();
        let (half, most) = (median(&map), greatest(&map));
        let everywhere = half >= EVERYWHERE[0] && half >= EVERYWHERE[1] * most;
        // A map of an infinity has no shares.
        if everywhere || most <= 0.0 || !most.is_finite() {
            return None;
        }
        if let Some(bias) = bias {
            assert_eq!(bias.size(), size, "a bias of the map");
            for (value, &weight) in map.iter_mut().zip(bias.weights()) {
                *value *= ASIDE + (1.0 - ASIDE) * f32::from(weight) / 255.0;
            }
        }
        let (most, [from, to]) = (greatest(&map), EDGE);
        let seeds = map.iter().map(|value| *value >= SEED * most).collect();
        let joined = grown(size, seeds, |place| map[place] >= from * most);
        let weight = |(value, joined): (&f32, bool)| {
            let share = (value / most - from) / (to - from);
            if joined { to_byte(255.0 * share) } else { 0 }
        };
        let mask = Mask::new(size, map.iter().zip(joined).map(weight).collect());
        Some(mask.expect("a weight for each place"))
    }
}

/// These places, and those that are joined to them by places that each touch the next and belong to it.
fn grown(size: Size, seeds: Vec<bool>, belongs: impl Fn(usize) -> bool) -> Vec<bool> {
    let (width, height) = (size.width as usize, size.height as usize);
    let mut grown = seeds;
    let mut rest: Vec<usize> = (0..grown.len()).filter(|place| grown[*place]).collect();
    while let Some(place) = rest.pop() {
        let (x, y) = (place % width, place / width);
        for y in y.saturating_sub(1)..(y + 2).min(height) {
            for x in x.saturating_sub(1)..(x + 2).min(width) {
                let beside = y * width + x;
                if !grown[beside] && belongs(beside) {
                    grown[beside] = true;
                    rest.push(beside);
                }
            }
        }
    }
    grown
}

fn greatest(map: &[f32]) -> f32 {
    map.iter().copied().fold(0.0, f32::max)
}

fn median(map: &[f32]) -> f32 {
    let mut sorted = map.to_vec();
    let (_, middle, _) = sorted.select_nth_unstable_by(map.len() / 2, f32::total_cmp);
    *middle
}

#[cfg(test)]
mod tests {
    use ip2p_core::Region;
    use proptest::prelude::*;

    use super::*;
    use crate::Place;

    const SIZE: Size = Size::new(32, 32);

    fn square(x: u32, y: u32, side: u32) -> Mask {
        let size = Size::new(side, side);
        Mask::from_region(SIZE, Region { x, y, size })
    }

    /// A change of `strength` in each of the squares, over a background.
    fn map(squares: &[(&Mask, f32)], background: f32) -> Relevance {
        let value = |at: usize| {
            let of =
                |(mask, strength): &(&Mask, f32)| (mask.weights()[at] > 0).then_some(*strength);
            squares.iter().find_map(of).unwrap_or(background)
        };
        Relevance::new(SIZE, &(0..1024).map(value).collect::<Vec<_>>())
    }

    #[test]
    fn an_object_is_found_whatever_the_unit() {
        let object = square(6, 9, 10);
        for unit in [1e-6, 1e-2, 1.0, 1e6] {
            let found = map(&[(&object, unit)], 0.05 * unit).mask(None).unwrap();
            assert!(found.hardened().overlap(&object) > 0.65, "{unit}");
            assert_eq!(found.weights()[0], 0);
        }
    }

    #[test]
    fn what_changes_everything_or_nothing_has_no_map() {
        for flat in [0.0, 0.3, 100.0, f32::NAN, f32::INFINITY] {
            assert_eq!(map(&[], flat).mask(None), None, "{flat}");
        }
        // An edit of all, more here than there.
        assert_eq!(map(&[(&square(0, 0, 12), 2.0)], 0.7).mask(None), None);
    }

    #[test]
    fn a_place_in_the_sentence_decides_between_two() {
        let (left, right) = (square(3, 12, 7), square(22, 12, 7));
        let map = map(&[(&left, 0.8), (&right, 1.0)], 0.01);
        let both = map.mask(None).unwrap().hardened();
        assert!(both.overlap(&left.union(&right)) > 0.6);
        let bias = "left".parse::<Place>().unwrap().mask(SIZE);
        let one = map.mask(Some(&bias)).unwrap().hardened();
        assert!(one.overlap(&left) > 0.6, "{one:?}");
    }

    #[test]
    fn what_changes_a_little_belongs_to_the_edit_only_where_it_touches_it() {
        let (object, rays, elsewhere) = (square(5, 5, 6), square(11, 7, 3), square(24, 24, 3));
        let map = map(&[(&object, 1.0), (&rays, 0.35), (&elsewhere, 0.35)], 0.01);
        let found = map.mask(None).unwrap();
        assert_eq!(found.hardened(), object.union(&rays));
    }

    proptest! {
        #[test]
        fn any_map_gives_a_mask_or_none(values in proptest::collection::vec(any::<f32>(), 48)) {
            if let Some(mask) = Relevance::new(Size::new(8, 6), &values).mask(None) {
                prop_assert!(mask.bounds().is_some());
            }
        }
    }
}
