//! Many edits with one loaded model: a list of jobs, done in batches, that goes on after a kill.
//!
//! The order of things is what makes it safe. What is to be done is planned from the job list and the photos' headers
//! alone, never from what is done already: a run that goes on computes the batches that an unbroken run would have, so
//! that its pictures are the same to the byte. A picture is written beside its place, then its line goes into the
//! [manifest](Made), and only then is it renamed. Whatever moment a kill comes at, a line whose picture is not there,
//! or is another one, does not count; and a picture without a line is a stranger's, which is not written over.
//!
//! - [`Jobs`]: from a folder, a pattern, CSV or JSONL
//! - [`Batch`]: the jobs, a folder for the results, and how to go about it
//! - [`Plan`]: what of it is done, what is to do, and what cannot be; [`Plan::run`] does it, on one [`Worker`] or several
//! - [`write_page`]: before and after side by side, from the manifest
//!
//! # Examples
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! use ip2p::{Model, Precision, device_by_name};
//! use ip2p_batch::{Batch, Defaults, Event, Jobs, Worker, write_page};
//!
//! let defaults = Defaults::default().with_instruction("make it snowy");
//! let jobs = Jobs::open(&["photos/*.jpg".into()], &defaults)?;
//! let model = Model::open("instruct-pix2pix")?;
//! let plan = Batch::new(jobs, "snowy").plan(&model, Precision::F32)?;
//! let editor = model.load(&device_by_name("flex")?, Precision::F32, &mut |_| ())?;
//! let done = plan.run(&[Worker::new(editor, "flex")], &mut |event| {
//!     if let Event::Made(made) = event {
//!         println!("{}", made.output);
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! write_page("snowy")?;
//! println!("{} made, {} failed", done.made.len(), done.failures.len());
//! # Ok::<(), ip2p::Error>(())
//! ```

mod batch;
mod conflict;
mod inputs;
mod jobs;
mod manifest;
mod names;
mod page;
mod plan;
mod queue;
mod read;
mod run;
mod shard;
mod table;
mod worker;
mod write;

pub use batch::{Batch, Existing};
pub use jobs::{Defaults, Failure, Job, Jobs};
pub use manifest::{Made, made_in};
pub use names::numbered;
pub use page::write_page;
pub use plan::Plan;
pub use run::{Done, Event};
pub use shard::Shard;
pub use worker::{THREAD, Worker};
