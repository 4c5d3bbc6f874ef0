//! The networks of Stable Diffusion XL against transformers and diffusers, and those of Stable Diffusion 2 from a single file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use burn::tensor::{DType, Int, Tensor, TensorData, Tolerance};
use ip2p::Precision;
use ip2p::io::{Checkpoint, Component, OpenOptions};
use ip2p::models::clip::{CLIPTextConfig, CLIPTextModelWithProjection};
use ip2p::models::unet::{AddedConditions, UNet2DConditionConfig, UNet2DConditionModel};
use ip2p_testing::{Golden, device, fixture};

fn tiny() -> Checkpoint {
    Checkpoint::open(fixture("tiny-sdxl")).unwrap()
}

fn ids(golden: &Golden, name: &str) -> Tensor<2, Int> {
    let data = TensorData::new(golden.ints(name), golden.shape(name));
    Tensor::from_data(data, &device())
}

fn second(change: impl Fn(&mut CLIPTextConfig)) -> CLIPTextModelWithProjection {
    let checkpoint = tiny();
    let component = Component::TextEncoder2;
    let json = checkpoint.config(component);
    let mut config = CLIPTextConfig::from_json_of(component.name(), json).unwrap();
    change(&mut config);
    let model = config.init_with_projection(&device());
    let (model, _) = checkpoint
        .load(model, component, Precision::F32, &mut |_| ())
        .unwrap();
    model
}

fn unet() -> UNet2DConditionModel {
    let checkpoint = tiny();
    let config = UNet2DConditionConfig::from_json(checkpoint.config(Component::Unet)).unwrap();
    let (unet, _) = checkpoint
        .load(
            config.init(&device()),
            Component::Unet,
            Precision::F32,
            &mut |_| (),
        )
        .unwrap();
    unet
}

/// The inputs of the U-Net's fixture.
fn inputs(golden: &Golden) -> (Tensor<4>, Tensor<1>, Tensor<3>, AddedConditions) {
    let device = device();
    let added = AddedConditions {
        text_embeds: golden.tensor("text_embeds", &device),
        time_ids: golden.tensor("time_ids", &device),
    };
    (
        golden.tensor("x", &device),
        golden.tensor("timestep", &device),
        golden.tensor("context", &device),
        added,
    )
}

#[test]
fn both_text_encoders_give_the_states_and_the_pooled_one_of_transformers() {
    let mut golden = Golden::open("sdxl/text");
    let checkpoint = tiny();
    let component = Component::TextEncoder;
    let config = CLIPTextConfig::from_json(checkpoint.config(component)).unwrap();
    let (first, _) = checkpoint
        .load(
            config.init(&device()),
            component,
            Precision::F32,
            &mut |_| (),
        )
        .unwrap();
    golden.check("penultimate.1", first.penultimate(ids(&golden, "ids.1")));
    let states = second(|_| ()).forward(ids(&golden, "ids.2"));
    golden.check("penultimate.2", states.penultimate);
    golden.check("pooled", states.pooled);
    // A config that names the token that ends a sentence: its first place, or the start where it is in none.
    let named = second(|config| {
        config.eos_token_id = golden.text("named_eos").parse().unwrap();
    });
    golden.check(
        "named.pooled",
        named.forward(ids(&golden, "named.ids")).pooled,
    );
    golden.finish();
}

#[test]
fn the_tokenizers_pad_as_those_of_transformers() {
    let golden = Golden::open("sdxl/text");
    let checkpoint = tiny();
    let tokenizers = [
        ("ids.1", checkpoint.tokenizer().unwrap()),
        ("ids.2", checkpoint.tokenizer_2().unwrap().unwrap()),
    ];
    let sentences = [
        "make it snowy",
        "turn the car red! as a watercolour painting",
        "",
    ];
    for (name, tokenizer) in tokenizers {
        let ids: Vec<i64> = sentences
            .iter()
            .flat_map(|sentence| tokenizer.encode(sentence).unwrap().ids)
            .collect();
        assert_eq!(ids, golden.ints(name), "{name}");
    }
    let first = Checkpoint::open(fixture("tiny-ip2p")).unwrap();
    assert!(first.tokenizer_2().unwrap().is_none());
}

