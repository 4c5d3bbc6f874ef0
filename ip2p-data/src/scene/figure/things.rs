//! What people make.

use super::{
    CREAM, GLASS, GOLD, INK, Pen, SLATE, STEM, WOOD, circle, dome, ellipse, line, polygon, rect,
    union,
};
use crate::scene::colour::{Colour, Rgb, lighten};
use crate::scene::kind::Kind;

const TYRE: Rgb = [0.15, 0.15, 0.17];
const HUB: Rgb = [0.78, 0.80, 0.82];

pub(super) fn draw(pen: &mut Pen, kind: Kind, colour: Colour) {
    let paint = colour.rgb();
    match kind {
        Kind::Ball => ball(pen, paint),
        Kind::Box => crate_(pen, paint),
        Kind::House => house(pen, colour),
        Kind::Car => car(pen, paint),
        Kind::Bus => bus(pen, paint),
        Kind::Lamp => lamp(pen, paint),
        Kind::Umbrella => umbrella(pen, paint),
        Kind::Tent => tent(pen, paint),
        Kind::Chair => chair(pen, paint),
        Kind::Vase => vase(pen, paint),
        Kind::Balloon => balloon(pen, paint),
        Kind::Kite => kite(pen, paint),
        Kind::Plane => plane(pen, paint),
        Kind::Clock => clock(pen, colour),
        Kind::Painting => painting(pen, paint),
        _ => window(pen, paint),
    }
}

fn ball(pen: &mut Pen, paint: Rgb) {
    pen.body(circle(0.0, 0.5, 0.5), paint)
        .mark(ellipse(0.0, 0.5, 0.24, 0.46), lighten(paint, 0.16))
        .gloss(-0.04, 0.76, 0.12, 0.08, paint);
}

fn crate_(pen: &mut Pen, paint: Rgb) {
    pen.body(rect([-0.48, 0.0], [0.48, 0.8], 0.03), paint)
        .body(rect([-0.54, 0.72], [0.54, 1.0], 0.04), lighten(paint, 0.12))
        .mark(
            rect([-0.07, 0.02], [0.07, 0.98], 0.0),
            lighten(paint, -0.28),
        );
}

fn house(pen: &mut Pen, colour: Colour) {
    let roof = if matches!(colour, Colour::Red | Colour::Brown | Colour::Orange) {
        SLATE
    } else {
        [0.66, 0.25, 0.18]
    };
    pen.body(rect([0.2, 0.6], [0.33, 0.98], 0.0), SLATE)
        .body(rect([-0.46, 0.0], [0.46, 0.62], 0.0), colour.rgb())
        .body(
            polygon([[-0.58, 0.56], [-0.08, 1.0], [0.08, 1.0], [0.58, 0.56]]),
            roof,
        )
        .body(rect([-0.1, 0.0], [0.1, 0.36], 0.02), WOOD)
        .mark(circle(0.06, 0.17, 0.02), GOLD);
    for x in [-0.28, 0.28] {
        pen.body(rect([x - 0.1, 0.24], [x + 0.1, 0.45], 0.0), GLASS)
            .mark(rect([x - 0.012, 0.25], [x + 0.012, 0.44], 0.0), CREAM)
            .mark(rect([x - 0.09, 0.335], [x + 0.09, 0.36], 0.0), CREAM);
    }
}

fn wheels(pen: &mut Pen, xs: [f32; 2], radius: f32) {
    for x in xs {
        pen.body(circle(x, radius, radius), TYRE)
            .mark(circle(x, radius, radius * 0.48), HUB);
    }
}

fn car(pen: &mut Pen, paint: Rgb) {
    pen.body(
        union([
            rect([-0.98, 0.18], [0.98, 0.62], 0.16),
            polygon([[-0.66, 0.56], [-0.42, 1.0], [0.3, 1.0], [0.62, 0.56]]),
        ]),
        paint,
    )
    .mark(
        polygon([[-0.52, 0.6], [-0.35, 0.9], [-0.08, 0.9], [-0.08, 0.6]]),
        GLASS,
    )
    .mark(
        polygon([[0.02, 0.6], [0.02, 0.9], [0.24, 0.9], [0.46, 0.6]]),
        GLASS,
    )
    .mark(ellipse(0.9, 0.44, 0.07, 0.08), [1.0, 0.95, 0.65])
    .mark(rect([-0.97, 0.38], [-0.88, 0.5], 0.02), [0.75, 0.1, 0.1]);
    wheels(pen, [-0.54, 0.54], 0.22);
}

