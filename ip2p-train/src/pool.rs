//! Encoded examples: made by a source, put through the frozen autoencoder and the tokenizer once, used several times.
//!
//! A training step draws its batch from a window of shards that moves on: as the training goes, the oldest is forgotten and a
//! new one made. Which window a step sees follows from the step alone, so a resumed training sees the same examples.

use std::collections::VecDeque;

use burn::tensor::{Device, Int, Tensor, TensorData};
use half::f16;
use image::RgbImage;
use ip2p::Result;
use ip2p::io::Tokenizer;
use ip2p::models::vae::Autoencoder;
use ip2p_data::{Example, Source};
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::edit::EditBatch;
use crate::pictures::to_tensor;

/// How many examples there are at a time, and how fast they are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolOptions {
    /// Examples in a shard: default 1024.
    pub shard: usize,
    /// Shards in the window: default 16.
    pub shards: usize,
    /// Steps until the window moves by a shard: default 100.
    pub stride: u64,
    /// The width and height of the pictures: default 256.
    pub size: u32,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            shard: 1024,
            shards: 16,
            stride: 100,
            size: 256,
        }
    }
}

/// Examples that have been encoded: of each, its numbers one after the other.
#[derive(Debug)]
struct Shard {
    image_latents: Vec<f16>,
    latents: Vec<f16>,
    ids: Vec<i64>,
}

/// A moving window of encoded examples.
#[derive(Debug)]
pub struct Pool<'a> {
    source: &'a dyn Source,
    vae: &'a Autoencoder,
    tokenizer: &'a Tokenizer,
    options: PoolOptions,
    device: Device,
    /// The shape of one example's latents.
    shape: [usize; 3],
    first: u64,
    window: VecDeque<Shard>,
}

impl<'a> Pool<'a> {
    /// An empty window; it fills when the first batch is asked for.
    #[must_use]
    pub fn new(
        source: &'a dyn Source,
        vae: &'a Autoencoder,
        tokenizer: &'a Tokenizer,
        options: PoolOptions,
        device: &Device,
    ) -> Self {
        Self {
            source,
            vae,
            tokenizer,
            options,
            device: device.clone(),
            shape: [0; 3],
            first: 0,
            window: VecDeque::new(),
        }
    }

    /// The batch of a step, on a device with autodiff.
    ///
    /// # Errors
    ///
    /// Those of the tokenizer.
    pub fn batch(&mut self, step: u64, size: usize, seed: u64) -> Result<EditBatch> {
        self.move_to(step / self.options.stride)?;
        let mut rng = ip2p_data::rng(seed, step);
        let numbers = self.shape.iter().product::<usize>();
        let tokens = self.tokenizer.max_length();
        let mut image_latents = Vec::with_capacity(size * numbers);
        let mut latents = Vec::with_capacity(size * numbers);
        let mut ids: Vec<i64> = Vec::with_capacity(size * tokens);
        for _ in 0..size {
            let shard = &self.window[rng.random_range(0..self.window.len())];
            let at = rng.random_range(0..self.options.shard);
            let part = at * numbers..(at + 1) * numbers;
            image_latents.extend(shard.image_latents[part.clone()].iter().map(|x| x.to_f32()));
            latents.extend(shard.latents[part].iter().map(|x| x.to_f32()));
            ids.extend_from_slice(&shard.ids[at * tokens..(at + 1) * tokens]);
        }
        let [c, h, w] = self.shape;
        let latent = |numbers: Vec<f32>| {
            Tensor::<4>::from_data(TensorData::new(numbers, [size, c, h, w]), &self.device)
                .autodiff()
        };
        let ids = TensorData::new(ids, [size, tokens]);
        Ok(EditBatch {
            image_latents: latent(image_latents),
            latents: latent(latents),
            ids: Tensor::<2, Int>::from_data(ids, &self.device).autodiff(),
        })
    }

    fn move_to(&mut self, first: u64) -> Result<()> {
        while self.first < first && !self.window.is_empty() {
            self.window.pop_front();
            self.first += 1;
        }
        self.first = first;
        while self.window.len() < self.options.shards {
            let index = first + self.window.len() as u64;
            let shard = self.make(index)?;
            self.window.push_back(shard);
        }
        Ok(())
    }

    fn make(&mut self, index: u64) -> Result<Shard> {
        const BATCH: usize = 16;
        let (count, size) = (self.options.shard as u64, self.options.size);
        let indices: Vec<u64> = (index * count..(index + 1) * count).collect();
        let mut shard = Shard {
            image_latents: Vec::new(),
            latents: Vec::new(),
            ids: Vec::new(),
        };
        for indices in indices.chunks(BATCH) {
            let examples: Vec<Example> = indices
                .par_iter()
                .map(|&index| self.source.example(index, size))
                .collect();
            for example in &examples {
                shard
                    .ids
                    .extend(self.tokenizer.encode(&example.instruction)?.ids);
            }
            let inputs = examples.iter().map(|example| &example.input);
            self.encode(inputs, &mut shard.image_latents);
            let edited = examples.iter().map(|example| &example.edited);
            self.encode(edited, &mut shard.latents);
        }
        Ok(shard)
    }

    fn encode<'b>(&mut self, pictures: impl Iterator<Item = &'b RgbImage>, into: &mut Vec<f16>) {
        let latents = self.vae.encode(to_tensor(pictures, &self.device));
        let [_, c, h, w] = latents.dims();
        self.shape = [c, h, w];
        let numbers = latents.into_data();
        let numbers = numbers.as_slice::<f32>().expect("latents are f32");
        into.extend(numbers.iter().map(|&x| f16::from_f32(x)));
    }
}
