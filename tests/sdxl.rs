//! Edits with a tiny checkpoint of Stable Diffusion XL, as diffusers' `sdxl-instructpix2pix-768` and as Stability's CosXL, against
//! diffusers' `StableDiffusionXLInstructPix2PixPipeline`.
//!
//! The fixtures are those of `tests/golden/gen_sdxl.py`; what is compared, and how closely, is as in `tests/pipeline.rs`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use ip2p::io::{Checkpoint, Component, OpenOptions};
use ip2p::region::Where;
use ip2p::{
    BranchExecution, CheckpointProfile, Compat, EditOptions, EditRequest, Editor, Focus, Model,
    Photo, PhotoFile, Precision, RgbPicture, SamplerKind, Session, TargetSize,
};
use ip2p_testing::{Golden, device, fixture};

const INSTRUCTION: &str = "make it snowy";

/// The files of the tiny folder, one of them with another text.
fn files(changed: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    fn walk(folder: &Path, prefix: &str, out: &mut Vec<(String, Vec<u8>)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_string_lossy());
            if path.is_dir() {
                walk(&path, &format!("{name}/"), out);
            } else {
                out.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    let mut files = Vec::new();
    walk(&fixture("tiny-sdxl"), "", &mut files);
    for (changed, text) in changed {
        let file = files.iter_mut().find(|(name, _)| name == changed).unwrap();
        text.as_bytes().clone_into(&mut file.1);
    }
    files
}

/// The tiny checkpoint with the scheduler of a fixture, which says whether it is CosXL.
fn model(golden: &Golden) -> Model {
    let scheduler = golden.text("scheduler");
    let files = files(&[("scheduler/scheduler_config.json", scheduler)]);
    let checkpoint = Checkpoint::from_memory("tiny-sdxl", files).unwrap();
    Model::from_checkpoint(checkpoint).unwrap()
}

fn load(model: Model) -> Editor {
    model.load(&device(), Precision::F32, &mut |_| ()).unwrap()
}

fn photo(golden: &Golden) -> Photo {
    let shape = golden.shape("photo");
    let side = |axis: usize| u32::try_from(shape[axis]).unwrap();
    let size = ip2p::Size::new(side(1), side(0));
    RgbPicture::new(size, golden.bytes("photo")).unwrap().into()
}

/// diffusers' defaults, which are not those of the checkpoint.
fn options(golden: &Golden) -> EditOptions {
    EditOptions::default()
        .with_compat(Compat::Diffusers)
        .with_steps(golden.text("steps").parse().unwrap())
        .with_seed(golden.text("seed").parse().unwrap())
        // In diffusers' mode the size is the photo's.
        .with_size(TargetSize::Side(64))
        .with_text_scale(5.0)
        .with_image_scale(1.5)
}

fn scaled(options: EditOptions) -> EditOptions {
    options.with_text_scale(3.0).with_image_scale(1.2)
}

fn assert_same_picture(golden: &Golden, name: &str, edited: &Photo) {
    let expected = golden.bytes(name);
    let differences: Vec<u8> = expected
        .iter()
        .zip(edited.rgb().pixels())
        .map(|(a, b)| a.abs_diff(*b))
        .collect();
    assert_eq!(differences.len(), expected.len());
    let near = differences.iter().filter(|&&difference| difference <= 1);
    let share = near.count() as f64 / differences.len() as f64;
    let furthest = differences.iter().max().unwrap();
    println!(
        "{name}: {:.3} % within 1, furthest {furthest}",
        100.0 * share
    );
    assert!(
        share >= 0.999 && *furthest <= 3,
        "{name}: {share}, furthest {furthest}"
    );
}

/// Runs the edit of a fixture and compares the latents after each step, and the pictures.
fn assert_edit(
    name: &str,
    change: impl Fn(EditOptions) -> EditOptions,
    variations: usize,
) -> Editor {
    let mut golden = Golden::open(&format!("sdxl/{name}"));
    let editor = load(model(&golden));
    let photo = photo(&golden);
    let request = EditRequest::new(&photo, INSTRUCTION).with_variations(variations);
    let mut steps = editor.steps(&request, &change(options(&golden))).unwrap();
    for step in &mut steps {
        let step = step.unwrap();
        golden.check(&format!("latents.{}", step.index), step.latents);
    }
    for (index, edited) in steps.finish().unwrap().iter().enumerate() {
        assert_same_picture(&golden, &format!("output.{index}"), &edited.photo);
    }
    golden.finish();
    editor
}

#[test]
fn an_edit_is_that_of_diffusers_pipeline() {
    let euler = |options: EditOptions| options.with_sampler(SamplerKind::Euler);
    let editor = assert_edit("euler", euler, 1);
    let profile = editor.model().profile();
    assert_eq!(profile.image_latents_scale.to_string(), "1");
    assert_eq!(profile.scaling_factor.to_string(), "0.13025");
    let ancestral = |options| scaled(options).with_sampler(SamplerKind::EulerAncestral);
    assert_edit("euler-a", ancestral, 1);
}

#[test]
fn variations_share_a_generator_as_in_diffusers_pipeline() {
    assert_edit("two-images", |options| options, 2);
}

#[test]
fn branches_one_by_one_give_the_picture_of_one_batch() {
    assert_edit(
        "euler",
        |options| options.with_branches(BranchExecution::OneByOne),
        1,
    );
}

#[test]
fn an_edit_by_cosxl_is_that_of_diffusers_pipeline() {
    let editor = assert_edit("cosxl", |options| options, 1);
    let profile = editor.model().profile();
    assert_eq!(profile.image_latents_scale.to_string(), "0.13025");
    assert_eq!((profile.steps, profile.longer_side), (20, 1024));
    assert_edit("cosxl-karras", scaled, 1);
}

#[test]
fn a_negative_prompt_has_a_pooled_state_too() {
    let change = |options| scaled(options).with_negative("a red car");
    assert_edit("cosxl-negative", change, 1);
}

#[test]
fn our_own_schedule_of_cosxl_is_even_in_the_logarithm_too() {
    let golden = Golden::open("sdxl/cosxl");
    let editor = load(model(&golden));
    let photo = photo(&golden);
    let own = options(&golden).with_compat(Compat::None);
    let request = EditRequest::new(&photo, INSTRUCTION);
    let steps = editor.steps(&request, &own).unwrap();
    let sigmas: Vec<f64> = steps.map(|step| step.unwrap().sigma).collect();
    assert_eq!(sigmas.len(), 6);
    for (index, sigma) in sigmas.iter().enumerate() {
        let expected = 120.0 * (0.002_f64 / 120.0).powf(index as f64 / 5.0);
        assert!((sigma / expected - 1.0).abs() < 1e-9, "{index}: {sigma}");
    }
}

#[test]
fn every_sampler_but_those_of_distilled_networks_walks_a_noise_without_betas() {
    let golden = Golden::open("sdxl/cosxl");
    let editor = load(model(&golden));
    let photo = photo(&golden);
    for sampler in SamplerKind::ALL {
        let own = options(&golden)
            .with_compat(Compat::None)
            .with_sampler(sampler);
        let edited = editor.edit(&photo, INSTRUCTION, &own);
        match sampler {
            SamplerKind::Lcm | SamplerKind::Tcd => {
                let error = edited.unwrap_err().to_string();
                assert!(error.starts_with("sampler must be another"), "{error}");
            }
            _ => assert_eq!(edited.unwrap().photo.size(), photo.size()),
        }
    }
}

#[test]
fn what_the_pipeline_says_of_itself_is_taken_at_its_word() {
    let edm = Golden::open("sdxl/cosxl");
    let index = |more: &str| {
        let (_, text) = (files(&[]).into_iter())
            .find(|(name, _)| name == "model_index.json")
            .unwrap();
        String::from_utf8(text)
            .unwrap()
            .replacen('{', &format!("{{{more},"), 1)
    };
    let profile = |index: &str| {
        let changed = [
            ("model_index.json", index),
            ("scheduler/scheduler_config.json", edm.text("scheduler")),
        ];
        let checkpoint = Checkpoint::from_memory("x", files(&changed)).unwrap();
        Model::from_checkpoint(checkpoint)
            .unwrap()
            .profile()
            .clone()
    };
    let stated = profile(&index(r#""is_cosxl_edit": false"#));
    assert_eq!(stated.image_latents_scale.to_string(), "1");
    assert_eq!(stated.null_text, ip2p::core::NullText::Zeros);
    let text = index(r#""is_cosxl_edit": true"#).replace(
        r#""force_zeros_for_empty_prompt": true"#,
        r#""force_zeros_for_empty_prompt": false"#,
    );
    let stated = profile(&text);
    assert_eq!(stated.image_latents_scale.to_string(), "0.13025");
    assert_eq!(stated.null_text, ip2p::core::NullText::EmptySentence);
}

#[test]
fn several_photos_in_one_call_are_those_of_each_alone() {
    let golden = Golden::open("sdxl/euler");
    let editor = load(model(&golden));
    let photo = photo(&golden);
    let options = options(&golden).with_compat(Compat::None);
    let sentences = [INSTRUCTION, "turn the car red"];
    let requests = sentences.map(|sentence| EditRequest::new(&photo, sentence));
    let together = editor.edit_batch(&requests, &options).unwrap();
    for (sentence, edited) in sentences.iter().zip(together) {
        let alone = editor.edit(&photo, sentence, &options).unwrap();
        let pairs = alone.photo.rgb().pixels().iter();
        let differences = pairs.zip(edited.photo.rgb().pixels());
        assert!(differences.map(|(a, b)| a.abs_diff(*b)).max().unwrap() <= 1);
    }
}

#[test]
fn a_text_encoder_of_another_width_is_refused_by_both_widths() {
    let (_, text) = (files(&[]).into_iter())
        .find(|(name, _)| name == "text_encoder_2/config.json")
        .unwrap();
    let text = String::from_utf8(text).unwrap();
    let open = |text: &str| {
        let checkpoint =
            Checkpoint::from_memory("x", files(&[("text_encoder_2/config.json", text)]));
        Model::from_checkpoint(checkpoint.unwrap())
            .unwrap_err()
            .to_string()
    };
    let error = open(&text.replace(r#""projection_dim": 12"#, r#""projection_dim": 13"#));
    assert!(
        error.contains("leaves 12 for the pooled state") && error.contains("13"),
        "{error}"
    );
    let error = open(&text.replace(r#""hidden_size": 16"#, r#""hidden_size": 20"#));
    assert!(
        error.contains("cross_attention_dim is 24") && error.contains("28 wide"),
        "{error}"
    );
}

#[test]
fn the_autoencoder_is_f32_where_its_numbers_outgrow_f16() {
    let golden = Golden::open("sdxl/euler");
    let photo = photo(&golden);
    let edit = |upcast_vae| {
        let model = model(&golden);
        let profile = CheckpointProfile {
            upcast_vae,
            ..model.profile().clone()
        };
        let mut half = 0;
        let editor = model
            .with_profile(profile)
            .unwrap()
            .load(&device(), Precision::F16, &mut |loaded| {
                half += u64::from(loaded.component == Component::Vae);
            })
            .unwrap();
        assert!(half > 0);
        let options = options(&golden).with_compat(Compat::None).with_steps(2);
        let edited = editor.edit(&photo, INSTRUCTION, &options).unwrap();
        edited.photo.rgb().pixels().to_vec()
    };
    assert!(model(&golden).profile().upcast_vae);
    // The weights are stored in 16 bits: what differs is what is computed with them.
    assert_ne!(edit(true), edit(false));
}

#[test]
fn a_single_file_gives_the_picture_of_the_folder() {
    let golden = Golden::open("sdxl/euler");
    let photo = photo(&golden);
    let options = options(&golden);
    let open = OpenOptions {
        config: Some(fixture("tiny-sdxl")),
        ..OpenOptions::default()
    };
    let single = Model::open_with(fixture("sdxl/single.safetensors"), &open).unwrap();
    let edit = |model: Model| {
        let edited = load(model).edit(&photo, INSTRUCTION, &options).unwrap();
        edited.photo.rgb().pixels().to_vec()
    };
    assert_eq!(edit(single), edit(model(&golden)));
}

#[test]
fn where_the_sentence_acts_is_found_by_both() {
    for name in ["euler", "cosxl"] {
        let golden = Golden::open(&format!("sdxl/{name}"));
        let editor = load(model(&golden));
        let photo = photo(&golden);
        let options = options(&golden)
            .with_compat(Compat::None)
            .with_steps(10)
            .with_where(Where::AUTO);
        let edited = editor.edit(&photo, INSTRUCTION, &options).unwrap();
        assert_eq!(edited.record.region, "auto");
        let Some(mask) = &edited.mask else {
            assert!(
                edited
                    .warnings
                    .iter()
                    .any(|said| said.contains("stands out"))
            );
            continue;
        };
        let pixels = |photo: &Photo| {
            let pixels = photo.rgb().pixels().chunks(3);
            pixels.map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        let both = pixels(&photo).into_iter().zip(pixels(&edited.photo));
        for (weight, (before, after)) in mask.weights().iter().zip(both) {
            assert!(*weight > 0 || before == after, "{name}");
        }
    }
}

#[test]
fn turns_go_on_from_latents_that_are_scaled_for_the_network() {
    let golden = Golden::open("sdxl/cosxl");
    let editor = load(model(&golden));
    let photo = PhotoFile::from_bytes("photo.png", photo(&golden).to_png().unwrap());
    let options = options(&golden)
        .with_compat(Compat::None)
        .with_focus(Focus::Photo)
        .with_steps(2);
    let mut session = Session::begin(&editor, photo.clone(), &options).unwrap();
    session.edit(&editor, INSTRUCTION, &options).unwrap();
    let turn = session.picture(&editor).unwrap();
    let edited = editor.edit(&photo.decode().unwrap(), INSTRUCTION, &options);
    assert_eq!(turn.photo.rgb(), edited.unwrap().photo.rgb());
    session.edit(&editor, "turn the car red", &options).unwrap();
    assert_ne!(
        session.picture(&editor).unwrap().photo.rgb(),
        turn.photo.rgb()
    );
}

#[test]
fn a_strength_begins_with_the_noised_photo() {
    let golden = Golden::open("sdxl/cosxl");
    let editor = load(model(&golden));
    let photo = photo(&golden);
    let options = options(&golden).with_strength(0.5);
    let request = EditRequest::new(&photo, INSTRUCTION);
    let sigmas: Vec<f64> = editor
        .steps(&request, &options)
        .unwrap()
        .map(|step| step.unwrap().sigma)
        .collect();
    // The last three of six, from 120 to 0.002 evenly in the logarithm.
    assert_eq!(sigmas.len(), 3);
    let expected = 120.0 * (0.002_f64 / 120.0).powf(0.6);
    assert!((sigmas[0] / expected - 1.0).abs() < 1e-6, "{sigmas:?}");
}
