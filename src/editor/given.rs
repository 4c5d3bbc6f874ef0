//! What an edit gives back: the model's picture as that of the photo.

use std::borrow::Cow;

use ip2p_core::{FitPlan, Result};
use ip2p_io::{Photo, RgbPicture, fit, restore};
use ip2p_region::{Mask, carry, composite};

use super::masked::fitted;
use crate::options::EditOptions;

/// How a photo's edits are given back, at its own size or the model's.
pub(crate) struct Given<'a> {
    pub(crate) options: &'a EditOptions,
    /// What the model is shown.
    pub(crate) photo: &'a Photo,
    pub(crate) plan: &'a FitPlan,
}

impl<'a> Given<'a> {
    /// The photo without an edit.
    pub(crate) fn unedited(&self) -> Result<Cow<'a, Photo>> {
        Ok(if self.options.keeps_model_size() {
            Cow::Owned(fit(self.photo, self.plan)?.into())
        } else {
            Cow::Borrowed(self.photo)
        })
    }

    /// The edited photo, everywhere, from the model's picture of it; `before` is its picture of the photo without the edit.
    pub(crate) fn edited<'b>(
        &self,
        after: RgbPicture,
        before: impl FnOnce() -> Result<&'b RgbPicture>,
    ) -> Result<Photo> {
        if self.options.keeps_model_size() {
            Ok(after.into())
        } else if self.options.carries_change() {
            carry(before()?, &after, self.plan, self.photo)
        } else {
            restore(&after, self.plan, self.photo)
        }
    }

    /// `picture` with the edit where a mask of the photo has it; where the mask was `found` from what the sentence changes, as far as it
    /// changes that.
    pub(crate) fn within(
        &self,
        mask: &Mask,
        found: bool,
        picture: &Photo,
        edited: &Photo,
    ) -> Result<Photo> {
        let mask = if self.options.keeps_model_size() {
            Cow::Owned(fitted(mask, self.plan)?)
        } else {
            Cow::Borrowed(mask)
        };
        let mask = if found {
            Cow::Owned(mask.where_changed(picture.rgb(), edited.rgb()))
        } else {
            mask
        };
        composite(picture, edited.rgb(), &mask)
    }
}
