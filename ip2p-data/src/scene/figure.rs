//! How each kind is drawn: a list of painted shapes in a unit of its height, feet at 0, looking to the right.

use super::canvas::{Part, Point, Shape, hull};
use super::colour::{Colour, Rgb, lighten};
use super::kind::Kind;

mod animals;
mod nature;
mod things;

const INK: Rgb = [0.14, 0.12, 0.14];
const CREAM: Rgb = [0.96, 0.91, 0.80];
const WOOD: Rgb = [0.45, 0.28, 0.16];
const STEM: Rgb = [0.22, 0.50, 0.20];
const GLASS: Rgb = [0.68, 0.86, 0.96];
const GOLD: Rgb = [0.98, 0.78, 0.25];
const SLATE: Rgb = [0.32, 0.35, 0.42];

/// The parts of a figure, the hindmost first.
#[derive(Debug, Default)]
struct Pen {
    parts: Vec<Part>,
}

fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> Shape {
    Shape::Ellipse {
        centre: [x, y],
        radii: [rx, ry],
    }
}

fn circle(x: f32, y: f32, radius: f32) -> Shape {
    ellipse(x, y, radius, radius)
}

fn dome(x: f32, y: f32, rx: f32, ry: f32) -> Shape {
    Shape::Dome {
        centre: [x, y],
        radii: [rx, ry],
    }
}

/// A box from its lower left to its upper right corner.
fn rect(from: Point, to: Point, round: f32) -> Shape {
    Shape::Rect {
        centre: [f32::midpoint(from[0], to[0]), f32::midpoint(from[1], to[1])],
        half: [(to[0] - from[0]) / 2.0, (to[1] - from[1]) / 2.0],
        round,
    }
}

fn line(from: Point, to: Point, radius: f32) -> Shape {
    Shape::Line { from, to, radius }
}

fn polygon<const N: usize>(points: [Point; N]) -> Shape {
    Shape::Polygon(points.into())
}

fn union<const N: usize>(shapes: [Shape; N]) -> Shape {
    Shape::Union(shapes.into())
}

impl Pen {
    /// A shaded shape with an outline.
    fn body(&mut self, shape: Shape, rgb: Rgb) -> &mut Self {
        self.parts.push(Part {
            shape,
            rgb,
            shade: 0.28,
            outlined: true,
        });
        self
    }

    /// A small or flat shape without an outline.
    fn mark(&mut self, shape: Shape, rgb: Rgb) -> &mut Self {
        self.parts.push(Part {
            shape,
            rgb,
            shade: 0.0,
            outlined: false,
        });
        self
    }

    /// A soft light patch on something round.
    fn gloss(&mut self, x: f32, y: f32, rx: f32, ry: f32, rgb: Rgb) -> &mut Self {
        self.mark(ellipse(x, y, rx, ry), lighten(rgb, 0.4))
    }

    fn eye(&mut self, x: f32, y: f32, radius: f32) -> &mut Self {
        self.mark(circle(x, y, radius), INK).mark(
            circle(x + radius * 0.3, y + radius * 0.35, radius * 0.35),
            [1.0; 3],
        )
    }
}

/// The parts of a figure of this kind in this colour, the hindmost first.
pub(super) fn parts(kind: Kind, colour: Colour) -> Vec<Part> {
    let mut pen = Pen::default();
    match kind {
        Kind::Cat | Kind::Dog | Kind::Sheep | Kind::Duck | Kind::Bird => {
            animals::draw(&mut pen, kind, colour);
        }
        Kind::Tree
        | Kind::Flower
        | Kind::Mushroom
        | Kind::Cactus
        | Kind::Pumpkin
        | Kind::Bush
        | Kind::Cloud
        | Kind::Sun => nature::draw(&mut pen, kind, colour),
        _ => things::draw(&mut pen, kind, colour),
    }
    pen.parts
}

/// Left, bottom, right and top of a kind's figure, in units of its height.
pub(super) fn bounds(kind: Kind) -> [f32; 4] {
    hull(
        parts(kind, Colour::Red)
            .iter()
            .map(|part| part.shape.bounds()),
    )
}
