//! Trains InstructPix2Pix models on burn's autodiff, through the very modules of [`ip2p::models`], and measures them.
//!
//! A [`Run`](run::Run) is a whole training, from a JSON file to a checkpoint that edits; `docs/training.md` has its settings.
//! Beneath it, each by itself:
//!
//! - [`edit`] and [`autoencoder`]: what is learnt, as a loss of a batch; [`objective`]: its formulas;
//! - [`Trainer`]: a step of any module, with [`adamw`], [`ema`] and a [`LearningRate`], and its state on disk;
//! - [`initial`]: first weights; [`origin`]: what a state was begun with;
//! - [`lora`]: what is learnt beside weights that stay;
//! - [`source`], [`pool`], [`tiles`]: from examples to batches, encoded once;
//! - [`tokenizer`]: one learnt from sentences;
//! - [`eval`]: how well a model edits what it has never seen.
//!
//! All that is random in a training is a function of its seed and the step: nothing else need be remembered to go on.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! use ip2p_train::run::Run;
//!
//! # fn main() -> ip2p::Result<()> {
//! let device = ip2p::device_by_name("flex")?;
//! let skipped = Run::read("run.json")?.train(&[device], &mut |report| {
//!     println!("step {}: loss {}", report.step + 1, report.loss);
//!     ControlFlow::Continue(())
//! })?;
//! println!("{} broken records", skipped.len());
//! # Ok(())
//! # }
//! ```

pub mod adamw;
pub mod autoencoder;
mod check;
#[cfg(feature = "tui")]
pub mod dashboard;
pub mod edit;
pub mod ema;
pub mod eval;
pub mod initial;
mod lanes;
pub mod lora;
pub mod objective;
pub mod origin;
pub mod parameters;
pub mod pictures;
pub mod pool;
pub mod run;
mod schedule;
pub mod source;
mod state;
pub mod tiles;
pub mod tokenizer;
mod trainer;

pub use schedule::LearningRate;
pub use trainer::{StepReport, Trainer, TrainerOptions};
