//! The things that scenes are made of.

use std::fmt;

use super::backdrop::Setting;
use super::colour::Colour;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Ball,
    Box,
    House,
    Tree,
    Flower,
    Car,
    Bus,
    Lamp,
    Cat,
    Dog,
    Sheep,
    Duck,
    Mushroom,
    Umbrella,
    Tent,
    Cactus,
    Chair,
    Pumpkin,
    Bush,
    Vase,
    Balloon,
    Cloud,
    Sun,
    Kite,
    Bird,
    Plane,
    Clock,
    Painting,
    Window,
}

/// What holds an object up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stand {
    /// It stands on the ground, larger where it is nearer.
    Ground,
    /// It is in the sky.
    Sky,
    /// It hangs on the wall of a room.
    Wall,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::Ball,
        Self::Box,
        Self::House,
        Self::Tree,
        Self::Flower,
        Self::Car,
        Self::Bus,
        Self::Lamp,
        Self::Cat,
        Self::Dog,
        Self::Sheep,
        Self::Duck,
        Self::Mushroom,
        Self::Umbrella,
        Self::Tent,
        Self::Cactus,
        Self::Chair,
        Self::Pumpkin,
        Self::Bush,
        Self::Vase,
        Self::Balloon,
        Self::Cloud,
        Self::Sun,
        Self::Kite,
        Self::Bird,
        Self::Plane,
        Self::Clock,
        Self::Painting,
        Self::Window,
    ];

    /// The noun.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ball => "ball",
            Self::Box => "box",
            Self::House => "house",
            Self::Tree => "tree",
            Self::Flower => "flower",
            Self::Car => "car",
            Self::Bus => "bus",
            Self::Lamp => "lamp",
            Self::Cat => "cat",
            Self::Dog => "dog",
            Self::Sheep => "sheep",
            Self::Duck => "duck",
            Self::Mushroom => "mushroom",
            Self::Umbrella => "umbrella",
            Self::Tent => "tent",
            Self::Cactus => "cactus",
            Self::Chair => "chair",
            Self::Pumpkin => "pumpkin",
            Self::Bush => "bush",
            Self::Vase => "vase",
            Self::Balloon => "balloon",
            Self::Cloud => "cloud",
            Self::Sun => "sun",
            Self::Kite => "kite",
            Self::Bird => "bird",
            Self::Plane => "plane",
            Self::Clock => "clock",
            Self::Painting => "painting",
            Self::Window => "window",
        }
    }

    /// What holds it up.
    #[must_use]
    pub fn stand(self) -> Stand {
        match self {
            Self::Balloon | Self::Cloud | Self::Sun | Self::Kite | Self::Bird | Self::Plane => {
                Stand::Sky
            }
            Self::Clock | Self::Painting | Self::Window => Stand::Wall,
            _ => Stand::Ground,
        }
    }

    /// Its standard height in units of the picture, where it is nearest.
    #[expect(clippy::match_same_arms, reason = "a table, in the order of the kinds")]
    pub(super) fn height(self) -> f32 {
        match self {
            Self::Ball => 0.29,
            Self::Box => 0.27,
            Self::House => 0.41,
            Self::Tree => 0.46,
            Self::Flower => 0.39,
            Self::Car => 0.22,
            Self::Bus => 0.28,
            Self::Lamp => 0.44,
            Self::Cat | Self::Mushroom => 0.34,
            Self::Dog => 0.33,
            Self::Sheep | Self::Duck => 0.31,
            Self::Umbrella => 0.44,
            Self::Tent => 0.31,
            Self::Cactus => 0.41,
            Self::Chair => 0.39,
            Self::Pumpkin => 0.26,
            Self::Bush => 0.23,
            Self::Vase => 0.34,
            Self::Balloon => 0.37,
            Self::Cloud => 0.21,
            Self::Sun | Self::Painting => 0.27,
            Self::Kite => 0.34,
            Self::Bird => 0.24,
            Self::Plane => 0.22,
            Self::Clock => 0.26,
            Self::Window => 0.33,
        }
    }

    /// The colour it has when a sentence names none.
    #[must_use]
    pub fn default_colour(self) -> Colour {
        self.colours()[0]
    }

    /// The colours it has in scenes, the default first.
    pub(super) fn colours(self) -> &'static [Colour] {
        use Colour::{Black, Blue, Brown, Green, Orange, Pink, Purple, Red, White, Yellow};
        match self {
            Self::Ball => &[Red, Orange, Yellow, Green, Blue, Purple, Pink, White, Black],
            Self::Box => &[Brown, Red, Yellow, Green, Blue, Purple, Pink, White, Orange],
            Self::House => &[White, Red, Yellow, Blue, Pink, Brown, Orange, Purple],
            Self::Tree => &[Green, Green, Green, Pink, Orange, Yellow, Red],
            Self::Flower => &[Red, Yellow, Pink, Purple, Blue, White, Orange],
            Self::Car => &[Red, Blue, Yellow, Black, White, Orange, Purple, Green],
            Self::Bus => &[Yellow, Red, Blue, White, Orange, Green, Purple],
            Self::Lamp => &[Yellow, White, Red, Orange, Pink, Blue],
            Self::Cat => &[Orange, Black, White, Brown],
            Self::Dog => &[Brown, White, Black, Orange, Yellow],
            Self::Sheep => &[White, White, Black, Brown, Pink],
            Self::Duck => &[Yellow, White, Brown, Black, Orange],
            Self::Mushroom => &[Red, Brown, Purple, Orange, Blue, Pink],
            Self::Umbrella => &[Red, Blue, Yellow, Pink, Purple, Orange, Green, White, Black],
            Self::Tent => &[Orange, Red, Blue, Yellow, Purple, White, Pink],
            Self::Cactus => &[Green, Green, Purple, Yellow, Blue],
            Self::Chair => &[Brown, Red, Blue, White, Green, Black, Yellow],
            Self::Pumpkin => &[Orange, Orange, White, Yellow, Green],
            Self::Bush => &[Green, Green, Red, Yellow, Pink, Purple],
            Self::Vase => &[Blue, Red, White, Green, Purple, Orange, Black],
            Self::Balloon => &[Red, Blue, Yellow, Green, Pink, Purple, Orange, White],
            Self::Cloud => &[White, White, White, Pink, Purple, Black],
            Self::Sun => &[Yellow, Yellow, Orange, Red],
            Self::Kite => &[Red, Yellow, Green, Purple, Pink, Orange, Blue],
            Self::Bird => &[Blue, Red, Black, White, Yellow, Brown],
            Self::Plane => &[White, Red, Yellow, Blue, Green, Orange],
            Self::Clock => &[Black, Red, Blue, White, Brown, Yellow, Green],
            Self::Painting => &[Brown, Yellow, Black, White, Red, Blue],
            Self::Window => &[Red, White, Blue, Green, Yellow, Pink, Brown],
        }
    }

    /// Whether it belongs into such a place.
    pub(super) fn suits(self, setting: Setting) -> bool {
        use Setting::{Beach, Desert, Farm, Meadow, Room, Snowfield, Street};
        match self {
            Self::Ball | Self::Cat | Self::Dog | Self::Box => true,
            Self::Balloon
            | Self::Cloud
            | Self::Sun
            | Self::Bird
            | Self::Plane
            | Self::Kite
            | Self::Car => setting != Room,
            Self::Clock | Self::Painting | Self::Window | Self::Vase => setting == Room,
            Self::House | Self::Tree => matches!(setting, Meadow | Street | Snowfield | Farm),
            Self::Flower => matches!(setting, Meadow | Farm | Room | Desert),
            Self::Bus => matches!(setting, Street | Beach | Snowfield | Desert),
            Self::Lamp => matches!(setting, Street | Room | Snowfield),
            Self::Sheep => matches!(setting, Meadow | Farm | Snowfield),
            Self::Duck => matches!(setting, Meadow | Farm | Beach),
            Self::Mushroom => matches!(setting, Meadow | Farm),
            Self::Umbrella => matches!(setting, Beach | Street | Desert | Meadow),
            Self::Tent => matches!(setting, Meadow | Beach | Desert | Snowfield),
            Self::Cactus => matches!(setting, Desert | Room),
            Self::Chair => matches!(setting, Room | Beach | Farm),
            Self::Pumpkin => matches!(setting, Farm | Street | Room | Meadow),
            Self::Bush => matches!(setting, Meadow | Farm | Street | Desert),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
