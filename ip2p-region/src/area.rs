//! Where an edit may act, as `--where` says it.

use std::fmt;
use std::str::FromStr;

use ip2p_core::{Error, Result};

use crate::place::Place;

/// Where a photo may change: anywhere, at a place, where the sentence acts, or where both are.
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
    auto: bool,
    place: Option<Place>,
}

impl Where {
    /// Where the sentence acts, as the model itself shows it.
    pub const AUTO: Self = Self {
        auto: true,
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
        self.auto
    }

    /// The place outside which nothing may change.
    #[must_use]
    pub fn place(self) -> Option<Place> {
        self.place
    }
}

/// What a text must be.
const EXPECTED: &str =
    "auto, a place such as \"top left\", \"right\", \"bottom\" or \"centre\", or both";

impl From<Place> for Where {
    fn from(place: Place) -> Self {
        Self::default().at(place)
    }
}

impl FromStr for Where {
    type Err = Error;

    /// `auto`, a place such as `top left`, both, or `anywhere`.
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.to_lowercase();
        let (auto, rest): (Vec<_>, Vec<_>) = lower
            .split([' ', ',', '-'])
            .filter(|word| !word.is_empty())
            .partition(|word| *word == "auto");
        let region = Self {
            auto: !auto.is_empty(),
            place: None,
        };
        match rest.as_slice() {
            [] if region.auto => Ok(region),
            ["anywhere"] if !region.auto => Ok(region),
            _ => {
                let place = Place::in_sentence(&rest.join(" ")).map(|place| region.at(place));
                place.ok_or_else(|| Error::setting("where", EXPECTED, text))
            }
        }
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.auto, self.place) {
            (false, None) => f.write_str("anywhere"),
            (true, None) => f.write_str("auto"),
            (false, Some(place)) => place.fmt(f),
            (true, Some(place)) => write!(f, "auto {place}"),
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
        ] {
            let error = text.parse::<Where>().unwrap_err().to_string();
            assert!(error.starts_with("where must be auto"), "{error}");
        }
    }
}
