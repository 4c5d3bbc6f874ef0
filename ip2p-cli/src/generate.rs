//! What packagers ask for: completions and manual pages, made from the command line itself.

use std::io::stdout;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use ip2p::{Error, Result};

use crate::args::Cli;

/// Writes a shell's completions to standard output.
pub(crate) fn completions(shell: Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "ip2p", &mut stdout().lock());
}

/// Writes `ip2p.1` and one page for each subcommand into a folder.
pub(crate) fn man(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Err(Error::setting(
            "folder",
            "a folder that exists",
            folder.display(),
        ));
    }
    clap_mangen::generate_to(Cli::command(), folder).map_err(|error| Error::io(folder, error))
}
