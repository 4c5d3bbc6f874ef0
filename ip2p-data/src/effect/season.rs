//! Autumn and spring.

use super::canvas::{Canvas, Place};
use super::colour::{leafiness, luma, mix, saturate, scale, smoothstep, times};
use super::pattern::{Spot, paint_spot, point};

/// Leaves and grass turn to orange, brighter ones to yellow, all light is golden, and fallen leaves lie below.
pub(super) fn autumn(canvas: Canvas) -> Canvas {
    let mut canvas = canvas.map(|pixel, _, _| {
        let bright = luma(pixel);
        let light = times(pixel, [1.14, 0.95, 0.66]);
        let leaf = mix(
            [0.80, 0.20, 0.02],
            [1.0, 0.72, 0.22],
            smoothstep(0.1, 0.65, bright),
        );
        let turned = scale(leaf, 0.30 + 1.0 * bright);
        mix(light, turned, 0.95 * leafiness(pixel))
    });
    for i in 0..26 {
        let at = point(i);
        paint_spot(
            &mut canvas,
            Spot {
                at: Place {
                    x: at.x,
                    y: 0.55 + 0.45 * at.y,
                },
                radius: 0.012 + 0.004 * (i % 3) as f32,
                colour: [[0.85, 0.30, 0.05], [0.93, 0.58, 0.10], [0.70, 0.16, 0.06]][i % 3],
                opacity: 0.8,
            },
        );
    }
    canvas
}

/// Leaves and grass are a bright fresh green, bright spots among them blossom pink, skies clear, and petals are in the air.
pub(super) fn spring(canvas: Canvas) -> Canvas {
    let bright = canvas.luma();
    let around = bright.blur(0.02 * canvas.side());
    let mut canvas = canvas.map(|pixel, at, i| {
        let bright = bright.values[i];
        let leafy = leafiness(pixel);
        let lifted = pixel.map(|c| 0.10 + 0.90 * c.max(0.0).sqrt());
        let below = smoothstep(0.35, 0.9, at.y);
        let clear = times(
            saturate(lifted, 1.25),
            mix([0.95, 1.0, 1.08], [0.88, 1.06, 0.74], below),
        );
        let green = scale([0.52, 0.95, 0.28], 0.48 + 0.85 * bright);
        let fresh = mix(clear, green, 0.85 * leafy);
        let blossom = smoothstep(0.02, 0.10, bright - around.values[i]) * (0.25 + 0.75 * leafy);
        mix(fresh, [1.0, 0.70, 0.82], 0.8 * blossom)
    });
    for i in 0..30 {
        paint_spot(
            &mut canvas,
            Spot {
                at: point(i + 7),
                radius: 0.011 + 0.004 * (i % 3) as f32,
                colour: [[1.0, 0.62, 0.78], [1.0, 0.80, 0.88]][i % 2],
                opacity: 0.85,
            },
        );
    }
    canvas
}
