//! What ip2p reads and writes.
//!
//! - [`Checkpoint`]: a model's folder, on the disk or in memory, whose weights fill a network a tensor at a time
//! - [`Photo`]: a picture file, [`fit`]ted to the model and [`restore`]d; [`to_tensor`] and [`from_tensor`]
//! - [`PhotoFile`]: the same before it is decoded, with its size and its fingerprint
//! - [`Lora`]: a file of low-rank adaptations, which a [`Checkpoint`] adds to its weights
//! - [`EditRecord`]: how a picture was made, inside the picture
//! - [`Tokenizer`]: from a sentence to token ids
//! - [`PromptSyntax`], [`LongPrompt`], [`Embedding`]: sentences with weights, in chunks, and with learnt words

mod checkpoint;
mod embedding;
mod lora;
mod metadata;
mod picture;
mod prompt;
mod storage;
mod tokenizer;
mod whole;

pub use checkpoint::{
    Checkpoint, CheckpointSummary, Component, ComponentSummary, FileSummary, Header, LoadProgress,
    LoadReport, ModelKind, OpenOptions, ParameterName, SaveProgress, TensorSummary, WeightFormat,
    Weights, WeightsChoice, parameter_names, parse_gguf, parse_header, parse_torch, save_weights,
};
pub use embedding::Embedding;
pub use lora::Lora;
pub use metadata::{EditRecord, EmbeddingRecord, LoraRecord};
pub use picture::{
    Limits, Photo, PhotoFile, PictureFormat, RgbPicture, Rounding, SaveOptions, check_output, fit,
    from_tensor, resize_lanczos, restore, sha256, to_tensor,
};
pub use prompt::{Embeddings, EncodedPrompt, LongPrompt, PromptChunk, PromptRules, PromptSyntax};
pub use tokenizer::{Encoding, Tokenizer, TokenizerFiles};
pub use whole::write_whole;
