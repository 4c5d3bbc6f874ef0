//! A training of the edit: of the U-Net and the text encoder, the autoencoder as it is.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use ip2p::io::{Checkpoint, Component, Tokenizer, save_weights};
use ip2p::models::clip::CLIPTextConfig;
use ip2p::models::unet::UNet2DConditionConfig;
use ip2p::models::vae::{Autoencoder, AutoencoderConfig};
use ip2p::sched::NoiseSchedule;
use ip2p::{EditOptions, Editor, Error, Model, Precision, Result};
use ip2p_data::{Example, Source, sheet};
use serde::{Deserialize, Serialize};

use crate::check;
use crate::edit::{EditDraws, EditLoss, EditNetworks};
use crate::pictures::{from_photo, to_photo};
use crate::pool::{Pool, PoolOptions};
use crate::source::{self, SourceOptions};
use crate::trainer::{StepReport, Trainer, TrainerOptions};

use super::files::{copy_small_files, log};
use super::save_every;

/// The settings of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditRun {
    /// The checkpoint to begin with, a folder in diffusers' layout. Its autoencoder is used as it is; a U-Net or a text
    /// encoder without weights begins at random.
    pub model: PathBuf,
    /// Where the training's state, its log and the trained checkpoint go.
    pub output: PathBuf,
    /// Where the examples come from.
    #[serde(default)]
    pub data: Vec<SourceOptions>,
    /// Examples in a batch; `trainer.accumulate` of them make a step.
    pub batch: usize,
    /// What is random in the training follows from this, but for the first weights of a network that has none.
    #[serde(default)]
    pub seed: u64,
    /// The encoded examples that are held.
    #[serde(default)]
    pub pool: PoolOptions,
    /// What is learnt.
    #[serde(default)]
    pub loss: EditLoss,
    /// How it is learnt.
    pub trainer: TrainerOptions,
    /// Steps from one saved state to the next: default 500.
    #[serde(default = "save_every")]
    pub save_every: u64,
    /// Edits of other examples of the sources, made with every saved state and put on a sheet: default 8.
    #[serde(default = "samples")]
    pub samples: usize,
}

fn samples() -> usize {
    8
}

/// What the seed of the sampled examples differs by from that of the training.
const SAMPLES: u64 = 0x5A;

impl EditRun {
    /// Whether the settings make sense, and suit the checkpoint.
    fn check(&self, model: &Model) -> Result<()> {
        let pool = &self.pool;
        check::at_least_one(&[
            ("batch", self.batch as u64),
            ("pool.shard", pool.shard as u64),
            ("pool.shards", pool.shards as u64),
            ("pool.stride", pool.stride),
            ("pool.size", u64::from(pool.size)),
            ("save_every", self.save_every),
        ])?;
        check::trainer(&self.trainer)?;
        check::within(
            "loss.condition_dropout",
            self.loss.condition_dropout,
            0.0,
            1.0 / 3.0,
        )?;
        let step = model.size_step().required;
        if !pool.size.is_multiple_of(step) {
            let expected = format!("a multiple of {step}, as the networks ask for");
            return Err(Error::setting("pool.size", expected, pool.size));
        }
        let prediction = model.profile().prediction;
        if self.loss.prediction != prediction {
            // As the file spells them.
            let name = |prediction| serde_json::json!(prediction);
            let expected = format!("{}, as the checkpoint's scheduler says", name(prediction));
            let got = name(self.loss.prediction);
            return Err(Error::setting("loss.prediction", expected, got));
        }
        Ok(())
    }
}

/// A training under way.
#[derive(Debug)]
pub struct EditTraining {
    run: EditRun,
    trainer: Trainer<EditNetworks>,
    vae: Autoencoder,
    tokenizer: Tokenizer,
    schedule: NoiseSchedule,
    device: Device,
}

impl EditTraining {
    /// Reads the checkpoint and, if there is one, the state that an earlier run left in the output folder.
    ///
    /// # Errors
    ///
    /// Those of [`Model::open`] and of loading its weights, and [`Trainer::resume`].
    pub fn open(run: EditRun, device: &Device) -> Result<Self> {
        let checkpoint = Checkpoint::open(&run.model)?;
        let model = Model::from_checkpoint(checkpoint.clone())?;
        run.check(&model)?;
        let tracked = device.clone().autodiff();
        let vae = AutoencoderConfig::from_json(checkpoint.config(Component::Vae))?.init(device);
        let (vae, _) = checkpoint.load(vae, Component::Vae, Precision::F32, &mut |_| ())?;
        let unet = UNet2DConditionConfig::from_json(checkpoint.config(Component::Unet))?;
        let text = CLIPTextConfig::from_json(checkpoint.config(Component::TextEncoder))?;
        let has = |component: Component| {
            let folder = run.model.join(component.name());
            let files = fs::read_dir(folder).into_iter().flatten().flatten();
            let mut names = files.map(|file| file.file_name());
            names.any(|name| name.to_string_lossy().ends_with(".safetensors"))
        };
        let mut unet = unet.init(&tracked);
        if has(Component::Unet) {
            (unet, _) = checkpoint.load(unet, Component::Unet, Precision::F32, &mut |_| ())?;
        }
        let mut text_encoder = text.init(&tracked);
        if has(Component::TextEncoder) {
            let component = Component::TextEncoder;
            (text_encoder, _) =
                checkpoint.load(text_encoder, component, Precision::F32, &mut |_| ())?;
        }
        let networks = EditNetworks { unet, text_encoder };
        let mut trainer = Trainer::new(networks, run.trainer.clone());
        let state = run.output.join("state.safetensors");
        if state.is_file() {
            trainer = trainer.resume(&state, device)?;
        }
        Ok(Self {
            schedule: NoiseSchedule::new(model.profile())?,
            tokenizer: checkpoint.tokenizer()?,
            run,
            trainer,
            vae,
            device: device.clone(),
        })
    }

