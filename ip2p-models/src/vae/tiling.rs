//! Encoding and decoding by parts, to bound memory.
//!
//! *Slicing* takes the pictures of a batch one at a time and changes nothing else. *Tiling* cuts a picture into
//! overlapping squares and blends their edges; the norms and the attention of the network then see one tile at a time,
//! so that the result is near, not equal, to that of the whole picture. The arithmetic is that of diffusers'
//! `AutoencoderKL.tiled_encode` and `tiled_decode`, the order of the blends included.

use burn::tensor::{DType, Device, Tensor, TensorData};
use ip2p_core::{Error, Result};

/// By what parts pictures go through an autoencoder: by default all at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VaeOptions {
    /// Whether the pictures of a batch are taken one at a time.
    pub slicing: bool,
    /// How pictures larger than a tile are cut, if they are.
    pub tiling: Option<Tiling>,
}

impl VaeOptions {
    /// Takes the pictures of a batch one at a time: the same result from less memory.
    #[must_use]
    pub fn with_slicing(mut self) -> Self {
        self.slicing = true;
        self
    }

    /// Cuts pictures larger than a tile.
    #[must_use]
    pub fn with_tiling(mut self, tiling: Tiling) -> Self {
        self.tiling = Some(tiling);
        self
    }

    /// Whether the tiles, if there are any, suit an autoencoder that takes `vae_scale_factor` pixels, across and down,
    /// for one of the latents.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the side of a tile is not a multiple of that, or the overlap not smaller.
    pub fn check(&self, vae_scale_factor: usize) -> Result<()> {
        self.tiling
            .map_or(Ok(()), |tiling| tiling.check(vae_scale_factor))
    }

    /// Runs `network` over `x` by parts, cutting it as `tiles` says where it is larger than a tile.
    pub(crate) fn run(
        self,
        x: Tensor<4>,
        tiles: impl FnOnce(Tiling) -> Tiles,
        network: impl Fn(Tensor<4>) -> Tensor<4>,
    ) -> Tensor<4> {
        let tiles = self.tiling.map(tiles);
        let run = |x: Tensor<4>| match tiles {
            Some(tiles) if tiles.cut(x.dims()) => tiles.run(&x, &network),
            _ => network(x),
        };
        if self.slicing && x.dims()[0] > 1 {
            Tensor::cat(x.split(1, 0).into_iter().map(run).collect(), 0)
        } else {
            run(x)
        }
    }
}

/// Squares that a picture is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// The side of a tile, in pixels of the picture.
    pub tile_size: usize,
    /// By how much neighbours overlap, in pixels of the picture, rounded down to whole latents: all of it is blended.
    pub overlap: usize,
}

impl Tiling {
    /// Tiles of `tile_size` pixels that overlap by a quarter, which is what diffusers does with `tile_size` the
    /// config's `sample_size`.
    #[must_use]
    pub fn new(tile_size: usize) -> Self {
        Self {
            tile_size,
            overlap: tile_size / 4,
        }
    }

    /// Overlaps neighbours by `overlap` pixels: the more, the less the seams show and the longer it takes.
    #[must_use]
    pub fn with_overlap(mut self, overlap: usize) -> Self {
        self.overlap = overlap;
        self
    }

    fn check(self, vae_scale_factor: usize) -> Result<()> {
        if self.tile_size == 0 || !self.tile_size.is_multiple_of(vae_scale_factor) {
            let expected = format!("a multiple of {vae_scale_factor} pixels above 0");
            return Err(Error::setting("tile_size", expected, self.tile_size));
        }
        if self.overlap >= self.tile_size {
            let expected = format!("below tile_size, {}", self.tile_size);
            return Err(Error::setting("overlap", expected, self.overlap));
        }
        Ok(())
    }

