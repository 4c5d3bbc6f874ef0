//! Single files of the real sizes, without numbers: which family they are of, and which conventions.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use ip2p::Model;
use ip2p::core::{EdmNoise, ModelFamily, NullText, PredictionType, TextState};
use ip2p::io::{Checkpoint, Component, Tokenizer};
use ip2p::models::clip::{CLIPTextConfig, HiddenAct};
use ip2p::models::unet::UNet2DConditionConfig;
use tempfile::TempDir;

/// A tensor of a file, with its numbers if they matter.
struct Tensor(&'static str, Vec<usize>, Option<Vec<f32>>);

fn empty(name: &'static str, shape: &[usize]) -> Tensor {
    Tensor(name, shape.to_vec(), None)
}

/// Writes a safetensors file of which only the numbers that matter are on the disk.
fn write(path: &Path, tensors: &[Tensor]) {
    let mut end = 0;
    let entries: Vec<String> = tensors
        .iter()
        .map(|Tensor(name, shape, _)| {
            let start = end;
            end += 4 * shape.iter().product::<usize>();
            format!(
                r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
            )
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut file = File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes())
        .unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let mut at = 8 + header.len() as u64;
    file.set_len(at + end as u64).unwrap();
    for Tensor(_, shape, numbers) in tensors {
        for (index, number) in numbers.iter().flatten().enumerate() {
            file.seek(SeekFrom::Start(at + 4 * index as u64)).unwrap();
            file.write_all(&number.to_le_bytes()).unwrap();
        }
        at += 4 * shape.iter().product::<usize>() as u64;
    }
}

const UNET: &str = "model.diffusion_model.input_blocks.0.0.weight";
const LEVEL_END: &str = "model.diffusion_model.input_blocks.3.0.op.weight";

fn unet(channels: usize) -> [Tensor; 2] {
    [
        empty(UNET, &[320, channels, 3, 3]),
        empty(LEVEL_END, &[320, 320, 3, 3]),
    ]
}

fn sdxl(channels: usize) -> Vec<Tensor> {
    let context = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight";
    let first = "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight";
    let second = "conditioner.embedders.1.model.token_embedding.weight";
    let mut tensors: Vec<_> = unet(channels).into();
    tensors.extend([
        empty(context, &[640, 2048]),
        empty(first, &[49408, 768]),
        empty(second, &[49408, 1280]),
    ]);
    tensors
}

fn sd2(biases: Vec<f32>) -> Vec<Tensor> {
    let context = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight";
    let norm = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias";
    let mut tensors: Vec<_> = unet(8).into();
    tensors.extend([
        empty(context, &[320, 1024]),
        Tensor(norm, vec![320], Some(biases)),
        empty(
            "cond_stage_model.model.token_embedding.weight",
            &[49408, 1024],
        ),
        empty(
            "cond_stage_model.model.transformer.resblocks.23.ln_1.bias",
            &[1024],
        ),
        empty("cond_stage_model.model.text_projection", &[1024, 1024]),
    ]);
    tensors
}

fn open(tensors: &[Tensor]) -> (Checkpoint, ip2p::Result<Model>) {
    let folder = tempfile::tempdir().unwrap();
    open_in(&folder, tensors)
}

fn open_in(folder: &TempDir, tensors: &[Tensor]) -> (Checkpoint, ip2p::Result<Model>) {
    let path = folder.path().join("model.safetensors");
    write(&path, tensors);
    let checkpoint = Checkpoint::open(&path).unwrap();
    (checkpoint.clone(), Model::from_checkpoint(checkpoint))
}

fn padding(tokenizer: &Tokenizer) -> i64 {
    tokenizer.encode("").unwrap().ids[76]
}

#[test]
fn a_file_of_stable_diffusion_xl_is_known_with_both_text_encoders() {
    let (checkpoint, model) = open(&sdxl(8));
    let model = model.unwrap();
    let profile = model.profile();
    assert_eq!(profile.family, ModelFamily::Sdxl);
    assert_eq!(profile.prediction, PredictionType::Epsilon);
    assert_eq!(profile.text_state, TextState::Penultimate);
    assert_eq!(profile.null_text, NullText::Zeros);
    assert_eq!(
        (profile.scaling_factor, profile.image_latents_scale),
        (0.13025, 1.0)
    );
    assert!(profile.upcast_vae && profile.edm.is_none());
    assert_eq!(
        (profile.text_scale, profile.longer_side, profile.steps),
        (3.0, 768, 30)
    );
    let unet = UNet2DConditionConfig::from_json(checkpoint.config(Component::Unet)).unwrap();
    let levels = unet.levels.iter();
    let levels: Vec<_> = levels
        .map(|level| (level.heads, level.transformer_layers, level.attention_down))
        .collect();
    assert_eq!(levels, [(5, 1, false), (10, 2, true), (20, 10, true)]);
    assert!(unet.use_linear_projection);
    assert_eq!(unet.addition.unwrap().text_dim(), 1280);
    let config = |component| CLIPTextConfig::from_json(checkpoint.config(component)).unwrap();
    let (first, second) = (
        config(Component::TextEncoder),
        config(Component::TextEncoder2),
    );
    assert_eq!(
        (first.num_hidden_layers, first.hidden_act),
        (12, HiddenAct::QuickGelu)
    );
    assert_eq!(
        (second.num_hidden_layers, second.hidden_act),
        (32, HiddenAct::Gelu)
    );
    // CLIP's end of a sentence, and OpenCLIP's 0.
    assert_eq!(padding(&checkpoint.tokenizer().unwrap()), 49407);
    assert_eq!(padding(&checkpoint.tokenizer_2().unwrap().unwrap()), 0);
}

#[test]
fn cosxl_says_its_noise() {
    let mut tensors = sdxl(8);
    tensors.push(Tensor("edm_vpred.sigma_max", vec![], Some(vec![120.0])));
    tensors.push(Tensor("edm_vpred.sigma_min", vec![], Some(vec![0.002])));
    let profile = open(&tensors).1.unwrap().profile().clone();
    let expected = EdmNoise {
        sigma_min: 0.002,
        sigma_max: 120.0,
        sigma_data: 1.0,
    };
    assert_eq!(profile.edm, Some(expected));
    assert_eq!(profile.prediction, PredictionType::VPrediction);
    assert_eq!(profile.image_latents_scale, 0.13025);
    assert_eq!(
        (profile.text_scale, profile.longer_side, profile.steps),
        (7.0, 1024, 20)
    );
}

#[test]
fn a_file_of_xl_that_predicts_the_velocity_says_so() {
    let mut tensors = sdxl(8);
    tensors.push(empty("v_pred", &[0]));
    tensors.push(empty("ztsnr", &[0]));
    let profile = open(&tensors).1.unwrap().profile().clone();
    assert_eq!(profile.prediction, PredictionType::VPrediction);
    assert!(profile.zero_terminal_snr);
}

#[test]
fn a_file_of_stable_diffusion_2_is_known_and_what_it_predicts_guessed() {
    for (spread, prediction) in [
        (0.2, PredictionType::VPrediction),
        (0.05, PredictionType::Epsilon),
    ] {
        let biases = (0..320).map(|index| if index % 2 == 0 { spread } else { -spread });
        let folder = tempfile::tempdir().unwrap();
        let (checkpoint, model) = open_in(&folder, &sd2(biases.collect()));
        let model = model.unwrap();
        let profile = model.profile();
        assert_eq!(profile.family, ModelFamily::Sd2);
        assert_eq!(profile.prediction, prediction);
        assert_eq!(profile.text_state, TextState::Last);
        let config = checkpoint.config(Component::TextEncoder);
        let config = CLIPTextConfig::from_json(config).unwrap();
        assert_eq!(
            (config.num_hidden_layers, config.hidden_act),
            (23, HiddenAct::Gelu)
        );
        assert_eq!(padding(&checkpoint.tokenizer().unwrap()), 0);
        let summary = checkpoint.summary(ip2p::Precision::F32, profile.clone());
        let notes = summary.unwrap().notes.join("\n");
        assert!(notes.contains("does not say what it predicts"), "{notes}");
        assert!(!notes.contains("of no network"), "{notes}");
    }
}

#[test]
fn a_file_that_is_no_instruct_pix2pix_model_says_what_it_is() {
    let error = open(&sdxl(4)).1.unwrap_err().to_string();
    assert!(
        error.contains("a text-to-image Stable Diffusion model"),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let refusal = |tensors: &[Tensor]| {
        write(&path, tensors);
        Checkpoint::open(&path).unwrap_err().to_string()
    };
    let mut refiner: Vec<_> = unet(4).into();
    refiner.push(empty(
        "conditioner.embedders.0.model.token_embedding.weight",
        &[49408, 1280],
    ));
    assert!(refusal(&refiner).contains("a refiner of Stable Diffusion XL"));
    let mut half: Vec<_> = unet(8).into();
    half.push(empty(
        "conditioner.embedders.1.model.token_embedding.weight",
        &[49408, 1280],
    ));
    assert!(refusal(&half).contains("holds a U-Net and not its text encoder"));
    let text = empty(
        "conditioner.embedders.1.model.token_embedding.weight",
        &[49408, 1280],
    );
    assert!(refusal(&[text]).contains("the text encoders of Stable Diffusion XL alone"));
}
