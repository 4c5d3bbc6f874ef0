//! Encoded examples: made by a source, put through the frozen autoencoder, the tokenizer and a frozen text encoder once, used
//! several times.
//!
//! A training step draws its batch from a window of shards that moves on: as the training goes, the oldest is forgotten and a
//! new one made. Which window a step sees follows from the step alone, so a resumed training sees the same examples.
//!
//! Pictures have many shapes, and a batch has one: that of the first example that is drawn for it. Those of other shapes that are
//! drawn after it are put back, so that every example of the window is as likely as any other, whatever its shape.

use std::collections::{BTreeMap, HashMap, VecDeque};

use burn::tensor::{Device, Int, Tensor, TensorData};
use half::f16;
use image::imageops::{FilterType, resize};
use image::{GrayImage, RgbImage};
use ip2p::Result;
use ip2p::io::Tokenizer;
use ip2p::models::clip::CLIPTextModel;
use ip2p::models::vae::Autoencoder;
use ip2p_data::folder::Buckets;
use ip2p_data::{Example, Source};
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::edit::{EditBatch, Sentences};
use crate::pictures::to_tensor;

/// Pictures or sentences that are encoded side by side.
const BATCH: usize = 16;

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
    /// The width and height of the square pictures; others have about as many pixels. Default 256.
    pub size: u32,
    /// What the sides of other shapes are multiples of: default what the networks ask for. The size itself for squares alone.
    pub bucket_step: Option<u32>,
}

impl PoolOptions {
    /// The sizes of the pictures, for networks that ask for multiples of `required`.
    ///
    /// # Errors
    ///
    /// Those of [`Buckets::new`].
    pub fn buckets(&self, required: u32) -> Result<Buckets> {
        Buckets::new(self.size, self.bucket_step.unwrap_or(required))
    }
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            shard: 1024,
            shards: 16,
            stride: 100,
            size: 256,
            bucket_step: None,
        }
    }
}

/// What examples are encoded with.
#[derive(Debug, Clone, Copy)]
pub struct Encoders<'a> {
    /// Encodes the pictures.
    pub vae: &'a Autoencoder,
    /// Encodes the sentences.
    pub tokenizer: &'a Tokenizer,
    /// Encodes their tokens if it is frozen; if it learns, batches hold the tokens.
    pub text_encoder: Option<&'a CLIPTextModel>,
}

/// Examples that have been encoded: of each, its numbers one after the other.
#[derive(Debug)]
struct Shard {
    image_latents: Vec<f16>,
    latents: Vec<f16>,
    /// How much of each latent pixel is edited.
    masks: Vec<f16>,
    /// Where in these three each example is.
    places: Vec<Place>,
    ids: Vec<i64>,
    contexts: Contexts,
}

/// The latent pixels of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Place {
    /// How many come before them in the shard.
    first: usize,
    height: usize,
    width: usize,
}

impl Place {
    fn size(self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// The example's numbers, `channels` of them a pixel.
    fn of<T>(self, numbers: &[T], channels: usize) -> &[T] {
        let pixels = self.height * self.width;
        &numbers[channels * self.first..channels * (self.first + pixels)]
    }
}

/// What a frozen text encoder makes of a shard's sentences, of which many may be the same.
#[derive(Debug, Default)]
struct Contexts {
    /// The contexts of different sentences, one after the other.
    distinct: Vec<f16>,
    /// Which of them each example has.
    of: Vec<usize>,
}

/// A moving window of encoded examples.
#[derive(Debug)]
pub struct Pool<'a> {
    source: &'a dyn Source,
    encoders: Encoders<'a>,
    options: PoolOptions,
    /// The sizes of the pictures.
    buckets: Buckets,
    /// Where the batches are; its autodiff is that of the networks.
    device: Device,
    empty_ids: Vec<i64>,
    /// None if the text encoder learns.
    empty_context: Option<Vec<f16>>,
    /// The numbers of a latent pixel.
    channels: usize,
    first: u64,
    window: VecDeque<Shard>,
}

/// An example of the window: its shard, and its number there.
type Pick<'a> = (&'a Shard, usize);

