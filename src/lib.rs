//! InstructPix2Pix in Rust: edit a photo from a sentence.
//!
//! A photo and a sentence go in ("make it snowy"), the edited photo comes out, at the photo's own size. The networks
//! are those of Brooks et al. (2023), <https://arxiv.org/abs/2211.09800>: a Stable Diffusion U-Net that sees the photo
//! beside the noise, guided by two scales.
//!
//! # Quick start
//!
//! ```no_run
//! use ip2p::{EditOptions, Editor, Photo, device_by_name};
//!
//! # fn main() -> ip2p::Result<()> {
//! let editor = Editor::load("instruct-pix2pix", &device_by_name("flex")?)?;
//! let photo = Photo::open("photo.jpg")?;
//! let options = EditOptions::default().with_seed(42).with_image_scale(1.2);
//! let edited = editor.edit(&photo, "make it snowy", &options)?;
//! edited.save("snowy.png")?;
//! # Ok(())
//! # }
//! ```
//!
//! - A checkpoint that is built into the program: [`Editor::load_from_memory`].
//! - Low-rank adaptations (LoRA), merged into the weights: [`Model::with_lora`], [`Editor::set_loras`].
//! - Words that are learnt (textual inversion), weights and long sentences: [`Model::with_embedding`],
//!   [`EditOptions::with_prompt_syntax`].
//! - To load with progress, in half precision, or to check an edit's settings before the weights are loaded: [`Model`].
//! - To show progress and previews, and to stop early, walk [`Editor::steps`].
//! - Several edits of one photo, such as with other scales: [`Editor::prepare`].
//! - Edits in turn, with undo and branches, in one file: [`Session`]; a sentence of several edits: [`split_edits`].
//! - Several photos or variations at once: [`Editor::edit_batch`].
//! - The picture that the original repository or diffusers would have given: [`Compat`].
//!
//! # Crates
//!
//! This crate is where the others meet; each can be used by itself.
//!
//! | crate | what is in it |
//! | --- | --- |
//! | [`core`] | errors, guidance, checkpoint profiles, sizes, seeded noise; no tensors, no files |
//! | [`sched`] | noise schedules, samplers, guidance on tensors |
//! | [`models`] | CLIP's text encoder, the U-Net, the autoencoders |
//! | [`kernels`] | the operators of the networks, with a fast body for the CPU |
//! | [`io`] | photos, checkpoints, the tokenizer, how a picture was made |
//! | [`region`] | where an edit is: masks, places, and the change carried onto the photo |
//!
//! # Features
//!
//! Each backend is a feature, forwarded to burn's of the same name; several can be built in.
//!
//! | feature | [`device_by_name`] | what it is |
//! | --- | --- | --- |
//! | `flex` (default) | `flex` | the CPU, in pure Rust |
//! | `wgpu` | `wgpu` | whichever of Vulkan, Metal, DirectX 12 and WebGPU there is |
//! | `vulkan`, `metal`, `webgpu` | the same | that one |
//! | `cuda`, `rocm` | the same | GPUs of NVIDIA and AMD |
//! | `remote` | `remote:HOST:PORT` | a device of another machine, over WebSocket |
//!
//! The feature `hub` adds `hub`: models from the Hugging Face hub, in the cache that diffusers uses.
//! The feature `tiny` adds the small model that comes with ip2p, 9 MB of the program: `Editor::tiny`.

mod chain;
mod device;
pub mod docs;
mod editor;
mod named;
mod options;
mod record;
#[cfg(feature = "remote")]
mod remote;
mod session;
mod settings;

#[doc(no_inline)]
pub use {
    ip2p_core as core, ip2p_io as io, ip2p_kernels as kernels, ip2p_models as models,
    ip2p_region as region, ip2p_sched as sched,
};

#[cfg(feature = "hub")]
#[doc(no_inline)]
pub use ip2p_hub as hub;

#[doc(inline)]
pub use self::chain::split_edits;
#[doc(inline)]
pub use self::device::{DEVICES, check_precision, device_answers, device_by_name, dtype};
#[doc(inline)]
pub use self::editor::{
    EditCost, EditRequest, Edited, Editor, MemoryEdit, MemoryPlan, MemoryUse, Model, Prepared,
    Residency, Saving, Step, Steps, Timings, identify, inspect,
};
#[doc(inline)]
pub use self::options::{BranchExecution, Compat, Detail, EditOptions, Focus, OutputSize};
#[cfg(feature = "remote")]
#[doc(inline)]
pub use self::remote::lend;
#[doc(inline)]
pub use self::session::{Drift, Session, Turn, TurnRequest, TurnSteps};
pub use burn::tensor::Device;
pub use ip2p_core::{
    Bytes, CheckpointProfile, Error, FitPolicy, Guidance, GuidanceFormula, GuidanceInterval,
    KnownProfile, NoiseKind, Precision, Result, ScaleCurve, ScaleSchedule, Size, SizeStep,
    TargetSize,
};
pub use ip2p_io::{
    Checkpoint, CheckpointSummary, Component, ComponentSummary, EditRecord, Embedding,
    EmbeddingRecord, LoadProgress, LongPrompt, Lora, LoraRecord, ModelKind, OpenOptions, Photo,
    PhotoFile, PictureFormat, PromptSyntax, RgbPicture, WeightFormat, WeightsChoice, check_output,
};
pub use ip2p_models::Cost;
pub use ip2p_models::vae::{Tiling, VaeOptions};
pub use ip2p_sched::{SamplerKind, ScheduleKind};
