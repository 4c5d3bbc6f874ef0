//! What passes cost, against PyTorch's `FlopCounterMode` (`tests/golden/gen_cost.py`).

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use ip2p_models::clip::CLIPTextConfig;
use ip2p_models::unet::UNet2DConditionConfig;
use ip2p_models::vae::AutoencoderConfig;
use serde::Deserialize;
use serde_json::Value;

/// A row of the fixture.
#[derive(Deserialize)]
struct Case {
    network: String,
    config: Value,
    batch: usize,
    size: [usize; 2],
    tokens: Option<usize>,
    macs: u64,
}

fn cases() -> Vec<Case> {
    let path = ip2p_testing::fixture("cost/macs.json");
    let json = std::fs::read_to_string(path).expect("the fixture is there");
    serde_json::from_str(&json).expect("the fixture is a list of cases")
}

#[test]
fn macs_are_those_that_pytorch_counts() {
    for case in cases() {
        let Case { batch, size, .. } = case;
        let json = case.config.to_string();
        let vae = || AutoencoderConfig::from_json(&json).unwrap();
        let cost = match case.network.as_str() {
            "unet" => {
                let unet = UNet2DConditionConfig::from_json(&json).unwrap();
                unet.cost(batch, size, case.tokens.unwrap())
            }
            "vae encode" => vae().encode_cost(batch, size),
            "vae decode" => vae().decode_cost(batch, size),
            "text_encoder" => {
                let text = CLIPTextConfig::from_json(&json).unwrap();
                text.cost(batch, size[0])
            }
            other => panic!("{other} is no network"),
        };
        assert_eq!(cost.macs, case.macs, "{} {size:?}", case.network);
    }
}

/// How many weights the layers of products have: all that is no vector.
#[derive(Default)]
struct Matrices(u64);

impl ModuleVisitor for Matrices {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D > 1 {
            self.0 += param.shape().num_elements() as u64;
        }
    }
}

#[test]
fn weights_are_all_that_the_networks_have_in_matrices_and_kernels() {
    let device = Device::flex();
    let (mut unets, mut vaes) = (0, 0);
    for case in cases().iter().filter(|case| case.macs < 1_000_000_000) {
        let json = case.config.to_string();
        let mut matrices = Matrices::default();
        let counted = match case.network.as_str() {
            "unet" => {
                let unet = UNet2DConditionConfig::from_json(&json).unwrap();
                unet.init(&device).visit(&mut matrices);
                unets += 1;
                unet.cost(1, case.size, 77).weights
            }
            "vae encode" => {
                let vae = AutoencoderConfig::from_json(&json).unwrap();
                vae.init(&device).visit(&mut matrices);
                vaes += 1;
                let [encode, decode] = [vae.encode_cost(1, [64, 64]), vae.decode_cost(1, [8, 8])];
                encode.weights + decode.weights
            }
            _ => continue,
        };
        assert_eq!(counted, matrices.0, "{}", case.network);
    }
    assert!(unets > 0 && vaes > 0);
}

/// How many weights the layers of products have whose names begin like one of these.
struct Within {
    names: Vec<String>,
    path: Vec<String>,
    matrices: Matrices,
}

impl ModuleVisitor for Within {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".") + ".";
        if (self.names.iter()).any(|name| path.starts_with(&format!("{name}."))) {
            self.matrices.visit_float(param);
        }
    }
}

#[test]
fn a_shallow_pass_has_the_weights_of_the_first_layer_and_of_the_last_two() {
    let device = Device::flex();
    let mut unets = 0;
    for case in cases().iter().filter(|case| case.network == "unet") {
        let unet = UNet2DConditionConfig::from_json(&case.config.to_string()).unwrap();
        let shallow = unet.shallow_cost(1, case.size, 77);
        assert!(shallow.macs < unet.cost(1, case.size, 77).macs);
        if case.macs >= 1_000_000_000 {
            continue;
        }
        let last = unet.levels.len() - 1;
        let layers = unet.levels[0].layers;
        let kinds = ["resnets", "attentions"];
        let mut names: Vec<_> = ["conv_in", "time_embedding", "add_embedding", "conv_out"]
            .map(str::to_owned)
            .into();
        names.extend(kinds.map(|kind| format!("down_blocks.0.{kind}.0")));
        for layer in [layers - 1, layers] {
            names.extend(kinds.map(|kind| format!("up_blocks.{last}.{kind}.{layer}")));
        }
        let mut within = Within {
            names,
            path: Vec::new(),
            matrices: Matrices::default(),
        };
        unet.init(&device).visit(&mut within);
        assert_eq!(shallow.weights, within.matrices.0);
        unets += 1;
    }
    assert!(unets > 0);
}
