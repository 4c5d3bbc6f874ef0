//! The command line: names, defaults and help.

mod bench;
#[cfg(feature = "hub")]
mod hub;
mod many;
mod mask;
mod models;
mod prompt;
mod shortcuts;
mod turns;

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use ip2p::region::Where;
use ip2p::{
    Bytes, Compat, Detail, FitPolicy, Focus, KnownProfile, NoiseKind, Precision, SamplerKind,
    ScaleCurve, ScheduleKind, TargetSize,
};

pub(crate) use bench::BenchArgs;
#[cfg(feature = "hub")]
pub(crate) use hub::{HubArgs, ModelsArgs, PullArgs, RmArgs};
pub(crate) use many::{BatchArgs, SweepArgs};
pub(crate) use mask::{MaskArgs, ShowMaskArgs};
pub(crate) use models::{ConvertArgs, MergeArgs, WeightsArgs, WriteArgs};
pub(crate) use prompt::PromptArgs;
pub(crate) use shortcuts::ShortCutArgs;
pub(crate) use turns::{ChainArgs, SessionArgs};

/// Edit a photo from a sentence, with InstructPix2Pix.
#[derive(Debug, Parser)]
#[command(name = "ip2p", version, propagate_version = true, after_help = crate::exit::HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// How many threads share the work on the CPU [default: one for each core]
    #[arg(long, value_name = "N", global = true)]
    pub(crate) threads: Option<usize>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Edit a photo as a sentence says.
    Edit(Box<EditArgs>),
    /// Edit many photos: a folder, a pattern, or a table with any option for each.
    Batch(Box<BatchArgs>),
    /// Draw one sheet of edits with different scales and seeds, to find those that are right.
    Sweep(Box<SweepArgs>),
    /// Edit a photo in turns: back, again, in branches, all of it in one file.
    Session(Box<SessionArgs>),
    /// Say what a checkpoint is, or how a picture was made.
    Inspect(InspectArgs),
    /// Time the parts of an edit here, beside what they cost and what the device can do.
    Bench(Box<BenchArgs>),
    /// Write a checkpoint in another layout or number format, with adaptations merged.
    Convert(Box<ConvertArgs>),
    /// Make an editor of a custom model: add what it learnt after its base to an InstructPix2Pix model.
    Merge(Box<MergeArgs>),
    /// Fetch a model from the hub into the cache that diffusers uses too.
    #[cfg(feature = "hub")]
    Pull(PullArgs),
    /// List the models in the cache: their revisions, sizes, and what they are.
    #[cfg(feature = "hub")]
    Models(ModelsArgs),
    /// Remove a model from the cache.
    #[cfg(feature = "hub")]
    Rm(RmArgs),
    /// Train a model, or measure one.
    Train(TrainArgs),
    /// Look at training data.
    Data(DataArgs),
    /// Write a shell's completions to standard output.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the manual pages into a folder.
    Man {
        /// The folder, which must exist.
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
}

/// `ip2p edit`.
#[derive(Debug, Args)]
pub(crate) struct EditArgs {
    /// The photo: PNG, JPEG, WebP, BMP, TIFF or GIF. With --from, default the photo of that edit.
    #[arg(value_hint = ValueHint::FilePath, required_unless_present = "from")]
    pub(crate) input: Option<PathBuf>,

    /// What to do with it: "make it snowy". With --from, default the sentence of that edit.
    #[arg(required_unless_present_any = ["from", "edits"])]
    pub(crate) instruction: Option<String>,

    /// Where to write the picture; the ending says the format [default: INPUT-edited.png, never over another file]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,

    #[command(flatten)]
    pub(crate) chain: ChainArgs,

    #[command(flatten)]
    pub(crate) mask: MaskArgs,

    #[command(flatten)]
    pub(crate) show: ShowMaskArgs,

    #[command(flatten)]
    pub(crate) shared: SharedArgs,

    /// Repeat the edit that made this picture; options given here win.
    #[arg(long, value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub(crate) from: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// What a user tries different values of.
#[derive(Debug, Args)]
pub(crate) struct ChoiceArgs {
    /// How strongly to follow the sentence; 9..3 goes from one value to another, 9@0,5@0.5 changes half-way, 9,7,3 has one for each step [default: the model's, 7.5 for InstructPix2Pix]
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    pub(crate) text_scale: Option<ScaleCurve>,

    /// How closely to keep the photo; 1.8..1.2, 1.8@0,1.2@0.5 and lists as for the text scale [default: the model's, 1.5 for InstructPix2Pix]
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    pub(crate) image_scale: Option<ScaleCurve>,

