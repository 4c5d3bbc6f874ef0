//! The arguments of `ip2p bench`.

use clap::Args;

use super::{ChoiceArgs, ReportArgs, SharedArgs};

/// `ip2p bench`.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct BenchArgs {
    /// How many edits are timed, after one that is not.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,

    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,

    #[command(flatten)]
    pub(crate) shared: SharedArgs,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}