fn bus(pen: &mut Pen, paint: Rgb) {
    pen.body(rect([-0.88, 0.14], [0.88, 1.0], 0.12), paint)
        .mark(rect([-0.86, 0.38], [0.86, 0.45], 0.0), lighten(paint, 0.55));
    for x in [-0.63, -0.28, 0.07] {
        pen.body(rect([x - 0.14, 0.54], [x + 0.14, 0.86], 0.04), GLASS);
    }
    pen.body(rect([0.3, 0.2], [0.52, 0.86], 0.03), GLASS)
        .body(rect([0.62, 0.5], [0.87, 0.88], 0.03), GLASS)
        .mark(ellipse(0.82, 0.27, 0.05, 0.05), [1.0, 0.95, 0.65]);
    wheels(pen, [-0.52, 0.6], 0.17);
}

fn lamp(pen: &mut Pen, paint: Rgb) {
    pen.body(ellipse(0.0, 0.04, 0.18, 0.05), SLATE)
        .body(line([0.0, 0.05], [0.0, 0.65], 0.032), SLATE)
        .mark(circle(0.0, 0.6, 0.07), [1.0, 0.96, 0.7])
        .body(
            polygon([[-0.3, 0.6], [-0.17, 1.0], [0.17, 1.0], [0.3, 0.6]]),
            paint,
        );
}

fn umbrella(pen: &mut Pen, paint: Rgb) {
    pen.body(line([0.0, 0.0], [0.0, 0.95], 0.022), CREAM)
        .body(dome(0.0, 0.5, 0.52, 0.46), paint)
        .mark(dome(0.0, 0.51, 0.2, 0.43), lighten(paint, 0.3))
        .mark(dome(0.0, 0.51, 0.07, 0.43), paint)
        .mark(circle(0.0, 0.97, 0.03), WOOD);
}

fn tent(pen: &mut Pen, paint: Rgb) {
    pen.body(polygon([[-0.72, 0.0], [0.0, 1.0], [0.72, 0.0]]), paint)
        .mark(polygon([[-0.2, 0.0], [0.0, 0.7], [0.2, 0.0]]), INK)
        .mark(
            polygon([[0.2, 0.0], [0.0, 0.7], [0.34, 0.0]]),
            lighten(paint, 0.35),
        );
}

fn chair(pen: &mut Pen, paint: Rgb) {
    let leg = lighten(paint, -0.3);
    for x in [-0.24, 0.24] {
        pen.body(rect([x - 0.045, 0.0], [x + 0.045, 0.45], 0.02), leg);
    }
    pen.body(rect([-0.3, 0.44], [0.3, 1.0], 0.1), paint)
        .mark(rect([-0.18, 0.6], [0.18, 0.9], 0.06), lighten(paint, 0.2))
        .body(rect([-0.35, 0.32], [0.35, 0.5], 0.06), paint);
}

fn vase(pen: &mut Pen, paint: Rgb) {
    for [x, y] in [[-0.16, 0.82], [0.17, 0.84], [0.0, 0.92]] {
        pen.mark(line([0.0, 0.5], [x, y], 0.018), STEM)
            .body(circle(x, y - 0.01, 0.09), [0.97, 0.52, 0.66]);
    }
    pen.body(
        union([
            ellipse(0.0, 0.28, 0.29, 0.28),
            polygon([[-0.13, 0.45], [-0.17, 0.64], [0.17, 0.64], [0.13, 0.45]]),
        ]),
        paint,
    )
    .mark(rect([-0.27, 0.26], [0.27, 0.33], 0.0), lighten(paint, 0.4));
}

fn balloon(pen: &mut Pen, paint: Rgb) {
    pen.mark(line([0.0, 0.34], [0.03, 0.0], 0.012), [0.35, 0.32, 0.32])
        .body(polygon([[-0.06, 0.29], [0.0, 0.38], [0.06, 0.29]]), paint)
        .body(ellipse(0.0, 0.67, 0.29, 0.33), paint)
        .gloss(-0.08, 0.82, 0.07, 0.08, paint);
}

