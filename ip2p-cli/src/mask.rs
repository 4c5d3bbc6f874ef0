//! Where a photo may change, as the command line says it.

use ip2p::region::Mask;
use ip2p::{Error, Photo, Result};

use crate::args::MaskArgs;

impl MaskArgs {
    /// Whether anything is said of where.
    pub(crate) fn is_given(&self) -> bool {
        !self.mask.is_empty() || !self.mask_box.is_empty() || self.place.is_some()
    }

    /// Refuses what only makes sense with a mask.
    fn check_alone(&self) -> Result<()> {
        let alone = [
            ("mask_invert", self.mask_invert),
            ("mask_feather", self.mask_feather > 0),
            ("save_mask", self.save_mask.is_some()),
        ];
        match alone.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((name, _)) => {
                let expected = "together with --mask, --mask-box or --where";
                Err(Error::setting(name, expected, "it alone"))
            }
        }
    }
}

/// The mask that the arguments come to for this photo, at its size; none if the whole photo may change.
pub(crate) fn mask(args: &MaskArgs, photo: &Photo) -> Result<Option<Mask>> {
    let size = photo.size();
    let place = args.place.map(|place| place.mask(size));
    let mask = match (drawn(args, photo)?, place) {
        (None, None) => return args.check_alone().map(|()| None),
        (Some(mask), None) | (None, Some(mask)) => mask,
        (Some(mask), Some(place)) => mask.intersection(&place),
    };
    let mask = if args.mask_invert {
        mask.inverted()
    } else {
        mask
    };
    let mask = mask.feathered(args.mask_feather);
    if let Some(path) = &args.save_mask {
        mask.over(photo).save(path, None)?;
    }
    Ok(Some(mask))
}

/// The pictures and rectangles together.
fn drawn(args: &MaskArgs, photo: &Photo) -> Result<Option<Mask>> {
    let size = photo.size();
    let mut parts = Vec::new();
    for path in &args.mask {
        let part = Mask::from_photo(&Photo::open(path)?);
        if part.size() != size {
            let (path, own) = (path.display(), part.size());
            crate::exit::tell(&format!(
                "warning: the mask {path} of {own} is fitted to the photo's {size}"
            ));
        }
        parts.push(part.resized(size));
    }
    for &region in &args.mask_box {
        let part = Mask::from_region(size, region);
        if part.bounds().is_none() {
            let expected = format!("within the photo, which has {size}");
            let got = format!("{},{}", region.x, region.y);
            return Err(Error::setting("mask_box", expected, got));
        }
        parts.push(part);
    }
    Ok(parts.into_iter().reduce(|all, part| all.union(&part)))
}
