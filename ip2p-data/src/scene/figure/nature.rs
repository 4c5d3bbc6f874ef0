//! Plants, a cloud and the sun.

use super::{CREAM, GOLD, Pen, STEM, WOOD, circle, dome, ellipse, line, polygon, rect, union};
use crate::scene::canvas::{Point, Shape};
use crate::scene::colour::{Colour, Rgb, lighten};
use crate::scene::kind::Kind;

/// Eight directions, the first upwards.
const STAR: [Point; 8] = [
    [0.0, 1.0],
    [0.707, 0.707],
    [1.0, 0.0],
    [0.707, -0.707],
    [0.0, -1.0],
    [-0.707, -0.707],
    [-1.0, 0.0],
    [-0.707, 0.707],
];

pub(super) fn draw(pen: &mut Pen, kind: Kind, colour: Colour) {
    match kind {
        Kind::Tree => tree(pen, colour.rgb()),
        Kind::Flower => flower(pen, colour),
        Kind::Mushroom => mushroom(pen, colour),
        Kind::Cactus => cactus(pen, colour.rgb()),
        Kind::Pumpkin => pumpkin(pen, colour.rgb()),
        Kind::Bush => bush(pen, colour),
        Kind::Cloud => cloud(pen, colour.rgb()),
        _ => sun(pen, colour.rgb()),
    }
}

fn tree(pen: &mut Pen, leaves: Rgb) {
    pen.body(
        polygon([[-0.1, 0.0], [-0.06, 0.45], [0.06, 0.45], [0.1, 0.0]]),
        WOOD,
    )
    .body(
        union([
            circle(0.0, 0.76, 0.24),
            circle(-0.18, 0.6, 0.19),
            circle(0.18, 0.6, 0.19),
            circle(-0.1, 0.48, 0.15),
            circle(0.12, 0.48, 0.15),
        ]),
        leaves,
    )
    .mark(ellipse(-0.08, 0.8, 0.09, 0.06), lighten(leaves, 0.18))
    .mark(ellipse(0.15, 0.66, 0.08, 0.05), lighten(leaves, 0.18))
    .mark(ellipse(-0.18, 0.58, 0.07, 0.05), lighten(leaves, 0.18))
    .mark(ellipse(0.02, 0.54, 0.07, 0.04), lighten(leaves, -0.18));
}

fn flower(pen: &mut Pen, colour: Colour) {
    let petals = colour.rgb();
    let heart = if matches!(colour, Colour::Yellow | Colour::Orange) {
        WOOD
    } else {
        GOLD
    };
    let ring = STAR.map(|[x, y]| circle(x * 0.2, 0.69 + y * 0.2, 0.115));
    pen.body(line([0.0, 0.0], [0.0, 0.6], 0.03), STEM)
        .body(polygon([[0.0, 0.06], [-0.26, 0.3], [-0.06, 0.26]]), STEM)
        .body(polygon([[0.0, 0.1], [0.26, 0.34], [0.06, 0.3]]), STEM)
        .body(Shape::Union(ring.to_vec()), petals)
        .mark(circle(0.0, 0.69, 0.2), petals)
        .body(circle(0.0, 0.69, 0.12), heart);
}

fn mushroom(pen: &mut Pen, colour: Colour) {
    let cap = colour.rgb();
    let dots = if colour == Colour::White {
        lighten(cap, -0.25)
    } else {
        [0.98, 0.96, 0.92]
    };
    pen.body(
        polygon([[-0.17, 0.0], [-0.12, 0.55], [0.12, 0.55], [0.17, 0.0]]),
        CREAM,
    )
    .body(dome(0.0, 0.44, 0.5, 0.56), cap)
    .mark(circle(0.0, 0.78, 0.09), dots)
    .mark(circle(-0.25, 0.62, 0.075), dots)
    .mark(circle(0.27, 0.64, 0.08), dots)
    .mark(circle(0.06, 0.54, 0.05), dots);
}

fn cactus(pen: &mut Pen, skin: Rgb) {
    pen.body(
        union([
            rect([-0.155, 0.0], [0.155, 0.96], 0.15),
            line([0.0, 0.36], [-0.32, 0.36], 0.09),
            line([-0.32, 0.36], [-0.32, 0.64], 0.09),
            line([0.0, 0.28], [0.32, 0.28], 0.09),
            line([0.32, 0.28], [0.32, 0.72], 0.09),
        ]),
        skin,
    );
    for x in [-0.07, 0.0, 0.07] {
        pen.mark(line([x, 0.04], [x, 0.86], 0.008), lighten(skin, -0.3));
    }
    pen.body(circle(0.0, 0.98, 0.05), [0.95, 0.4, 0.6]);
}

fn pumpkin(pen: &mut Pen, skin: Rgb) {
    pen.body(
        polygon([[-0.06, 0.75], [-0.03, 1.0], [0.12, 1.0], [0.06, 0.75]]),
        STEM,
    )
    .body(
        union([
            ellipse(-0.32, 0.42, 0.28, 0.36),
            ellipse(0.32, 0.42, 0.28, 0.36),
            ellipse(-0.12, 0.43, 0.28, 0.42),
            ellipse(0.12, 0.43, 0.28, 0.42),
        ]),
        skin,
    )
    .mark(line([0.0, 0.1], [0.0, 0.78], 0.012), lighten(skin, -0.22))
    .mark(
        line([-0.27, 0.16], [-0.27, 0.72], 0.012),
        lighten(skin, -0.22),
    )
    .mark(
        line([0.27, 0.16], [0.27, 0.72], 0.012),
        lighten(skin, -0.22),
    )
    .gloss(-0.4, 0.58, 0.06, 0.1, skin);
}

fn bush(pen: &mut Pen, colour: Colour) {
    let leaves = colour.rgb();
    let berries = if colour == Colour::Red {
        GOLD
    } else {
        [0.88, 0.2, 0.24]
    };
    pen.body(
        union([
            rect([-0.7, 0.0], [0.7, 0.4], 0.18),
            circle(-0.45, 0.42, 0.32),
            circle(0.0, 0.58, 0.42),
            circle(0.45, 0.42, 0.33),
        ]),
        leaves,
    );
    for [x, y] in [
        [-0.45, 0.5],
        [-0.1, 0.72],
        [0.2, 0.46],
        [0.5, 0.52],
        [-0.2, 0.3],
        [0.42, 0.22],
    ] {
        pen.mark(circle(x, y, 0.055), berries);
    }
}

fn cloud(pen: &mut Pen, mist: Rgb) {
    pen.body(
        union([
            rect([-0.95, 0.0], [0.95, 0.5], 0.25),
            circle(-0.5, 0.45, 0.36),
            circle(0.02, 0.58, 0.42),
            circle(0.52, 0.42, 0.34),
        ]),
        mist,
    );
}

fn sun(pen: &mut Pen, fire: Rgb) {
    for [x, y] in STAR {
        let (across, out) = ([-y * 0.1, x * 0.1], [x * 0.3, y * 0.3]);
        pen.body(
            polygon([
                [out[0] + across[0], 0.5 + out[1] + across[1]],
                [x * 0.5, 0.5 + y * 0.5],
                [out[0] - across[0], 0.5 + out[1] - across[1]],
            ]),
            fire,
        );
    }
    pen.body(circle(0.0, 0.5, 0.34), fire)
        .gloss(-0.06, 0.56, 0.14, 0.14, fire);
}
