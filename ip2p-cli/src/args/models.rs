//! The arguments of the commands that write models.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use ip2p::{WeightFormat, WeightsChoice};

use super::{ReportArgs, named};
use crate::lora::LoraFile;

/// `ip2p convert`.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct ConvertArgs {
    /// The checkpoint: a folder as diffusers writes it, a single file, or ORG/NAME on the Hugging Face hub.
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) model: PathBuf,

    #[command(flatten)]
    pub(crate) write: WriteArgs,

    #[command(flatten)]
    pub(crate) weights: WeightsArgs,
}

/// `ip2p merge`.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct MergeArgs {
    /// The InstructPix2Pix checkpoint: a folder, a single file, or ORG/NAME on the Hugging Face hub.
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) model: PathBuf,

    #[command(flatten)]
    pub(crate) write: WriteArgs,

    /// The model whose style is wanted: one that was trained from the base.
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::AnyPath)]
    pub(crate) custom: PathBuf,

    /// The model that it was trained from: Stable Diffusion 1.5, as a rule.
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::AnyPath)]
    pub(crate) base: PathBuf,

    /// How much of the difference between the two is added
    #[arg(
        long,
        value_name = "X",
        default_value_t = 1.0,
        allow_hyphen_values = true
    )]
    pub(crate) strength: f64,
}

/// Which weights, and what is added to them.
#[derive(Debug, Args)]
pub(crate) struct WeightsArgs {
    /// Which of a checkpoint's two sets of weights run, ema or raw [default: ema of a single file, of a folder what unet/ holds]
    #[arg(long, value_name = "NAME", value_parser = weights())]
    pub(crate) weights: Option<WeightsChoice>,

    /// Take the autoencoder from this file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) vae: Option<PathBuf>,

    /// Take the configs and the tokenizer of a single file from this folder.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) config: Option<PathBuf>,

    #[cfg(feature = "hub")]
    #[command(flatten)]
    pub(crate) hub: super::HubArgs,

    /// Add a low-rank adaptation (LoRA) to the model, so many times [default: once]; several add up.
    #[arg(long, value_name = "FILE[:WEIGHT]", value_hint = ValueHint::FilePath)]
    pub(crate) lora: Vec<LoraFile>,
}

/// Where a model is written, and how.
#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    /// Where to write it: a single file if it ends in .safetensors or .gguf, else a folder in diffusers' layout. It must not exist
    /// yet.
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) output: PathBuf,

    /// The number format of the weights: those of 8 bits, int8 being another name for them, and of 4 are for .gguf files [default: f32]
    #[arg(long, value_name = "NAME", value_parser = named::<WeightFormat>(WeightFormat::NAMES))]
    pub(crate) precision: Option<WeightFormat>,

    /// Where to compute: NAME or NAME:INDEX
    #[arg(long, value_name = "NAME", default_value = "flex")]
    pub(crate) device: String,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// Which of two sets of weights: clap lists them.
fn weights() -> impl clap::builder::TypedValueParser<Value = WeightsChoice> {
    named::<WeightsChoice>(["ema", "raw"])
}
