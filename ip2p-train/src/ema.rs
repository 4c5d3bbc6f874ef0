//! The running mean of the weights, which samples better than the weights themselves.

use crate::parameters::Named;

/// An exponential moving average of parameters.
#[derive(Debug, Clone)]
pub struct Ema {
    decay: f64,
    updates: u64,
    means: Named,
}

impl Ema {
    /// An average that begins at these values and forgets them at `decay` for each update, 0.9999 in the original.
    #[must_use]
    pub fn new(decay: f64, values: Named) -> Self {
        Self {
            decay,
            updates: 0,
            means: values,
        }
    }

    /// The decay of update number `updates`, counted from 1: `min(decay, (1 + n) / (10 + n))`, so that the first values
    /// are soon forgotten (`ldm/modules/ema.py` of the original repository).
    #[must_use]
    pub fn warm_decay(decay: f64, updates: u64) -> f64 {
        let n = updates as f64;
        decay.min((1.0 + n) / (10.0 + n))
    }

    /// Takes new values in.
    pub fn update(&mut self, values: Named) {
        self.updates += 1;
        let decay = Self::warm_decay(self.decay, self.updates);
        for (name, value) in values {
            let mean = match self.means.remove(&name) {
                Some(mean) => mean * decay + value * (1.0 - decay),
                None => value,
            };
            self.means.insert(name, mean);
        }
    }

    /// The means.
    #[must_use]
    pub fn means(&self) -> &Named {
        &self.means
    }

    /// How often values were taken in.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Goes on from means that were written down after this many updates.
    #[must_use]
    pub fn resumed(decay: f64, updates: u64, means: Named) -> Self {
        Self {
            decay,
            updates,
            means,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;

    #[test]
    fn the_mean_is_that_of_the_formula() {
        let device = Device::flex();
        let named = |value: f32| {
            Named::from([("w".to_owned(), Tensor::<1>::from_floats([value], &device))])
        };
        let mut ema = Ema::new(0.5, named(0.0));
        let mut expected = 0.0;
        for (n, value) in [(1.0, 4.0_f32), (2.0, -2.0), (3.0, 8.0), (4.0, 1.0)] {
            ema.update(named(value));
            let decay = f64::min(0.5, (1.0 + n) / (10.0 + n));
            expected = expected * decay + f64::from(value) * (1.0 - decay);
        }
        let mean: f32 = ema.means()["w"].clone().into_scalar();
        assert!(
            (f64::from(mean) - expected).abs() < 1e-6,
            "{mean} {expected}"
        );
    }

    #[test]
    fn the_decay_grows_to_its_own() {
        assert!((Ema::warm_decay(0.9999, 1) - 2.0 / 11.0).abs() < 1e-12);
        assert_eq!(Ema::warm_decay(0.9999, 1_000_000), 0.9999);
    }
}
