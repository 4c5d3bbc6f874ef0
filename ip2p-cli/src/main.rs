//! The `ip2p` command.

mod args;
mod batch;
mod chain;
mod convert;
mod data;
mod device;
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
mod sheet;
mod sweep;
mod train;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use device::guarded;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Edit(args) => guarded(args.shared.device.as_deref(), || edit::run(&args)),
        Command::Batch(args) => batch::run(&args),
        Command::Sweep(args) => guarded(args.shared.device.as_deref(), || sweep::run(&args)),
        Command::Session(args) => guarded(args.shared.device.as_deref(), || session::run(&args)),
        Command::Inspect(args) => inspect::run(&args),
        Command::Convert(args) => convert::convert(&args),
        Command::Merge(args) => convert::merge(&args),
        Command::Train(args) => train::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Man { folder } => generate::man(&folder),
        Command::Completions { shell } => {
            generate::completions(shell);
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            exit::tell(&format!("error: {}", error.with_causes()));
            exit::code(&error)
        }
    }
}
