//! What an edit starts from: noise as tensors, from one generator for each image or one for all, and the photo beneath it.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use ip2p_core::{CheckpointProfile, NoiseGenerator, NoiseKind};

/// Where the noise of a batch comes from.
#[derive(Debug)]
pub(crate) struct NoiseSource {
    generators: Vec<NoiseGenerator>,
    /// Of the whole batch: `[batch, channels, height, width]` of the latents.
    shape: [usize; 4],
    device: Device,
}

impl NoiseSource {
    /// A generator for each image, so that an image is the same alone as in company.
    pub(crate) fn per_image(
        kind: NoiseKind,
        seeds: &[u64],
        shape: [usize; 4],
        device: &Device,
    ) -> Self {
        let generators = seeds
            .iter()
            .map(|&seed| NoiseGenerator::new(kind, seed))
            .collect();
        Self {
            generators,
            shape,
            device: device.clone(),
        }
    }

    /// One generator for the whole batch, as diffusers has it.
    pub(crate) fn shared(kind: NoiseKind, seed: u64, shape: [usize; 4], device: &Device) -> Self {
        Self {
            generators: vec![NoiseGenerator::new(kind, seed)],
            shape,
            device: device.clone(),
        }
    }

    /// The next noise for the batch, of variance 1.
    pub(crate) fn next(&mut self) -> Tensor<4> {
        let each = self.shape.iter().product::<usize>() / self.generators.len();
        let noise: Vec<f32> = self
            .generators
            .iter_mut()
            .flat_map(|generator| generator.normal(each))
            .collect();
        Tensor::from_data(TensorData::new(noise, self.shape), &self.device)
    }
}

/// The latents that the network sees the photos as, scaled as the sampler has its own, in `f32`.
pub(super) fn source_latents(image_latents: &Tensor<4>, profile: &CheckpointProfile) -> Tensor<4> {
    let unscaled = image_latents.clone() / profile.image_latents_scale;
    (unscaled * profile.scaling_factor).cast(FloatDType::F32)
}
