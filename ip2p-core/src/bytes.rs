//! Amounts of memory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// So many bytes, as people write them: `3GB`, `2.5 GiB`, `800MB`, `3000000000`.
///
/// # Examples
///
/// ```
/// use ip2p_core::Bytes;
///
/// assert_eq!("3GB".parse::<Bytes>()?, Bytes(3_000_000_000));
/// assert_eq!("2.5 GiB".parse::<Bytes>()?, Bytes(2_684_354_560));
/// assert_eq!(Bytes(2_412_000_000).to_string(), "2.42 GB");
/// # Ok::<(), ip2p_core::Error>(())
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// The units and how many bytes each is, the longer names first.
const UNITS: [(&str, f64); 7] = [
    ("gib", 1_073_741_824.0),
    ("mib", 1_048_576.0),
    ("kib", 1024.0),
    ("gb", 1e9),
    ("mb", 1e6),
    ("kb", 1e3),
    ("b", 1.0),
];

impl fmt::Display for Bytes {
    /// In units of a thousand, rounded up: what is said to be needed is enough.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        if bytes < 1e9 {
            write!(f, "{:.0} MB", (bytes / 1e6).ceil())
        } else {
            write!(f, "{:.2} GB", (bytes / 1e7).ceil() / 100.0)
        }
    }
}

impl FromStr for Bytes {
    type Err = Error;

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a finite number that is not negative"
    )]
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.trim().to_lowercase();
        let unit = UNITS.into_iter().find(|(unit, _)| lower.ends_with(unit));
        let (unit, bytes) = unit.unwrap_or(("", 1.0));
        let digits = lower[..lower.len() - unit.len()].trim_end();
        // Not 1e9, infinity or a sign, which a number in Rust may have.
        let is_number = digits.chars().all(|c| c.is_ascii_digit() || c == '.');
        match digits.parse::<f64>() {
            Ok(number) if is_number => Ok(Self((number * bytes) as u64)),
            _ => {
                let expected = "an amount such as 3GB, 2.5GiB, 800MB or 3000000000";
                Err(Error::setting("max_memory", expected, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_units_of_a_thousand_and_of_1024() {
        let cases = [
            ("3GB", 3_000_000_000),
            ("3 gb", 3_000_000_000),
            ("2.5 GiB", 2_684_354_560),
            ("800MB", 800_000_000),
            ("1MiB", 1_048_576),
            ("12kB", 12_000),
            ("3000000000", 3_000_000_000),
            (" 7 B ", 7),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse::<Bytes>().unwrap(), Bytes(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_named_beside_an_example() {
        for text in [
            "", "GB", "much", "3 apples", "-3GB", "1e9", "inf", "1.2.3GB", "3TB!",
        ] {
            let error = text.parse::<Bytes>().unwrap_err().to_string();
            let said = error.ends_with(&format!("got {text}"));
            assert!(said && error.contains("such as 3GB"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_written_is_never_less() {
        for bytes in [1, 999_999, 1_000_001, 999_000_001, 2_412_345_678] {
            let written: Bytes = Bytes(bytes).to_string().parse().unwrap();
            assert!(written.0 >= bytes, "{bytes}: {written}");
        }
        assert_eq!(Bytes(2_410_000_000).to_string(), "2.41 GB");
        assert_eq!(Bytes(79_500_000).to_string(), "80 MB");
    }
}
