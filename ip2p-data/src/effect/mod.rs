//! Edits of a whole picture: weather, season, light and style.
//!
//! An effect is computed from the pixels alone, with no depth, no labels and no randomness, so that it works on a drawn scene as
//! on a photograph and so that the picture and the sentence determine the target. The tone carries it: smooth functions of colour, of height in the
//! picture and of local means. Patterns (flakes, streaks, paper) lie at fixed places, and are a small part of its energy.
//! Every length is a fraction of the picture's shorter side, so that a picture of 128 pixels and one of 256 get the same look.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "pixels are counted far below the limits of these types, and bytes are clipped before they are bytes"
)]

mod canvas;
mod colour;
mod light;
mod pattern;
mod phrases;
mod season;
mod sentence;
mod style;
mod weather;

use image::RgbImage;
use rand::{Rng, RngExt};

use crate::Family;
use canvas::Canvas;

pub(crate) use sentence::order;
pub use sentence::{chained_sentence, sentence};

/// An edit of a whole picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// Green turns to orange and red, and some leaves have fallen.
    Autumn,
    /// Green is fresh and bright, with pink blossom.
    Spring,
    /// Snow lies on the ground and on the plants, and some flakes fall.
    Snow,
    /// A dark, grey, wet day with streaks of rain.
    Rain,
    /// White fog, denser above than below.
    Fog,
    /// Dark and blue, with bright spots glowing warm.
    Night,
    /// Purple above, orange in the middle, dark below.
    Sunset,
    /// Grey pencil on white paper.
    Sketch,
    /// Flat, bright areas of paint that fade to paper at the border.
    Watercolour,
    /// Blocks of a 32nd of the shorter side, in few colours.
    PixelArt,
    /// Grey, with strong contrast.
    BlackAndWhite,
    /// Brown and cream.
    Sepia,
}

impl Effect {
    /// All of them, in the order of [`Family::GLOBAL`].
    pub const ALL: [Self; 12] = [
        Self::Autumn,
        Self::Spring,
        Self::Snow,
        Self::Rain,
        Self::Fog,
        Self::Night,
        Self::Sunset,
        Self::Sketch,
        Self::Watercolour,
        Self::PixelArt,
        Self::BlackAndWhite,
        Self::Sepia,
    ];

    /// The family of edits that it belongs to.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Autumn => Family::Autumn,
            Self::Spring => Family::Spring,
            Self::Snow => Family::Snow,
            Self::Rain => Family::Rain,
            Self::Fog => Family::Fog,
            Self::Night => Family::Night,
            Self::Sunset => Family::Sunset,
            Self::Sketch => Family::Sketch,
            Self::Watercolour => Family::Watercolour,
            Self::PixelArt => Family::PixelArt,
            Self::BlackAndWhite => Family::BlackAndWhite,
            Self::Sepia => Family::Sepia,
        }
    }

    /// The effect of a family; none for the edits of one object.
    #[must_use]
    pub fn of(family: Family) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|effect| effect.family() == family)
    }

    /// Whether it changes how the picture is made rather than what is in it.
    #[must_use]
    pub fn is_style(self) -> bool {
        matches!(
            self,
            Self::Sketch | Self::Watercolour | Self::PixelArt | Self::BlackAndWhite | Self::Sepia
        )
    }
}

/// The picture after an effect, of the same size.
#[must_use]
pub fn apply(picture: &RgbImage, effect: Effect) -> RgbImage {
    let canvas = Canvas::new(picture);
    let edited = match effect {
        Effect::Autumn => season::autumn(canvas),
        Effect::Spring => season::spring(canvas),
        Effect::Snow => weather::snow(canvas),
        Effect::Rain => weather::rain(canvas),
        Effect::Fog => weather::fog(canvas),
        Effect::Night => light::night(canvas),
        Effect::Sunset => light::sunset(canvas),
        Effect::Sketch => style::sketch(&canvas),
        Effect::Watercolour => style::watercolour(&canvas),
        Effect::PixelArt => style::pixel_art(&canvas),
        Effect::BlackAndWhite => style::black_and_white(canvas),
        Effect::Sepia => style::sepia(canvas),
    };
    edited.into_picture()
}

/// One effect, each as likely as any other.
pub fn sample(rng: &mut impl Rng) -> Effect {
    Effect::ALL[rng.random_range(0..Effect::ALL.len())]
}

/// A second effect to follow the first in a chain, so that the marks of both are seen.
pub fn sample_after(first: Effect, rng: &mut impl Rng) -> Effect {
    let second = after(first);
    second[rng.random_range(0..second.len())]
}

