//! Night and sunset.

use super::canvas::Canvas;
use super::colour::{gradient, luma, mix, scale, smoothstep, times};

/// Dark and blue, darker at the corners and above; spots brighter than what lies around them shine like lamps.
pub(super) fn night(canvas: Canvas) -> Canvas {
    let side = canvas.side();
    let bright = canvas.luma();
    let around = bright.blur(0.06 * side);
    let mut lamps = bright.clone();
    for (lamp, around) in lamps.values.iter_mut().zip(&around.values) {
        *lamp = smoothstep(0.12, 0.34, *lamp - around) * smoothstep(0.50, 0.80, *lamp);
    }
    let glow = lamps.blur(0.025 * side).blur(0.025 * side);
    canvas.map(|pixel, at, i| {
        let bright = bright.values[i];
        let moonlit = scale(
            [0.40, 0.55, 1.0],
            0.09 + 0.42 * bright * (0.35 + 0.65 * bright),
        );
        let dark = mix(moonlit, scale(pixel, 0.35), 0.35);
        let (dx, dy) = (at.x - 0.5, at.y - 0.5);
        let corner = smoothstep(0.30, 0.75, (dx * dx + dy * dy).sqrt());
        let above = smoothstep(0.6, 0.0, at.y);
        let dark = scale(dark, (1.0 - 0.40 * corner) * (1.0 - 0.25 * above));
        let lit = mix(dark, [1.0, 0.82, 0.45], 0.75 * lamps.values[i]);
        let glow = 0.5 * glow.values[i];
        [lit[0] + glow, lit[1] + 0.65 * glow, lit[2] + 0.2 * glow]
    })
}

/// Purple above, orange around the middle, dark and warm below, with a low sun in the middle.
pub(super) fn sunset(canvas: Canvas) -> Canvas {
    let sky = [
        (0.0, [0.50, 0.30, 0.66]),
        (0.45, [1.0, 0.52, 0.28]),
        (0.60, [1.0, 0.56, 0.24]),
        (1.0, [0.58, 0.26, 0.24]),
    ];
    canvas.map(|pixel, at, _| {
        let light = gradient(&sky, at.y);
        let tone = scale(light, 0.12 + 1.05 * luma(pixel));
        let tinted = mix(times(pixel, light), tone, 0.65);
        let (dx, dy) = (at.x - 0.5, at.y - 0.45);
        let sun = smoothstep(0.5, 0.0, (dx * dx + dy * dy).sqrt());
        [tinted[0] + 0.22 * sun, tinted[1] + 0.12 * sun, tinted[2]]
    })
}
