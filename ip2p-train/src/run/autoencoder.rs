//! A training of the small autoencoder.

use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use ip2p::core::{NoiseGenerator, NoiseKind};
use ip2p::io::{Checkpoint, Component, save_weights};
use ip2p::models::taesd::{AutoencoderTiny, AutoencoderTinyConfig};
use ip2p::{Error, Precision, Result};
use ip2p_data::Source;
use serde::{Deserialize, Serialize};

use super::Progress;
use super::files::{copy_small_files, log};
use super::save_every;
use crate::autoencoder::AutoencoderLoss;
use crate::check;
use crate::initial;
use crate::source::SourceOptions;
use crate::tiles::{TileOptions, Tiles};
use crate::trainer::{Trainer, TrainerOptions};

/// The settings of a training of an `AutoencoderTiny`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoencoderRun {
    /// The folder in diffusers' layout whose `vae/config.json` says its shape; it begins at random.
    pub model: PathBuf,
    /// Where the training's state, its log and the trained checkpoint go.
    pub output: PathBuf,
    /// Where the pictures come from: both of each example.
    pub data: Vec<SourceOptions>,
    /// Tiles in a step.
    pub batch: usize,
    /// All that is random in the training follows from this.
    #[serde(default)]
    pub seed: u64,
    /// Which tiles of the pictures.
    #[serde(default)]
    pub tiles: TileOptions,
    /// What is learnt.
    #[serde(default)]
    pub loss: AutoencoderLoss,
    /// How it is learnt.
    pub trainer: TrainerOptions,
    /// Steps from one saved state to the next: default 500.
    #[serde(default = "save_every")]
    pub save_every: u64,
}

impl AutoencoderRun {
    /// Trains to the end, from where an earlier run stopped.
    pub(super) fn train(
        &self,
        source: &dyn Source,
        devices: &[Device],
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let (device, further) = devices.split_first().expect("the caller has seen one");
        let checkpoint = Checkpoint::open(&self.model)?;
        let config = AutoencoderTinyConfig::from_json(checkpoint.config(Component::Vae))?;
        self.check(config.vae_scale_factor())?;
        check::batch_for_each(&self.trainer, devices.len())?;
        let tracked = device.clone().autodiff();
        let first = initial::drawn(config.init(&tracked), self.seed);
        let mut trainer = Trainer::new(first, self.trainer.clone());
        let state = self.output.join("state.safetensors");
        if state.is_file() {
            trainer = trainer.resume(&state, device)?;
        }
        trainer = trainer.with_devices(further);
        let mut tiles = Tiles::new(source, self.tiles, device);
        let side = self.tiles.tile as usize / config.vae_scale_factor();
        let shape = [self.batch, config.latent_channels, side, side];
        while trainer.steps_done() < self.trainer.steps {
            let (step, started) = (trainer.steps_done(), Instant::now());
            let accumulate = self.trainer.accumulate.max(1) as u64;
            let batches: Vec<_> = (0..accumulate)
                .map(|batch| {
                    let number = step * accumulate + batch;
                    let pictures = tiles.batch(step, self.batch, self.seed ^ (number << 1));
                    let noise = NoiseGenerator::new(NoiseKind::TorchCpu, self.seed ^ number)
                        .normal(shape.iter().product());
                    let noise = Tensor::<4>::from_data(TensorData::new(noise, shape), device);
                    let at = usize::try_from(batch).expect("a batch of a step");
                    let device = &devices[at % devices.len()];
                    let [pictures, noise] = [pictures, noise].map(|x| x.to_device(device));
                    (pictures.autodiff(), noise.autodiff())
                })
                .collect();
            let report = trainer.step(|vae, at| {
                let (pictures, noise) = batches[at].clone();
                self.loss.loss(vae, pictures, noise)
            });
            log(&self.output, &report, started.elapsed().as_secs_f64())?;
            let wanted = progress(&report);
            let done = trainer.steps_done();
            let last = done == self.trainer.steps;
            if done.is_multiple_of(self.save_every) || last || wanted.is_break() {
                self.save(&trainer)?;
            }
            if wanted.is_break() && !last {
                return Err(Error::Stopped);
            }
        }
        Ok(())
    }

    /// Whether the settings make sense with an autoencoder of this factor.
    fn check(&self, factor: usize) -> Result<()> {
        let tiles = &self.tiles;
        check::at_least_one(&[
            ("batch", self.batch as u64),
            ("tiles.tile", u64::from(tiles.tile)),
            ("tiles.held", tiles.held as u64),
            ("save_every", self.save_every),
        ])?;
        check::trainer(&self.trainer)?;
        if tiles.tile > tiles.size || !(tiles.tile as usize).is_multiple_of(factor) {
            let expected = format!("a multiple of {factor}, at most tiles.size, {}", tiles.size);
            return Err(Error::setting("tiles.tile", expected, tiles.tile));
        }
        Ok(())
    }

    fn save(&self, trainer: &Trainer<AutoencoderTiny>) -> Result<()> {
        trainer.save(self.output.join("state.safetensors"))?;
        let folder = self.output.join("model");
        copy_small_files(&self.model, &folder)?;
        save_weights(
            &trainer.averaged(),
            Precision::F32,
            folder.join("vae/diffusion_pytorch_model.safetensors"),
        )
    }
}
