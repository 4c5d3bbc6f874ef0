//! Which of the training timesteps diffusers' schedules take.

use ip2p_core::{Error, Result};
use serde::Deserialize;

use crate::linspace::linspace;

/// How they are spaced; Lin et al. (2023), <https://arxiv.org/abs/2305.08891>, table 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Spacing {
    /// Even whole steps up from 0, `steps_offset` added: never the last timestep.
    Leading,
    /// Even steps down from the last timestep: never 0.
    Trailing,
    /// Evenly from the last timestep to 0.
    Linspace,
}

/// What the timesteps are laid out over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) steps: usize,
    /// The points that `leading` and `linspace` lay out, where they lay out more than there are steps.
    pub(crate) points: usize,
    /// The number of timesteps to lay them over.
    pub(crate) range: usize,
    pub(crate) train_timesteps: usize,
    pub(crate) steps_offset: usize,
}

impl Layout {
    /// The timesteps, falling, rounded only where the spacing itself rounds.
    ///
    /// # Errors
    ///
    /// If the first timestep is beyond the training, as with many steps of leading spacing and an offset.
    pub(crate) fn timesteps(&self, spacing: Spacing) -> Result<Vec<f64>> {
        let timesteps: Vec<f64> = match spacing {
            Spacing::Linspace => linspace(0.0, self.range as f64 - 1.0, self.points)
                .rev()
                .collect(),
            Spacing::Leading => {
                let stride = (self.range / self.points) as f64;
                (0..self.points)
                    .rev()
                    .map(|i| i as f64 * stride + self.steps_offset as f64)
                    .collect()
            }
            Spacing::Trailing => {
                let stride = self.train_timesteps as f64 / self.steps as f64;
                (0..self.steps)
                    .map(|i| self.range as f64 - i as f64 * stride)
                    .filter(|&timestep| timestep > 0.0)
                    .map(|timestep| timestep.round_ties_even() - 1.0)
                    .collect()
            }
        };
        match timesteps.first() {
            Some(&first) if (0.0..self.train_timesteps as f64).contains(&first) => Ok(timesteps),
            _ => {
                let end = self.train_timesteps;
                let expected = format!(
                    "few enough that the first timestep, with steps_offset, is below {end}"
                );
                Err(Error::setting("steps", expected, self.steps))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(steps: usize, steps_offset: usize) -> Layout {
        Layout {
            steps,
            points: steps,
            range: 1000,
            train_timesteps: 1000,
            steps_offset,
        }
    }

    #[test]
    fn the_spacings_are_those_of_the_table() {
        let timesteps = |spacing| layout(4, 1).timesteps(spacing).unwrap();
        assert_eq!(timesteps(Spacing::Linspace), [999.0, 666.0, 333.0, 0.0]);
        assert_eq!(timesteps(Spacing::Leading), [751.0, 501.0, 251.0, 1.0]);
        assert_eq!(timesteps(Spacing::Trailing), [999.0, 749.0, 499.0, 249.0]);
    }

    #[test]
    fn trailing_spacing_has_as_many_steps_as_asked_for() {
        for steps in 1..=1000 {
            let timesteps = layout(steps, 0).timesteps(Spacing::Trailing).unwrap();
            assert_eq!(timesteps.len(), steps);
            assert!(timesteps.iter().all(|&timestep| timestep >= 0.0), "{steps}");
        }
    }

    #[test]
    fn an_offset_that_leads_beyond_the_training_is_refused() {
        for (steps, offset) in [(1000, 1), (1, 1000), (1, usize::MAX)] {
            assert!(layout(steps, offset).timesteps(Spacing::Leading).is_err());
        }
    }
}