impl<'a> Pool<'a> {
    /// An empty window; it fills when the first batch is asked for, with pictures of the sizes of `buckets`.
    ///
    /// Batches are made on `device`, which may have autodiff; the encoders are on one that has none.
    ///
    /// # Errors
    ///
    /// Those of the tokenizer.
    pub fn new(
        source: &'a dyn Source,
        encoders: Encoders<'a>,
        options: PoolOptions,
        buckets: Buckets,
        device: &Device,
    ) -> Result<Self> {
        let empty_ids = encoders.tokenizer.encode("")?.ids;
        let empty_context = encoders
            .text_encoder
            .map(|encoder| encode_sentences(encoder, &[&empty_ids], device));
        Ok(Self {
            source,
            encoders,
            options,
            buckets,
            device: device.clone(),
            empty_ids,
            empty_context,
            channels: 0,
            first: 0,
            window: VecDeque::new(),
        })
    }

    /// The batch of a step.
    ///
    /// # Errors
    ///
    /// Those of the tokenizer.
    pub fn batch(&mut self, step: u64, size: usize, seed: u64) -> Result<EditBatch> {
        self.move_to(step / self.options.stride)?;
        let mut rng = ip2p_data::rng(seed, step);
        let mut picks: Vec<Pick<'_>> = Vec::with_capacity(size);
        let [mut h, mut w] = [0; 2];
        while picks.len() < size {
            let shard = &self.window[rng.random_range(0..self.window.len())];
            let at = rng.random_range(0..self.options.shard);
            let found = shard.places[at].size();
            if picks.is_empty() {
                [h, w] = found;
            }
            if found == [h, w] {
                picks.push((shard, at));
            }
        }
        let c = self.channels;
        let planes = |count: usize, of: fn(&Shard) -> &[f16]| {
            let each = picks
                .iter()
                .map(|&(shard, at)| shard.places[at].of(of(shard), count));
            Tensor::<4>::from_data(to_f32(each, [size, count, h, w]), &self.device)
        };
        Ok(EditBatch {
            image_latents: planes(c, |shard| &shard.image_latents),
            latents: planes(c, |shard| &shard.latents),
            mask: planes(1, |shard| &shard.masks),
            sentences: self.sentences(&picks),
        })
    }

