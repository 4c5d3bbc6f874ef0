//! The names of the schedules.

use std::fmt;
use std::str::FromStr;

use ip2p_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// How the sigmas are spaced.
///
/// Its text form is `normal`, `karras`, `exponential`, `trailing`, or numbers with commas between them: sigmas of the caller's own.
///
/// ```
/// use ip2p_sched::ScheduleKind;
///
/// let kind: ScheduleKind = "14.6, 3, 0.5, 0".parse().unwrap();
/// assert_eq!(kind, ScheduleKind::Custom(vec![14.6, 3.0, 0.5, 0.0]));
/// assert_eq!(kind.steps(), Some(3));
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum ScheduleKind {
    /// Evenly over the training timesteps: the original InstructPix2Pix's.
    #[default]
    Normal,
    /// Evenly in the 7th root of sigma; Karras et al. (2022), <https://arxiv.org/abs/2206.00364>, eq. 5.
    Karras,
    /// Evenly in the logarithm of sigma.
    Exponential,
    /// Evenly down from the last training timestep and never at the first, for networks distilled to a few steps; Lin et al.
    /// (2023), <https://arxiv.org/abs/2305.08891>, table 2.
    Trailing,
    /// The caller's own sigmas, falling; a 0 at the end may be left out.
    Custom(Vec<f64>),
}

impl ScheduleKind {
    /// The schedules that have a name.
    pub const NAMED: [Self; 4] = [
        Self::Normal,
        Self::Karras,
        Self::Exponential,
        Self::Trailing,
    ];

    /// The number of steps, if the schedule itself says so: a list of the caller's own does.
    #[must_use]
    pub fn steps(&self) -> Option<usize> {
        match self {
            Self::Custom(sigmas) => Some(sigmas.iter().filter(|sigma| **sigma != 0.0).count()),
            _ => None,
        }
    }
}

impl fmt::Display for ScheduleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Karras => f.write_str("karras"),
            Self::Exponential => f.write_str("exponential"),
            Self::Trailing => f.write_str("trailing"),
            Self::Custom(sigmas) => {
                let sigmas: Vec<String> = sigmas.iter().map(f64::to_string).collect();
                f.write_str(&sigmas.join(","))
            }
        }
    }
}

impl FromStr for ScheduleKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = Self::NAMED
            .into_iter()
            .find(|kind| kind.to_string() == text);
        if let Some(kind) = named {
            return Ok(kind);
        }
        let numbers = text.split(',').map(|sigma| sigma.trim().parse::<f64>());
        let sigmas: Result<Vec<f64>, _> = numbers.collect();
        sigmas.map(Self::Custom).map_err(|_| {
            let expected =
                "normal, karras, exponential, trailing, or sigmas with commas between them";
            Error::setting("schedule", expected, text)
        })
    }
}

impl From<ScheduleKind> for String {
    fn from(kind: ScheduleKind) -> Self {
        kind.to_string()
    }
}

impl TryFrom<String> for ScheduleKind {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_lists_survive_the_round_trip_through_text() {
        let own = ScheduleKind::Custom(vec![14.614_65, 1e-3, 0.0]);
        for kind in ScheduleKind::NAMED.into_iter().chain([own]) {
            assert_eq!(kind.to_string().parse::<ScheduleKind>().unwrap(), kind);
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<ScheduleKind>(&json).unwrap(), kind);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "kerras".parse::<ScheduleKind>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "schedule must be normal, karras, exponential, trailing, or sigmas with commas between them, got kerras"
        );
    }
}
