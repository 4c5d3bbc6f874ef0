//! Shapes with a signed distance, and the canvas they are laid on.
//!
//! A shape says how far a point is from its outline (negative inside), so that its edge is smooth at every size of picture and
//! nothing depends on the pixel grid. Only sums, products, quotients and square roots are used, which IEEE 754 rounds in one way:
//! the picture is the same on every machine.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixel coordinates are small and clamped before they are cast"
)]

use image::RgbImage;

use super::colour::{Rgb, lighten, mix};

/// A point or a vector.
pub(super) type Point = [f32; 2];

/// An outline in the units of its figure: x to the right, y upwards.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Ellipse {
        centre: Point,
        radii: Point,
    },
    /// The upper half of an ellipse.
    Dome {
        centre: Point,
        radii: Point,
    },
    Rect {
        centre: Point,
        half: Point,
        round: f32,
    },
    Line {
        from: Point,
        to: Point,
        radius: f32,
    },
    Polygon(Vec<Point>),
    /// What any of several shapes covers.
    Union(Vec<Shape>),
}

fn length(p: Point) -> f32 {
    (p[0] * p[0] + p[1] * p[1]).sqrt()
}

fn ellipse_distance(p: Point, centre: Point, radii: Point) -> f32 {
    let q = [p[0] - centre[0], p[1] - centre[1]];
    let outer = length([q[0] / radii[0], q[1] / radii[1]]);
    let slope = length([q[0] / (radii[0] * radii[0]), q[1] / (radii[1] * radii[1])]);
    if slope < 1e-6 {
        -radii[0].min(radii[1])
    } else {
        outer * (outer - 1.0) / slope
    }
}

fn line_distance(p: Point, from: Point, to: Point) -> f32 {
    let (a, b) = (
        [p[0] - from[0], p[1] - from[1]],
        [to[0] - from[0], to[1] - from[1]],
    );
    let along = ((a[0] * b[0] + a[1] * b[1]) / (b[0] * b[0] + b[1] * b[1])).clamp(0.0, 1.0);
    length([a[0] - b[0] * along, a[1] - b[1] * along])
}

fn polygon_distance(p: Point, points: &[Point]) -> f32 {
    let mut nearest = f32::MAX;
    let mut inside = false;
    let mut previous = points[points.len() - 1];
    for &point in points {
        nearest = nearest.min(line_distance(p, previous, point));
        if (point[1] > p[1]) != (previous[1] > p[1]) {
            let crossing =
                (previous[0] - point[0]) * (p[1] - point[1]) / (previous[1] - point[1]) + point[0];
            inside ^= p[0] < crossing;
        }
        previous = point;
    }
    if inside { -nearest } else { nearest }
}

impl Shape {
    /// How far `p` is from the outline; negative inside.
    pub(super) fn distance(&self, p: Point) -> f32 {
        match self {
            Self::Ellipse { centre, radii } => ellipse_distance(p, *centre, *radii),
            Self::Dome { centre, radii } => {
                ellipse_distance(p, *centre, *radii).max(centre[1] - p[1])
            }
            Self::Rect {
                centre,
                half,
                round,
            } => {
                let q = [
                    (p[0] - centre[0]).abs() - half[0] + round,
                    (p[1] - centre[1]).abs() - half[1] + round,
                ];
                length([q[0].max(0.0), q[1].max(0.0)]) + q[0].max(q[1]).min(0.0) - round
            }
            Self::Line { from, to, radius } => line_distance(p, *from, *to) - radius,
            Self::Polygon(points) => polygon_distance(p, points),
            Self::Union(shapes) => shapes
                .iter()
                .map(|shape| shape.distance(p))
                .fold(f32::MAX, f32::min),
        }
    }

    /// Left, bottom, right and top.
    pub(super) fn bounds(&self) -> [f32; 4] {
        match self {
            Self::Ellipse {
                centre: [x, y],
                radii: [rx, ry],
            } => [x - rx, y - ry, x + rx, y + ry],
            Self::Dome {
                centre: [x, y],
                radii: [rx, ry],
            } => [x - rx, *y, x + rx, y + ry],
            Self::Rect {
                centre: [x, y],
                half: [w, h],
                ..
            } => [x - w, y - h, x + w, y + h],
            Self::Line { from, to, radius } => [
                from[0].min(to[0]) - radius,
                from[1].min(to[1]) - radius,
                from[0].max(to[0]) + radius,
                from[1].max(to[1]) + radius,
            ],
            Self::Polygon(points) => hull(points.iter().map(|&[x, y]| [x, y, x, y])),
            Self::Union(shapes) => hull(shapes.iter().map(Self::bounds)),
        }
    }
}