    /// The tiles of a picture on its way to latents.
    ///
    /// # Panics
    ///
    /// If [`VaeOptions::check`] fails.
    pub(crate) fn encoding(self, vae_scale_factor: usize) -> Tiles {
        let latents = self.in_latents(vae_scale_factor);
        Tiles {
            side: self.tile_size,
            stride: latents.stride() * vae_scale_factor,
            blend: latents.overlap,
            keep: latents.stride(),
        }
    }

    /// The tiles of latents on their way to a picture.
    ///
    /// # Panics
    ///
    /// If [`VaeOptions::check`] fails.
    pub(crate) fn decoding(self, vae_scale_factor: usize) -> Tiles {
        let latents = self.in_latents(vae_scale_factor);
        Tiles {
            side: latents.tile_size,
            stride: latents.stride(),
            blend: latents.overlap * vae_scale_factor,
            keep: latents.stride() * vae_scale_factor,
        }
    }

    fn in_latents(self, vae_scale_factor: usize) -> Self {
        if let Err(error) = self.check(vae_scale_factor) {
            panic!("{error}: VaeOptions::check says so as an error");
        }
        Self {
            tile_size: self.tile_size / vae_scale_factor,
            overlap: self.overlap / vae_scale_factor,
        }
    }

    fn stride(self) -> usize {
        self.tile_size - self.overlap
    }
}

/// A [`Tiling`] in the units of the network's input (`side`, `stride`) and of its output (`blend`, `keep`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiles {
    side: usize,
    stride: usize,
    blend: usize,
    keep: usize,
}

const HEIGHT: usize = 2;
const WIDTH: usize = 3;

impl Tiles {
    /// Whether `x` is larger than a tile.
    fn cut(self, [_, _, height, width]: [usize; 4]) -> bool {
        height > self.side || width > self.side
    }

    /// Runs `network` over each tile of `x`, blends each result with those above and to the left, in this order, and
    /// joins what the next ones do not cover.
    ///
    /// Of the tiles that are done only the edges that are still to be blended are kept besides the result.
    fn run(self, x: &Tensor<4>, network: impl Fn(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let mut rows = Vec::new();
        let mut above: Vec<Tensor<4>> = Vec::new();

        for top in (0..height).step_by(self.stride) {
            let mut row = Vec::new();
            let mut below = Vec::new();
            let mut before: Option<Tensor<4>> = None;
            for left in (0..width).step_by(self.stride) {
                let band = part(x.clone(), HEIGHT, top, self.side);
                let mut tile = network(part(band, WIDTH, left, self.side));
                if let Some(above) = above.get(row.len()) {
                    tile = blend(above.clone(), tile, HEIGHT);
                }
                if let Some(before) = before.take() {
                    tile = blend(before, tile, WIDTH);
                }
                if self.blend > 0 {
                    below.push(last(tile.clone(), HEIGHT, self.blend));
                    before = Some(last(tile.clone(), WIDTH, self.blend));
                }
                row.push(first(first(tile, HEIGHT, self.keep), WIDTH, self.keep));
            }
            above = below;
            rows.push(Tensor::cat(row, WIDTH));
        }
        Tensor::cat(rows, HEIGHT)
    }
}

/// Goes over linearly from the end of `before` to the start of `tile`, along as much as both have.
fn blend(before: Tensor<4>, tile: Tensor<4>, axis: usize) -> Tensor<4> {
    let length = tile.dims()[axis];
    let extent = before.dims()[axis].min(length);
    let weight = ramp(extent, axis, &tile.device(), tile.dtype());
    let seam = last(before, axis, extent) * (1.0 - weight.clone())
        + first(tile.clone(), axis, extent) * weight;
    if extent == length {
        return seam;
    }
    let rest = tile.narrow(axis, extent, length - extent);
    Tensor::cat(vec![seam, rest], axis)
}

/// `0, 1 / extent, … , (extent − 1) / extent` along `axis`.
fn ramp(extent: usize, axis: usize, device: &Device, dtype: DType) -> Tensor<4> {
    let weights: Vec<f32> = (0..extent).map(|i| i as f32 / extent as f32).collect();
    let mut shape = [1; 4];
    shape[axis] = extent;
    Tensor::from_data(TensorData::new(weights, shape), (device, dtype))
}

/// At most `length` along `axis` from `start` on.
fn part(x: Tensor<4>, axis: usize, start: usize, length: usize) -> Tensor<4> {
    let length = length.min(x.dims()[axis] - start);
    x.narrow(axis, start, length)
}

fn first(x: Tensor<4>, axis: usize, length: usize) -> Tensor<4> {
    part(x, axis, 0, length)
}

fn last(x: Tensor<4>, axis: usize, length: usize) -> Tensor<4> {
    let whole = x.dims()[axis];
    let length = length.min(whole);
    x.narrow(axis, whole - length, length)
}

#[cfg(test)]
mod tests {
    use burn::tensor::module::interpolate;
    use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
    use proptest::prelude::*;

