//! The arguments of what has to do with the hub.

use clap::Args;
use ip2p::Precision;

use super::{ReportArgs, named};

/// Which revision of a model on the hub, and whether to ask for it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct HubArgs {
    /// The branch, tag or commit of a model on the hub; ORG/NAME@REV says the same [default: main]
    #[arg(long, value_name = "REV")]
    pub(crate) revision: Option<String>,

    #[arg(
        long,
        help = "Use what is in the cache, and make no request; so does the variable HF_HUB_OFFLINE=1"
    )]
    pub(crate) offline: bool,
}

/// `ip2p pull`.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct PullArgs {
    /// The model: ORG/NAME or ORG/NAME@REV, such as timbrooks/instruct-pix2pix.
    pub(crate) id: String,

    /// The precision to serve: for f16 and bf16 the smaller files are fetched, where there are any [default: f32]
    #[arg(long, value_name = "NAME", value_parser = named::<Precision>(Precision::ALL.map(Precision::name)))]
    pub(crate) precision: Option<Precision>,

    #[command(flatten)]
    pub(crate) hub: HubArgs,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// `ip2p models`.
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// Print one JSON list.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `ip2p rm`.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct RmArgs {
    /// The model: ORG/NAME, or ORG/NAME@REV for one revision.
    pub(crate) id: String,

    /// Remove this revision alone [default: all of them]
    #[arg(long, value_name = "REV")]
    pub(crate) revision: Option<String>,

    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}