    /// How many steps were made.
    #[must_use]
    pub fn steps_done(&self) -> u64 {
        self.trainer.steps_done()
    }

    /// The networks as they are now.
    #[must_use]
    pub fn networks(&self) -> &EditNetworks {
        self.trainer.module()
    }

    /// The networks with the average of their weights, without autodiff.
    #[must_use]
    pub fn averaged(&self) -> EditNetworks {
        self.trainer.averaged()
    }

    /// Trains to the end, calling `progress` after each step.
    ///
    /// Each step adds a line to `metrics.jsonl`; the state is saved every so often and at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if something cannot be written; those of the tokenizer.
    pub fn train(
        &mut self,
        source: &dyn Source,
        progress: &mut dyn FnMut(&StepReport),
    ) -> Result<()> {
        self.train_until(self.run.trainer.steps, source, progress)
    }

    /// As [`Self::train`], but no further than step `last`.
    ///
    /// # Errors
    ///
    /// As [`Self::train`].
    pub fn train_until(
        &mut self,
        last: u64,
        source: &dyn Source,
        progress: &mut dyn FnMut(&StepReport),
    ) -> Result<()> {
        let run = self.run.clone();
        fs::create_dir_all(&run.output).map_err(|error| Error::io(&run.output, error))?;
        let null_ids = {
            let ids = self.tokenizer.encode("")?.ids;
            let length = ids.len();
            Tensor::from_data(TensorData::new(ids, [1, length]), &self.device).autodiff()
        };
        let vae = self.vae.clone();
        let tokenizer = self.tokenizer.clone();
        let mut pool = Pool::new(source, &vae, &tokenizer, run.pool, &self.device);
        while self.trainer.steps_done() < last.min(run.trainer.steps) {
            let started = Instant::now();
            let step = self.trainer.steps_done();
            let accumulate = run.trainer.accumulate.max(1) as u64;
            let mut batches = Vec::new();
            for batch in 0..accumulate {
                let number = step * accumulate + batch;
                let batch = pool.batch(step, run.batch, run.seed ^ (number << 1))?;
                let [count, c, h, w] = batch.latents.dims();
                let draws = EditDraws::new(
                    &run.loss,
                    &self.schedule,
                    count,
                    c * h * w,
                    (run.seed, number),
                );
                batches.push((batch, draws));
            }
            let (loss, schedule) = (&run.loss, &self.schedule);
            let report = self.trainer.step(|networks, at| {
                let (batch, draws) = &batches[at];
                loss.loss(networks, schedule, batch, &null_ids, draws)
            });
            log(&run.output, &report, started.elapsed().as_secs_f64())?;
            progress(&report);
            let done = self.trainer.steps_done();
            if done.is_multiple_of(run.save_every) || done == run.trainer.steps {
                self.save()?;
                self.sample()?;
            }
        }
        Ok(())
    }

    /// Writes the state and the checkpoint as it is now, with the average of the weights.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be written.
    pub fn save(&self) -> Result<()> {
        let output = &self.run.output;
        self.trainer.save(output.join("state.safetensors"))?;
        let folder = output.join("model");
        copy_small_files(&self.run.model, &folder)?;
        let averaged = self.trainer.averaged();
        let network = |name: &str| folder.join(name);
        save_weights(
            &averaged.unet,
            Precision::F16,
            network("unet/diffusion_pytorch_model.fp16.safetensors"),
        )?;
        save_weights(
            &averaged.text_encoder,
            Precision::F16,
            network("text_encoder/model.fp16.safetensors"),
        )?;
        save_weights(
            &self.vae,
            Precision::F16,
            network("vae/diffusion_pytorch_model.fp16.safetensors"),
        )
    }

    /// Edits some pictures with the checkpoint as it was saved last, as a user would, and draws a sheet of them.
    fn sample(&self) -> Result<()> {
        let run = &self.run;
        if run.samples == 0 {
            return Ok(());
        }
        let editor = Editor::load(run.output.join("model"), &self.device)?;
        let source = source::open(&run.data, run.seed ^ SAMPLES)?;
        let options = EditOptions::default().with_seed(run.seed);
        let edited = (0..run.samples as u64)
            .map(|index| {
                let example = source.example(index, run.pool.size);
                let photo = to_photo(&example.input)?;
                let edited = editor.edit(&photo, &example.instruction, &options)?;
                Ok(Example {
                    edited: from_photo(&edited.photo),
                    ..example
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let path = run
            .output
            .join(format!("samples/step-{:07}.png", self.steps_done()));
        let folder = run.output.join("samples");
        fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
        let drawn = sheet(&edited, run.samples.div_ceil(2).min(4));
        drawn
            .save(&path)
            .map_err(|error| Error::image(&path, error.to_string()))
    }
}