    use super::*;

    const FACTOR: usize = 4;

    fn picture(shape: [usize; 4]) -> Tensor<4> {
        let numbers: Vec<f32> = (0..shape.iter().product())
            .map(|i: usize| (i as f32 * 0.7).sin())
            .collect();
        Tensor::from_data(TensorData::new(numbers, shape), &Device::flex())
    }

    /// An encoder in which no pixel sees its neighbours' latents.
    fn shrink(x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let (height, width) = (height / FACTOR, width / FACTOR);
        x.reshape([batch * channels * height, FACTOR, width, FACTOR])
            .mean_dim(1)
            .mean_dim(3)
            .reshape([batch, channels, height, width])
    }

    /// A decoder of that kind.
    fn enlarge(x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let size = [height * FACTOR, width * FACTOR];
        interpolate(
            x,
            InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size),
        )
    }

    fn largest_difference(a: Tensor<4>, b: Tensor<4>) -> f32 {
        assert_eq!(a.dims(), b.dims());
        (a - b).abs().max().into_scalar::<f32>()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn tiles_of_a_local_network_join_without_a_trace(
            (batch, height, width) in (1..3_usize, 1..12_usize, 1..12_usize),
            (tile, overlap) in (1..6_usize).prop_flat_map(|tile| (Just(tile), 0..tile * FACTOR)),
            slicing: bool,
        ) {
            let tiling = Tiling::new(tile * FACTOR).with_overlap(overlap);
            let options = VaeOptions { slicing, tiling: Some(tiling) };
            options.check(FACTOR).unwrap();

            let latents = picture([batch, 2, height, width]);
            let tiled = options.run(latents.clone(), |tiling| tiling.decoding(FACTOR), enlarge);
            prop_assert!(largest_difference(tiled, enlarge(latents)) < 1e-6);

            let rgb = picture([batch, 3, height * FACTOR, width * FACTOR]);
            let tiled = options.run(rgb.clone(), |tiling| tiling.encoding(FACTOR), shrink);
            prop_assert!(largest_difference(tiled, shrink(rgb)) < 1e-6);
        }
    }

    #[test]
    fn a_seam_goes_over_linearly() {
        let device = Device::flex();
        let before = Tensor::full([1, 1, 1, 4], 1.0, &device);
        let seam = blend(before, Tensor::full([1, 1, 1, 6], 5.0, &device), WIDTH);
        let numbers = seam.into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(numbers, [1.0, 2.0, 3.0, 4.0, 5.0, 5.0]);
    }

    #[test]
    fn tiles_that_do_not_fit_the_latents_are_refused() {
        let cases = [
            (
                Tiling::new(20),
                "tile_size must be a multiple of 8 pixels above 0, got 20",
            ),
            (
                Tiling::new(0),
                "tile_size must be a multiple of 8 pixels above 0, got 0",
            ),
            (
                Tiling::new(64).with_overlap(64),
                "overlap must be below tile_size, 64, got 64",
            ),
        ];
        for (tiling, message) in cases {
            let options = VaeOptions::default().with_tiling(tiling);
            assert_eq!(options.check(8).unwrap_err().to_string(), message);
        }
    }
}
