//! The places that a sentence names.

use std::fmt;
use std::str::FromStr;

use ip2p_core::{Error, Result, Size};

use crate::mask::Mask;

/// A part of the picture that has a name, such as "top left".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    across: Part,
    down: Part,
}

/// Which part of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Part {
    /// All of it.
    #[default]
    Any,
    /// From its beginning: left, top.
    First,
    /// In between.
    Middle,
    /// To its end: right, bottom.
    Last,
}

impl Part {
    /// How much the part says.
    fn says(self) -> u8 {
        match self {
            Self::Any => 0,
            Self::Middle => 1,
            Self::First | Self::Last => 2,
        }
    }

    /// How much a place along the axis, 0 to 1, belongs to the part: falls from 1 to 0 about the part's edge.
    fn weight(self, at: f64) -> f64 {
        let falling = |at: f64, from: f64, to: f64| ((to - at) / (to - from)).clamp(0.0, 1.0);
        match self {
            Self::Any => 1.0,
            Self::First => falling(at, 0.45, 0.6),
            Self::Middle => falling((at - 0.5).abs(), 0.25, 0.35),
            Self::Last => falling(1.0 - at, 0.45, 0.6),
        }
    }
}

impl Place {
    /// The place that a sentence names, if it names one: "remove the flower in the top left corner".
    ///
    /// "Left of the house" is a place in the scene, not one of the picture, and is not understood here; "left of the
    /// picture" is.
    #[must_use]
    pub fn in_sentence(sentence: &str) -> Option<Self> {
        let words: Vec<String> = sentence
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        let mut place = Self {
            across: Part::Any,
            down: Part::Any,
        };
        for (at, word) in words.iter().enumerate() {
            let Some(part) = Self::of_word(word) else {
                continue;
            };
            if !is_relative(&words[at + 1..]) {
                place = place.and(part)?;
            }
        }
        (place.across != Part::Any || place.down != Part::Any).then_some(place)
    }

    fn of_word(word: &str) -> Option<Self> {
        let (across, down) = match word {
            "left" => (Part::First, Part::Any),
            "right" => (Part::Last, Part::Any),
            "top" | "upper" => (Part::Any, Part::First),
            "bottom" | "lower" => (Part::Any, Part::Last),
            "centre" | "center" | "middle" => (Part::Middle, Part::Middle),
            _ => return None,
        };
        Some(Self { across, down })
    }

    /// The place that both words name: "top" and "left"; none if they contradict one another.
    fn and(self, other: Self) -> Option<Self> {
        // "The middle of the top" is the middle across, but not down: an end says more than the middle.
        let axis = |a: Part, b: Part| {
            let (less, more) = if a.says() <= b.says() { (a, b) } else { (b, a) };
            (less.says() < Part::First.says() || less == more).then_some(more)
        };
        Some(Self {
            across: axis(self.across, other.across)?,
            down: axis(self.down, other.down)?,
        })
    }

    /// The place in a picture of this size, with soft edges.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 255"
    )]
    pub fn mask(self, size: Size) -> Mask {
        let at = |pixel: u32, side: u32| (f64::from(pixel) + 0.5) / f64::from(side);
        Mask::of(size, |x, y| {
            let across = self.across.weight(at(x, size.width));
            let down = self.down.weight(at(y, size.height));
            (255.0 * across * down).round() as u8
        })
    }
}

/// Whether what follows a word makes it a place beside a thing: "of the house", but not "of the picture".
fn is_relative(following: &[String]) -> bool {
    let mut words = following.iter().map(String::as_str);
    if words.next() != Some("of") {
        return false;
    }
    let thing = words.find(|word| !matches!(*word, "the" | "this" | "that" | "a" | "my"));
    !matches!(
        thing,
        None | Some("picture" | "image" | "photo" | "photograph" | "frame" | "scene")
    )
}

impl FromStr for Place {
    type Err = Error;

    /// A place as `--where` takes it: "top left", "right", "in the centre".
    fn from_str(text: &str) -> Result<Self> {
        Self::in_sentence(text).ok_or_else(|| {
            let expected = "a place such as \"top left\", \"right\", \"bottom\" or \"centre\"";
            Error::setting("where", expected, text)
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let down = match self.down {
            Part::First => "top",
            Part::Last => "bottom",
            _ => "",
        };
        let across = match self.across {
            Part::First => "left",
            Part::Last => "right",
            _ => "",
        };
        match (down, across) {
            ("", "") => f.write_str("centre"),
            ("", one) | (one, "") => f.write_str(one),
            (down, across) => write!(f, "{down} {across}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_sentences() {
        for (sentence, place) in [
            ("remove the flower in the top left corner", "top left"),
            ("Make the car on the right red", "right"),
            ("put a ball at the bottom of the picture", "bottom"),
            ("turn the lower-right lamp off", "bottom right"),
            ("add a bird in the upper left, in the left half", "top left"),
            ("put a hat in the centre", "centre"),
            ("add a tree on the left of the image", "left"),
            ("a lamp at the centre top", "top"),
            ("a lamp at the top, in the middle", "top"),
        ] {
            let found = Place::in_sentence(sentence).map(|place| place.to_string());
            assert_eq!(found.as_deref(), Some(place), "{sentence}");
        }
    }

    #[test]
    fn what_is_no_place_of_the_picture_is_none() {
        for sentence in [
            "make it snowy",
            "add a tree to the left of the house",
            "make it brighter",
            "swap left and right",
            "",
        ] {
            assert_eq!(Place::in_sentence(sentence), None, "{sentence}");
        }
        assert!("over there".parse::<Place>().is_err());
    }

    #[test]
    fn a_place_covers_its_corner_and_nothing_of_the_opposite_one() {
        let mask = "top left"
            .parse::<Place>()
            .unwrap()
            .mask(Size::new(100, 60));
        let at = |x: usize, y: usize| mask.weights()[y * 100 + x];
        assert_eq!(
            [at(0, 0), at(40, 20), at(99, 0), at(0, 59), at(99, 59)],
            [255, 255, 0, 0, 0]
        );
        assert!((0.2..0.35).contains(&mask.coverage()), "{mask:?}");
    }

    #[test]
    fn a_place_reads_as_it_is_written() {
        for name in ["top left", "top", "bottom right", "left", "centre"] {
            assert_eq!(name.parse::<Place>().unwrap().to_string(), name);
        }
    }
}
