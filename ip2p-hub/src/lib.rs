//! Models from the Hugging Face hub, in the cache that diffusers and transformers use.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! use ip2p_core::Precision;
//! use ip2p_hub::{Hub, HubOptions, ModelId};
//!
//! # fn main() -> ip2p_core::Result<()> {
//! let hub = Hub::new(HubOptions::new("/home/me/.cache/huggingface/hub"))?;
//! let id: ModelId = "timbrooks/instruct-pix2pix".parse()?;
//! let watch = &mut |at: &ip2p_hub::HubProgress<'_>| {
//!     println!("{}: {} of {} bytes", at.file, at.done_bytes, at.total_bytes);
//!     ControlFlow::Continue(())
//! };
//! let snapshot = hub.snapshot(&id, Precision::F32, watch)?;
//! hub.fetch_weights(&snapshot, watch)?;
//! println!("{}", snapshot.folder().display());
//! # Ok(())
//! # }
//! ```
//!
//! - [`ModelId`]: `ORG/NAME`, or `ORG/NAME@REVISION`
//! - [`HubOptions`]: which hub, which cache, as whom; nothing is read from the environment
//! - [`Hub`]: fetches what an edit needs of a model, and no more; or finds it in the cache
//! - [`Cache`]: what is there, and its removal
//!
//! # What is fetched
//!
//! A folder in diffusers' layout: of each part that an edit needs its configs and one set of weights, safetensors,
//! the smallest that serves the precision. No safety checker, no single file beside the folder.
//!
//! # How
//!
//! The layout of the cache and the hub's addresses are those of the [`hf_hub`] crate. The bytes are moved here: its
//! download checks no sums, appends to a file what a server sends from the start, cannot go on after a file that was all
//! there, takes the names of files from the server as they are, and sends the token to whatever host it is
//! redirected to. Here
//!
//! - a file is written beside its place and renamed when its sum is right: SHA-256 of large files, git's SHA-1 of small ones;
//! - what was cut off, or stopped, is gone on with where it ended;
//! - the locks are those of Python's `huggingface_hub`, so that the two wait for each other;
//! - the token goes to the hub's own host alone.

mod address;
mod cache;
mod client;
mod digest;
mod explain;
mod hub;
mod id;
mod listing;
mod options;
mod remove;
mod select;
mod transfer;

pub use cache::{Cache, CachedModel, CachedRevision};
pub use hub::{Hub, Snapshot};
pub use id::ModelId;
pub use options::HubOptions;
pub use remove::Removed;
pub use transfer::{HubProgress, Watch};
