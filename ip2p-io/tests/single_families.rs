//! Checkpoints of Stable Diffusion XL and 2 in one file, and XL's from one layout to the other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ip2p_core::{CheckpointProfile, Precision};
use ip2p_io::{Checkpoint, Component, Lora, OpenOptions, parse_header};
use ip2p_testing::{device, fixture};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

fn tiny() -> Checkpoint {
    Checkpoint::open(fixture("tiny-sdxl")).unwrap()
}

fn single() -> Checkpoint {
    let options = OpenOptions {
        config: Some(fixture("tiny-sdxl")),
        ..OpenOptions::default()
    };
    Checkpoint::open_with(fixture("sdxl/single.safetensors"), &options).unwrap()
}

/// Every number of every network, by canonical names.
fn numbers(checkpoint: &Checkpoint) -> BTreeMap<String, Vec<f32>> {
    let training = CheckpointProfile::default();
    let profile = checkpoint.profile(&training).unwrap();
    let summary = checkpoint.summary(Precision::F32, profile).unwrap();
    let mut all = BTreeMap::new();
    for component in summary.components {
        let weights = checkpoint
            .weights(component.component, Precision::F32)
            .unwrap();
        for tensor in component.tensors {
            let name = tensor.name.trim_start_matches("text_model.");
            if !name.ends_with("position_ids") {
                let values = weights.read(name, &device()).unwrap();
                all.insert(format!("{}.{name}", component.component), values);
            }
        }
    }
    all
}

/// The names and shapes of the tensors of a file.
fn names(path: &Path) -> BTreeMap<String, Vec<usize>> {
    let bytes = fs::read(path).unwrap();
    let header = parse_header(path, &bytes, bytes.len() as u64).unwrap();
    header
        .tensors()
        .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
        .collect()
}

#[test]
fn a_file_of_stable_diffusion_xl_holds_what_the_folder_does() {
    let (file, folder) = (numbers(&single()), numbers(&tiny()));
    assert_eq!(
        file.keys().collect::<Vec<_>>(),
        folder.keys().collect::<Vec<_>>()
    );
    for (name, values) in &folder {
        assert_eq!(&file[name], values, "{name}");
    }
    let all = Component::ALL.to_vec();
    assert_eq!(
        (single().components(), tiny().components()),
        (all.clone(), all)
    );
}

#[test]
fn xl_goes_to_a_file_with_the_names_of_stabilitys_code_and_back_to_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (file, back) = (
        folder.path().join("xl.safetensors"),
        folder.path().join("back"),
    );
    let save = |checkpoint: &Checkpoint, output: &Path| {
        checkpoint
            .save(output, Precision::F16, &device(), &mut |_| ())
            .unwrap();
    };
    save(&tiny(), &file);
    let expected = names(&fixture("sdxl/single.safetensors"));
    let written = names(&file);
    for (name, shape) in &expected {
        let is_weight = !["position_ids", "logit_scale", "sigma_min", "sigma_max"]
            .iter()
            .any(|end| name.ends_with(end));
        if is_weight {
            assert_eq!(written.get(name), Some(shape), "{name}");
        }
    }
    assert!(written.keys().all(|name| expected.contains_key(name)));

    // Its own metadata has the configs and both tokenizers.
    let own = Checkpoint::open(&file).unwrap();
    assert_eq!(numbers(&own), numbers(&tiny()));
    save(&own, &back);
    let again = Checkpoint::open(&back).unwrap();
    assert_eq!(numbers(&again), numbers(&tiny()));
    let ids = |checkpoint: &Checkpoint| {
        let second = checkpoint.tokenizer_2().unwrap().unwrap();
        second.encode("make it snowy!").unwrap().ids
    };
    assert_eq!(ids(&again), ids(&tiny()));
    assert!(
        names(&back.join("text_encoder_2/model.safetensors"))
            .contains_key("text_projection.weight")
    );
}