    fn sentences(&self, picks: &[Pick<'_>]) -> Sentences {
        let tokens = self.empty_ids.len();
        let Some(empty) = &self.empty_context else {
            let each = picks
                .iter()
                .flat_map(|&(shard, at)| part(&shard.ids, at, tokens));
            let ids = |ids: Vec<i64>, count: usize| {
                Tensor::<2, Int>::from_data(TensorData::new(ids, [count, tokens]), &self.device)
            };
            return Sentences::Ids {
                each: ids(each.copied().collect(), picks.len()),
                empty: ids(self.empty_ids.clone(), 1),
            };
        };
        let width = empty.len() / tokens;
        let each = picks.iter().map(|&(shard, at)| {
            let contexts = &shard.contexts;
            part(&contexts.distinct, contexts.of[at], empty.len())
        });
        let empty = std::iter::once(empty.as_slice());
        Sentences::Contexts {
            each: Tensor::from_data(to_f32(each, [picks.len(), tokens, width]), &self.device),
            empty: Tensor::from_data(to_f32(empty, [1, tokens, width]), &self.device),
        }
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
        let count = self.options.shard as u64;
        let indices: Vec<u64> = (index * count..(index + 1) * count).collect();
        let mut shard = Shard {
            image_latents: Vec::new(),
            latents: Vec::new(),
            masks: Vec::new(),
            places: Vec::new(),
            ids: Vec::new(),
            contexts: Contexts::default(),
        };
        for indices in indices.chunks(BATCH) {
            let examples: Vec<Example> = indices
                .par_iter()
                .map(|&index| self.source.example_in(index, &self.buckets))
                .collect();
            for example in &examples {
                shard
                    .ids
                    .extend(self.encoders.tokenizer.encode(&example.instruction)?.ids);
            }
            self.add_pictures(&examples, &mut shard);
        }
        if let Some(encoder) = self.encoders.text_encoder {
            shard.contexts = self.contexts(encoder, &shard.ids);
        }
        Ok(shard)
    }

    /// Encodes the pictures of examples, those of one size side by side.
    fn add_pictures(&mut self, examples: &[Example], shard: &mut Shard) {
        let first = shard.places.len();
        shard
            .places
            .resize(first + examples.len(), Place::default());
        let mut alike: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
        for (at, example) in examples.iter().enumerate() {
            alike
                .entry(example.input.dimensions())
                .or_default()
                .push(at);
        }
        for members in alike.values() {
            let members = || members.iter().map(|&at| (at, &examples[at]));
            let inputs = members().map(|(_, example)| &example.input);
            let [height, width] = self.encode(inputs, &mut shard.image_latents);
            let edited = members().map(|(_, example)| &example.edited);
            self.encode(edited, &mut shard.latents);
            for (at, example) in members() {
                shard.places[first + at] = Place {
                    first: shard.masks.len(),
                    height,
                    width,
                };
                let mask = latent_mask(example.mask.as_ref(), [height, width]);
                shard.masks.extend(mask);
            }
        }
    }

    /// Encodes sentences, each once.
    fn contexts(&self, encoder: &CLIPTextModel, ids: &[i64]) -> Contexts {
        let mut distinct: Vec<&[i64]> = Vec::new();
        let mut seen = HashMap::new();
        let of = ids
            .chunks(self.empty_ids.len())
            .map(|sentence| {
                *seen.entry(sentence).or_insert_with(|| {
                    distinct.push(sentence);
                    distinct.len() - 1
                })
            })
            .collect();
        let encoded = distinct
            .chunks(BATCH)
            .flat_map(|sentences| encode_sentences(encoder, sentences, &self.device));
        Contexts {
            distinct: encoded.collect(),
            of,
        }
    }

    /// Encodes pictures of one size; returns the height and width of their latents.
    fn encode<'b>(
        &mut self,
        pictures: impl Iterator<Item = &'b RgbImage>,
        into: &mut Vec<f16>,
    ) -> [usize; 2] {
        let device = self.device.clone().without_autodiff();
        let latents = self.encoders.vae.encode(to_tensor(pictures, &device));
        let [_, c, h, w] = latents.dims();
        self.channels = c;
        into.extend(to_f16(latents));
        [h, w]
    }
}

/// How much of each latent pixel lies under a mask; all of it without one.
fn latent_mask(mask: Option<&GrayImage>, [height, width]: [usize; 2]) -> Vec<f16> {
    let Some(mask) = mask else {
        return vec![f16::ONE; height * width];
    };
    let side = |pixels: usize| u32::try_from(pixels).expect("latents are smaller than pictures");
    let small = resize(mask, side(width), side(height), FilterType::Triangle);
    let share = |byte: &u8| f16::from_f32(f32::from(*byte) / 255.0);
    small.as_raw().iter().map(share).collect()
}

/// The contexts of sentences of equal length, one after the other.
fn encode_sentences(encoder: &CLIPTextModel, sentences: &[&[i64]], device: &Device) -> Vec<f16> {
    let shape = [sentences.len(), sentences[0].len()];
    let ids = TensorData::new(sentences.concat(), shape);
    let ids = Tensor::<2, Int>::from_data(ids, &device.clone().without_autodiff());
    to_f16(encoder.forward(ids)).collect()
}

fn to_f16<const D: usize>(tensor: Tensor<D>) -> impl Iterator<Item = f16> {
    let numbers = tensor.into_data().try_into_vec::<f32>();
    numbers
        .expect("networks compute in f32")
        .into_iter()
        .map(f16::from_f32)
}

fn to_f32<'a, const D: usize>(
    parts: impl Iterator<Item = &'a [f16]>,
    shape: [usize; D],
) -> TensorData {
    let numbers: Vec<f32> = parts.flatten().map(|x| x.to_f32()).collect();
    TensorData::new(numbers, shape)
}

/// Part number `at` of those of equal length that lie one after the other.
fn part<T>(numbers: &[T], at: usize, length: usize) -> &[T] {
    &numbers[at * length..(at + 1) * length]
}
