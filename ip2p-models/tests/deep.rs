//! Passes with the deep features of another.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use burn::tensor::{Tensor, TensorData};
use common::load;
use ip2p_models::unet::{DeepFeatures, UNet2DConditionConfig, UNet2DConditionModel};
use ip2p_testing::{Golden, device};

/// The inputs of a pass: latents, timesteps and context.
type Inputs = (Tensor<4>, Tensor<1>, Tensor<3>);

/// Nets with one layer in their first block and with two, and inputs for them.
fn nets() -> Vec<(UNet2DConditionModel, Inputs)> {
    let nets = [("conv", 1), ("linear", 2)].map(|(name, layers)| {
        let golden = Golden::open(&format!("unet/{name}"));
        let config = UNet2DConditionConfig::from_json(golden.text("config")).unwrap();
        assert_eq!(config.levels[0].layers, layers, "{name}");
        let weights = format!("unet/{name}_weights.safetensors");
        let inputs = (
            golden.tensor("x", &device()),
            golden.tensor("timestep", &device()),
            golden.tensor("context", &device()),
        );
        (load(config.init(&device()), &weights), inputs)
    });
    nets.into()
}

fn shallow(unet: &UNet2DConditionModel, inputs: Inputs, deep: &DeepFeatures) -> TensorData {
    let (x, timestep, context) = inputs;
    unet.forward_shallow(x, timestep, context, None, deep)
        .into_data()
}

#[test]
fn a_shallow_pass_over_the_same_input_predicts_the_same() {
    for (unet, inputs) in nets() {
        let (x, timestep, context) = inputs.clone();
        let whole = unet.forward(x.clone(), timestep.clone(), context.clone());
        let (kept, deep) = unet.forward_keeping(x, timestep, context, None);
        let whole = whole.into_data();
        assert_eq!(kept.into_data(), whole);
        assert_eq!(shallow(&unet, inputs, &deep), whole);
    }
}

#[test]
fn a_shallow_pass_over_another_input_is_between_the_two() {
    for (unet, inputs) in nets() {
        let (x, timestep, context) = inputs;
        let (first, deep) =
            unet.forward_keeping(x.clone(), timestep.clone(), context.clone(), None);
        let other = (x * 0.5, timestep, context);
        let whole = unet.forward(other.0.clone(), other.1.clone(), other.2.clone());
        let between = shallow(&unet, other, &deep);
        assert_ne!(between, whole.into_data());
        assert_ne!(between, first.into_data());
    }
}

#[test]
fn features_of_a_batch_are_split_and_joined() {
    for (unet, inputs) in nets() {
        let (x, timestep, context) = inputs.clone();
        let [batch, ..] = x.dims();
        let (whole, deep) = unet.forward_keeping(x, timestep, context, None);
        let parts = deep.split(batch);
        assert_eq!(parts.len(), batch);
        let joined = DeepFeatures::join(&parts);
        assert_eq!(shallow(&unet, inputs, &joined), whole.into_data());
    }
}
