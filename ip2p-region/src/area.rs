//! Where an edit may act, as `--where` says it.

use std::fmt;
use std::str::FromStr;

use ip2p_core::{Error, Result};

use crate::place::Place;

/// Where a photo may change: anywhere, at a place, where the sentence acts, or where both are; or where the scales of guidance
/// are what was asked for, by the attention to the sentence's words.
///
/// # Examples
///
/// ```
/// use ip2p_region::Where;
///
/// let region: Where = "auto top left".parse()?;
/// assert!(region.is_auto());
/// assert_eq!(region.place(), Some("top left".parse()?));
/// assert_eq!(Where::default().to_string(), "anywhere");
/// # Ok::<(), ip2p_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Where {
    sought: Sought,
    place: Option<Place>,
}

/// By what the model shows where the sentence acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Sought {
    /// By nothing.
    #[default]
    Nothing,
    /// By what the sentence changes.
    Change,
    /// By the attention to its words.
    Attention,
}

impl Where {
    /// Where the sentence acts, as the model itself shows it.
    pub const AUTO: Self = Self {
        sought: Sought::Change,
        place: None,
    };

    /// Everywhere, but guided by the scales that were asked for only where the photo attends to the sentence's words: elsewhere
    /// not by the sentence.
    pub const ATTENTION: Self = Self {
        sought: Sought::Attention,
        place: None,
    };

    /// The same, but only at this place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Whether the model is to show where the sentence acts.
    #[must_use]
    pub fn is_auto(self) -> bool {
        self.sought == Sought::Change
    }

    /// Whether the attention to the sentence's words is to scale the guidance.
    #[must_use]
    pub fn is_attention(self) -> bool {
        self.sought == Sought::Attention
    }

    /// Whether anything keeps a part of the photo as it is, to the byte.
    #[must_use]
    pub fn is_limited(self) -> bool {
        self.is_auto() || self.place.is_some()
    }

    /// The place outside which nothing may change.
    #[must_use]
    pub fn place(self) -> Option<Place> {
        self.place
    }
}

/// What a text must be.
const EXPECTED: &str = "auto, attention, a place such as \"top left\", \"right\", \"bottom\" or \"centre\", or one of each";

impl From<Place> for Where {
    fn from(place: Place) -> Self {
        Self::default().at(place)
    }
}

impl FromStr for Where {
    type Err = Error;

    /// `auto` or `attention`, a place such as `top left`, one of each, or `anywhere`.
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.to_lowercase();
        let (sought, rest): (Vec<_>, Vec<_>) = lower
            .split([' ', ',', '-'])
            .filter(|word| !word.is_empty())
            .partition(|word| matches!(*word, "auto" | "attention"));
        let region = match sought.as_slice() {
            [] => Self::default(),
            words if words.iter().all(|word| *word == "auto") => Self::AUTO,
            words if words.iter().all(|word| *word == "attention") => Self::ATTENTION,
            _ => return Err(Error::setting("where", EXPECTED, text)),
        };
        match rest.as_slice() {
            [] if region != Self::default() => Ok(region),
            ["anywhere"] if region == Self::default() => Ok(region),
            _ => {
                let place = Place::in_sentence(&rest.join(" ")).map(|place| region.at(place));
                place.ok_or_else(|| Error::setting("where", EXPECTED, text))
            }
        }
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sought = match self.sought {
            Sought::Nothing => "",
            Sought::Change => "auto",
            Sought::Attention => "attention",
        };
        match (sought, self.place) {
            ("", None) => f.write_str("anywhere"),
            (sought, None) => f.write_str(sought),
            ("", Some(place)) => place.fmt(f),
            (sought, Some(place)) => write!(f, "{sought} {place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_displayed_parses_back() {
        let place: Place = "top left".parse().unwrap();
        let all = [
            Where::default(),
            Where::AUTO,
            place.into(),
            Where::AUTO.at(place),
            Where::ATTENTION,
            Where::ATTENTION.at(place),
        ];
        for region in all {
            assert_eq!(region.to_string().parse::<Where>().unwrap(), region);
        }
        let spelt = "Top-Left, auto".parse::<Where>().unwrap();
        assert_eq!(spelt, Where::AUTO.at(place));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "over there",
            "auto over there",
            "auto anywhere",
            "automatic",
            "auto attention",
            "attention anywhere",
        ] {
            let error = text.parse::<Where>().unwrap_err().to_string();
            assert!(error.starts_with("where must be auto"), "{error}");
        }
    }
}
