//! How a photo becomes a picture of the model's size, and where that picture lies on the photo.
//!
//! Only arithmetic: a [`FitPlan`] says which rectangle of the photo is resampled to which size and where the result is
//! laid in the model's picture; `ip2p-io` moves the pixels. All policies give the same four numbers, so that one piece
//! of code applies them all, and one puts the edited picture back.

mod plan;
mod policy;
mod size;
mod step;

pub use plan::{FitPlan, Rect, Region};
pub use policy::FitPolicy;
pub use step::SizeStep;

/// The longest side of a picture that a model is given, in pixels.
pub const MAX_MODEL_SIDE: u32 = 4096;
