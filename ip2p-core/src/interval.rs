//! The part of an edit in which guidance is used.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The part of an edit's steps in which guidance is used, by shares of them: from one on, up to another, `0..0.6`.
///
/// Outside it both scales are 1. Kynkäänniemi et al. (2024), <https://arxiv.org/abs/2404.07724>, who say it in noise levels.
///
/// # Examples
///
/// ```
/// use ip2p_core::GuidanceInterval;
///
/// let interval: GuidanceInterval = "0.2..0.6".parse()?;
/// let inside: Vec<usize> = (0..5).filter(|&step| interval.contains(step, 5)).collect();
/// assert_eq!(inside, [1, 2]);
/// # Ok::<(), ip2p_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct GuidanceInterval {
    from: f64,
    to: f64,
}

impl GuidanceInterval {
    /// From the share `from` of the steps on, up to the share `to` of them: 0 is the first step's, 1 behind the last's.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if a share is not in 0 to 1, or `from` is not below `to`.
    pub fn new(from: f64, to: f64) -> Result<Self> {
        let interval = Self { from, to };
        if 0.0 <= from && from < to && to <= 1.0 {
            return Ok(interval);
        }
        Err(Error::setting("guidance_interval", EXPECTED, interval))
    }

    /// Whether a step, counted from 0, of so many lies in it.
    #[must_use]
    pub fn contains(self, step: usize, steps: usize) -> bool {
        let share = step as f64 / steps as f64;
        self.from <= share && share < self.to
    }
}

const EXPECTED: &str =
    "two shares of the steps as in 0..0.6, from 0 to 1, the first below the second";

impl fmt::Display for GuidanceInterval {
    /// As [`FromStr`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

impl FromStr for GuidanceInterval {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::setting("guidance_interval", EXPECTED, text);
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| wrong());
        let (from, to) = text.split_once("..").ok_or_else(wrong)?;
        Self::new(number(from)?, number(to)?)
    }
}

impl From<GuidanceInterval> for String {
    fn from(interval: GuidanceInterval) -> Self {
        interval.to_string()
    }
}

impl TryFrom<String> for GuidanceInterval {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_read_as_it_is_written() {
        for text in ["0..1", "0.25..0.75", "0..0.6"] {
            let interval: GuidanceInterval = text.parse().unwrap();
            assert_eq!(interval.to_string(), text);
        }
        assert_eq!(
            " 0 .. 0.5 "
                .parse::<GuidanceInterval>()
                .unwrap()
                .to_string(),
            "0..0.5"
        );
    }

    #[test]
    fn what_is_no_part_of_the_steps_is_refused_by_name() {
        for text in [
            "", "0.5", "..", "0..", "..1", "a..b", "0.6..0", "0.5..0.5", "-0.1..1", "0..1.1",
            "NaN..1", "0..inf",
        ] {
            let error = text.parse::<GuidanceInterval>().unwrap_err().to_string();
            assert!(
                error.starts_with("guidance_interval must be"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn the_whole_has_every_step_and_parts_have_each_once() {
        let interval = |from, to| GuidanceInterval::new(from, to).unwrap();
        for steps in 1..40 {
            for step in 0..steps {
                assert!(interval(0.0, 1.0).contains(step, steps));
                let parts = [interval(0.0, 0.6), interval(0.6, 1.0)];
                let of = parts.iter().filter(|part| part.contains(step, steps));
                assert_eq!(of.count(), 1, "{step} of {steps}");
            }
        }
        let first = (0..10).filter(|&step| interval(0.0, 0.6).contains(step, 10));
        assert_eq!(first.count(), 6);
    }
}