/// The box around boxes.
pub(super) fn hull(boxes: impl Iterator<Item = [f32; 4]>) -> [f32; 4] {
    boxes.fold([f32::MAX, f32::MAX, f32::MIN, f32::MIN], |a, b| {
        [
            a[0].min(b[0]),
            a[1].min(b[1]),
            a[2].max(b[2]),
            a[3].max(b[3]),
        ]
    })
}

/// A shape with its paint.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) shape: Shape,
    pub(super) rgb: Rgb,
    /// How much lighter the lit side is than the other, 0 for a flat colour.
    pub(super) shade: f32,
    /// Whether the outline is drawn, a little darker than the paint.
    pub(super) outlined: bool,
}

/// Where a figure stands and how large it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// The middle of the figure's foot, in units of the picture, y downwards.
    pub(super) foot: Point,
    /// Units of the picture in one unit of the figure.
    pub(super) scale: f32,
    /// -1 for a figure that looks to the left, else 1.
    pub(super) facing: f32,
    /// -1 for light from the left, 1 for light from the right.
    pub(super) light: f32,
}

/// A picture in the making: colours in `[0, 1]`.
#[derive(Debug, Clone)]
pub(super) struct Canvas {
    size: u32,
    pixels: Vec<Rgb>,
}

/// The width of an outline, and how dark it is.
const OUTLINE: f32 = 0.008;
const OUTLINE_SHADE: f32 = -0.42;
/// A shadow: how flat it lies, how far it leans, how soft its edge is, how dark it is.
const SHADOW_HEIGHT: f32 = 0.22;
const SHADOW_LEAN: f32 = 0.42;
const SHADOW_EDGE: f32 = 0.016;
const SHADOW_SHADE: f32 = 0.36;

impl Canvas {
    /// A square picture, each pixel coloured by its middle in units of the picture.
    pub(super) fn new(size: u32, mut colour: impl FnMut(Point) -> Rgb) -> Self {
        let unit = 1.0 / size as f32;
        let pixels = (0..size)
            .flat_map(|y| {
                (0..size).map(move |x| [(x as f32 + 0.5) * unit, (y as f32 + 0.5) * unit])
            })
            .map(&mut colour)
            .collect();
        Self { size, pixels }
    }

    /// Calls `paint` with each pixel whose middle lies in a box of the picture.
    fn each(&mut self, bounds: [f32; 4], mut paint: impl FnMut(Point, usize, &mut Rgb)) {
        let size = self.size as f32;
        let edge = |v: f32| (v * size).clamp(0.0, size) as usize;
        let side = self.size as usize;
        for y in edge(bounds[1])..(edge(bounds[3]) + 1).min(side) {
            for x in edge(bounds[0])..(edge(bounds[2]) + 1).min(side) {
                let middle = [(x as f32 + 0.5) / size, (y as f32 + 0.5) / size];
                let index = y * side + x;
                paint(middle, index, &mut self.pixels[index]);
            }
        }
    }

    /// Lays a part of a figure on the picture.
    pub(super) fn fill(&mut self, part: &Part, frame: Frame) {
        let Frame {
            foot,
            scale,
            facing,
            light,
        } = frame;
        let [left, bottom, right, top] = part.shape.bounds();
        let (centre, half) = (
            [f32::midpoint(left, right), f32::midpoint(bottom, top)],
            [(right - left) / 2.0, (top - bottom) / 2.0],
        );
        let reach = 1.0 / self.size as f32;
        let across = [
            foot[0] + left * facing * scale,
            foot[0] + right * facing * scale,
        ];
        let bounds = [
            across[0].min(across[1]) - reach,
            foot[1] - top * scale - reach,
            across[0].max(across[1]) + reach,
            foot[1] - bottom * scale + reach,
        ];
        let size = self.size as f32;
        let outline = lighten(part.rgb, OUTLINE_SHADE);
        self.each(bounds, |at, _, pixel| {
            let p = [
                (at[0] - foot[0]) / scale * facing,
                (foot[1] - at[1]) / scale,
            ];
            let distance = part.shape.distance(p) * scale;
            let cover = (0.5 - distance * size).clamp(0.0, 1.0);
            if cover == 0.0 {
                return;
            }
            let lit = (p[0] - centre[0]) / half[0] * facing * light * 0.7
                + (p[1] - centre[1]) / half[1] * 0.5;
            let mut rgb = lighten(part.rgb, (part.shade * lit).clamp(-0.6, 0.6));
            if part.outlined {
                let rim = ((distance + OUTLINE) / OUTLINE * 1.5).clamp(0.0, 1.0);
                rgb = mix(rgb, outline, rim);
            }
            *pixel = mix(*pixel, rgb, cover);
        });
    }

