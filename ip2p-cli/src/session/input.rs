//! Where the lines come from: a terminal, which is told when it is its turn, or a pipe.

use std::io::{BufRead, IsTerminal, Write, stdin, stdout};

use ip2p::{Error, Result};

/// The lines of a session.
pub(super) struct Input {
    is_terminal: bool,
}

impl Input {
    pub(super) fn new() -> Self {
        Self {
            is_terminal: stdin().is_terminal(),
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// The next line; none at the end, which on a terminal is Ctrl-D.
    pub(super) fn line(&self, branch: &str) -> Result<Option<String>> {
        if self.is_terminal {
            // Without a prompt the line is read all the same.
            let _ = write!(stdout(), "{branch}> ").and_then(|()| stdout().flush());
        }
        let line = stdin().lock().lines().next().transpose();
        line.map_err(|error| Error::io("standard input", error))
    }
}
