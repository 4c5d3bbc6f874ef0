//! What of a photo may change, and what of it the model is shown.

use std::sync::Arc;

use ip2p_core::{Error, FitPlan, Region, Result, Size, SizeStep};
use ip2p_io::{Photo, RgbPicture};
use ip2p_region::{Mask, Where, view};

use super::locate::EVERYWHERE;
use super::masked::unfitted;
use super::prepared::Image;
use super::request::EditRequest;
use crate::options::Focus;
use crate::settings::Settings;

/// What the model is shown of a photo: all of it, or a part where little may change.
#[derive(Debug)]
pub(super) struct View {
    pub(super) photo: Arc<Photo>,
    /// Where it may change, if not everywhere: of what is shown.
    pub(super) mask: Option<Arc<Mask>>,
    pub(super) plan: FitPlan,
    /// The whole photo, and where in it lies what is shown, if that is a part.
    pub(super) whole: Option<(Arc<Photo>, Region)>,
    /// The mask that was given, at the photo's size.
    pub(super) given: Option<Arc<Mask>>,
    pub(super) warning: Option<String>,
}

impl View {
    /// # Errors
    ///
    /// Those of [`planned`].
    pub(super) fn of(
        request: &EditRequest<'_>,
        settings: &Settings,
        step: SizeStep,
    ) -> Result<Self> {
        let size = request.photo.size();
        let fitted = request.mask.map(|mask| mask.fitted(size));
        let (given, warning) = fitted.map_or((None, None), |(mask, said)| (Some(mask), said));
        let (allowed, region, plan) = planned(size, given.as_ref(), settings, step)?;
        let whole = || Arc::new(request.photo.clone());
        let shown = Self {
            photo: region.map_or_else(whole, |region| Arc::new(request.photo.part(region))),
            mask: allowed.map(|mask| Arc::new(region.map_or(mask.clone(), |part| mask.part(part)))),
            plan,
            whole: region.map(|region| (whole(), region)),
            given: given.map(Arc::new),
            warning,
        };
        Ok(shown)
    }

    /// All of a photo, all of which may change.
    pub(super) fn whole(photo: &Photo, plan: FitPlan) -> Self {
        Self {
            photo: Arc::new(photo.clone()),
            mask: None,
            plan,
            whole: None,
            given: None,
            warning: None,
        }
    }
}

/// Where a photo of this size may change, what part of it the model is shown if not all, and how that is fitted.
///
/// # Errors
///
/// [`Error::InvalidSetting`] if nothing may change, or the size is one that the settings do not allow.
pub(super) fn planned(
    photo: Size,
    mask: Option<&Mask>,
    settings: &Settings,
    step: SizeStep,
) -> Result<(Option<Mask>, Option<Region>, FitPlan)> {
    let options = &settings.options;
    let allowed = allowed(photo, mask, options.region)?;
    let bounds = match options.focus {
        Focus::Region if !options.keeps_model_size() => allowed.as_ref().and_then(Mask::bounds),
        _ => None,
    };
    let region = bounds.and_then(|bounds| view(photo, bounds, settings.size));
    let shown = region.map_or(photo, |region| region.size);
    let plan = settings.fit.plan(shown, settings.size, step)?;
    Ok((allowed, region, plan))
}

/// Where the mask and the place let a photo change, if not everywhere.
fn allowed(photo: Size, mask: Option<&Mask>, region: Where) -> Result<Option<Mask>> {
    let is_black = |mask: &Mask| mask.bounds().is_none();
    if mask.is_some_and(is_black) {
        let expected = "one with some white, where the photo may change";
        return Err(Error::setting("mask", expected, "one that is all black"));
    }
    let mask = mask.map(|mask| mask.resized(photo));
    let place = region.place().map(|place| place.mask(photo));
    let both = match (mask, place) {
        (Some(mask), Some(place)) => Some(mask.intersection(&place)),
        (mask, place) => mask.or(place),
    };
    if both.as_ref().is_some_and(is_black) {
        let expected = "a place that the mask lets change";
        return Err(Error::setting("where", expected, region));
    }
    Ok(both)
}

impl Image {
    /// Lets the picture change only where its sentence acts, at the latents' size; none says that nothing stands out.
    pub(super) fn narrow(&mut self, found: Option<&Mask>) -> Result<()> {
        let Some(found) = found else {
            self.warnings.push(EVERYWHERE.to_owned());
            return Ok(());
        };
        let found = unfitted(found, &self.view.plan)?;
        let both = self.mask.as_ref().map(|mask| mask.intersection(&found));
        self.mask = Some(Arc::new(both.unwrap_or(found)));
        self.found = true;
        Ok(())
    }

    /// The size of the whole photo.
    pub(super) fn whole_size(&self) -> Size {
        let whole = self.view.whole.as_ref().map(|(photo, _)| photo.size());
        whole.unwrap_or(self.view.photo.size())
    }

    /// Where the whole photo may change, if not everywhere.
    pub(super) fn whole_mask(&self) -> Option<Arc<Mask>> {
        let mask = self.mask.as_ref()?;
        Some(match &self.view.whole {
            None => Arc::clone(mask),
            Some((photo, region)) => Arc::new(mask.within(photo.size(), *region)),
        })
    }

    /// The whole photo with what the model was shown of it edited.
    pub(super) fn put_back(&self, edited: Photo) -> Photo {
        let Some((photo, region)) = &self.view.whole else {
            return edited;
        };
        let mut rgb: RgbPicture = photo.rgb().clone();
        rgb.paste(edited.rgb(), *region);
        photo.with_rgb(rgb)
    }
}
