//! Where things go: a grid of three columns and three rows, or a side of another object.

use super::kind::{Kind, Stand};

/// A third of the width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Column {
    Left,
    Middle,
    Right,
}

/// The sky or wall, the ground farther off, the ground close by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Row {
    Top,
    Middle,
    Bottom,
}

/// On which side of another object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Side {
    Left,
    Right,
    Above,
}

/// A place that a sentence can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// A cell of the grid.
    Cell(Column, Row),
    /// A column; the row stays as it is, or is the one where such things are by themselves.
    Column(Column),
    /// Beside an object.
    Beside(Side, u32),
}

impl Column {
    /// From left to right.
    pub const ALL: [Self; 3] = [Self::Left, Self::Middle, Self::Right];

    /// Its middle.
    pub(super) fn x(self) -> f32 {
        match self {
            Self::Left => 0.2,
            Self::Middle => 0.5,
            Self::Right => 0.8,
        }
    }

    /// The column of a point, if it is well within one.
    pub(super) fn of(x: f32) -> Option<Self> {
        match x {
            x if x < 0.34 => Some(Self::Left),
            x if x > 0.66 => Some(Self::Right),
            x if (0.4..0.6).contains(&x) => Some(Self::Middle),
            _ => None,
        }
    }
}

impl Row {
    /// From top to bottom.
    pub const ALL: [Self; 3] = [Self::Top, Self::Middle, Self::Bottom];

    /// The middle of what is in the sky or on the wall; the foot of what stands on the ground.
    pub(super) fn y(self) -> f32 {
        match self {
            Self::Top => 0.19,
            Self::Middle => 0.68,
            Self::Bottom => 0.94,
        }
    }

    /// The row of such an object.
    pub(super) fn of(kind: Kind, y: f32) -> Self {
        match kind.stand() {
            Stand::Sky | Stand::Wall => Self::Top,
            Stand::Ground if y < 0.81 => Self::Middle,
            Stand::Ground => Self::Bottom,
        }
    }

    /// Whether such a thing can be in this row.
    pub(super) fn holds(self, kind: Kind) -> bool {
        (self == Self::Top) == (kind.stand() != Stand::Ground)
    }
}
