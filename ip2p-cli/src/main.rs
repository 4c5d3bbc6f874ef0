//! The `ip2p` command.

mod args;
mod batch;
mod chain;
mod convert;
mod data;
mod edit;
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
mod progress;
mod rank;
mod session;
mod sweep;
mod train;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Edit(args) => edit::run(&args),
        Command::Batch(args) => batch::run(&args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Session(args) => session::run(&args),
        Command::Inspect(args) => inspect::run(&args),
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
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            exit::tell(&format!("error: {}", error.with_causes()));
            exit::code(&error)
        }
    }
}
