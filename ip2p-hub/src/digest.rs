//! The sums by which the hub names files.

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A sum that is being computed, of the kind that a file's name in the cache tells.
pub(crate) enum Sum {
    /// Git's of a small file: SHA-1 of `blob LENGTH`, a zero and what it holds.
    Git(Sha1),
    /// That of a large file.
    Sha256(Box<Sha256>),
    /// The server's own, which cannot be computed; the length is all that there is to check.
    None,
}

impl Sum {
    /// The sum that is to come to `etag`, of a file of this length.
    ///
    /// Git's needs the length first: without it a small file goes unchecked.
    pub(crate) fn new(etag: &str, length: Option<u64>) -> Self {
        let is_hexadecimal = etag.bytes().all(|b| b.is_ascii_hexdigit());
        match (etag.len(), length) {
            (64, _) if is_hexadecimal => Self::Sha256(Box::default()),
            (40, Some(length)) if is_hexadecimal => {
                let head = format!("blob {length}\0");
                Self::Git(Sha1::new_with_prefix(head))
            }
            _ => Self::None,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Git(sum) => sum.update(bytes),
            Self::Sha256(sum) => sum.update(bytes),
            Self::None => {}
        }
    }

    /// What it comes to, in hexadecimal digits; none where there is nothing to compare.
    pub(crate) fn finish(self) -> Option<String> {
        match self {
            Self::Git(sum) => Some(hexadecimal(&sum.finalize())),
            Self::Sha256(sum) => Some(hexadecimal(&sum.finalize())),
            Self::None => None,
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = |text: String, byte: &u8| text + &format!("{byte:02x}");
    bytes.iter().fold(String::new(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sums of `hello` and a line's end, by `git hash-object` and `sha256sum`.
    #[test]
    fn sums_are_those_of_git_and_sha256sum() {
        for etag in [
            "ce013625030ba8dba906f756967f9e9ca394464a",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ] {
            let mut sum = Sum::new(etag, Some(6));
            sum.update(b"hel");
            sum.update(b"lo\n");
            assert_eq!(sum.finish().as_deref(), Some(etag));
        }
        assert_eq!(Sum::new("5-7", Some(6)).finish(), None);
    }
}
