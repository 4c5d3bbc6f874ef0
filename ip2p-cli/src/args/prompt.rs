//! The arguments that say how sentences are read.

use clap::{Args, ValueHint};
use ip2p::{LongPrompt, PromptSyntax};

use super::named;
use crate::embedding::EmbeddingFile;

/// What words in the sentences may mean.
#[derive(Debug, Args)]
pub(crate) struct PromptArgs {
    /// Add a word with learnt vectors (textual inversion), which sentences may name; several may be given [default name: the file's token, or the file's name without its ending]
    #[arg(long, value_name = "FILE[=NAME]", value_hint = ValueHint::FilePath)]
    pub(crate) embedding: Vec<EmbeddingFile>,

    /// What brackets in the sentence and the negative prompt mean: nothing (plain), or as in AUTOMATIC1111 (a1111) that words count more or less, "make it (snowy:1.3)" [default: plain]
    #[arg(long, value_name = "NAME", value_parser = named::<PromptSyntax>(PromptSyntax::ALL.map(PromptSyntax::name)))]
    pub(crate) prompt_syntax: Option<PromptSyntax>,

    /// What becomes of a sentence of more than 75 tokens: the rest is cut off, or it is read in chunks of 75 [default: cut of the plain syntax, chunks of a1111]
    #[arg(long, value_name = "NAME", value_parser = named::<LongPrompt>(LongPrompt::ALL.map(LongPrompt::name)))]
    pub(crate) long_prompt: Option<LongPrompt>,
}
