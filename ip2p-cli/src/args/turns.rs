//! The arguments of edits in turn.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::SharedArgs;

/// Several edits, one after the other.
#[derive(Debug, Args)]
pub(crate) struct ChainArgs {
    /// Another edit of what the one before gave; may be given several times.
    #[arg(long, value_name = "SENTENCE")]
    pub(crate) then: Vec<String>,

    /// More edits, one a line, each of what the one before gave; lines that begin with # are none
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) edits: Option<PathBuf>,

    /// Give the model the sentence whole; a sentence of several edits is otherwise taken apart, and they are made in turn.
    #[arg(long, conflicts_with_all = ["then", "edits"])]
    pub(crate) at_once: bool,
}

/// `ip2p session`.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct SessionArgs {
    /// The file of the session: gone on with if it is there, else begun with the photo.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,

    /// The photo to begin with; the session's file then holds it.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) photo: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) shared: SharedArgs,

    /// Print no progress and no warnings.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
