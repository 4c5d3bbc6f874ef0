//! The ten colours that sentences name.

use std::fmt;

/// A colour with one plain name and one shade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Colour {
    Red,
    Orange,
    Yellow,
    Green,
    Blue,
    Purple,
    Pink,
    White,
    Black,
    Brown,
}

/// Red, green and blue, each in `[0, 1]`, as the screen shows them (sRGB).
pub(super) type Rgb = [f32; 3];

impl Colour {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Red,
        Self::Orange,
        Self::Yellow,
        Self::Green,
        Self::Blue,
        Self::Purple,
        Self::Pink,
        Self::White,
        Self::Black,
        Self::Brown,
    ];

    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::Pink => "pink",
            Self::White => "white",
            Self::Black => "black",
            Self::Brown => "brown",
        }
    }

    /// The shade: far enough from the nine others that a small network can tell it.
    pub(super) fn rgb(self) -> Rgb {
        match self {
            Self::Red => [0.86, 0.15, 0.14],
            Self::Orange => [0.97, 0.52, 0.10],
            Self::Yellow => [0.98, 0.85, 0.18],
            Self::Green => [0.20, 0.62, 0.25],
            Self::Blue => [0.15, 0.38, 0.87],
            Self::Purple => [0.51, 0.21, 0.71],
            Self::Pink => [0.98, 0.56, 0.74],
            Self::White => [0.96, 0.96, 0.95],
            Self::Black => [0.13, 0.13, 0.15],
            Self::Brown => [0.49, 0.30, 0.17],
        }
    }

    /// Whether a change from this colour to `other` is seen at a glance.
    pub(super) fn is_far_from(self, other: Self) -> bool {
        let (a, b) = (self.rgb(), other.rgb());
        let squared: f32 = (0..3).map(|i| (a[i] - b[i]) * (a[i] - b[i])).sum();
        squared > 0.2
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A straight mix: `a` at 0, `b` at 1.
pub(super) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    [
        a[0] + (b[0] - a[0]) * t,
        a[1] + (b[1] - a[1]) * t,
        a[2] + (b[2] - a[2]) * t,
    ]
}

/// Lighter by `amount` (towards white) or darker (towards black) where it is negative.
pub(super) fn lighten(rgb: Rgb, amount: f32) -> Rgb {
    if amount >= 0.0 {
        mix(rgb, [1.0; 3], amount)
    } else {
        mix(rgb, [0.0; 3], -amount)
    }
}
