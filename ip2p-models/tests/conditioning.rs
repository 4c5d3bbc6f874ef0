//! Passes that are told beforehand what does not change from one to the next.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use burn::tensor::{DType, Tensor, TensorData, Tolerance};
use common::load;
use ip2p_models::unet::{UNet2DConditionConfig, UNet2DConditionModel};
use ip2p_testing::{Golden, device};

/// Some times, of which the last is not told beforehand.
const TIMESTEPS: [f64; 3] = [999.0, 321.5, 7.0];

/// Nets, and latents and contexts for them.
fn nets() -> Vec<(UNet2DConditionModel, Tensor<4>, Tensor<3>)> {
    let nets = ["conv", "linear"].map(|name| {
        let golden = Golden::open(&format!("unet/{name}"));
        let config = UNet2DConditionConfig::from_json(golden.text("config")).unwrap();
        let weights = format!("unet/{name}_weights.safetensors");
        let unet = load(config.init(&device()), &weights);
        let x = golden.tensor("x", &device());
        (unet, x, golden.tensor("context", &device()))
    });
    nets.into()
}

fn plain(unet: &UNet2DConditionModel, x: &Tensor<4>, time: f64, context: &Tensor<3>) -> TensorData {
    let time = Tensor::from_data(TensorData::from([time]), (&device(), DType::F32));
    unet.forward(x.clone(), time, context.clone()).into_data()
}

#[test]
fn a_pass_that_was_told_beforehand_predicts_the_same() {
    for (unet, x, context) in nets() {
        let channels = x.dims()[1];
        for source in 1..channels {
            let noisy = x.clone().narrow(1, 0, channels - source);
            let conditioning = unet
                .condition(context.clone(), None)
                .with_source(&unet, x.clone().narrow(1, channels - source, source))
                .with_timesteps(&unet, &TIMESTEPS[..2]);
            for time in TIMESTEPS {
                let output = unet.forward_conditioned(noisy.clone(), time, &conditioning);
                let near = Tolerance::<f32>::absolute(2e-5);
                output
                    .into_data()
                    .assert_approx_eq(&plain(&unet, &x, time, &context), near);
            }
        }
    }
}

#[test]
fn latents_of_one_part_stand_for_each_part_of_the_batch() {
    for (unet, x, context) in nets() {
        let [parts, channels, ..] = x.dims();
        // Each part has a source and a context of its own, and the same noisy latents.
        let noisy = x.clone().narrow(0, 0, 1).narrow(1, 0, 1);
        let source = x.narrow(1, 1, channels - 1);
        assert!(parts > 1, "a batch of one shows nothing");
        let conditioning = unet
            .condition(context.clone(), None)
            .with_source(&unet, source.clone());
        let together = unet.forward_conditioned(noisy.clone(), 500.0, &conditioning);
        let x = Tensor::cat(vec![noisy.repeat_dim(0, parts), source], 1);
        let near = Tolerance::<f32>::absolute(2e-5);
        together
            .into_data()
            .assert_approx_eq(&plain(&unet, &x, 500.0, &context), near);
    }
}
