//! The U-Net against diffusers' `UNet2DConditionModel`.

mod common;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, FloatDType, Tensor};
use common::{file_names, load, state_dict};
use ip2p_models::unet::{UNet2DConditionConfig, UNet2DConditionModel};
use ip2p_testing::{Golden, device, fixture};

fn model(golden: &Golden, weights: &str) -> UNet2DConditionModel {
    let config =
        UNet2DConditionConfig::from_json(golden.text("config")).expect("a config that we know");
    load(
        config.init(&device()),
        &format!("unet/{weights}_weights.safetensors"),
    )
}

/// The inputs of a fixture: latents, timesteps and context.
fn inputs(golden: &Golden) -> (Tensor<4>, Tensor<1>, Tensor<3>) {
    let device = device();
    (
        golden.tensor("x", &device),
        golden.tensor("timestep", &device),
        golden.tensor("context", &device),
    )
}

fn largest<const D: usize>(x: Tensor<D>) -> f32 {
    x.abs().max().into_scalar::<f32>()
}

/// Compares every layer of a pass with diffusers'.
fn check_every_layer(name: &str, weights: &str) {
    let mut golden = Golden::open(&format!("unet/{name}"));
    let unet = model(&golden, weights);
    let (x, timestep, context) = inputs(&golden);
    let mut seen = 0;
    let output = unet.forward_observed(x, timestep, context, &mut |layer, x| {
        seen += 1;
        golden.check(&layer.to_string(), x.clone());
    });
    assert_eq!(seen, golden.names().len() - 3, "all but the inputs");
    golden.check("conv_out", output);
    golden.finish();
}

#[test]
fn every_layer_equals_that_of_diffusers() {
    check_every_layer("conv", "conv");
}

#[test]
fn every_layer_of_an_unusual_network_equals_that_of_diffusers() {
    check_every_layer("linear", "linear");
}

#[test]
fn every_layer_on_latents_of_odd_size_equals_that_of_diffusers() {
    check_every_layer("odd", "conv");
}

#[test]
fn the_weights_are_named_as_in_diffusers() {
    for name in ["conv", "linear"] {
        let golden = Golden::open(&format!("unet/{name}"));
        let unet = model(&golden, name);
        assert_eq!(
            state_dict(&unet),
            file_names(&format!("unet/{name}_weights"))
        );
    }
}

#[test]
fn the_tiny_checkpoint_has_the_weights_that_its_config_says() {
    let config = std::fs::read_to_string(fixture("tiny-ip2p/unet/config.json")).unwrap();
    let unet = UNet2DConditionConfig::from_json(&config)
        .unwrap()
        .init(&device());
    load(unet, "tiny-ip2p/unet/diffusion_pytorch_model.safetensors");
}

#[test]
fn a_batch_gives_what_its_items_give_alone() {
    let golden = Golden::open("unet/odd");
    let unet = model(&golden, "conv");
    let (x, timestep, context) = inputs(&golden);
    let together = unet.forward(x.clone(), timestep.clone(), context.clone());
    for i in 0..2 {
        let alone = unet.forward(
            x.clone().narrow(0, i, 1),
            timestep.clone().narrow(0, i, 1),
            context.clone().narrow(0, i, 1),
        );
        let difference = largest(alone - together.clone().narrow(0, i, 1));
        assert!(difference < 1e-5, "item {i}: {difference}");
    }
}

#[test]
fn one_timestep_serves_a_whole_batch() {
    let golden = Golden::open("unet/odd");
    let unet = model(&golden, "conv");
    let (x, _, context) = inputs(&golden);
    let predict = |timesteps: &[f32]| {
        let timestep = Tensor::from_floats(timesteps, &device());
        unet.forward(x.clone(), timestep, context.clone())
    };
    assert!(largest(predict(&[500.0]) - predict(&[500.0, 500.0])) < 1e-6);
    // The timestep matters.
    assert!(largest(predict(&[500.0]) - predict(&[500.0, 400.0])) > 1e-3);
}

#[test]
fn the_smallest_latents_pass() {
    let golden = Golden::open("unet/conv");
    let (x, timestep, context) = inputs(&golden);
    let x = x.slice([0..2, 0..8, 0..1, 0..1]);
    let output = model(&golden, "conv").forward(x, timestep, context);
    assert_eq!(output.dims(), [2, 4, 1, 1]);
}

/// Turns the weights of a module into another float type.
struct Cast(FloatDType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(self.0))
    }
}

#[test]
fn half_precision_is_near_and_leaves_the_latents_in_f32() {
    let golden = Golden::open("unet/conv");
    let unet = model(&golden, "conv");
    let (x, timestep, context) = inputs(&golden);
    let exact = unet.forward(x.clone(), timestep.clone(), context.clone());
    // The rounding of some thirty layers, to 8 bits and to 11: 0.03 and 0.007 seen.
    for (dtype, bound) in [(FloatDType::BF16, 0.06), (FloatDType::F16, 0.014)] {
        if !device().supports_dtype(dtype) {
            continue; // Vulkan has no arithmetic in bf16
        }
        let half = unet.clone().map(&mut Cast(dtype));
        let inside =
            ip2p_kernels::compute_dtype(&Tensor::<1>::zeros([1], (&device(), DType::from(dtype))));
        let output = half.forward_observed(
            x.clone(),
            timestep.clone(),
            context.clone(),
            &mut |layer, x| {
                let expected = match layer.to_string().as_str() {
                    "time_embedding" => DType::F32,
                    _ => inside,
                };
                assert_eq!(x.dtype(), expected, "{layer}");
            },
        );
        assert_eq!(output.dtype(), DType::F32);
        let difference = largest(output - exact.clone());
        assert!(difference < bound, "{dtype:?}: {difference}");
        assert!(difference > 0.0, "{dtype:?} was not used");
    }
}

/// Puts a NaN into every weight of a layer.
struct Poison {
    layer: &'static str,
    path: Vec<String>,
}

impl ModuleMapper for Poison {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.path.join(".").starts_with(self.layer) {
            return param.map(|tensor| tensor * f32::NAN);
        }
        param
    }
}

#[test]
fn the_layer_that_a_nan_comes_from_is_named() {
    let golden = Golden::open("unet/conv");
    let unet = model(&golden, "conv");
    let find = |unet: &UNet2DConditionModel| {
        let (x, timestep, context) = inputs(&golden);
        unet.first_non_finite(x, timestep, context, None)
    };
    assert_eq!(find(&unet), None);

    for layer in [
        "conv_in",
        "time_embedding",
        "down_blocks.1.attentions.0",
        "down_blocks.0.downsamplers.0",
        "mid_block.resnets.1",
        "up_blocks.0.upsamplers.0",
        "up_blocks.2.resnets.1",
        "conv_out",
    ] {
        let path = Vec::new();
        let poisoned = unet.clone().map(&mut Poison { layer, path });
        assert_eq!(find(&poisoned).as_deref(), Some(layer));
    }
}

#[test]
fn an_input_that_is_not_finite_is_named() {
    let golden = Golden::open("unet/conv");
    let unet = model(&golden, "conv");
    let (x, timestep, context) = inputs(&golden);
    let find = |x: Tensor<4>, context: Tensor<3>| {
        unet.first_non_finite(x, timestep.clone(), context, None)
    };
    let bad = find(x.clone() * f32::INFINITY, context.clone());
    assert_eq!(bad.as_deref(), Some("latents"));
    assert_eq!(find(x, context * f32::NAN).as_deref(), Some("context"));
}
