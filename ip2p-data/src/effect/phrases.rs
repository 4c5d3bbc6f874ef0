//! The ways of asking for each effect.
//!
//! Orders can be chained ("make it snowy and then turn it into a sketch"); looks stand alone. What is held out is said
//! in words that the training ones use, in other combinations: it measures whether a sentence is understood, not whether a word was met.

mod nature;
mod style;

use super::Effect;
use nature::{AUTUMN, FOG, NIGHT, RAIN, SNOW, SPRING, SUNSET};
use style::{BLACK_AND_WHITE, PIXEL_ART, SEPIA, SKETCH, WATERCOLOUR};

/// The ways of asking for one effect, in lower case and without a full stop.
#[derive(Debug)]
pub(super) struct Phrases {
    /// What can be chained with another order.
    pub(in crate::effect) orders: &'static [&'static str],
    /// Whole sentences.
    pub(in crate::effect) looks: &'static [&'static str],
    /// Orders that training never uses.
    pub(in crate::effect) held_out: &'static [&'static str],
}

pub(super) fn phrases(effect: Effect) -> &'static Phrases {
    match effect {
        Effect::Autumn => &AUTUMN,
        Effect::Spring => &SPRING,
        Effect::Snow => &SNOW,
        Effect::Rain => &RAIN,
        Effect::Fog => &FOG,
        Effect::Night => &NIGHT,
        Effect::Sunset => &SUNSET,
        Effect::Sketch => &SKETCH,
        Effect::Watercolour => &WATERCOLOUR,
        Effect::PixelArt => &PIXEL_ART,
        Effect::BlackAndWhite => &BLACK_AND_WHITE,
        Effect::Sepia => &SEPIA,
    }
}
