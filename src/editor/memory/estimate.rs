//! What an edit takes in each of its parts. The shares and constants are measured; `docs/performance.md` has how near they come.

use ip2p_core::{Error, Precision, Result, Size};
use ip2p_io::Component;
use ip2p_models::unet::Quantizer;
use ip2p_models::vae::VaeOptions;

use super::{MemoryEdit, MemoryUse};
use crate::editor::Model;
use crate::editor::held::{Residency, Saving};
use crate::editor::plan::guidance;
use crate::options::BranchExecution;
use crate::settings::Settings;

/// What the program takes beside weights, pictures and activations: its code and threads, and of tokenizers each token.
const PROGRAM: u64 = 36_000_000;
const TOKEN: u64 = 350;

/// Bytes for a pixel of the photo while the networks compute: the photo itself, and where it may change.
const PHOTO: u64 = 3;
const MASK: u64 = 3;

/// Bytes for a pixel of the photo while it is read, fitted, or made into a result; with a mask; and of each result.
const PHOTO_WORK: u64 = 7;
const MASK_WORK: u64 = 7;
/// Bytes for a pixel of the photo more, where of a mask that the model found only what changes is taken; and for each of the squares
/// of pixels that are looked at then, and up to how many there are.
const CHANGE_WORK: u64 = 3;
const CELL_WORK: u64 = 12;
const CELLS: u64 = 1024 * 1024;
const RESULT: u64 = 3;

/// What the operators keep for themselves and what lies free between tensors, as a share of the activations.
const OPERATORS: f64 = 0.25;

/// For how many whole numbers their scales take a byte: one of 4 bytes for 128 numbers or more, as networks are.
const SCALES: u64 = 32;

/// Bytes of weights, and of what reading the largest of them takes beside.
#[derive(Debug, Clone, Copy)]
struct Weights {
    bytes: u64,
    reading: u64,
}

/// The weights of a checkpoint.
pub(super) struct AllWeights {
    text: Weights,
    vae: Weights,
    unet: Weights,
    /// The files themselves, of a checkpoint that is in memory.
    in_memory: u64,
}

impl Model {
    /// The weights in a precision.
    pub(super) fn weights(&self, precision: Precision) -> Result<AllWeights> {
        let mut in_memory = 0;
        let mut of = |component: Component, precision: Precision| {
            let weights = self.checkpoint.weights(component, precision)?;
            let (numbers, largest) = weights.numbers();
            if self.folder().is_none() {
                in_memory += weights.file_bytes();
            }
            let bytes = bytes_of(precision);
            Ok::<_, Error>(Weights {
                bytes: numbers * bytes,
                // As the file has it, and as the network takes it.
                reading: largest * (bytes + 4),
            })
        };
        let mut unet = of(Component::Unet, precision)?;
        if precision == Precision::Int8 {
            let weights = self.checkpoint.weights(Component::Unet, precision)?;
            let whole = weights.numbers_of(|name, shape| Quantizer::takes(name, shape.len()))?;
            unet.bytes -= whole - whole / SCALES;
        }
        let mut text = of(Component::TextEncoder, precision)?;
        if self.text.second.is_some() {
            let second = of(Component::TextEncoder2, precision)?;
            text.bytes += second.bytes;
            text.reading = text.reading.max(second.reading);
        }
        Ok(AllWeights {
            text,
            vae: of(Component::Vae, self.vae_precision(precision))?,
            unet,
            in_memory,
        })
    }

