//! Small marks at fixed places: flakes, petals, leaves, streaks, and the grain of paper.

use super::canvas::{Canvas, Place};
use super::colour::{Colour, mix};

/// Point `index` of a sequence that fills the unit square evenly without a grid.
///
/// Roberts (2018), "The unreasonable effectiveness of quasirandom sequences": steps by the powers of the plastic number.
pub(super) fn point(index: usize) -> Place {
    let step = |alpha: f64| (0.5 + alpha * index as f64).fract() as f32;
    Place {
        x: step(0.754_877_666_246_692_7),
        y: step(0.569_840_290_998_053_3),
    }
}

/// A soft round mark, in parts of the picture (place) and of its shorter side (radius).
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) at: Place,
    pub(super) radius: f32,
    pub(super) colour: Colour,
    pub(super) opacity: f32,
}

/// Paints a spot, opaque in the middle and soft at its rim.
pub(super) fn paint_spot(canvas: &mut Canvas, spot: Spot) {
    let radius = (spot.radius * canvas.side()).max(1.0);
    let centre_x = spot.at.x * canvas.width as f32;
    let centre_y = spot.at.y * canvas.height as f32;
    for y in span(centre_y, radius, canvas.height) {
        for x in span(centre_x, radius, canvas.width) {
            let (dx, dy) = (x as f32 + 0.5 - centre_x, y as f32 + 0.5 - centre_y);
            let inside = (1.0 - (dx * dx + dy * dy) / (radius * radius)).max(0.0);
            let pixel = &mut canvas.pixels[y * canvas.width + x];
            *pixel = mix(*pixel, spot.colour, spot.opacity * (2.0 * inside).min(1.0));
        }
    }
}

/// A line down from a place, leaning to the left, in parts of the shorter side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streak {
    pub(super) from: Place,
    pub(super) length: f32,
    pub(super) width: f32,
    pub(super) colour: Colour,
    pub(super) opacity: f32,
}

/// How far a streak goes to the left for each pixel down.
const LEAN: f32 = 0.25;

/// Paints a streak that fades in and out along its length.
pub(super) fn paint_streak(canvas: &mut Canvas, streak: Streak) {
    let side = canvas.side();
    let (length, width) = ((streak.length * side).max(1.0), streak.width * side);
    let top = streak.from.y * canvas.height as f32;
    for y in span(top + length / 2.0, length / 2.0, canvas.height) {
        let along = ((y as f32 + 0.5 - top) / length).clamp(0.0, 1.0);
        let fade = 4.0 * along * (1.0 - along);
        let centre = streak.from.x * canvas.width as f32 - LEAN * along * length;
        for x in span(centre, width / 2.0 + 1.0, canvas.width) {
            let distance = (x as f32 + 0.5 - centre).abs();
            let coverage = (width / 2.0 + 0.5 - distance).clamp(0.0, width.min(1.0));
            let pixel = &mut canvas.pixels[y * canvas.width + x];
            *pixel = mix(*pixel, streak.colour, streak.opacity * fade * coverage);
        }
    }
}

/// The pixels from `centre - reach` to `centre + reach` that lie inside.
fn span(centre: f32, reach: f32, size: usize) -> std::ops::Range<usize> {
    let start = (centre - reach).floor().max(0.0) as usize;
    let end = (centre + reach).ceil().max(0.0) as usize;
    start.min(size)..end.min(size)
}

/// The grain of paper at a place, from -1.5 to 1.5: a few bent waves that do not repeat within the picture.
pub(super) fn paper(at: Place) -> f32 {
    let x = at.x + 0.02 * wave(3.0 * at.y);
    let y = at.y + 0.02 * wave(3.7 * at.x);
    let coarse = wave(9.7 * x + 3.7 * y) * wave(11.3 * y - 2.7 * x);
    coarse + 0.5 * wave(20.8 * x - 7.5 * y)
}

/// Nearly the sine of so many turns, made of parabolas: the same on every machine, which the sine is not, and faster.
fn wave(turns: f32) -> f32 {
    let part = turns - turns.round();
    8.0 * part * (1.0 - 2.0 * part.abs())
}
