//! A share of the rows, for one of several machines.

use std::fmt;
use std::str::FromStr;

use ip2p::{Error, Result};

/// One of several machines that share a job list: the rows are dealt out like cards.
///
/// # Examples
///
/// ```
/// use ip2p_batch::Shard;
///
/// let shard: Shard = "2/3".parse()?;
/// let rows: Vec<usize> = (0..8).filter(|&row| shard.has(row)).collect();
/// assert_eq!(rows, [1, 4, 7]);
/// # Ok::<(), ip2p::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    number: usize,
    of: usize,
}

impl Default for Shard {
    /// All rows.
    fn default() -> Self {
        Self { number: 1, of: 1 }
    }
}

impl Shard {
    /// Shard `number`, counted from 1, of `of`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the number is not between 1 and `of`.
    pub fn new(number: usize, of: usize) -> Result<Self> {
        if (1..=of).contains(&number) {
            return Ok(Self { number, of });
        }
        let expected = "i/n with i from 1 to n";
        Err(Error::setting("shard", expected, format!("{number}/{of}")))
    }

    /// Whether the row, counted from 0, is of this shard.
    #[must_use]
    pub fn has(self, row: usize) -> bool {
        row % self.of == self.number - 1
    }

    /// The name of its manifest, so that all can write to one folder.
    #[must_use]
    pub fn manifest(self) -> String {
        self.file("manifest", ".jsonl")
    }

    /// The name of the folder where it keeps what is not finished yet.
    pub(crate) fn staging(self) -> String {
        self.file(".ip2p-batch", "")
    }

    fn file(self, name: &str, ending: &str) -> String {
        match self.of {
            1 => format!("{name}{ending}"),
            of => format!("{name}-{}-of-{of}{ending}", self.number),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (number, of) = text.split_once('/')?;
            Some((number.trim().parse().ok()?, of.trim().parse().ok()?))
        };
        let (number, of) =
            parse().ok_or_else(|| Error::setting("shard", "i/n, as in 1/4", text))?;
        Self::new(number, of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_of_one_shard() {
        for of in 1..6 {
            for row in 0..20 {
                let shards = (1..=of).filter(|&number| Shard::new(number, of).unwrap().has(row));
                assert_eq!(shards.count(), 1, "{row} of {of}");
            }
        }
    }

    #[test]
    fn shards_have_manifests_of_their_own() {
        assert_eq!(Shard::default().manifest(), "manifest.jsonl");
        let shard = Shard::new(2, 4).unwrap();
        assert_eq!(shard.manifest(), "manifest-2-of-4.jsonl");
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["", "1", "0/4", "5/4", "1/0", "a/b", "1/2/3", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
