//! The embedding of the timestep.

use std::f64::consts::TAU;

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, FloatDType, Tensor, module::linear};

use super::ops;

/// The longest wave of the embedding, in timesteps, over 2π.
const MAX_PERIOD: f32 = 10_000.0;

/// Waves of many lengths over the timestep: Vaswani et al. (2017), <https://arxiv.org/abs/1706.03762>, section 3.5.
///
/// Without weights, so that its configuration is the whole layer.
#[derive(Config, Debug)]
pub struct Timesteps {
    /// The width of the embedding, half of it sines and half cosines.
    pub num_channels: usize,
    /// Whether the cosines come first; default true.
    #[config(default = true)]
    pub flip_sin_to_cos: bool,
    /// By how much the number of waves is lowered in the formula of their lengths: with 1 the last is the longest
    /// there is, with 0 the next would be. Default 0.
    #[config(default = 0.0)]
    pub freq_shift: f64,
}

impl Timesteps {
    /// The waves at each timestep.
    ///
    /// # Shapes
    ///
    /// - timestep: `[batch]`, from 0 to 1000, fractions allowed
    /// - output: `[batch, num_channels]`, in `f32`
    #[must_use]
    pub fn forward(&self, timestep: Tensor<1>) -> Tensor<2> {
        let frequencies =
            Tensor::<1>::from_floats(self.frequencies().as_slice(), &timestep.device())
                .cast(FloatDType::F32)
                .unsqueeze::<2>();
        let timestep = timestep.cast(FloatDType::F32).unsqueeze_dim::<2>(1);
        let phases = within_half_a_turn(timestep * frequencies);
        let (sin, cos) = (phases.clone().sin(), phases.cos());
        let waves = if self.flip_sin_to_cos {
            vec![cos, sin]
        } else {
            vec![sin, cos]
        };
        Tensor::cat(waves, 1)
    }

    /// The angular frequency of each wave, by which a timestep is multiplied.
    ///
    /// In `f32` and in the order of the reference: a phase is up to a thousand times a frequency, so that another
    /// rounding of the frequency is another phase in the fifth digit.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the reference computes in f32"
    )]
    fn frequencies(&self) -> Vec<f32> {
        let half = self.num_channels / 2;
        let longest = half as f32 - self.freq_shift as f32;
        (0..half)
            .map(|i| (-MAX_PERIOD.ln() * i as f32 / longest).exp())
            .collect()
    }
}

/// The phases less whole turns, from −π to π: beyond, WGSL promises nothing of a GPU's sine.
///
/// A turn is taken away in two parts (Cody and Waite 1980). The first has so few digits that its product with up to some
/// thousands of turns is exact, as is then the difference.
fn within_half_a_turn(phases: Tensor<2>) -> Tensor<2> {
    const TURN_HIGH: f64 = 6.281_25;
    const TURN_LOW: f64 = TAU - TURN_HIGH;
    let turns = (phases.clone() / TAU).round();
    phases - turns.clone() * TURN_HIGH - turns * TURN_LOW
}

/// Configuration of a [`TimestepEmbedding`].
#[derive(Config, Debug)]
pub struct TimestepEmbeddingConfig {
    /// The width of the waves.
    pub in_channels: usize,
    /// The width of the embedding.
    pub time_embed_dim: usize,
}

/// Two linear layers that turn waves into the time embedding.
///
/// Computed in `f32` whatever the type of the weights: it is next to no work, and every block hangs on it.
#[derive(Module, Debug)]
pub struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
}

impl TimestepEmbeddingConfig {
    /// Makes the layers.
    #[must_use]
    pub fn init(&self, device: &Device) -> TimestepEmbedding {
        let [i, o] = [self.in_channels, self.time_embed_dim];
        TimestepEmbedding {
            linear_1: LinearConfig::new(i, o).init(device),
            linear_2: LinearConfig::new(o, o).init(device),
        }
    }
}

impl TimestepEmbedding {
    /// Embeds the waves.
    ///
    /// # Shapes
    ///
    /// - waves: `[batch, in_channels]`, in `f32`
    /// - output: `[batch, time_embed_dim]`, in `f32`
    #[must_use]
    pub fn forward(&self, waves: Tensor<2>) -> Tensor<2> {
        let x = ops::silu(forward_in_f32(&self.linear_1, waves));
        forward_in_f32(&self.linear_2, x)
    }
}

/// Applies a linear layer in `f32`, where its weights may be narrower.
fn forward_in_f32(layer: &Linear, x: Tensor<2>) -> Tensor<2> {
    let weight = layer.weight.val().cast(FloatDType::F32);
    let bias = layer
        .bias
        .as_ref()
        .map(|bias| bias.val().cast(FloatDType::F32));
    linear(x, weight, bias)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waves at one timestep.
    fn waves(config: &Timesteps, timestep: f32) -> Vec<f32> {
        let timestep = Tensor::from_floats([timestep], &Device::flex());
        config
            .forward(timestep)
            .into_data()
            .try_into_vec()
            .expect("f32")
    }

    #[test]
    fn timestep_0_is_all_sines_0_and_cosines_1() {
        let config = Timesteps::new(6);
        assert_eq!(waves(&config, 0.0), [1., 1., 1., 0., 0., 0.]);
        let config = config.with_flip_sin_to_cos(false);
        assert_eq!(waves(&config, 0.0), [0., 0., 0., 1., 1., 1.]);
    }

    #[test]
    fn a_fractional_timestep_lies_between_its_neighbours() {
        let sines = |timestep| waves(&Timesteps::new(8), timestep)[5];
        // The second wave is 0.1 per timestep.
        assert!((sines(3.5) - 0.35_f32.sin()).abs() < 1e-6);
        assert!(sines(3.0) < sines(3.5) && sines(3.5) < sines(4.0));
    }

    #[test]
    fn many_turns_do_not_blur_a_wave() {
        let waves = waves(&Timesteps::new(320), 999.0);
        for (i, frequency) in Timesteps::new(320).frequencies().into_iter().enumerate() {
            let (sin, cos) = f64::from(999.0 * frequency).sin_cos();
            for (wave, expected) in [(waves[i], cos), (waves[160 + i], sin)] {
                assert!(
                    (f64::from(wave) - expected).abs() < 2e-7,
                    "{i}: {wave} {expected}"
                );
            }
        }
    }

    #[test]
    fn the_shift_stretches_the_waves_to_the_longest() {
        let shifted = Timesteps::new(8).with_freq_shift(1.0).frequencies();
        assert!((shifted[3] - 1e-4).abs() < 1e-9, "{shifted:?}");
        let plain = Timesteps::new(8).frequencies();
        assert!((plain[3] - 1e-3).abs() < 1e-9, "{plain:?}");
    }
}
