//! The `ip2p` command.

mod args;
mod batch;
mod bench;
mod chain;
mod convert;
mod data;
mod edit;
mod exit;
mod generate;
mod inspect;
mod lora;
mod mask;
mod memory;
mod model;
mod output;
mod progress;
mod rank;
mod session;
mod sweep;
mod threads;
mod train;

use std::process::ExitCode;

use clap::Parser;
use ip2p::Result;

use args::{Cli, Command};

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
        Command::Edit(args) => edit::run(&args),
        Command::Batch(args) => batch::run(&args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Session(args) => session::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Convert(args) => convert::convert(&args),
        Command::Merge(args) => convert::merge(&args),
        Command::Train(args) => train::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Man { folder } => generate::man(&folder),
        Command::Completions { shell } => {
            generate::completions(shell);
            Ok(())
        }
    }
}
