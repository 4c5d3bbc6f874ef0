//! Where a photo may change, as the command line says it.

use ip2p::region::Mask;
use ip2p::{Edited, Error, Photo, Result};
use ip2p_batch::numbered;

use crate::args::{MaskArgs, ShowMaskArgs};

impl MaskArgs {
    /// Whether there is any mask.
    pub(crate) fn is_given(&self) -> bool {
        !self.mask.is_empty() || !self.mask_box.is_empty()
    }

    /// The mask that the arguments come to for this photo, at its size; none if there is none.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, a rectangle lies beyond the photo, or there is what only makes sense with a mask.
    pub(crate) fn mask(&self, photo: &Photo) -> Result<Option<Mask>> {
        let Some(mask) = self.drawn(photo)? else {
            let alone = [
                ("mask_invert", self.mask_invert),
                ("mask_feather", self.mask_feather > 0),
            ];
            return match alone.iter().find(|(_, given)| *given) {
                None => Ok(None),
                Some((name, _)) => {
                    let expected = "together with --mask or --mask-box";
                    Err(Error::setting(name, expected, "it alone"))
                }
            };
        };
        let mask = if self.mask_invert {
            mask.inverted()
        } else {
            mask
        };
        Ok(Some(mask.feathered(self.mask_feather)))
    }

    /// The pictures and rectangles together.
    fn drawn(&self, photo: &Photo) -> Result<Option<Mask>> {
        let size = photo.size();
        let mut parts = Vec::new();
        for path in &self.mask {
            let (part, said) = Mask::from_photo(&Photo::open(path)?).fitted(size);
            if let Some(said) = said {
                crate::exit::tell(&format!("warning: {}: {said}", path.display()));
            }
            parts.push(part);
        }
        for &region in &self.mask_box {
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
}

impl ShowMaskArgs {
    /// Refuses what would show nothing, before any work is done.
    pub(crate) fn check(&self, anything_is_said_of_where: bool) -> Result<()> {
        let files = [
            ("save_mask", &self.save_mask),
            ("show_mask", &self.show_mask),
        ];
        for (name, file) in files {
            let Some(file) = file else { continue };
            if !anything_is_said_of_where {
                let expected = "together with --mask, --mask-box, or a --where that holds the rest (auto, a place)";
                return Err(Error::setting(name, expected, "it without"));
            }
            ip2p::check_output(file)?;
        }
        Ok(())
    }

    /// Writes where the photo could change, for each result.
    pub(crate) fn write(&self, photo: &Photo, edited: &[Edited]) -> Result<()> {
        let whole = Mask::from_region(photo.size(), photo.size().into());
        let masks = || {
            edited
                .iter()
                .map(|edited| edited.mask.as_deref().unwrap_or(&whole))
        };
        if let Some(path) = &self.save_mask {
            for (mask, path) in masks().zip(numbered(path, edited.len())) {
                Photo::from(mask.to_picture()).save(path, None)?;
            }
        }
        if let Some(path) = &self.show_mask {
            for (mask, path) in masks().zip(numbered(path, edited.len())) {
                mask.over(photo).save(path, None)?;
            }
        }
        Ok(())
    }
}
