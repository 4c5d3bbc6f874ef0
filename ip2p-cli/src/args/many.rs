//! The arguments of the commands that make many pictures.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use ip2p_batch::Shard;

use super::{ChoiceArgs, MaskArgs, ReportArgs, SharedArgs};

/// `ip2p batch`.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct BatchArgs {
    /// Photos, then the sentence: each a folder, a photo, a pattern such as 'photos/**/*.jpg', or a table
    ///
    /// A table is a file .csv, or .jsonl with a JSON object a line. Its columns are input (relative to the table),
    /// instruction, output (relative to --output; default the photo's name with .png), count, mask (a picture relative to
    /// the table, white where the photo may change), and every option below that changes a picture, such as text-scale
    /// or where. An empty cell has what is said here. A table needs no sentence where it has that column.
    #[arg(value_name = "PHOTOS... SENTENCE", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) inputs: Vec<String>,

    /// The folder for the pictures, a manifest of them, and a page that shows them; one that was stopped goes on.
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,

    /// How many pictures run together, if the model works on them at one size [default: 1 on the CPU, else 4]
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<usize>,

    /// Do only this share of the photos, one of n: for several machines, which may share a folder.
    #[arg(long, value_name = "i/n")]
    pub(crate) shard: Option<Shard>,

    /// Make pictures again that were made from another photo, with other settings, or not by ip2p batch.
    #[arg(long)]
    pub(crate) redo: bool,

    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,

    #[command(flatten)]
    pub(crate) shared: SharedArgs,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// `ip2p sweep`.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct SweepArgs {
    /// The photo: PNG, JPEG, WebP, BMP, TIFF or GIF.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,

    /// What to do with it: "make it snowy".
    pub(crate) instruction: String,

    /// Where to write the sheet; the ending says the format [default: INPUT-sweep.png, never over another file]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    /// How strongly to follow the sentence: a row for each [default: the model's and a third less and more]
    #[arg(
        long,
        value_name = "X,...",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub(crate) text_scale: Vec<f64>,

    /// How closely to keep the photo: a column for each [default: the model's and a fifth less and more]
    #[arg(
        long,
        value_name = "X,...",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub(crate) image_scale: Vec<f64>,

    /// The seeds of the noise: a block of rows for each
    #[arg(
        long,
        visible_alias = "seed",
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "0"
    )]
    pub(crate) seeds: Vec<u64>,

    /// Rank the cells: the furthest edit first, of those that change little where the sentence does not act
    ///
    /// Where it acts is what the masks and places say, or else what --where auto finds at the model's own scales. Why a cell
    /// stands where it does is printed and in --json.
    #[arg(long)]
    pub(crate) auto: bool,

    /// With --auto: how much may change where the sentence does not act, in percent of the way from black to white
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0, requires = "auto")]
    pub(crate) most_outside: f64,

    /// With --auto: write the first of the ranking into this picture
    #[arg(long, value_name = "FILE", requires = "auto", value_hint = ValueHint::FilePath)]
    pub(crate) best: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) mask: MaskArgs,

    /// The longer side of a picture on the sheet, at most
    #[arg(long, value_name = "N", default_value_t = 384, value_parser = clap::value_parser!(u32).range(16..=4096))]
    pub(crate) cell: u32,

    #[command(flatten)]
    pub(crate) shared: SharedArgs,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}
