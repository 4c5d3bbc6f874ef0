//! Exit codes, by what the caller can do about it.

use std::io::{Write, stderr};
use std::process::ExitCode;

use ip2p::Error;

/// The table that `--help` ends with.
pub(crate) const HELP: &str = "Exit codes:
  0    done
  1    something failed that is none of the below
  2    the command line or a setting is wrong
  3    a photo, picture or session cannot be read or written
  4    the checkpoint cannot be loaded
  5    the device cannot do it, or the numbers ran away
  6    the hub does not have the model, does not give it, or cannot be reached
  130  stopped by Ctrl-C; nothing half-written is left";

/// The code that says which kind of error it was.
pub(crate) fn code(error: &Error) -> ExitCode {
    ExitCode::from(match error {
        Error::InvalidSetting { .. } => 2,
        Error::Image { .. } | Error::Io { .. } | Error::Session { .. } => 3,
        Error::Checkpoint { .. } | Error::Weights { .. } | Error::Config { .. } => 4,
        Error::Device { .. } | Error::NotFinite { .. } => 5,
        Error::Hub { .. } => 6,
        Error::Stopped => 130,
        _ => 1,
    })
}

/// Tells the user on standard error; nobody may be listening there any more, and that is no reason to stop.
pub(crate) fn tell(message: &str) {
    let _ = writeln!(stderr(), "{message}");
}
