//! Snow, rain and fog.

use super::canvas::Canvas;
use super::colour::{leafiness, luma, mix, saturate, scale, smoothstep, times};
use super::pattern::{Spot, Streak, paint_spot, paint_streak, point};

/// Snow covers the ground, plants, and whatever is brighter than what lies around it; the rest is pale and cold; flakes fall.
pub(super) fn snow(canvas: Canvas) -> Canvas {
    let bright = canvas.luma();
    let around = bright.blur(0.03 * canvas.side());
    let mut canvas = canvas.map(|pixel, at, i| {
        let bright = bright.values[i];
        let ground = smoothstep(0.30, 0.80, at.y);
        let lit = 2.0 * (bright - around.values[i]);
        let cover = (0.35 + 0.45 * ground + 0.35 * leafiness(pixel) + lit).clamp(0.0, 0.95);
        let cover = cover * smoothstep(0.0, 0.35, bright);
        let cold = times(saturate(pixel, 0.35), [0.92, 1.0, 1.10]);
        let white = scale([0.91, 0.95, 1.0], (0.72 + 0.40 * bright).min(1.0));
        mix(cold, white, cover)
    });
    for i in 0..60 {
        paint_spot(
            &mut canvas,
            Spot {
                at: point(i),
                radius: 0.008 + 0.004 * (i % 4) as f32,
                colour: [1.0; 3],
                opacity: 0.9,
            },
        );
    }
    canvas
}

/// A dark, grey day: less light, less colour, far things pale, and streaks of rain.
pub(super) fn rain(canvas: Canvas) -> Canvas {
    let mut canvas = canvas.map(|pixel, at, _| {
        let grey = times(saturate(pixel, 0.35), [0.50, 0.57, 0.64]);
        let far = smoothstep(0.8, 0.1, at.y);
        mix(grey, [0.42, 0.47, 0.53], 0.30 + 0.25 * far)
    });
    for i in 0..90 {
        let mut from = point(i);
        from.x *= 1.1;
        from.y = 1.15 * from.y - 0.12;
        paint_streak(
            &mut canvas,
            Streak {
                from,
                length: 0.10 + 0.02 * (i % 4) as f32,
                width: 0.006,
                colour: [0.82, 0.87, 0.92],
                opacity: 0.6,
            },
        );
    }
    canvas
}

/// White fog that thins towards the bottom, where things are near.
pub(super) fn fog(canvas: Canvas) -> Canvas {
    canvas.map(|pixel, at, _| {
        let dull = mix(pixel, [luma(pixel); 3], 0.5);
        let fog = 0.78 - 0.43 * smoothstep(0.30, 1.0, at.y);
        mix(dull, [0.85, 0.87, 0.88], fog)
    })
}
