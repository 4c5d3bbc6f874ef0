//! Passes with the deep features of another.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use burn::tensor::{DType, Tensor, TensorData};
use common::load;
use ip2p_models::unet::{DeepFeatures, UNet2DConditionConfig, UNet2DConditionModel};
use ip2p_testing::{Golden, device};

/// The time of a pass.
const TIMESTEP: f64 = 321.5;

/// The inputs of a pass: latents and context.
type Inputs = (Tensor<4>, Tensor<3>);

/// Nets with one layer in their first block and with two, and inputs for them.
fn nets() -> Vec<(UNet2DConditionModel, Inputs)> {
    let nets = [("conv", 1), ("linear", 2)].map(|(name, layers)| {
        let golden = Golden::open(&format!("unet/{name}"));
        let config = UNet2DConditionConfig::from_json(golden.text("config")).unwrap();
        assert_eq!(config.levels[0].layers, layers, "{name}");
        let weights = format!("unet/{name}_weights.safetensors");
        let inputs = (
            golden.tensor("x", &device()),
            golden.tensor("context", &device()),
        );
        (load(config.init(&device()), &weights), inputs)
    });
    nets.into()
}

fn whole(unet: &UNet2DConditionModel, (x, context): Inputs) -> TensorData {
    let timestep = Tensor::from_data(TensorData::from([TIMESTEP]), (&device(), DType::F32));
    unet.forward(x, timestep, context).into_data()
}

fn keeping(unet: &UNet2DConditionModel, (x, context): Inputs) -> (Tensor<4>, DeepFeatures) {
    unet.forward_keeping(x, TIMESTEP, &unet.condition(context, None))
}

fn shallow(unet: &UNet2DConditionModel, (x, context): Inputs, deep: &DeepFeatures) -> TensorData {
    let conditioning = unet.condition(context, None);
    unet.forward_shallow(x, TIMESTEP, &conditioning, deep)
        .into_data()
}

#[test]
fn a_shallow_pass_over_the_same_input_predicts_the_same() {
    for (unet, inputs) in nets() {
        let whole = whole(&unet, inputs.clone());
        let (kept, deep) = keeping(&unet, inputs.clone());
        assert_eq!(kept.into_data(), whole);
        assert_eq!(shallow(&unet, inputs, &deep), whole);
    }
}

#[test]
fn a_shallow_pass_over_another_input_is_between_the_two() {
    for (unet, (x, context)) in nets() {
        let (first, deep) = keeping(&unet, (x.clone(), context.clone()));
        let other = (x * 0.5, context);
        let whole = whole(&unet, other.clone());
        let between = shallow(&unet, other, &deep);
        assert_ne!(between, whole);
        assert_ne!(between, first.into_data());
    }
}

#[test]
fn features_of_a_batch_are_split_and_joined() {
    for (unet, inputs) in nets() {
        let [batch, ..] = inputs.0.dims();
        let (whole, deep) = keeping(&unet, inputs.clone());
        let parts = deep.split(batch);
        assert_eq!(parts.len(), batch);
        let joined = DeepFeatures::join(&parts);
        assert_eq!(shallow(&unet, inputs, &joined), whole.into_data());
    }
}
