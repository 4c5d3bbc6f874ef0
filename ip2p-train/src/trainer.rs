//! One step of training, of any module: gradients, clipping, AdamW, the average of the weights.
//!
//! Several devices share the batches of a step as burn's own learner has them do (`MultiDeviceOptim::OptimMainDevice`): each has a
//! replica of the module, and the gradients are added up on the first, whose optimiser makes the step.

use std::sync::OnceLock;

use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor};
use ip2p::Precision;
use serde::{Deserialize, Serialize};

use crate::adamw::{AdamW, AdamWOptions};
use crate::ema::Ema;
use crate::lanes::Lanes;
use crate::origin::Origin;
use crate::parameters::{self, Named};
use crate::schedule::LearningRate;

/// How a module is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerOptions {
    /// Steps in all.
    pub steps: u64,
    /// How the learning rate goes.
    pub learning_rate: LearningRate,
    /// AdamW's settings.
    #[serde(default)]
    pub adamw: AdamWOptions,
    /// The largest norm that all gradients together may have; none for any. Default 1.
    #[serde(default = "clip")]
    pub max_grad_norm: Option<f64>,
    /// How slowly the average follows the weights: default 0.9999.
    #[serde(default = "decay")]
    pub ema_decay: f64,
    /// How many batches, side by side, make a step: default 1.
    #[serde(default = "one")]
    pub accumulate: usize,
}

#[expect(clippy::unnecessary_wraps, reason = "the default of an optional field")]
fn clip() -> Option<f64> {
    Some(1.0)
}

fn decay() -> f64 {
    0.9999
}

fn one() -> usize {
    1
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// The step, counted from 0.
    pub step: u64,
    /// The mean loss of its batches.
    pub loss: f64,
    /// The norm of all gradients together, before clipping.
    pub grad_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
}

/// A module in training.
#[derive(Debug)]
pub struct Trainer<M> {
    pub(crate) module: M,
    pub(crate) options: TrainerOptions,
    pub(crate) optimiser: AdamW,
    pub(crate) ema: Ema,
    pub(crate) step: u64,
    pub(crate) origin: Origin,
    /// What the batches are computed in, if not in what the weights are.
    inside: Option<FloatDType>,
    /// The module on each further device.
    replicas: Vec<M>,
    /// Where the batches of a step run side by side, from the first step on.
    lanes: OnceLock<Lanes>,
}

impl<M: Module> Trainer<M> {
    /// Begins to train a module, which must be on a device with autodiff: those of its parameters that require a gradient.
    /// The others stay, and are neither averaged nor written with the state.
    #[must_use]
    pub fn new(module: M, options: TrainerOptions) -> Self {
        Self {
            optimiser: AdamW::new(options.adamw),
            ema: Ema::new(options.ema_decay, parameters::trained(&module)),
            lanes: OnceLock::new(),
            module,
            options,
            step: 0,
            origin: Origin::default(),
            inside: None,
            replicas: Vec::new(),
        }
    }

