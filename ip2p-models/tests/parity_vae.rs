//! The autoencoders against diffusers' `AutoencoderKL` and `AutoencoderTiny`.

mod common;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use common::{cast, file_names, load, state_dict};
use ip2p_models::taesd::{AutoencoderTiny, AutoencoderTinyConfig};
use ip2p_models::vae::{AutoencoderKL, AutoencoderKLConfig, Tiling, VaeOptions};
use ip2p_testing::{Golden, device};

fn kl(golden: &Golden, weights: &str) -> AutoencoderKL {
    let config = AutoencoderKLConfig::from_json(golden.text("config")).expect("a known config");
    load(config.init(&device()), &format!("{weights}.safetensors"))
}

fn taesd(golden: &Golden) -> AutoencoderTiny {
    let config = AutoencoderTinyConfig::from_json(golden.text("config")).expect("a known config");
    load(config.init(&device()), "vae/taesd_weights.safetensors")
}

fn tensor(golden: &Golden, name: &str) -> Tensor<4> {
    golden.tensor(name, &device())
}

fn largest<const D: usize>(x: Tensor<D>) -> f32 {
    x.abs().max().into_scalar::<f32>()
}

/// Waves eight long across and down, `[batch, channels, height, width]`, from −1 to 1.
fn waves(shape @ [batch, channels, height, width]: [usize; 4]) -> Tensor<4> {
    let mut numbers = Vec::new();
    for image in 0..batch * channels {
        for y in 0..height {
            for x in 0..width {
                let [y, x] = [y, x].map(|i| i as f32 * std::f32::consts::TAU / 8.0);
                let phase = image as f32;
                numbers.push((y + phase).sin() * (x - phase).cos());
            }
        }
    }
    Tensor::from_data(TensorData::new(numbers, shape), &device())
}

/// How many layers of one half are in the fixture.
fn layers(golden: &Golden, half: &[&str]) -> usize {
    let of_half = |name: &String| half.iter().any(|start| name.starts_with(start));
    golden.names().iter().filter(|name| of_half(name)).count()
}

#[test]
fn every_layer_of_the_encoder_equals_that_of_diffusers() {
    let mut golden = Golden::open("vae/kl");
    let vae = kl(&golden, "vae/kl_weights");
    let mut seen = 0;
    let mode = vae.encode_observed(tensor(&golden, "rgb"), &mut |layer, x| {
        seen += 1;
        golden.check(&layer.to_string(), x.clone());
    });
    assert_eq!(seen, layers(&golden, &["encoder.", "quant_conv"]));
    golden.check("mode", mode);
    golden.finish();
}

#[test]
fn every_layer_of_the_decoder_equals_that_of_diffusers() {
    let mut golden = Golden::open("vae/kl");
    let vae = kl(&golden, "vae/kl_weights");
    let mut seen = 0;
    let decoded = vae.decode_observed(tensor(&golden, "mode"), &mut |layer, x| {
        seen += 1;
        golden.check(&layer.to_string(), x.clone());
    });
    assert_eq!(seen, layers(&golden, &["decoder.", "post_quant_conv"]));
    golden.check("decoded", decoded);
    golden.finish();
}

/// Makes the weights of one layer infinite.
struct Breaks {
    layer: &'static str,
    path: Vec<String>,
}

impl Breaks {
    fn new(layer: &'static str) -> Self {
        let path = Vec::new();
        Self { layer, path }
    }

    fn apply<M: Module>(mut self, module: M) -> M {
        module.map(&mut self)
    }
}

impl ModuleMapper for Breaks {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.path.join(".").starts_with(self.layer) {
            param.map(|x| x * f32::INFINITY)
        } else {
            param
        }
    }
}

#[test]
fn the_layer_that_is_not_finite_is_named() {
    let golden = Golden::open("vae/kl");
    let vae = kl(&golden, "vae/kl_weights");
    let latents = tensor(&golden, "mode");
    assert_eq!(vae.first_non_finite(latents.clone()), None);
    let nan = latents.clone() * f32::NAN;
    assert_eq!(vae.first_non_finite(nan).as_deref(), Some("latents"));
    let broken = Breaks::new("decoder.up_blocks.1.resnets.2.conv1").apply(vae);
    let layer = broken.first_non_finite(latents);
    assert_eq!(layer.as_deref(), Some("decoder.up_blocks.1.resnets.2"));
}

#[test]
fn what_a_config_leaves_out_is_left_out() {
    let mut golden = Golden::open("vae/kl_bare");
    let vae = kl(&golden, "vae/kl_bare_weights");
    assert_eq!(state_dict(&vae), file_names("vae/kl_bare_weights"));
    golden.check("mode", vae.encode(tensor(&golden, "rgb")));
    golden.check("decoded", vae.decode(tensor(&golden, "mode")));
    golden.finish();
}

#[test]
fn the_weights_are_named_as_in_diffusers() {
    let kl = kl(&Golden::open("vae/kl"), "vae/kl_weights");
    assert_eq!(state_dict(&kl), file_names("vae/kl_weights"));
    let taesd = taesd(&Golden::open("vae/taesd"));
    assert_eq!(state_dict(&taesd), file_names("vae/taesd_weights"));
}

