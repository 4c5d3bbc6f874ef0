//! What ip2p reads and writes.
//!
//! - [`Checkpoint`]: a model's folder, whose weights fill a network a tensor at a time
//! - [`Tokenizer`]: from a sentence to token ids

mod checkpoint;
mod tokenizer;

pub use checkpoint::{
    Checkpoint, CheckpointSummary, Component, ComponentSummary, FileSummary, Header, LoadProgress,
    LoadReport, ModelKind, TensorSummary, Weights, parse_header,
};
pub use tokenizer::{Encoding, Tokenizer, TokenizerFiles};
