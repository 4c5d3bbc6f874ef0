//! How a photo becomes a picture of the model's size, and where that picture lies on the photo.
//!
//! Only arithmetic: a [`FitPlan`] says which rectangle of the photo is resampled to which size and where the result is
//! laid in the model's picture; `ip2p-io` moves the pixels. All policies give the same four numbers, so that one piece
//! of code applies them all, and one puts the edited picture back.

mod plan;
mod policy;
mod size;

pub use plan::{FitPlan, Rect, Region};
pub use policy::FitPolicy;

/// What the sides of the model's picture are multiples of where we choose them: the latents are an eighth of the
/// picture, and a Stable Diffusion U-Net halves them three times.
pub const MODEL_SIZE_STEP: u32 = 64;

/// What the sides of the model's picture must be multiples of in any case: the picture is eight times the latents.
pub const LATENT_STEP: u32 = 8;

/// The longest side of a picture that a model is given, in pixels.
pub const MAX_MODEL_SIDE: u32 = 4096;