    /// Darkens the ground where figures keep the light from it. Where shadows meet, the ground is no darker.
    pub(super) fn cast(&mut self, figures: &[(Frame, &[Part])]) {
        let mut shadow = vec![0.0_f32; self.pixels.len()];
        for (frame, parts) in figures {
            let lean = -frame.light * SHADOW_LEAN;
            for part in *parts {
                let [left, bottom, right, top] = part.shape.bounds();
                let [low, high] = [left, right].map(|x| x * frame.facing);
                let xs = [low, high].map(|x| [x + lean * bottom, x + lean * top]);
                let xs = [xs[0][0], xs[0][1], xs[1][0], xs[1][1]]
                    .map(|x| frame.foot[0] + x * frame.scale);
                let bounds = [
                    xs.into_iter().fold(f32::MAX, f32::min) - SHADOW_EDGE,
                    frame.foot[1] - top * SHADOW_HEIGHT * frame.scale - SHADOW_EDGE,
                    xs.into_iter().fold(f32::MIN, f32::max) + SHADOW_EDGE,
                    frame.foot[1] - bottom * SHADOW_HEIGHT * frame.scale + SHADOW_EDGE,
                ];
                self.each(bounds, |at, index, _| {
                    let up = (frame.foot[1] - at[1]) / (frame.scale * SHADOW_HEIGHT);
                    let along = ((at[0] - frame.foot[0]) / frame.scale - up * lean) * frame.facing;
                    let distance =
                        part.shape.distance([along, up]) * frame.scale * SHADOW_HEIGHT * 1.6;
                    let cover = (0.5 - distance / SHADOW_EDGE).clamp(0.0, 1.0);
                    shadow[index] = shadow[index].max(cover);
                });
            }
        }
        for (pixel, shadow) in self.pixels.iter_mut().zip(&shadow) {
            if *shadow > 0.0 {
                *pixel = mix(*pixel, [0.05, 0.06, 0.14], shadow * SHADOW_SHADE);
            }
        }
    }

    /// Darkens the wall beside and below what hangs on it.
    pub(super) fn hang(&mut self, figures: &[(Frame, &[Part])]) {
        for (frame, parts) in figures {
            let foot = [frame.foot[0] - frame.light * 0.012, frame.foot[1] + 0.014];
            if let Some(part) = parts.first() {
                let [left, bottom, right, top] = part.shape.bounds();
                let [low, high] =
                    [left * frame.facing, right * frame.facing].map(|x| foot[0] + x * frame.scale);
                let bounds = [
                    low.min(high),
                    foot[1] - top * frame.scale,
                    low.max(high),
                    foot[1] - bottom * frame.scale,
                ];
                self.each(bounds, |at, _, pixel| {
                    let p = [
                        (at[0] - foot[0]) / frame.scale * frame.facing,
                        (foot[1] - at[1]) / frame.scale,
                    ];
                    let cover =
                        (0.5 - part.shape.distance(p) * frame.scale / SHADOW_EDGE).clamp(0.0, 1.0);
                    *pixel = mix(*pixel, [0.1, 0.08, 0.1], cover * SHADOW_SHADE * 0.6);
                });
            }
        }
    }

    /// The picture in bytes.
    pub(super) fn finish(&self) -> RgbImage {
        let bytes = self
            .pixels
            .iter()
            .flat_map(|rgb| rgb.map(|v| (v.clamp(0.0, 1.0) * 255.0 + 0.5) as u8))
            .collect();
        RgbImage::from_raw(self.size, self.size, bytes)
            .expect("three bytes were made for each pixel")
    }
}