#[test]
fn a_file_of_stable_diffusion_2_leaves_the_last_layer_away() {
    let options = OpenOptions {
        config: Some(fixture("tiny-ip2p")),
        ..OpenOptions::default()
    };
    let file = fixture("sdxl/single-sd2.safetensors");
    let checkpoint = Checkpoint::open_with(&file, &options).unwrap();
    let weights = checkpoint
        .weights(Component::TextEncoder, Precision::F32)
        .unwrap();
    let shape = |name: &str| weights.shape(name).map(<[usize]>::to_vec);
    let layer = |layer: usize, name: &str| {
        shape(&format!("text_model.encoder.layers.{layer}.{name}.weight"))
    };
    assert_eq!(layer(1, "self_attn.v_proj"), Some(vec![8, 8]));
    assert_eq!(layer(1, "mlp.fc1"), Some(vec![16, 8]));
    assert_eq!(layer(2, "self_attn.v_proj"), None);
    assert_eq!(shape("text_projection.weight"), None);
    let profile = checkpoint.profile(&CheckpointProfile::default()).unwrap();
    let notes = checkpoint.summary(Precision::F32, profile).unwrap().notes;
    assert!(
        notes.iter().all(|note| !note.contains("of no network")),
        "{notes:?}"
    );
}

/// Writes a file of low-rank adaptations of rank 1, whose factors are all these.
fn write_lora(path: &Path, layers: &[(&str, [usize; 2])]) {
    let down = 0.5_f32;
    let up = 0.25_f32;
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, [rows, columns]) in layers {
        let bytes = |value: f32, count: usize| value.to_le_bytes().repeat(count);
        tensors.push((
            format!("{name}.lora_down.weight"),
            vec![1, *columns],
            bytes(down, *columns),
        ));
        tensors.push((
            format!("{name}.lora_up.weight"),
            vec![*rows, 1],
            bytes(up, *rows),
        ));
        tensors.push((format!("{name}.alpha"), vec![], bytes(2.0, 1)));
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name.clone(), view)
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

#[test]
fn kohyas_adaptations_of_xl_are_of_both_text_encoders_and_the_u_net() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("xl.safetensors");
    // The U-Net's blocks by the numbers that Stability's code gives them, as kohya does.
    let layers = [
        ("lora_te1_text_model_encoder_layers_1_mlp_fc1", [16, 8]),
        (
            "lora_te2_text_model_encoder_layers_2_self_attn_q_proj",
            [16, 16],
        ),
        (
            "lora_unet_input_blocks_3_1_transformer_blocks_0_attn2_to_k",
            [8, 24],
        ),
        ("lora_unet_label_emb_0_2", [16, 16]),
    ];
    write_lora(&path, &layers);
    let lora = || Lora::open(&path, 0.5).unwrap();
    let adapted = tiny().with_lora(lora()).unwrap();
    let read = |checkpoint: &Checkpoint, component, name: &str| {
        let weights = checkpoint.weights(component, Precision::F32).unwrap();
        weights.read(name, &device()).unwrap()
    };
    for (component, name) in [
        (Component::TextEncoder, "encoder.layers.1.mlp.fc1.weight"),
        (
            Component::TextEncoder2,
            "encoder.layers.2.self_attn.q_proj.weight",
        ),
        (
            Component::Unet,
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight",
        ),
        (Component::Unet, "add_embedding.linear_2.weight"),
    ] {
        let (before, after) = (
            read(&tiny(), component, name),
            read(&adapted, component, name),
        );
        // weight · alpha / rank · up · down
        let added = 0.5 * 2.0 * 0.25 * 0.5;
        let differences = before
            .iter()
            .zip(&after)
            .map(|(before, after)| after - before);
        assert!(
            differences
                .into_iter()
                .all(|found| (found - added).abs() < 1e-6),
            "{name}"
        );
    }

    let other = Checkpoint::open(fixture("tiny-ip2p")).unwrap();
    let error = other.with_lora(lora()).unwrap_err().to_string();
    assert!(
        error.contains("is for Stable Diffusion XL (it has lora_te1_"),
        "{error}"
    );
    assert!(
        error.contains("not for a model of Stable Diffusion 1 or 2"),
        "{error}"
    );
}