#[test]
fn tiles_equal_those_of_diffusers_in_both_directions() {
    let mut golden = Golden::open("vae/tiled");
    let vae = kl(&golden, "vae/kl_weights");
    for options in [VaeOptions::default(), VaeOptions::default().with_slicing()] {
        let options = options.with_tiling(Tiling::new(vae.config().sample_size));
        options.check(vae.config().vae_scale_factor()).unwrap();
        golden.check("mode", vae.encode_with(tensor(&golden, "rgb"), options));
        golden.check(
            "decoded",
            vae.decode_with(tensor(&golden, "latents"), options),
        );
    }
    golden.finish();
}

#[test]
fn half_precision_stays_near_and_keeps_the_type_of_the_input() {
    let golden = Golden::open("vae/kl");
    let (rgb, mode, decoded) = (
        tensor(&golden, "rgb"),
        tensor(&golden, "mode"),
        tensor(&golden, "decoded"),
    );
    // Rounding to 11 and to 8 bits, some thirty times.
    for (dtype, tolerance) in [(FloatDType::F16, 0.01), (FloatDType::BF16, 0.1)] {
        if !device().supports_dtype(dtype) {
            continue; // Vulkan has no arithmetic in bf16
        }
        let vae = cast(kl(&golden, "vae/kl_weights"), dtype);
        let half_mode = vae.encode(rgb.clone());
        let half_decoded = vae.decode(mode.clone());
        assert_eq!(half_mode.dtype(), DType::F32);
        let errors = [
            largest(half_mode - mode.clone()) / largest(mode.clone()),
            largest(half_decoded - decoded.clone()) / largest(decoded.clone()),
        ];
        println!("{dtype:?}: {errors:?}");
        assert!(
            errors.iter().all(|&error| 0.0 < error && error < tolerance),
            "{dtype:?}: {errors:?}"
        );
    }
}

#[test]
fn slices_and_tiles_that_hold_the_picture_change_nothing() {
    let golden = Golden::open("vae/tiled");
    let vae = kl(&golden, "vae/kl_weights");
    let options = VaeOptions::default()
        .with_slicing()
        .with_tiling(Tiling::new(44));
    let (rgb, latents) = (tensor(&golden, "rgb"), tensor(&golden, "latents"));
    let mode = vae.encode(rgb.clone()) - vae.encode_with(rgb, options);
    let decoded = vae.decode(latents.clone()) - vae.decode_with(latents, options);
    let error = largest(mode).max(largest(decoded));
    assert!(error < 1e-5, "{error}");
}

#[test]
fn overlapping_tiles_stay_near_the_whole_picture() {
    let golden = Golden::open("vae/tiled");
    let vae = kl(&golden, "vae/kl_weights");
    let latents = waves([1, 4, 48, 64]);
    let whole = vae.decode(latents.clone());
    let range = largest(whole.clone());
    let difference = |overlap| {
        let tiling = Tiling::new(128).with_overlap(overlap);
        let options = VaeOptions::default().with_tiling(tiling);
        largest(vae.decode_with(latents.clone(), options) - whole.clone()) / range
    };

    // Random weights see further than trained ones: they need much overlap. Each tile has the same statistics here.
    let (cut, blended) = (difference(0), difference(64));
    println!("of a range of {range}: {blended} with an overlap, {cut} without");
    assert!(blended < 0.2, "{blended}");
    assert!(cut > 0.5, "the seams are too weak to test blending: {cut}");
}

#[test]
fn the_tiny_autoencoder_equals_that_of_diffusers() {
    let mut golden = Golden::open("vae/taesd");
    let taesd = taesd(&golden);
    golden.check("encoded", taesd.encode(tensor(&golden, "rgb")));
    golden.check("decoded", taesd.decode(tensor(&golden, "latents")));
    golden.finish();
}

#[test]
fn the_layer_of_the_tiny_autoencoder_that_is_not_finite_is_named() {
    let golden = Golden::open("vae/taesd");
    let taesd = taesd(&golden);
    let latents = tensor(&golden, "latents");
    assert_eq!(taesd.first_non_finite(latents.clone()), None);
    let nan = latents.clone() * f32::NAN;
    assert_eq!(taesd.first_non_finite(nan).as_deref(), Some("latents"));
    let broken = Breaks::new("decoder.layers.0.").apply(taesd);
    let layer = broken.first_non_finite(latents);
    assert_eq!(layer.as_deref(), Some("decoder.layers.0"));
}

#[test]
fn the_tiny_autoencoder_can_be_tiled_too() {
    let golden = Golden::open("vae/taesd");
    let taesd = taesd(&golden);
    let options = VaeOptions::default().with_tiling(Tiling::new(128).with_overlap(64));
    let near = |whole: Tensor<4>, tiled: Tensor<4>| {
        let range = largest(whole.clone());
        let difference = largest(tiled - whole) / range;
        println!("of a range of {range}: {difference}");
        assert!(difference < 0.1, "{difference}");
    };
    let latents = waves([1, 4, 48, 64]);
    let decoded = taesd.decode(latents.clone());
    near(decoded, taesd.decode_with(latents, options));
    let rgb = waves([1, 3, 192, 256]);
    let encoded = taesd.encode(rgb.clone());
    near(encoded, taesd.encode_with(rgb, options));
}
