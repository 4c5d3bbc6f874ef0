//! Which photo, and what to do with it.

use std::collections::BTreeMap;

use ip2p_core::{Error, FitPlan, Result, SizeStep};
use ip2p_io::Photo;
use ip2p_region::Mask;

use super::view::planned;
use crate::settings::Settings;

/// The most variations of one request.
const MAX_VARIATIONS: usize = 1000;

/// A photo, a sentence, and how often to edit the one as the other says.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EditRequest<'a> {
    /// The photo.
    pub photo: &'a Photo,
    /// The sentence.
    pub instruction: &'a str,
    /// How many pictures to make, with the seeds that follow the first: default 1.
    pub variations: usize,
    /// The first picture's seed: default that of the options.
    pub seed: Option<u64>,
    /// Where the photo may change: default everywhere. A mask of another size is fitted to the photo's. What
    /// [`EditOptions::region`](crate::EditOptions::region) says besides narrows it.
    pub mask: Option<&'a Mask>,
}

impl<'a> EditRequest<'a> {
    /// Edits `photo` once as `instruction` says.
    #[must_use]
    pub fn new(photo: &'a Photo, instruction: &'a str) -> Self {
        Self {
            photo,
            instruction,
            variations: 1,
            seed: None,
            mask: None,
        }
    }

    /// Makes so many pictures, with the seeds that follow the first.
    #[must_use]
    pub fn with_variations(mut self, variations: usize) -> Self {
        self.variations = variations;
        self
    }

    /// Takes this seed for the first picture.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Changes the photo only where the mask says: elsewhere every byte of the result is the photo's.
    #[must_use]
    pub fn with_mask(mut self, mask: &'a Mask) -> Self {
        self.mask = Some(mask);
        self
    }

    /// Checks the request, and plans how what the model sees of the photo is fitted to the model's size.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the sentence is empty, the number of variations out of range, the photo of a size that
    /// the settings do not allow, or nothing of it may change.
    pub(super) fn plan(&self, settings: &Settings, step: SizeStep) -> Result<FitPlan> {
        check_words(self.instruction, self.variations)?;
        let (_, _, plan) = planned(self.photo.size(), self.mask, settings, step)?;
        Ok(plan)
    }
}

/// # Errors
///
/// [`Error::InvalidSetting`] if the sentence is empty, or the number of variations out of range.
pub(super) fn check_words(instruction: &str, variations: usize) -> Result<()> {
    if instruction.trim().is_empty() {
        return Err(Error::setting(
            "instruction",
            "a sentence that says what to change",
            "an empty one",
        ));
    }
    if !(1..=MAX_VARIATIONS).contains(&variations) {
        return Err(Error::setting(
            "count",
            format!("between 1 and {MAX_VARIATIONS}"),
            variations,
        ));
    }
    Ok(())
}

/// The requests' indices, those together that the model works on at one size.
pub(super) fn by_model_size(
    requests: &[EditRequest<'_>],
    settings: &Settings,
    step: SizeStep,
) -> Result<Vec<Vec<usize>>> {
    let mut groups = BTreeMap::<_, Vec<usize>>::new();
    for (index, request) in requests.iter().enumerate() {
        let model = request.plan(settings, step)?.model;
        groups
            .entry((model.width, model.height))
            .or_default()
            .push(index);
    }
    Ok(groups.into_values().collect())
}
