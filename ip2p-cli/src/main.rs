//! The `ip2p` command.

mod args;
mod batch;
mod bench;
mod budget;
mod chain;
mod convert;
mod data;
mod device;
mod edit;
mod embedding;
mod exit;
mod generate;
#[cfg(feature = "hub")]
mod hub;
mod inspect;
mod lora;
mod mask;
mod memory;
mod model;
mod output;
mod profiles;
mod progress;
mod rank;
mod session;
mod sheet;
mod sweep;
mod threads;
mod train;

use std::process::ExitCode;

use clap::Parser;
use ip2p::Result;

use args::{Cli, Command};
use device::guarded;

/// A layer's output is many megabytes, of which every page would be touched anew.
#[global_allocator]
static MEMORY: ip2p::kernels::HugePages = ip2p::kernels::HugePages;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = threads::share_work(cli.threads).and_then(|()| run(cli.command));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            exit::tell(&format!("error: {}", error.with_causes()));
            exit::code(&error)
        }
    }
}

/// Runs a command.
fn run(command: Command) -> Result<()> {
    match command {
        Command::Edit(args) => guarded(args.shared.device.as_deref(), || edit::run(&args)),
        Command::Batch(args) => batch::run(&args),
        Command::Sweep(args) => guarded(args.shared.device.as_deref(), || sweep::run(&args)),
        Command::Session(args) => guarded(args.shared.device.as_deref(), || session::run(&args)),
        Command::Inspect(args) => inspect::run(&args),
        Command::Bench(args) => guarded(args.shared.device.as_deref(), || bench::run(&args)),
        Command::Convert(args) => convert::convert(&args),
        Command::Merge(args) => convert::merge(&args),
        #[cfg(feature = "hub")]
        Command::Pull(args) => hub::pull(&args),
        #[cfg(feature = "hub")]
        Command::Models(args) => hub::models(&args),
        #[cfg(feature = "hub")]
        Command::Rm(args) => hub::rm(&args),
        Command::Train(args) => train::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Man { folder } => generate::man(&folder),
        Command::Completions { shell } => {
            generate::completions(shell);
            Ok(())
        }
    }
}