    /// What its states are begun with: see [`Self::resume`].
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Computes the batches in this precision; the weights, their average and the optimiser stay `f32`.
    ///
    /// The losses must be scaled so that their gradients do not vanish in it, which in `bf16` none do that `f32` has.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.inside = (precision != Precision::F32).then(|| ip2p::dtype(precision));
        self
    }

    /// Shares the batches of a step with further devices: batch `n` goes to device `n` modulo their number, the first is that of the
    /// module.
    #[must_use]
    pub fn with_devices(mut self, further: &[Device]) -> Self {
        let replica = |device| self.module.clone().fork(device);
        self.replicas = further.iter().map(replica).collect();
        self
    }

    /// The module as it is now.
    #[must_use]
    pub fn module(&self) -> &M {
        &self.module
    }

    /// How many steps were made.
    #[must_use]
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> &TrainerOptions {
        &self.options
    }

    /// The module with the average of its weights, without autodiff.
    #[must_use]
    pub fn averaged(&self) -> M {
        parameters::with_values(self.module.valid(), self.ema.means())
    }

    /// Makes a step; `loss` is asked for the loss of each of its batches, counted from 0.
    ///
    /// The module that it is given is on the device of the batch: see [`Self::with_devices`].
    ///
    /// The batches run side by side, as many as there are threads or devices,
    /// and each has its share of the threads. Their gradients are added in order, so that the sum is always the same.
    ///
    /// # Panics
    ///
    /// If the loss is not on a device with autodiff, or panics; if the system gives no threads.
    pub fn step(&mut self, loss: impl Fn(&M, usize) -> Tensor<1> + Sync) -> StepReport
    where
        M: Send + Sync,
    {
        self.renew_replicas();
        let devices = 1 + self.replicas.len();
        let lanes = self
            .lanes
            .get_or_init(|| Lanes::new(self.options.accumulate, devices));
        let parts = lanes.run(|batch| self.gradients(batch, &loss));
        let (total, mut gradients) = add_up(parts, &parameters::device(&self.module));
        let grad_norm = norm(&gradients);
        if let Some(most) = self.options.max_grad_norm
            && grad_norm > most
        {
            let scale = most / grad_norm;
            for gradient in gradients.values_mut() {
                *gradient = gradient.clone() * scale;
            }
        }
        let report = StepReport {
            step: self.step,
            loss: total,
            grad_norm,
            learning_rate: (self.options.learning_rate).at(self.step, self.options.steps),
        };
        self.module = self
            .optimiser
            .step(self.module.clone(), gradients, report.learning_rate);
        self.ema.update(parameters::trained(&self.module));
        self.step += 1;
        report
    }

    /// The share of a batch in the loss and in the gradients of a step, on the batch's device.
    fn gradients(&self, batch: usize, loss: &impl Fn(&M, usize) -> Tensor<1>) -> (f64, Named) {
        let module = match batch % (self.replicas.len() + 1) {
            0 => &self.module,
            further => &self.replicas[further - 1],
        };
        // Leaves of its own: graphs that share a leaf would wait for one another.
        let module = parameters::map(module.clone(), |_, value| value);
        let loss = match self.inside {
            None => loss(&module, batch),
            Some(dtype) => loss(&parameters::cast(module.clone(), dtype), batch),
        };
        let loss = loss / self.options.accumulate.max(1) as f64;
        let gradients = parameters::gradients(&module, &mut loss.backward());
        (f64::from(loss.into_scalar::<f32>()), gradients)
    }

    /// Gives the replicas the weights that were learnt.
    fn renew_replicas(&mut self) {
        if self.replicas.is_empty() {
            return;
        }
        let learnt = parameters::trained(&self.module);
        let renew = |replica: M| {
            let device = parameters::device(&replica);
            let values = learnt.iter();
            let values =
                values.map(|(name, value)| (name.clone(), value.clone().to_device(&device)));
            parameters::with_values(replica, &values.collect())
        };
        self.replicas = self.replicas.drain(..).map(renew).collect();
    }
}

/// The sums of losses and of gradients, in order, on one device.
fn add_up(parts: Vec<(f64, Named)>, device: &Device) -> (f64, Named) {
    let (mut total, mut gradients) = (0.0, Named::new());
    for (loss, part) in parts {
        total += loss;
        for (name, gradient) in part {
            let gradient = gradient.to_device(device);
            let sum = match gradients.remove(&name) {
                Some(sum) => sum + gradient,
                None => gradient,
            };
            gradients.insert(name, sum);
        }
    }
    (total, gradients)
}

/// The norm of all tensors together.
fn norm(tensors: &Named) -> f64 {
    let squares = tensors
        .values()
        .map(|tensor| f64::from(tensor.clone().square().sum().into_scalar::<f32>()));
    squares.sum::<f64>().sqrt()
}