    /// The seed of the noise [default: a new one, which is printed; of a batch 0]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// How many variations to make, with the seeds that follow [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<usize>,
}

/// What all commands that edit have in common.
#[derive(Debug, Args)]
pub(crate) struct SharedArgs {
    /// The checkpoint: a folder as diffusers writes it, a single file, or ORG/NAME on the Hugging Face hub, such as timbrooks/instruct-pix2pix [default: the small model that comes with ip2p]
    #[arg(long, value_name = "MODEL", env = "IP2P_MODEL", value_hint = ValueHint::AnyPath)]
    pub(crate) model: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) weights: WeightsArgs,

    /// Take what the checkpoint's files do not say from a known model; ip2p inspect --profiles lists them [default: found by the checkpoint's name]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(KnownProfile::ALL.iter().map(|known| known.name)))]
    pub(crate) profile: Option<String>,

    #[command(flatten)]
    pub(crate) prompt: PromptArgs,

    /// What the picture should not show.
    #[arg(long, value_name = "TEXT")]
    pub(crate) negative: Option<String>,

    /// How many steps the noise is taken away in [default: the model's, 20 for InstructPix2Pix]
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<usize>,

    /// How one step follows from another [default: the model's, euler-a for InstructPix2Pix]
    #[arg(long, value_name = "NAME", value_parser = named::<SamplerKind>(SamplerKind::ALL.map(SamplerKind::name)))]
    pub(crate) sampler: Option<SamplerKind>,

    /// Where the noise levels of the steps lie [default: normal]
    #[arg(long, value_name = "NAME", value_parser = schedule)]
    pub(crate) schedule: Option<ScheduleKind>,

    /// Begin with the photo under noise, not with noise alone, and make only this share of the steps: above 0, at most 1 [default: noise alone]
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    pub(crate) strength: Option<f64>,

    /// Pull the contrast of the guided prediction back to the unguided one's, 0 to 1 [default: the model's, 0 for InstructPix2Pix]
    #[arg(long, value_name = "X")]
    pub(crate) guidance_rescale: Option<f64>,

    #[command(flatten)]
    pub(crate) short_cuts: ShortCutArgs,

    /// How much fresh noise a step adds, 0 to 1 [default: the sampler's]
    #[arg(long, value_name = "X")]
    pub(crate) eta: Option<f64>,

    /// Whose noise a seed gives [default: torch-cpu]
    #[arg(long, value_name = "NAME", value_parser = named::<NoiseKind>(NoiseKind::ALL.map(NoiseKind::name)))]
    pub(crate) noise: Option<NoiseKind>,

    /// The size that the model works at: its longer side, or both [default: the model's, 512 for InstructPix2Pix]
    #[arg(long, value_name = "N|WxH")]
    pub(crate) size: Option<TargetSize>,

    /// How the photo is fitted to that size [default: contain, or the compat mode's]
    #[arg(long, value_name = "POLICY", value_parser = named::<FitPolicy>(FitPolicy::ALL.map(FitPolicy::name)))]
    pub(crate) fit: Option<FitPolicy>,

    /// Whose picture to give, to the rounding [default: none]
    #[arg(long, value_name = "MODE", value_parser = named::<Compat>(Compat::ALL.map(Compat::name)))]
    pub(crate) compat: Option<Compat>,

    /// Leave the result at the size that the model worked at.
    #[arg(long)]
    pub(crate) keep_model_size: bool,

    /// Whose fine detail the result has: the photo's, to which the change is carried, or the model's [default: photo]
    #[arg(long, value_name = "NAME", value_parser = named::<Detail>(Detail::ALL.map(Detail::name)))]
    pub(crate) detail: Option<Detail>,

    /// Change the photo only where the sentence acts (auto), at a place ("top left", "right", "centre"), or where both are ("auto left"); with a mask, only where it lets; attention holds nothing, but guides by the sentence only where the photo attends to its words [default: anywhere]
    #[arg(long = "where", value_name = "auto|attention|PLACE")]
    pub(crate) region: Option<Where>,

    /// What the model looks at where a mask or a place lets only a small part change: that part at full size, or the whole photo [default: region]
    #[arg(long, value_name = "NAME", value_parser = named::<Focus>(Focus::ALL.map(Focus::name)))]
    pub(crate) focus: Option<Focus>,

    /// Where to compute: NAME or NAME:INDEX; for ip2p batch several, with commas between them [default: flex, the CPU]
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,

    /// The number format of the networks [default: f32]
    #[arg(long, value_name = "NAME", value_parser = named::<Precision>(Precision::ALL.map(Precision::name)))]
    pub(crate) precision: Option<Precision>,

    /// Run the branches of guidance one after another: slower on a GPU, a third of the memory.
    #[arg(long)]
    pub(crate) low_memory: bool,

    /// Keep within so much memory, such as 3GB or 2.5GiB, at the least cost that does: branches of guidance one after another, the autoencoder in tiles, weights read when they are needed; an error before anything is computed if nothing does [default: no limit]
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_memory: Option<Bytes>,
}

