//! How the learning rate goes.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// A learning rate that rises linearly to its peak and falls to its floor along half a cosine; Loshchilov and Hutter
/// (2017), <https://arxiv.org/abs/1608.03983>, eq. 5, without restarts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearningRate {
    /// The highest.
    pub peak: f64,
    /// The steps until it is reached.
    #[serde(default)]
    pub warm_up: u64,
    /// What it falls to in the end, as a share of the peak; 1 keeps it constant.
    #[serde(default = "one")]
    pub floor: f64,
}

fn one() -> f64 {
    1.0
}

impl LearningRate {
    /// The rate of a step, counted from 0, of a training of `steps`.
    #[must_use]
    pub fn at(&self, step: u64, steps: u64) -> f64 {
        if step < self.warm_up {
            return self.peak * (step + 1) as f64 / self.warm_up as f64;
        }
        let length = steps.saturating_sub(self.warm_up).max(1) as f64;
        let done = ((step - self.warm_up) as f64 / length).min(1.0);
        let cosine = f64::midpoint(1.0, (PI * done).cos());
        self.peak * (self.floor + (1.0 - self.floor) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_to_its_peak_and_falls_to_its_floor() {
        let rate = LearningRate {
            peak: 2.0,
            warm_up: 4,
            floor: 0.1,
        };
        let rates: Vec<_> = (0..=104).map(|step| rate.at(step, 104)).collect();
        assert_eq!(rates[0], 0.5);
        assert_eq!(rates[3], 2.0);
        assert_eq!(rates[4], 2.0);
        assert!(rates[4..].windows(2).all(|pair| pair[0] > pair[1]));
        assert!((rates[54] - 1.1).abs() < 1e-12);
        assert!((rates[104] - 0.2).abs() < 1e-12);
    }

    #[test]
    fn a_floor_of_one_is_constant() {
        let rate: LearningRate = serde_json::from_str(r#"{"peak": 1e-4}"#).unwrap();
        assert!((0..100).all(|step| rate.at(step, 100) == 1e-4));
    }
}
