//! Animals.

use super::{GOLD, INK, Pen, circle, ellipse, line, polygon, rect, union};
use crate::scene::colour::{Colour, Rgb, lighten};
use crate::scene::kind::Kind;

const NOSE: Rgb = [0.90, 0.45, 0.50];
const BEAK: Rgb = [0.97, 0.60, 0.12];

pub(super) fn draw(pen: &mut Pen, kind: Kind, colour: Colour) {
    let coat = colour.rgb();
    match kind {
        Kind::Cat => cat(pen, coat),
        Kind::Dog => dog(pen, coat),
        Kind::Sheep => sheep(pen, colour),
        Kind::Duck => duck(pen, colour),
        _ => bird(pen, colour),
    }
}

/// A colour for marks that must be seen on fur of any colour.
fn eye_white(pen: &mut Pen, x: f32, y: f32, radius: f32) {
    pen.mark(ellipse(x, y, radius, radius * 1.1), [0.97, 0.97, 0.90])
        .eye(x, y, radius * 0.68);
}

fn cat(pen: &mut Pen, coat: Rgb) {
    pen.body(
        union([
            line([0.2, 0.08], [0.44, 0.16], 0.055),
            line([0.44, 0.16], [0.47, 0.42], 0.055),
        ]),
        coat,
    )
    .body(ellipse(0.0, 0.3, 0.29, 0.31), coat)
    .mark(ellipse(0.0, 0.26, 0.15, 0.19), lighten(coat, 0.4))
    .body(
        union([
            ellipse(-0.12, 0.05, 0.1, 0.06),
            ellipse(0.12, 0.05, 0.1, 0.06),
        ]),
        coat,
    )
    .body(
        union([
            ellipse(0.0, 0.7, 0.3, 0.23),
            polygon([[-0.28, 0.74], [-0.25, 1.0], [-0.06, 0.88]]),
            polygon([[0.28, 0.74], [0.25, 1.0], [0.06, 0.88]]),
        ]),
        coat,
    )
    .mark(polygon([[-0.23, 0.83], [-0.22, 0.94], [-0.13, 0.88]]), NOSE)
    .mark(polygon([[0.23, 0.83], [0.22, 0.94], [0.13, 0.88]]), NOSE);
    eye_white(pen, -0.12, 0.72, 0.075);
    eye_white(pen, 0.12, 0.72, 0.075);
    pen.mark(ellipse(0.0, 0.59, 0.1, 0.06), lighten(coat, 0.4))
        .mark(polygon([[-0.04, 0.64], [0.04, 0.64], [0.0, 0.6]]), NOSE);
}

fn dog(pen: &mut Pen, coat: Rgb) {
    let dark = lighten(coat, -0.35);
    pen.body(line([-0.38, 0.5], [-0.56, 0.78], 0.05), coat);
    for x in [-0.3, 0.26] {
        pen.body(rect([x - 0.06, 0.0], [x + 0.06, 0.35], 0.05), dark);
    }
    for x in [-0.38, 0.18] {
        pen.body(rect([x - 0.07, 0.0], [x + 0.07, 0.38], 0.05), coat);
    }
    pen.body(
        union([
            rect([-0.5, 0.24], [0.34, 0.58], 0.16),
            line([0.22, 0.46], [0.4, 0.72], 0.14),
            ellipse(0.42, 0.78, 0.24, 0.21),
            ellipse(0.6, 0.7, 0.17, 0.11),
        ]),
        coat,
    )
    .body(ellipse(0.27, 0.72, 0.09, 0.2), dark)
    .mark(ellipse(0.74, 0.75, 0.05, 0.045), INK)
    .body(rect([0.2, 0.5], [0.42, 0.56], 0.03), [0.84, 0.2, 0.2]);
    eye_white(pen, 0.48, 0.83, 0.065);
}

fn sheep(pen: &mut Pen, colour: Colour) {
    let wool = colour.rgb();
    let face = if colour == Colour::Black {
        [0.86, 0.80, 0.74]
    } else {
        [0.25, 0.22, 0.24]
    };
    for x in [-0.32, -0.14, 0.16, 0.32] {
        pen.mark(rect([x - 0.05, 0.0], [x + 0.05, 0.3], 0.03), face);
    }
    pen.body(
        union([
            ellipse(0.0, 0.55, 0.46, 0.28),
            circle(-0.4, 0.56, 0.19),
            circle(-0.24, 0.76, 0.19),
            circle(0.02, 0.82, 0.18),
            circle(0.28, 0.74, 0.18),
            circle(0.4, 0.5, 0.17),
            circle(-0.26, 0.36, 0.16),
            circle(0.0, 0.33, 0.16),
            circle(0.25, 0.36, 0.15),
        ]),
        wool,
    )
    .body(ellipse(0.3, 0.76, 0.07, 0.05), face)
    .body(ellipse(0.49, 0.66, 0.17, 0.22), face)
    .body(
        union([circle(0.42, 0.86, 0.1), circle(0.54, 0.87, 0.09)]),
        wool,
    );
    eye_white(pen, 0.52, 0.7, 0.055);
}

fn duck(pen: &mut Pen, colour: Colour) {
    let feathers = colour.rgb();
    let beak = if colour == Colour::Orange { GOLD } else { BEAK };
    pen.mark(line([-0.02, 0.2], [-0.02, 0.03], 0.03), beak)
        .mark(line([0.14, 0.2], [0.14, 0.03], 0.03), beak)
        .mark(ellipse(0.03, 0.03, 0.1, 0.03), beak)
        .mark(ellipse(0.2, 0.03, 0.1, 0.03), beak)
        .body(polygon([[0.36, 0.8], [0.64, 0.74], [0.36, 0.68]]), beak)
        .body(
            union([
                ellipse(0.0, 0.38, 0.42, 0.25),
                polygon([[-0.38, 0.38], [-0.56, 0.66], [-0.12, 0.56]]),
                line([0.2, 0.45], [0.22, 0.74], 0.15),
                circle(0.23, 0.78, 0.21),
            ]),
            feathers,
        )
        .body(ellipse(-0.06, 0.4, 0.24, 0.14), lighten(feathers, -0.16));
    eye_white(pen, 0.3, 0.82, 0.06);
}

fn bird(pen: &mut Pen, colour: Colour) {
    let feathers = colour.rgb();
    let wing = lighten(feathers, -0.2);
    let beak = if colour == Colour::Yellow {
        [0.95, 0.45, 0.1]
    } else {
        GOLD
    };
    pen.body(
        polygon([[0.0, 0.46], [-0.34, 1.0], [-0.02, 0.92], [0.2, 0.5]]),
        wing,
    )
    .body(
        polygon([[-0.42, 0.4], [-0.84, 0.62], [-0.78, 0.4], [-0.84, 0.22]]),
        wing,
    )
    .body(polygon([[0.62, 0.56], [0.86, 0.46], [0.62, 0.38]]), beak)
    .body(
        union([ellipse(0.0, 0.38, 0.52, 0.24), circle(0.48, 0.48, 0.21)]),
        feathers,
    )
    .mark(ellipse(0.06, 0.28, 0.32, 0.1), lighten(feathers, 0.35))
    .body(
        polygon([[0.16, 0.46], [-0.22, 0.0], [-0.5, 0.08], [-0.24, 0.46]]),
        wing,
    );
    eye_white(pen, 0.54, 0.54, 0.07);
}