#[test]
fn every_layer_of_the_u_net_equals_that_of_diffusers() {
    let mut golden = Golden::open("sdxl/unet");
    let (x, timestep, context, added) = inputs(&golden);
    let mut seen = 0;
    let output =
        unet().forward_added_observed(x, timestep, context, Some(&added), &mut |layer, x| {
            seen += 1;
            golden.check(&layer.to_string(), x.clone());
        });
    assert_eq!(seen, golden.names().len() - 5, "all but the inputs");
    golden.check("conv_out", output);
    golden.finish();
}

#[test]
fn a_pass_that_was_told_beforehand_predicts_the_same() {
    let golden = Golden::open("sdxl/unet");
    let unet = unet();
    let (x, _, context, added) = inputs(&golden);
    let times = [981.0, 20.5];
    let conditioning = unet
        .condition(context.clone(), Some(&added))
        .with_timesteps(&unet, &times);
    for time in times.into_iter().chain([400.0]) {
        let told = unet.forward_conditioned(x.clone(), time, &conditioning);
        let timestep = Tensor::from_data(TensorData::from([time]), (&x.device(), DType::F32));
        let plain = unet.forward_added(x.clone(), timestep, context.clone(), Some(&added));
        let near = Tolerance::<f32>::absolute(2e-5);
        told.into_data().assert_approx_eq(&plain.into_data(), near);
    }
}

#[test]
fn the_pooled_state_and_the_size_matter() {
    let golden = Golden::open("sdxl/unet");
    let unet = unet();
    let (x, timestep, context, added) = inputs(&golden);
    let predict = |added: &AddedConditions| {
        unet.forward_added(x.clone(), timestep.clone(), context.clone(), Some(added))
    };
    let expected = predict(&added);
    let zeros = AddedConditions {
        text_embeds: added.text_embeds.zeros_like(),
        ..added.clone()
    };
    let wider = AddedConditions {
        time_ids: added.time_ids.clone() + 8.0,
        ..added
    };
    for other in [zeros, wider] {
        let difference = (predict(&other) - expected.clone()).abs().max();
        assert!(difference.into_scalar::<f32>() > 1e-3);
    }
}

#[test]
fn a_pooled_state_that_is_not_finite_is_named() {
    let golden = Golden::open("sdxl/unet");
    let (x, timestep, context, mut added) = inputs(&golden);
    added.text_embeds = added.text_embeds * f32::NAN;
    let first = unet().first_non_finite(x, timestep, context, Some(&added));
    assert_eq!(first.as_deref(), Some("text_embeds"));
}

/// A folder with the configs of the file of Stable Diffusion 2, and no weights.
fn configs_of_sd2(golden: &Golden) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    for part in ["unet", "vae", "text_encoder"] {
        write(&format!("{part}/config.json"), golden.text(part).as_bytes());
    }
    for file in [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
    ] {
        let text = std::fs::read(fixture("tiny-ip2p").join(file)).unwrap();
        write(file, &text);
    }
    folder
}

#[test]
fn the_text_encoder_of_a_single_file_of_stable_diffusion_2_is_that_of_diffusers() {
    let mut golden = Golden::open("sdxl/sd2-text");
    let folder = configs_of_sd2(&golden);
    let options = OpenOptions {
        config: Some(folder.path().to_owned()),
        ..OpenOptions::default()
    };
    let checkpoint = Checkpoint::open_with(fixture("sdxl/single-sd2.safetensors"), &options);
    let checkpoint = checkpoint.unwrap();
    let component = Component::TextEncoder;
    let config = CLIPTextConfig::from_json(checkpoint.config(component)).unwrap();
    let (model, report) = checkpoint
        .load(
            config.init(&device()),
            component,
            Precision::F32,
            &mut |_| (),
        )
        .unwrap();
    // 16 weights of each of 2 layers, and 4 around them.
    assert_eq!(report.tensors, 36);
    golden.check("last_hidden_state", model.forward(ids(&golden, "ids")));
    golden.finish();
    // The other networks fit too.
    let model = ip2p::Model::from_checkpoint(checkpoint).unwrap();
    model.load(&device(), Precision::F32, &mut |_| ()).unwrap();
}
