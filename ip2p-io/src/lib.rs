//! What ip2p reads and writes.
//!
//! - [`Tokenizer`]: from a sentence to token ids

mod tokenizer;

pub use tokenizer::{Encoding, Tokenizer, TokenizerFiles};
