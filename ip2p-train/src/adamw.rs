//! AdamW over named parameters: burn's rule, with states that can be written to a file and found again.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::optim::{AdamWConfig, AdamWState, AdaptiveMomentumState, Optimizer};
use burn::tensor::Tensor;
use ip2p::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::parameters::{self, Named};

/// The settings of AdamW; Loshchilov and Hutter (2019), <https://arxiv.org/abs/1711.05101>.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWOptions {
    /// How slowly the mean of the gradients follows them: default 0.9.
    pub beta_1: f32,
    /// How slowly the mean of their squares follows them: default 0.999.
    pub beta_2: f32,
    /// What is added to the root of that mean: default 1e-8.
    pub epsilon: f32,
    /// What share of a weight is taken off at a learning rate of 1: default 0.01.
    pub weight_decay: f32,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self {
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
        }
    }
}

/// AdamW with the state of each parameter under its name.
pub struct AdamW {
    rule: burn::optim::AdamW,
    states: BTreeMap<String, AdamWState<1>>,
}

impl std::fmt::Debug for AdamW {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdamW")
            .field("states", &self.states.len())
            .finish_non_exhaustive()
    }
}

impl AdamW {
    /// An optimiser that has seen nothing.
    #[must_use]
    pub fn new(options: AdamWOptions) -> Self {
        Self {
            rule: AdamWConfig::new()
                .with_beta_1(options.beta_1)
                .with_beta_2(options.beta_2)
                .with_epsilon(options.epsilon)
                .with_weight_decay(options.weight_decay)
                .build(),
            states: BTreeMap::new(),
        }
    }

    /// `module` a step further; a parameter without a gradient stays.
    pub fn step<M: Module>(&mut self, module: M, mut gradients: Named, learning_rate: f64) -> M {
        parameters::map(module, |name, value| {
            let Some(gradient) = gradients.remove(name) else {
                return value;
            };
            let state = self.states.remove(name);
            let (value, state) = self.rule.step(learning_rate, value, gradient, state);
            if let Some(state) = state {
                self.states.insert(name.to_owned(), state);
            }
            value
        })
    }

    /// How many steps it has made, and the two means of each parameter.
    pub(crate) fn state(&self) -> (usize, Named, Named) {
        let mut time = 0;
        let (mut first, mut second) = (Named::new(), Named::new());
        for (name, state) in &self.states {
            time = state.momentum.time;
            first.insert(name.clone(), state.momentum.moment_1.clone());
            second.insert(name.clone(), state.momentum.moment_2.clone());
        }
        (time, first, second)
    }

    /// Goes on from a state that [`Self::state`] gave.
    pub(crate) fn set_state(&mut self, time: usize, first: Named, mut second: Named) -> Result<()> {
        self.states = first
            .into_iter()
            .map(|(name, moment_1)| {
                let moment_2: Tensor<1> = second.remove(&name).ok_or_else(|| {
                    Error::setting("optimiser state", "both means of every parameter", &name)
                })?;
                let momentum = AdaptiveMomentumState::new(time, moment_1, moment_2);
                Ok((name, AdamWState::new(momentum)))
            })
            .collect::<Result<_>>()?;
        Ok(())
    }
}
