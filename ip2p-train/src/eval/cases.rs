//! What an edit is measured on: the picture that was asked for, and those that the other families would have given.

use image::RgbImage;
use ip2p::Result;
use ip2p_data::photo::Photos;
use ip2p_data::scene;
use ip2p_data::{Example, Family, Phrasing};

use super::{EvalOptions, distance, family_of};

/// An example, and the targets of the other families on the same input.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) family: Family,
    pub(super) example: Example,
    others: Vec<RgbImage>,
}

impl Case {
    /// Whether a picture is nearer to the target than to that of any other family.
    pub(super) fn follows(&self, picture: &RgbImage) -> bool {
        let to_target = distance(picture, &self.example.edited);
        self.others
            .iter()
            .all(|other| to_target < distance(picture, other))
    }

    /// How far a picture has gone from the input in the target's direction: 0 at the input, 1 as far as the target.
    pub(super) fn progress(&self, picture: &RgbImage) -> f64 {
        let (mut along, mut length) = (0.0, 0.0);
        let input = self.example.input.as_raw().iter();
        let pictures = picture.as_raw().iter().zip(self.example.edited.as_raw());
        for (&from, (&picture, &target)) in input.zip(pictures) {
            let wanted = f64::from(target) - f64::from(from);
            along += wanted * (f64::from(picture) - f64::from(from));
            length += wanted * wanted;
        }
        if length > 0.0 { along / length } else { 0.0 }
    }
}

/// Scene `index` with the family whose turn it is, or none if that has no such edit.
pub(super) fn scene_case(options: &EvalOptions, index: u64, phrasing: Phrasing) -> Option<Case> {
    let all: Vec<_> = Family::LOCAL.into_iter().chain(Family::GLOBAL).collect();
    let family = family_of(&all, index);
    let of = |family| scene::following(options.seed, index, options.size, family, phrasing);
    let example = of(family)?;
    let others = all
        .iter()
        .filter(|&&other| other != family)
        .filter_map(|&other| Some(of(other)?.edited))
        .collect();
    Some(Case {
        family,
        example,
        others,
    })
}

/// Crop `index` of the photographs with the family whose turn it is.
pub(super) fn photo_case(
    photos: &Photos,
    options: &EvalOptions,
    index: u64,
    phrasing: Phrasing,
) -> Result<Case> {
    let family = family_of(&Family::GLOBAL, index);
    let of = |family| photos.following(index, options.size, &[family], phrasing);
    let others = Family::GLOBAL
        .into_iter()
        .filter(|&other| other != family)
        .map(|other| Ok(of(other)?.edited))
        .collect::<Result<_>>()?;
    Ok(Case {
        family,
        example: of(family)?,
        others,
    })
}