/// The effects that leave the mark of `first` to be seen: each differs by less than 23 dB from what it is without it.
fn after(first: Effect) -> &'static [Effect] {
    use Effect::{BlackAndWhite, Fog, Night, PixelArt, Sepia, Snow, Sunset, Watercolour};
    match first {
        Effect::Autumn | Sepia => &[Watercolour, PixelArt],
        Effect::Spring => &[Sunset, Watercolour, PixelArt, Sepia],
        Snow => &[Night, Sunset, PixelArt, BlackAndWhite, Sepia],
        Effect::Rain => &[Sunset, Watercolour, PixelArt, BlackAndWhite, Sepia],
        Fog => &[Sunset, PixelArt, BlackAndWhite, Sepia],
        Night | Sunset => &[Watercolour, PixelArt, BlackAndWhite],
        Effect::Sketch => &[Snow, Sunset, Sepia],
        Watercolour => &[Snow, Sunset, BlackAndWhite, Sepia],
        PixelArt => &[BlackAndWhite],
        BlackAndWhite => &[PixelArt],
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use image::imageops::{FilterType, resize};

    use super::*;

    /// A sky, hills and a field with a house, or another arrangement of soft shapes.
    fn scene(size: u32, kind: u32) -> RgbImage {
        RgbImage::from_fn(size, size, |x, y| {
            let (x, y) = (
                (x as f32 + 0.5) / size as f32,
                (y as f32 + 0.5) / size as f32,
            );
            let wave = (9.0 * x + kind as f32).sin() * (7.0 * y).cos();
            let hill = 0.5 + 0.08 * (5.0 * x + kind as f32).sin();
            let colour = if (x - 0.3).abs() < 0.12 && (y - 0.6).abs() < 0.1 {
                [0.75, 0.25, 0.2]
            } else if y < hill {
                [0.45 + 0.2 * y, 0.65 + 0.1 * y, 0.92]
            } else if kind == 1 {
                [0.55 + 0.1 * wave, 0.45 + 0.1 * wave, 0.3]
            } else {
                [0.25 + 0.1 * wave, 0.50 + 0.12 * wave, 0.15]
            };
            Rgb(colour.map(|c| (c * 255.0) as u8))
        })
    }

    fn psnr(a: &RgbImage, b: &RgbImage) -> f64 {
        crate::measure::psnr(a, b, None).unwrap()
    }

    #[test]
    fn effects_are_those_of_the_global_families() {
        assert_eq!(Effect::ALL.map(Effect::family), Family::GLOBAL);
        assert_eq!(Effect::of(Family::Night), Some(Effect::Night));
        assert_eq!(Effect::of(Family::Move), None);
    }

    #[test]
    fn an_effect_is_the_same_each_time_and_keeps_the_size() {
        for effect in Effect::ALL {
            for (width, height) in [(1, 1), (1, 9), (17, 1), (33, 20), (64, 65)] {
                let picture = RgbImage::from_fn(width, height, |x, y| {
                    Rgb([(7 * x) as u8, (5 * y) as u8, 90])
                });
                let edited = apply(&picture, effect);
                assert_eq!(edited.dimensions(), (width, height), "{effect:?}");
                assert_eq!(edited, apply(&picture, effect), "{effect:?}");
            }
        }
    }

    #[test]
    fn every_effect_is_seen_and_unlike_every_other() {
        for kind in 0..3 {
            let picture = scene(96, kind);
            let edited = Effect::ALL.map(|effect| apply(&picture, effect));
            for (i, effect) in Effect::ALL.into_iter().enumerate() {
                let unchanged = psnr(&picture, &edited[i]);
                assert!(
                    unchanged < 22.0,
                    "{effect:?} of {kind} is hardly seen: {unchanged:.1} dB"
                );
                for (j, other) in Effect::ALL.into_iter().enumerate().skip(i + 1) {
                    let between = psnr(&edited[i], &edited[j]);
                    assert!(
                        between < 22.0,
                        "{effect:?} and {other:?} of {kind}: {between:.1} dB"
                    );
                }
            }
        }
    }

    #[test]
    fn a_small_and_a_large_version_look_alike() {
        let large = scene(256, 0);
        let small = resize(&large, 128, 128, FilterType::Triangle);
        for effect in Effect::ALL {
            let shrunk = resize(&apply(&large, effect), 128, 128, FilterType::Triangle);
            let alike = psnr(&shrunk, &apply(&small, effect));
            assert!(alike > 27.0, "{effect:?}: {alike:.1} dB");
        }
    }

    #[test]
    fn both_effects_of_a_chain_are_seen() {
        let picture = scene(64, 0);
        for first in Effect::ALL {
            for second in after(first) {
                let (once, alone) = (apply(&picture, first), apply(&picture, *second));
                let both = apply(&once, *second);
                let (of_second, of_first) = (psnr(&both, &once), psnr(&both, &alone));
                assert!(
                    of_second < 23.0,
                    "{second:?} after {first:?}: {of_second:.1} dB"
                );
                assert!(
                    of_first < 23.0,
                    "{first:?} before {second:?}: {of_first:.1} dB"
                );
            }
        }
    }
}
