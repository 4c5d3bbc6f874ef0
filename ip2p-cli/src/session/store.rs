//! The file of a session.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ip2p::io::{sha256, write_whole};
use ip2p::{Error, Result, Session};

/// A session's file, which nobody else should write meanwhile.
pub(super) struct Store {
    path: PathBuf,
    /// The sum of what it holds as far as we know; none if it is not there.
    sum: Option<String>,
}

impl Store {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            sum: None,
        }
    }

    /// The session in the file, if there is one.
    pub(super) fn read(&mut self) -> Result<Option<Session>> {
        let Some(bytes) = self.bytes()? else {
            return Ok(None);
        };
        let session = Session::from_bytes(&self.path, &bytes)?;
        self.sum = Some(sha256(&bytes));
        Ok(Some(session))
    }

    /// Writes the session, unless another program did since it was read here.
    pub(super) fn write(&mut self, session: &Session) -> Result<()> {
        let there = self.bytes()?.map(|bytes| sha256(&bytes));
        if there != self.sum {
            let reason = "was changed by another program since this one read it; end one of them, and begin this one again";
            return Err(Error::session(&self.path, reason));
        }
        let bytes = session.to_bytes()?;
        let sum = sha256(&bytes);
        if there.as_ref() != Some(&sum) {
            write_whole(&self.path, &bytes)?;
            self.sum = Some(sum);
        }
        Ok(())
    }

    fn bytes(&self) -> Result<Option<Vec<u8>>> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&self.path, error)),
        }
    }
}
