//! A picture in floating point, and planes of one number a pixel with a blur.

use image::RgbImage;

use super::colour::{self, Colour};

/// Where a pixel lies: both from 0 to 1, from the left and from the top.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) x: f32,
    pub(super) y: f32,
}

/// A picture whose channels lie in `[0, 1]`, row by row.
#[derive(Debug, Clone)]
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<Colour>,
}

impl Canvas {
    pub(super) fn new(picture: &RgbImage) -> Self {
        Self {
            width: picture.width() as usize,
            height: picture.height() as usize,
            pixels: picture
                .pixels()
                .map(|pixel| pixel.0.map(|c| f32::from(c) / 255.0))
                .collect(),
        }
    }

    /// Back to bytes; what lies outside `[0, 1]` is clipped.
    pub(super) fn into_picture(self) -> RgbImage {
        let byte = |c: f32| (c.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        let bytes = self.pixels.iter().flatten().map(|&c| byte(c)).collect();
        RgbImage::from_raw(self.width as u32, self.height as u32, bytes)
            .expect("as many pixels as the picture that it was made from")
    }

    /// The shorter side in pixels: the unit of every length.
    pub(super) fn side(&self) -> f32 {
        self.width.min(self.height) as f32
    }

    /// The canvas with each pixel replaced by `new(old, place, index)`.
    pub(super) fn map(mut self, new: impl Fn(Colour, Place, usize) -> Colour) -> Self {
        let part = |i: usize, size: usize| (i as f32 + 0.5) / size as f32;
        let mut index = 0;
        for row in 0..self.height {
            let y = part(row, self.height);
            for column in 0..self.width {
                let place = Place {
                    x: part(column, self.width),
                    y,
                };
                self.pixels[index] = new(self.pixels[index], place, index);
                index += 1;
            }
        }
        self
    }

    /// A number for each pixel.
    pub(super) fn plane(&self, of: impl Fn(Colour) -> f32) -> Plane {
        Plane {
            width: self.width,
            height: self.height,
            values: self.pixels.iter().map(|&pixel| of(pixel)).collect(),
        }
    }

    /// The brightness of each pixel.
    pub(super) fn luma(&self) -> Plane {
        self.plane(colour::luma)
    }
}

/// One number a pixel, row by row.
#[derive(Debug, Clone)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: Vec<f32>,
}

impl Plane {
    /// The mean over a square around each pixel, `2 * radius + 1` wide.
    ///
    /// The radius is in pixels and need not be whole (the outermost ones count in part), so that it can be a fraction of the
    /// side at any size. Beyond the border the outermost pixel goes on. The time does not depend on the radius.
    pub(super) fn blur(&self, radius: f32) -> Self {
        self.blur_rows(radius).blur_columns(radius)
    }

    fn blur_rows(&self, radius: f32) -> Self {
        let window = Window::new(radius);
        let reach = window.whole as usize + 1;
        let mut values = vec![0.0; self.values.len()];
        let mut wide = vec![0.0; self.width + 2 * reach];
        let rows = self.values.chunks_exact(self.width);
        for (from, to) in rows.zip(values.chunks_exact_mut(self.width)) {
            wide[..reach].fill(from[0]);
            wide[reach..reach + self.width].copy_from_slice(from);
            wide[reach + self.width..].fill(from[self.width - 1]);
            let mut sum: f32 = wide[1..2 * reach].iter().sum();
            let ends = wide.iter().zip(&wide[2 * reach..]).zip(&wide[1..]);
            for (to, ((&before, &after), &first)) in to.iter_mut().zip(ends) {
                *to = (sum + window.part * (before + after)) * window.scale;
                sum += after - first;
            }
        }
        Self { values, ..*self }
    }

    fn blur_columns(&self, radius: f32) -> Self {
        let window = Window::new(radius);
        let last = self.height - 1;
        let row = |y: isize| {
            let start = y.clamp(0, last as isize) as usize * self.width;
            &self.values[start..start + self.width]
        };
        let mut sums = vec![0.0; self.width];
        for y in -window.whole..=window.whole {
            for (sum, value) in sums.iter_mut().zip(row(y)) {
                *sum += value;
            }
        }
        let mut values = vec![0.0; self.values.len()];
        for (y, to) in (0..).zip(values.chunks_exact_mut(self.width)) {
            let above = row(y - window.whole - 1);
            let below = row(y + window.whole + 1);
            let leaving = row(y - window.whole);
            let ends = above.iter().zip(below).zip(leaving);
            for ((to, sum), ((above, below), leaving)) in to.iter_mut().zip(&mut sums).zip(ends) {
                *to = (*sum + window.part * (above + below)) * window.scale;
                *sum += below - leaving;
            }
        }
        Self { values, ..*self }
    }
}

/// A row of `2 * whole + 1` pixels, with a part of one more at each end.
struct Window {
    whole: isize,
    part: f32,
    scale: f32,
}

impl Window {
    fn new(radius: f32) -> Self {
        Self {
            whole: radius.floor() as isize,
            part: radius.fract(),
            scale: 1.0 / (2.0 * radius + 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn plane(width: usize, height: usize) -> Plane {
        let values = (0..width * height)
            .map(|i| (i * 37 % 101) as f32 / 101.0)
            .collect();
        Plane {
            width,
            height,
            values,
        }
    }

    #[test]
    fn a_blur_is_the_mean_over_its_square() {
        let plane = plane(7, 5);
        let near = |plane: &Plane, x: isize, y: isize| {
            plane.values[(y.clamp(0, 4) * 7 + x.clamp(0, 6)) as usize]
        };
        for (radius, whole, part) in [(0.0, 0, 0.0), (1.0, 1, 0.0), (2.25, 2, 0.25), (9.5, 9, 0.5)]
        {
            let blurred = plane.blur(radius);
            for (x, y) in [(0, 0), (3, 2), (6, 4)] {
                let weight = |d: isize| if d.abs() <= whole { 1.0 } else { part };
                let reach = -whole - 1..=whole + 1;
                let (mut sum, mut weights) = (0.0, 0.0);
                for dy in reach.clone() {
                    for dx in reach.clone() {
                        sum += weight(dx) * weight(dy) * near(&plane, x + dx, y + dy);
                        weights += weight(dx) * weight(dy);
                    }
                }
                assert!(
                    (near(&blurred, x, y) - sum / weights).abs() < 1e-4,
                    "radius {radius} at {x}, {y}"
                );
            }
        }
    }

    #[test]
    fn bytes_survive_the_canvas() {
        let picture = RgbImage::from_fn(16, 16, |x, y| Rgb([(x * 16 + y) as u8, x as u8, y as u8]));
        assert_eq!(Canvas::new(&picture).into_picture(), picture);
    }
}
