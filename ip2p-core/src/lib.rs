//! The words that every ip2p crate shares.
//!
//! No tensors and no files: what is here can be tested without a model, and the crates above meet through it.
//!
//! - [`Error`] and [`Result`]: what can go wrong, by what the caller can do about it
//! - [`Guidance`]: how strongly to follow the sentence and the picture, and which branches that needs
//! - [`ScaleCurve`]: a scale that changes on the way, said without knowing how many steps there are
//! - [`GuidanceInterval`]: the part of an edit's steps in which guidance is used
//! - [`CheckpointProfile`]: the conventions that a checkpoint was trained with
//! - [`KnownProfile`]: published models whose conventions are known, by name
//! - [`Size`], [`SizeStep`], [`FitPolicy`] and [`FitPlan`]: how a photo becomes a picture of the model's size
//! - [`NoiseGenerator`]: seeded noise, the same on every backend
//! - [`SamplerKind`]: the names of the samplers
//! - [`Fields`]: a config of a checkpoint, read field by field
//! - [`Bytes`]: amounts of memory, as people write them
//! - [`Precision`]: the number format of a network's weights and activations
//! - [`WeightsName`]: what the name of a file of weights says

mod bytes;
mod curve;
mod error;
mod fields;
mod fit;
mod guidance;
mod interval;
mod known;
mod noise;
mod precision;
mod profile;
mod sampler;
mod size;
mod weights;

pub use bytes::Bytes;
pub use curve::ScaleCurve;
pub use error::{Error, Result};
pub use fields::Fields;
pub use fit::{FitPlan, FitPolicy, MAX_MODEL_SIDE, Rect, Region, SizeStep};
pub use guidance::{Branch, Guidance, GuidanceFormula, PlannedBranch, ScaleSchedule};
pub use interval::GuidanceInterval;
pub use known::KnownProfile;
pub use noise::{NoiseGenerator, NoiseKind};
pub use precision::Precision;
pub use profile::{
    BetaSchedule, CheckpointProfile, EdmNoise, ModelFamily, NullText, PredictionType, TextState,
};
pub use sampler::SamplerKind;
pub use size::{Size, TargetSize};
pub use weights::{WeightsName, WeightsVariant};