fn kite(pen: &mut Pen, paint: Rgb) {
    pen.mark(line([0.0, 0.3], [-0.12, 0.0], 0.014), SLATE)
        .mark(
            polygon([[-0.12, 0.14], [0.04, 0.2], [0.04, 0.1], [-0.12, 0.06]]),
            GOLD,
        )
        .body(
            polygon([[0.0, 0.26], [-0.34, 0.7], [0.0, 1.0], [0.34, 0.7]]),
            paint,
        )
        .mark(
            polygon([[0.0, 0.3], [0.0, 0.96], [0.3, 0.7]]),
            lighten(paint, 0.3),
        )
        .mark(line([-0.31, 0.7], [0.31, 0.7], 0.01), SLATE);
}

fn plane(pen: &mut Pen, paint: Rgb) {
    pen.body(
        polygon([[-0.86, 0.5], [-1.0, 1.0], [-0.76, 1.0], [-0.5, 0.56]]),
        lighten(paint, -0.15),
    )
    .body(rect([-0.95, 0.28], [0.95, 0.64], 0.18), paint)
    .body(
        polygon([[0.22, 0.42], [-0.26, 0.0], [-0.5, 0.0], [-0.22, 0.42]]),
        lighten(paint, -0.15),
    )
    .mark(
        polygon([[0.66, 0.5], [0.66, 0.6], [0.8, 0.6], [0.9, 0.5]]),
        GLASS,
    );
    for x in [-0.4, -0.15, 0.1, 0.35] {
        pen.mark(circle(x, 0.52, 0.055), GLASS);
    }
}

fn clock(pen: &mut Pen, colour: Colour) {
    let paint = colour.rgb();
    let hands = if matches!(colour, Colour::White | Colour::Yellow | Colour::Pink) {
        INK
    } else {
        [1.0; 3]
    };
    pen.body(circle(0.0, 0.5, 0.5), GOLD)
        .body(circle(0.0, 0.5, 0.43), paint);
    for [x, y] in [[0.0, 0.33], [0.33, 0.0], [0.0, -0.33], [-0.33, 0.0]] {
        pen.mark(circle(x, 0.5 + y, 0.035), hands);
    }
    pen.mark(line([0.0, 0.5], [0.0, 0.76], 0.025), hands)
        .mark(line([0.0, 0.5], [0.17, 0.42], 0.03), hands);
}

fn painting(pen: &mut Pen, paint: Rgb) {
    pen.body(rect([-0.65, 0.0], [0.65, 1.0], 0.02), paint)
        .mark(rect([-0.46, 0.19], [0.46, 0.81], 0.0), GLASS)
        .mark(circle(0.24, 0.65, 0.08), GOLD)
        .mark(
            polygon([[-0.46, 0.19], [-0.16, 0.6], [0.16, 0.19]]),
            [0.36, 0.55, 0.42],
        )
        .mark(
            polygon([[-0.06, 0.19], [0.22, 0.48], [0.46, 0.22], [0.46, 0.19]]),
            [0.28, 0.46, 0.36],
        );
}

fn window(pen: &mut Pen, paint: Rgb) {
    pen.body(rect([-0.42, 0.0], [0.42, 1.0], 0.0), CREAM)
        .mark(rect([-0.35, 0.08], [0.35, 0.92], 0.0), [0.55, 0.80, 0.97])
        .mark(
            union([
                circle(-0.08, 0.5, 0.09),
                circle(0.05, 0.53, 0.11),
                circle(0.16, 0.49, 0.08),
            ]),
            [0.97; 3],
        )
        .mark(rect([-0.02, 0.08], [0.02, 0.92], 0.0), CREAM)
        .mark(rect([-0.35, 0.48], [0.35, 0.52], 0.0), CREAM)
        .body(
            polygon([
                [-0.46, 0.02],
                [-0.46, 1.0],
                [-0.02, 1.0],
                [-0.26, 0.55],
                [-0.3, 0.02],
            ]),
            paint,
        )
        .body(
            polygon([
                [0.46, 0.02],
                [0.46, 1.0],
                [0.02, 1.0],
                [0.26, 0.55],
                [0.3, 0.02],
            ]),
            paint,
        );
}
