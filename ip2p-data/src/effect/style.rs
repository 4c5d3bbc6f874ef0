//! Ways of making a picture: sketch, watercolour, pixel art, black and white, sepia.

use super::canvas::{Canvas, Plane};
use super::colour::{luma, mix, saturate, scale, smoothstep};
use super::pattern::paper;

/// Grey pencil on paper: a line where a pixel is darker than what lies around it, and light shading where it is dark.
pub(super) fn sketch(canvas: &Canvas) -> Canvas {
    let bright = canvas.luma().blur(0.002 * canvas.side());
    let around = bright
        .blur(0.012 * canvas.side())
        .blur(0.012 * canvas.side());
    canvas.clone().map(|_, at, i| {
        let (bright, around) = (bright.values[i], around.values[i]);
        let line = smoothstep(0.015, 0.16, (around - bright) / (around + 0.15));
        let shade = 0.55 + 0.45 * bright.max(0.0).sqrt();
        let paper = scale([1.0, 0.99, 0.97], shade + 0.015 * paper(at));
        mix(paper, [0.16, 0.16, 0.18], 0.9 * line)
    })
}

/// Areas of even, vivid, thin paint with darker rims, on grained paper that shows at the border of the picture.
pub(super) fn watercolour(canvas: &Canvas) -> Canvas {
    let areas = flatten(canvas, 0.02 * canvas.side());
    let bright = areas.luma();
    let around = bright.blur(0.012 * canvas.side());
    areas.map(|pixel, at, i| {
        let thin = saturate(pixel, 1.6).map(|c| 0.22 + 0.78 * c);
        let rim = smoothstep(0.015, 0.10, around.values[i] - bright.values[i]);
        let grain = paper(at);
        let paint = scale(thin, (1.0 - 0.30 * rim) * (1.0 + 0.035 * grain));
        let border = at.x.min(1.0 - at.x).min(at.y.min(1.0 - at.y));
        let bare = smoothstep(0.11, 0.01, border + 0.02 * grain);
        mix(paint, [0.98, 0.97, 0.94], bare)
    })
}

/// Smooths within areas and keeps their edges: each pixel takes the mean of the four squares that touch it, weighted
/// towards the most even one.
///
/// Kuwahara et al. (1976), with the smooth weights of Papari et al. (2007), <https://doi.org/10.1109/TIP.2007.903912>.
fn flatten(canvas: &Canvas, radius: f32) -> Canvas {
    let half = radius / 2.0;
    let means: [Plane; 3] = std::array::from_fn(|c| canvas.plane(|pixel| pixel[c]).blur(half));
    let squares = canvas.plane(|pixel| luma(pixel) * luma(pixel)).blur(half);
    let weighted: Vec<_> = (0..canvas.pixels.len())
        .map(|i| {
            let mean = [0, 1, 2].map(|c| means[c].values[i]);
            let variance = (squares.values[i] - luma(mean) * luma(mean)).max(0.0);
            let even = 1.0 / (1e-4 + variance);
            let weight = even * even * even;
            (scale(mean, weight), weight)
        })
        .collect();
    let step = half.round().max(1.0) as usize;
    let around = |i: usize, size: usize| [i.saturating_sub(step), (i + step).min(size - 1)];
    let (width, height) = (canvas.width, canvas.height);
    canvas.clone().map(|_, _, i| {
        let (mut sum, mut weights) = ([0.0; 3], 0.0);
        for y in around(i / width, height) {
            for x in around(i % width, width) {
                let (colour, weight) = weighted[y * width + x];
                sum = [0, 1, 2].map(|c| sum[c] + colour[c]);
                weights += weight;
            }
        }
        scale(sum, 1.0 / weights)
    })
}

/// Blocks across the shorter side of a picture in pixel art.
const BLOCKS: f32 = 32.0;
/// Values that each channel may have in pixel art.
const LEVELS: f32 = 6.0;

/// Square blocks, each the mean of what it covers, vivid and rounded to few colours.
pub(super) fn pixel_art(canvas: &Canvas) -> Canvas {
    let size = (canvas.side() / BLOCKS).max(1.0);
    let columns = (canvas.width as f32 / size).round().max(1.0) as usize;
    let rows = (canvas.height as f32 / size).round().max(1.0) as usize;
    let (width, height) = (canvas.width, canvas.height);
    let block = |i: usize| (i / width * rows / height) * columns + i % width * columns / width;
    let mut sums = vec![([0.0; 3], 0.0); columns * rows];
    for (i, pixel) in canvas.pixels.iter().enumerate() {
        let (sum, count) = &mut sums[block(i)];
        *count += 1.0;
        for (sum, c) in sum.iter_mut().zip(pixel) {
            *sum += c;
        }
    }
    let colours: Vec<_> = sums
        .into_iter()
        .map(|(sum, count): ([f32; 3], f32)| {
            let vivid = saturate(sum.map(|c| c / count.max(1.0)), 1.7);
            vivid.map(|c| {
                let strong = (0.5 + 1.35 * (c - 0.5)).clamp(0.0, 1.0);
                (strong * (LEVELS - 1.0)).round() / (LEVELS - 1.0)
            })
        })
        .collect();
    canvas.clone().map(|_, _, i| colours[block(i)])
}

/// Grey, with the dark darker and the bright brighter.
pub(super) fn black_and_white(canvas: Canvas) -> Canvas {
    canvas.map(|pixel, _, _| {
        let grey = luma(pixel);
        [0.25 * grey + 0.75 * smoothstep(0.08, 0.86, grey); 3]
    })
}

/// Brown to cream by brightness, pale in the dark parts as old prints are.
pub(super) fn sepia(canvas: Canvas) -> Canvas {
    canvas.map(|pixel, _, _| mix([0.24, 0.13, 0.05], [1.0, 0.88, 0.66], luma(pixel)))
}