    /// What an edit takes where it is the most.
    pub(super) fn uses(
        &self,
        edit: &MemoryEdit<'_>,
        saving: Saving,
        weights: &AllWeights,
        (precision, on_cpu): (Precision, bool),
    ) -> Result<MemoryUse> {
        let settings = self.settings(edit.options)?;
        let size = self.model_size(edit, &settings)?;
        let AllWeights {
            text,
            vae,
            unet,
            in_memory,
        } = *weights;
        // What is in memory while each of the networks computes.
        let [with_text, with_vae, with_unet] = match saving.residency {
            Residency::All => [text.bytes + vae.bytes + unet.bytes; 3],
            Residency::WithoutText => [
                text.bytes + vae.bytes + unet.bytes,
                vae.bytes + unet.bytes,
                vae.bytes + unet.bytes,
            ],
            Residency::OneAtATime => [text.bytes, vae.bytes, unet.bytes],
        };
        // The CPU has activations in f32 whatever the weights are.
        let number = |precision| if on_cpu { 4 } else { bytes_of(precision) };
        let (of_vae, of_unet) = (number(self.vae_precision(precision)), number(precision));
        let options = edit.options;
        let masked = u64::from(edit.masked || options.region.is_limited());
        // A result of the model's size is small beside the photo.
        let result = if options.keeps_model_size() {
            0
        } else {
            RESULT
        };
        let pixels = edit.photo.pixels();
        let results = |count: usize| pixels * result * count as u64;
        let beside = pixels * RESULT * edit.beside as u64;
        let photo = pixels * (PHOTO + masked * MASK) + beside;
        let sought = u64::from(options.region.is_auto());
        let work = PHOTO_WORK + masked * MASK_WORK + sought * CHANGE_WORK;
        let of_cells = sought * CELL_WORK * pixels.min(CELLS);
        let worked = pixels * work + of_cells + results(edit.count) + beside;
        let program = PROGRAM + in_memory + TOKEN * self.text.vocabulary();
        let at_once = edit.at_once as u64;
        let shared = |numbers: u64, bytes: u64| {
            let bytes = numbers * bytes * at_once;
            bytes + share_of(bytes)
        };
        let part = |part, weights, activations, pictures| MemoryUse {
            part,
            size,
            weights,
            activations,
            pictures: if on_cpu { pictures * at_once } else { 0 },
            program: if on_cpu { program } else { 0 },
        };
        let (encode, decode) = self.vae_live(saving.vae(edit.options), size);
        let reading = text.reading.max(vae.reading).max(unet.reading);
        let loaded = with_text.max(with_vae).max(with_unet);
        let parts = [
            part("load", loaded, reading, photo),
            part(
                "sentence",
                with_text,
                shared(self.text.live(), of_unet),
                photo,
            ),
            part("encode", with_vae, shared(encode, of_vae), photo),
            part(
                "steps",
                with_unet,
                shared(
                    self.steps_live(&settings, saving, (size, edit.count)),
                    of_unet,
                ),
                photo,
            ),
            part(
                "decode",
                with_vae,
                shared(decode, of_vae),
                photo + results(edit.count.saturating_sub(1)),
            ),
            // After the decoder, whose activations are then free again.
            part("photo", with_vae, 0, worked),
        ];
        let nothing = MemoryUse::nothing();
        Ok(parts.into_iter().fold(nothing, MemoryUse::larger))
    }

    /// The most numbers of the autoencoder's two halves, for one picture of this size.
    fn vae_live(&self, options: VaeOptions, size: Size) -> (u64, u64) {
        let factor = self.vae.vae_scale_factor();
        let whole = [size.height as usize, size.width as usize];
        let tile = options.tiling.map_or(usize::MAX, |tiling| tiling.tile_size);
        let sides = whole.map(|side| side.min(tile));
        // The picture itself, beside its parts.
        let picture = 2 * 3 * size.pixels();
        (
            picture + self.vae.encode_live(1, sides),
            picture + self.vae.decode_live(1, sides.map(|side| side / factor)),
        )
    }

    /// The most numbers of a step.
    fn steps_live(&self, settings: &Settings, saving: Saving, (size, count): (Size, usize)) -> u64 {
        let [_, channels, height, width] = self.latents_shape(size);
        let (sides, tokens) = ([height, width], self.text.tokens());
        let (guidance, _) = guidance(settings);
        let steps = settings.first_step()..settings.steps;
        let branches = steps.map(|step| guidance.plan(step).len()).max();
        let branches = match branches {
            // With its maps all branches count.
            _ if settings.options.region.is_attention() => 3,
            branches => branches.unwrap_or(1),
        };
        let rows = count * branches;
        let together = match saving.branches(&settings.options) {
            BranchExecution::Batched => rows,
            BranchExecution::OneByOne => count,
        };
        // What the branches are told is kept for all of them, and with a cache what their deep layers said.
        let kept = if settings.deep_cache > 1 {
            let levels = self.unet.levels.iter();
            let widest = levels.map(|level| level.channels).take(2).max();
            rows * height * width * widest.unwrap_or(0)
        } else {
            0
        };
        let latents = 8 * rows * channels * height * width;
        self.unet.live(together, sides, tokens)
            + self.unet.conditioning(rows, sides, tokens)
            + (kept + latents) as u64
    }
}

/// What the operators take beside activations of so many bytes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a number of bytes"
)]
fn share_of(bytes: u64) -> u64 {
    (bytes as f64 * OPERATORS) as u64
}

/// The bytes of a number.
fn bytes_of(precision: Precision) -> u64 {
    precision.bytes() as u64
}
