//! A training of the edit: of the U-Net and, if it is to learn, the text encoder; the autoencoder as it is.

use std::fs;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use ip2p::io::{Checkpoint, Tokenizer, save_weights};
use ip2p::models::vae::Autoencoder;
use ip2p::sched::NoiseSchedule;
use ip2p::{EditOptions, Editor, Error, Precision, Result, check_precision};
use ip2p_data::{Example, Source, sheet};

use super::Progress;
use super::files::{copy_small_files, log};
use super::settings::EditRun;
use super::start::Start;
use super::widen::write_configs;
use crate::check;
use crate::edit::{EditDraws, EditNetworks};
use crate::pictures::{from_photo, to_photo};
use crate::pool::{Encoders, Pool};
use crate::source;
use crate::trainer::Trainer;

/// What diffusers calls a file of low-rank factors.
const LORA_FILE: &str = "pytorch_lora_weights.safetensors";

/// What the seed of the sampled examples differs by from that of the training.
const SAMPLES: u64 = 0x5A;

/// A training under way.
#[derive(Debug)]
pub struct EditTraining {
    run: EditRun,
    trainer: Trainer<EditNetworks>,
    vae: Autoencoder,
    tokenizer: Tokenizer,
    schedule: NoiseSchedule,
    checkpoint: Checkpoint,
    /// What the networks ask that the sides of pictures are multiples of.
    size_step: u32,
    /// Where the networks are; it has autodiff.
    device: Device,
    /// Where else batches are computed.
    further: Vec<Device>,
}

impl EditTraining {
    /// Reads the checkpoint and, if there is one, the state that an earlier run left in the output folder.
    ///
    /// # Errors
    ///
    /// Those of [`Model::open`](ip2p::Model::open) and of loading its weights, and [`Trainer::resume`];
    /// [`Error::InvalidSetting`] if the settings make no sense or do not suit the checkpoint.
    pub fn open(run: EditRun, device: &Device) -> Result<Self> {
        let start = Start::open(&run, device)?;
        let mut trainer = Trainer::new(start.networks, run.trainer.clone())
            .with_origin(start.origin)
            .with_precision(run.precision);
        let state = run.output.join("state.safetensors");
        if state.is_file() {
            trainer = trainer.resume(&state, device)?;
        }
        Ok(Self {
            run,
            trainer,
            vae: start.vae,
            tokenizer: start.tokenizer,
            schedule: start.schedule,
            checkpoint: start.checkpoint,
            size_step: start.size_step,
            device: start.device,
            further: Vec::new(),
        })
    }

    /// Shares the batches of a step with further devices.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if a step has fewer batches than there are devices; [`Error::Device`] if one of them does not have
    /// the precision.
    pub fn with_devices(mut self, further: &[Device]) -> Result<Self> {
        check::batch_for_each(&self.run.trainer, further.len() + 1)?;
        for device in further {
            check_precision(device, self.run.precision)?;
        }
        self.trainer = self.trainer.with_devices(further);
        self.further = further.to_vec();
        Ok(self)
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

    /// The networks with the average of their weights, without autodiff; what a low-rank adaptation adds is not merged.
    #[must_use]
    pub fn averaged(&self) -> EditNetworks {
        self.trainer.averaged()
    }

    /// Trains to the end, calling `progress` after each step, which may ask to stop.
    ///
    /// Each step adds a line to `metrics.jsonl`; the state is saved every so often, at the end and when it is asked to stop.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if `progress` asked for it; [`Error::Io`] if something cannot be written; those of the tokenizer.
    pub fn train(&mut self, source: &dyn Source, progress: &mut Progress<'_>) -> Result<()> {
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
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let run = self.run.clone();
        fs::create_dir_all(&run.output).map_err(|error| Error::io(&run.output, error))?;
        let (vae, tokenizer) = (self.vae.clone(), self.tokenizer.clone());
        let text_encoder = self.trainer.module().text_encoder.valid();
        let encoders = Encoders {
            vae: &vae,
            tokenizer: &tokenizer,
            text_encoder: (!run.train_text_encoder).then_some(&text_encoder),
        };
        let buckets = run.pool.buckets(self.size_step)?;
        let mut pool = Pool::new(source, encoders, run.pool, buckets, &self.device)?;
        while self.trainer.steps_done() < last.min(run.trainer.steps) {
            let started = Instant::now();
            let step = self.trainer.steps_done();
            let accumulate = run.trainer.accumulate.max(1) as u64;
            let mut batches = Vec::new();
            for batch in 0..accumulate {
                let number = step * accumulate + batch;
                let mut batch = pool.batch(step, run.batch, run.seed ^ (number << 1))?;
                let [count, c, h, w] = batch.latents.dims();
                let draws = EditDraws::new(
                    &run.loss,
                    &self.schedule,
                    count,
                    c * h * w,
                    (run.seed, number),
                );
                if let Some(device) = self.further_device(batches.len()) {
                    batch = batch.to_device(device);
                }
                batches.push((batch, draws));
            }
            let (loss, schedule) = (&run.loss, &self.schedule);
            let report = self.trainer.step(|networks, at| {
                let (batch, draws) = &batches[at];
                loss.loss(networks, schedule, batch, draws)
            });
            log(&run.output, &report, started.elapsed().as_secs_f64())?;
            let wanted = progress(&report);
            let done = self.trainer.steps_done();
            if done.is_multiple_of(run.save_every) || done == run.trainer.steps {
                self.save()?;
                self.sample()?;
            } else if wanted.is_break() {
                self.save()?;
            }
            if wanted.is_break() && done < run.trainer.steps {
                return Err(Error::Stopped);
            }
        }
        Ok(())
    }

    /// The device of a batch of a step, if it is not the first.
    fn further_device(&self, batch: usize) -> Option<&Device> {
        let place = batch % (self.further.len() + 1);
        self.further.get(place.checked_sub(1)?)
    }

    /// Writes the state and the checkpoint as it is now, with the average of the weights, and what was added to them by itself.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be written.
    pub fn save(&self) -> Result<()> {
        let output = &self.run.output;
        self.trainer.save(output.join("state.safetensors"))?;
        let folder = output.join("model");
        copy_small_files(&self.run.model, &folder)?;
        write_configs(&self.checkpoint, &self.run.model, &folder)?;
        let mut averaged = self.trainer.averaged();
        if let Some(lora) = &self.run.lora {
            lora.save(&averaged, output.join(LORA_FILE))?;
            averaged = averaged.materialize();
        }
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
        let editor = Editor::load(
            run.output.join("model"),
            &self.device.clone().without_autodiff(),
        )?;
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
