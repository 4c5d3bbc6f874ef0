//! What a training example is.

use std::fmt;

use image::{GrayImage, RgbImage};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::folder::Buckets;

/// What an edit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// A new object.
    Add,
    /// An object goes.
    Remove,
    /// An object gets another colour.
    Recolour,
    /// An object grows or shrinks.
    Resize,
    /// An object goes elsewhere.
    Move,
    /// An object gives way to another.
    Replace,
    /// Leaves turn.
    Autumn,
    /// Everything is fresh and in blossom.
    Spring,
    /// Snow has fallen.
    Snow,
    /// It rains.
    Rain,
    /// Fog hides what is far.
    Fog,
    /// It is night.
    Night,
    /// The sun goes down.
    Sunset,
    /// A drawing in pencil.
    Sketch,
    /// A painting in watercolour.
    Watercolour,
    /// Large pixels of few colours.
    PixelArt,
    /// No colour.
    BlackAndWhite,
    /// The brown of old photographs.
    Sepia,
}

impl Family {
    /// Edits of one object.
    pub const LOCAL: [Self; 6] = [
        Self::Add,
        Self::Remove,
        Self::Recolour,
        Self::Resize,
        Self::Move,
        Self::Replace,
    ];

    /// Edits of the whole picture.
    pub const GLOBAL: [Self; 12] = [
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

    /// Whether the edit is of one object, and leaves the rest as it was.
    #[must_use]
    pub fn is_local(self) -> bool {
        Self::LOCAL.contains(&self)
    }

    /// The name, as tables and files spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Recolour => "recolour",
            Self::Resize => "resize",
            Self::Move => "move",
            Self::Replace => "replace",
            Self::Autumn => "autumn",
            Self::Spring => "spring",
            Self::Snow => "snow",
            Self::Rain => "rain",
            Self::Fog => "fog",
            Self::Night => "night",
            Self::Sunset => "sunset",
            Self::Sketch => "sketch",
            Self::Watercolour => "watercolour",
            Self::PixelArt => "pixel-art",
            Self::BlackAndWhite => "black-and-white",
            Self::Sepia => "sepia",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of the ways of saying a thing may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phrasing {
    /// Those that training uses.
    #[default]
    Training,
    /// Those that training never sees, for measuring.
    HeldOut,
}

/// A picture, a sentence, and the picture that the sentence asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The picture before.
    pub input: RgbImage,
    /// The picture after, of the same size.
    pub edited: RgbImage,
    /// The sentence.
    pub instruction: String,
    /// What the sentence asks for, in its order: one edit, or several chained.
    pub edits: Vec<Family>,
    /// 255 where the edit may change the picture, 0 where it may not; none where it may change all of it.
    pub mask: Option<GrayImage>,
}

/// A supply of examples without end.
pub trait Source: Send + Sync + fmt::Debug {
    /// Example `index`, `size` pixels wide and high: the same whenever it is asked for.
    fn example(&self, index: u64, size: u32) -> Example;

    /// Example `index` in the one of these sizes that is nearest to its own shape; a source whose pictures have none gives the
    /// square, which is the default.
    fn example_in(&self, index: u64, buckets: &Buckets) -> Example {
        self.example(index, buckets.resolution())
    }

    /// What was found broken up to now and passed over, each by its name with the reason.
    fn skipped(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A generator for example `index` of the source with this seed, independent of that of any other.
#[must_use]
pub fn rng(seed: u64, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    rng
}

/// Whether a sentence names left or right: its example must not be mirrored.
#[must_use]
pub fn names_a_side(instruction: &str) -> bool {
    instruction
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| {
            ["left", "right"]
                .iter()
                .any(|side| word.eq_ignore_ascii_case(side))
        })
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn a_generator_is_its_seed_and_its_index() {
        let first = |seed, index| rng(seed, index).next_u64();
        assert_eq!(first(1, 2), first(1, 2));
        assert_ne!(first(1, 2), first(1, 3));
        assert_ne!(first(1, 2), first(2, 2));
    }

    #[test]
    fn sides_are_found_as_words() {
        assert!(names_a_side("remove the flower in the top-left corner"));
        assert!(names_a_side("Left ball: make it blue"));
        assert!(!names_a_side("make it brighter"));
    }

    #[test]
    fn a_family_is_local_or_global() {
        for family in Family::LOCAL {
            assert!(family.is_local() && !Family::GLOBAL.contains(&family));
        }
    }
}
