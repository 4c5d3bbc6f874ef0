//! A record that cannot be used.

use std::fmt;

use ip2p_core::Error;

/// Which record cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its index in the data set.
    pub index: usize,
    /// Where it is: the file and the row, or the folder and the seed.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

impl std::error::Error for Broken {}

impl From<Broken> for Error {
    fn from(broken: Broken) -> Self {
        Self::other("cannot use a record of the data set", broken)
    }
}
