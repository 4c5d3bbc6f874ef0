//! Numbers at the pixels of a picture, and their means and values in between.

use ip2p_core::Size;
use rayon::prelude::*;

/// `N` numbers at each pixel, row by row from the top.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planes<const N: usize> {
    pub(crate) size: Size,
    pub(crate) values: Vec<[f32; N]>,
}

impl<const N: usize> Planes<N> {
    /// What `of` says of each pixel, counted row by row.
    pub(crate) fn new(size: Size, of: impl Fn(usize) -> [f32; N] + Send + Sync) -> Self {
        let count = size.width as usize * size.height as usize;
        let values = (0..count).into_par_iter().map(of).collect();
        Self { size, values }
    }

    /// The means over the square of pixels up to `radius` away, of those that there are.
    pub(crate) fn means(&self, radius: usize) -> Self {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let rows = Self::new(self.size, |at| {
            let (row, x) = (at / width * width, at % width);
            mean(&self.values[row..row + width], around(x, radius, width), 1)
        });
        Self::new(self.size, |at| {
            let (y, x) = (at / width, at % width);
            mean(&rows.values[x..], around(y, radius, height), width)
        })
    }

    /// Row `y` of the same numbers over a picture of `size`, by cubic interpolation between the pixels' centres.
    pub(crate) fn row(&self, y: usize, columns: &[Taps], rows: &[Taps]) -> Vec<[f32; N]> {
        let width = self.size.width as usize;
        let mixed: Vec<[f32; N]> = (0..width)
            .map(|x| rows[y].mix(|row| self.values[row * width + x]))
            .collect();
        columns
            .iter()
            .map(|taps| taps.mix(|column| mixed[column]))
            .collect()
    }
}

/// The places up to `radius` from `at`, of `count`.
fn around(at: usize, radius: usize, count: usize) -> std::ops::Range<usize> {
    at.saturating_sub(radius)..(at + radius + 1).min(count)
}

/// The mean of the numbers at these places, `stride` apart.
fn mean<const N: usize>(
    values: &[[f32; N]],
    places: std::ops::Range<usize>,
    stride: usize,
) -> [f32; N] {
    let share = 1.0 / places.len() as f32;
    let mut sum = [0.0; N];
    for place in places {
        for (sum, value) in sum.iter_mut().zip(values[place * stride]) {
            *sum += value;
        }
    }
    sum.map(|sum| sum * share)
}

/// What a place between pixels is made of: four pixels along an axis, and how much each counts.
///
/// Keys (1981), eq. 15, with a = -1/2: exact for straight lines, and the pixel itself at its centre.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taps {
    pixels: [usize; 4],
    weights: [f32; 4],
}

impl Taps {
    /// For each of `to` pixels over a side of `from`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the side"
    )]
    pub(crate) fn along(from: u32, to: u32) -> Vec<Self> {
        let scale = f64::from(from) / f64::from(to);
        let last = f64::from(from - 1);
        (0..to)
            .map(|pixel| {
                let place = (f64::from(pixel) + 0.5) * scale - 0.5;
                let first = place.floor() - 1.0;
                let pixels =
                    [0.0, 1.0, 2.0, 3.0].map(|tap| (first + tap).clamp(0.0, last) as usize);
                let t = (place - place.floor()) as f32;
                let (t2, t3) = (t * t, t * t * t);
                let weights = [
                    -0.5 * t3 + t2 - 0.5 * t,
                    1.5 * t3 - 2.5 * t2 + 1.0,
                    -1.5 * t3 + 2.0 * t2 + 0.5 * t,
                    0.5 * t3 - 0.5 * t2,
                ];
                Self { pixels, weights }
            })
            .collect()
    }

    fn mix<const N: usize>(&self, value: impl Fn(usize) -> [f32; N]) -> [f32; N] {
        let mut sum = [0.0; N];
        for (&pixel, weight) in self.pixels.iter().zip(self.weights) {
            for (sum, value) in sum.iter_mut().zip(value(pixel)) {
                *sum += weight * value;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_over_the_pixels_that_there_are() {
        let planes = Planes {
            size: Size::new(3, 2),
            values: [1.0, 2.0, 6.0, 3.0, 4.0, 8.0].map(|x| [x]).to_vec(),
        };
        let means = planes.means(1);
        assert_eq!(means.values[0], [2.5]);
        assert_eq!(means.values[1], [4.0]);
        assert_eq!(means.values[5], [5.0]);
    }

    #[test]
    fn a_ramp_stays_a_ramp_between_its_ends() {
        let planes = Planes::new(Size::new(8, 1), |x| [x as f32]);
        let (columns, rows) = (Taps::along(8, 32), Taps::along(1, 1));
        let row = planes.row(0, &columns, &rows);
        for (x, [value]) in row.iter().enumerate().skip(8).take(16) {
            let expected = (x as f32 + 0.5) / 4.0 - 0.5;
            assert!((value - expected).abs() < 1e-5, "{x}: {value} {expected}");
        }
    }

    #[test]
    fn at_its_own_size_nothing_changes() {
        let planes = Planes::new(Size::new(5, 4), |at| [(at * 7 % 11) as f32]);
        let (columns, rows) = (Taps::along(5, 5), Taps::along(4, 4));
        let made: Vec<_> = (0..4)
            .flat_map(|y| planes.row(y, &columns, &rows))
            .collect();
        assert_eq!(made, planes.values);
    }
}
