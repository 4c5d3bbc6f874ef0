//! Trains InstructPix2Pix models on burn's autodiff, through the very modules of [`ip2p::models`].

pub mod adamw;
pub mod autoencoder;
mod check;
pub mod edit;
pub mod ema;
pub mod eval;
pub mod measure;
pub mod objective;
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

pub mod weights;

pub use schedule::LearningRate;
pub use trainer::{StepReport, Trainer, TrainerOptions};
