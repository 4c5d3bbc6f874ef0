//! Tiles of pictures for the autoencoder, which needs no sentences and learns as much from a part as from the whole.

use std::collections::VecDeque;

use burn::tensor::{Device, Tensor};
use image::{RgbImage, imageops};
use ip2p_data::Source;
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::pictures::to_tensor;

/// Which tiles of which pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TileOptions {
    /// The width and height of a tile: default 64.
    pub tile: u32,
    /// The width and height of the pictures: default 256.
    pub size: u32,
    /// How many examples are held at a time: default 128, of two pictures each.
    pub held: usize,
    /// How many of them each step replaces: default 2.
    pub fresh: usize,
}

impl Default for TileOptions {
    fn default() -> Self {
        Self {
            tile: 64,
            size: 256,
            held: 128,
            fresh: 2,
        }
    }
}

/// A moving window of pictures, from which tiles are cut.
#[derive(Debug)]
pub struct Tiles<'a> {
    source: &'a dyn Source,
    options: TileOptions,
    device: Device,
    first: u64,
    held: VecDeque<[RgbImage; 2]>,
}

impl<'a> Tiles<'a> {
    /// An empty window; it fills when the first batch is asked for.
    #[must_use]
    pub fn new(source: &'a dyn Source, options: TileOptions, device: &Device) -> Self {
        Self {
            source,
            options,
            device: device.clone(),
            first: 0,
            held: VecDeque::new(),
        }
    }

    /// The tiles of a step: `[batch, 3, tile, tile]`, values in `[-1, 1]`, without autodiff.
    pub fn batch(&mut self, step: u64, batch: usize, seed: u64) -> Tensor<4> {
        let first = step * self.options.fresh as u64;
        while self.first < first && !self.held.is_empty() {
            self.held.pop_front();
            self.first += 1;
        }
        self.first = first;
        let missing = first + self.held.len() as u64..first + self.options.held as u64;
        let examples: Vec<_> = missing
            .into_par_iter()
            .map(|index| {
                let example = self.source.example(index, self.options.size);
                [example.input, example.edited]
            })
            .collect();
        self.held.extend(examples);
        let mut rng = ip2p_data::rng(seed, step);
        let tile = self.options.tile;
        let tiles: Vec<RgbImage> = (0..batch)
            .map(|_| {
                let pair = &self.held[rng.random_range(0..self.held.len())];
                let picture = &pair[rng.random_range(0..2)];
                let mut corner = || rng.random_range(0..=self.options.size - tile);
                imageops::crop_imm(picture, corner(), corner(), tile, tile).to_image()
            })
            .collect();
        to_tensor(tiles.iter(), &self.device)
    }
}
