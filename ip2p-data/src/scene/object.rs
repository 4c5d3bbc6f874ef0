//! An object: what it is, where, how large.

use super::canvas::{Frame, Point};
use super::colour::Colour;
use super::figure;
use super::kind::{Kind, Stand};
use super::place::Row;

/// A thing in a scene.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object {
    /// Its number in the scene, which it keeps in every edit.
    pub id: u32,
    /// What it is.
    pub kind: Kind,
    /// The colour that names it.
    pub colour: Colour,
    /// Its place in units of the picture, y downwards: of its foot on the ground, or of its middle in the sky and on a wall.
    pub at: [f32; 2],
    /// Its size, 1 for the standard size of its kind at that distance.
    pub scale: f32,
    /// Whether it looks to the left.
    pub mirrored: bool,
}

impl Object {
    /// Its height in units of the picture: less where it stands farther off.
    #[must_use]
    pub fn height(&self) -> f32 {
        let nearness = match self.kind.stand() {
            Stand::Ground => {
                0.86 + 0.14 * (self.at[1] - Row::Middle.y()) / (Row::Bottom.y() - Row::Middle.y())
            }
            Stand::Sky | Stand::Wall => 1.0,
        };
        self.kind.height() * self.scale * nearness
    }

    /// The middle of its lower edge.
    fn foot(&self) -> Point {
        match self.kind.stand() {
            Stand::Ground => self.at,
            Stand::Sky | Stand::Wall => [self.at[0], self.at[1] + self.height() / 2.0],
        }
    }

    pub(super) fn frame(&self, light: f32) -> Frame {
        let facing = if self.mirrored { -1.0 } else { 1.0 };
        Frame {
            foot: self.foot(),
            scale: self.height(),
            facing,
            light,
        }
    }

    /// Left, top, right and bottom in units of the picture.
    #[must_use]
    pub fn bounds(&self) -> [f32; 4] {
        let [left, bottom, right, top] = figure::bounds(self.kind);
        let (foot, height) = (self.foot(), self.height());
        let [left, right] = if self.mirrored {
            [-right, -left]
        } else {
            [left, right]
        };
        [
            foot[0] + left * height,
            foot[1] - top * height,
            foot[0] + right * height,
            foot[1] - bottom * height,
        ]
    }

    /// Width times height of its bounds.
    #[must_use]
    pub fn area(&self) -> f32 {
        let [left, top, right, bottom] = self.bounds();
        (right - left) * (bottom - top)
    }

    /// The same, moved sideways or down as little as it takes to be wholly in the picture.
    pub(super) fn within(mut self) -> Self {
        let [left, top, right, _] = self.bounds();
        self.at[1] += (0.01 - top).max(0.0);
        self.at[0] += (0.01 - left).max(0.0) - (right - 0.99).max(0.0);
        self
    }

    /// How much of the smaller of two bounds lies in the other.
    pub(super) fn overlap(&self, other: &Self) -> f32 {
        let (a, b) = (self.bounds(), other.bounds());
        let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
        let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
        width * height / self.area().min(other.area())
    }

    /// The gap between two bounds, 0 where they touch.
    pub(super) fn gap(&self, other: &Self) -> f32 {
        let (a, b) = (self.bounds(), other.bounds());
        let x = (a[0].max(b[0]) - a[2].min(b[2])).max(0.0);
        let y = (a[1].max(b[1]) - a[3].min(b[3])).max(0.0);
        (x * x + y * y).sqrt()
    }
}