/// `ip2p inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A checkpoint, a folder or a single file or ORG/NAME in the cache of the hub, or a picture that ip2p made.
    #[arg(value_name = "MODEL|IMAGE", value_hint = ValueHint::AnyPath, required_unless_present = "profiles")]
    pub(crate) path: Option<PathBuf>,

    /// List the models whose conventions are known, with their defaults and licences.
    #[arg(long, conflicts_with_all = ["path", "weights"])]
    pub(crate) profiles: bool,

    /// List each weight's name, type and shape.
    #[arg(long)]
    pub(crate) weights: bool,

    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is printed while an edit runs.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Print one JSON object with every setting, the times and the peak memory, and nothing else on standard output.
    #[arg(long)]
    pub(crate) json: bool,

    /// Print no progress and no warnings.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// A value that is one of these names: clap lists them in its help, completions and errors.
fn named<T>(names: impl IntoIterator<Item = &'static str>) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = ip2p::Error> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.parse::<T>())
}

/// A schedule's name, or its sigmas: `14.6,6.2,2.5,1,0.4,0`.
fn schedule(text: &str) -> Result<ScheduleKind, ip2p::Error> {
    text.parse()
}

/// `ip2p train`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct TrainArgs {
    #[command(subcommand)]
    pub(crate) command: Option<TrainCommand>,

    /// The settings of the training, a JSON file: see docs/training.md. One that was stopped goes on.
    #[arg(value_name = "RUN.json", value_hint = ValueHint::FilePath, required = true)]
    pub(crate) run: Option<PathBuf>,

    /// Where to compute: flex (the CPU), wgpu, cuda... Several, with commas between them, share the batches of each step; the
    /// weights are on the first.
    #[arg(long, default_value = "flex", value_delimiter = ',')]
    pub(crate) device: Vec<String>,

    /// Show no progress.
    #[arg(long)]
    pub(crate) quiet: bool,

    /// Show a bar where there would be a dashboard.
    #[cfg(feature = "tui")]
    #[arg(long)]
    pub(crate) no_tui: bool,
}

/// What else there is to do with training.
#[derive(Debug, Subcommand)]
pub(crate) enum TrainCommand {
    /// Measure how well a model edits what it has never seen, and print the table.
    Eval(EvalArgs),
    /// Lend this machine's devices to trainings and edits on others, as `--device remote:HOST:PORT`, until Ctrl-C.
    ///
    /// Anyone who reaches the port can compute here, and what is sent is not encrypted: for a network that is trusted.
    #[cfg(feature = "remote")]
    Lend {
        /// The devices, with commas between them: remote:HOST:PORT is the first, remote:HOST:PORT/1 the second.
        #[arg(long, default_value = "flex", value_delimiter = ',')]
        device: Vec<String>,
        /// The port to listen on.
        #[arg(long, default_value_t = 3000)]
        port: u16,
    },
    /// Learn a small tokenizer from the sentences of the drawn scenes and the effects.
    Tokenizer {
        /// The folder to write the tokenizer to, in files as transformers reads them.
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// How many tokens it has.
        #[arg(long, default_value_t = 960)]
        size: usize,
    },
}

/// `ip2p train eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The checkpoint: a folder as diffusers writes it.
    #[arg(long, value_name = "DIR", env = "IP2P_MODEL", value_hint = ValueHint::DirPath)]
    pub(crate) model: PathBuf,

    /// A folder of photographs that training did not see; without it only scenes are measured on.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) photos: Option<PathBuf>,

    /// How many scenes.
    #[arg(long, default_value_t = 200)]
    pub(crate) scenes: u64,

    /// How many crops of photographs.
    #[arg(long, default_value_t = 40)]
    pub(crate) crops: u64,

    /// The width and height of the pictures.
    #[arg(long, default_value_t = 256)]
    pub(crate) size: u32,

    /// Measure instead what leaving the rest alone gains: edits of all of a scene beside edits where this says.
    #[arg(long = "where", value_name = "auto|PLACE", conflicts_with = "photos")]
    pub(crate) region: Option<Where>,

    /// Write the table to a file as well.
    #[arg(short, long, value_name = "FILE.md", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    /// Where to compute: flex (the CPU), wgpu, cuda...
    #[arg(long, default_value = "flex")]
    pub(crate) device: String,
}

/// `ip2p data`.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    pub(crate) command: DataCommand,
}

/// What to do with training data.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Draw a sheet of examples: before, after, and the sentence.
    Preview {
        /// Where to write the sheet.
        #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: PathBuf,
        /// A folder of photographs to edit; without it, drawn scenes.
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        photos: Option<PathBuf>,
        /// How many examples.
        #[arg(long, default_value_t = 24)]
        count: u64,
        /// How many stand side by side.
        #[arg(long, default_value_t = 4)]
        columns: usize,
        /// The width and height of a picture.
        #[arg(long, default_value_t = 128)]
        size: u32,
        /// Which examples.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
