//! Whole edits with the tiny checkpoints, against diffusers' pipeline and the original repository's loop.
//!
//! The fixtures hold the photo, the latents after each step and the picture, as `tests/golden/gen_pipeline.py` recorded
//! them. The latents are compared as numbers; the picture as issue and README promise: nearly all values within one
//! step of a byte, none further than three.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ip2p::{
    BranchExecution, Compat, EditOptions, EditRequest, Editor, Model, OpenOptions, Photo,
    Precision, RgbPicture, SamplerKind, TargetSize,
};
use ip2p_testing::{Golden, device, fixture};

const INSTRUCTION: &str = "make it snowy";

fn editor() -> Editor {
    Editor::load(fixture("tiny-ip2p"), &device()).unwrap()
}

fn photo(golden: &Golden) -> Photo {
    let shape = golden.shape("photo");
    let size = ip2p::Size::new(
        u32::try_from(shape[1]).unwrap(),
        u32::try_from(shape[0]).unwrap(),
    );
    RgbPicture::new(size, golden.bytes("photo")).unwrap().into()
}

/// The options that a fixture's metadata states.
fn options(golden: &Golden, compat: Compat) -> EditOptions {
    EditOptions::default()
        .with_compat(compat)
        .with_steps(golden.text("steps").parse().unwrap())
        .with_seed(golden.text("seed").parse().unwrap())
}

/// Compares a picture with the one in the fixture, by the share of values that are within one step of a byte.
fn assert_same_picture(golden: &Golden, name: &str, edited: &Photo) {
    let expected = golden.bytes(name);
    let shape = golden.shape(name);
    let size = edited.size();
    assert_eq!(
        [size.height as usize, size.width as usize, 3].as_slice(),
        shape,
        "{name}: size"
    );
    let difference = |(a, b): (&u8, &u8)| a.abs_diff(*b);
    let differences: Vec<u8> = expected
        .iter()
        .zip(edited.rgb().pixels())
        .map(difference)
        .collect();
    let near = differences
        .iter()
        .filter(|difference| **difference <= 1)
        .count();
    let share = near as f64 / differences.len() as f64;
    let furthest = differences.iter().max().unwrap();
    println!(
        "{name}: {:.3} % within 1, furthest {furthest}",
        100.0 * share
    );
    assert!(
        share >= 0.999 && *furthest <= 3,
        "{name}: {share} within 1, furthest {furthest}"
    );
}

/// Runs the edit of a fixture of diffusers' pipeline with the tiny checkpoint.
fn assert_diffusers(name: &str, change: impl Fn(EditOptions) -> EditOptions, variations: usize) {
    assert_fixture(&editor(), &format!("diffusers-{name}"), change, variations);
}

/// Runs the edit of a fixture of diffusers' pipeline.
fn assert_fixture(
    editor: &Editor,
    name: &str,
    change: impl Fn(EditOptions) -> EditOptions,
    variations: usize,
) {
    let mut golden = Golden::open(&format!("pipeline/{name}"));
    let photo = photo(&golden);
    let request = EditRequest::new(&photo, INSTRUCTION).with_variations(variations);
    let mut steps = editor
        .steps(&request, &change(options(&golden, Compat::Diffusers)))
        .unwrap();
    let last = steps.by_ref().map(Result::unwrap).last().unwrap();
    let recorded = golden
        .names()
        .iter()
        .filter(|name| name.starts_with("latents.") && *name != "latents.start")
        .count();
    golden.check(&format!("latents.{}", recorded - 1), last.latents);
    for (index, edited) in steps.finish().unwrap().iter().enumerate() {
        assert_same_picture(&golden, &format!("output.{index}"), &edited.photo);
    }
    golden.finish();
}

#[test]
fn each_sampler_gives_the_picture_of_the_diffusers_scheduler_of_its_name() {
    for sampler in SamplerKind::ALL {
        assert_diffusers(sampler.name(), |options| options.with_sampler(sampler), 1);
    }
}

#[test]
fn a_size_that_is_no_multiple_of_eight_is_cut_as_diffusers_cuts_it() {
    assert_diffusers("odd-size", |options| options, 1);
}

#[test]
fn diffusers_mode_turns_guidance_off_at_a_text_scale_of_one() {
    assert_diffusers("no-guidance", |options| options.with_text_scale(1.0), 1);
}

#[test]
fn the_negative_prompt_stands_in_both_branches_without_the_sentence() {
    let change = |options: EditOptions| {
        options
            .with_negative("a red car")
            .with_text_scale(3.0)
            .with_image_scale(1.2)
    };
    assert_diffusers("negative", change, 1);
}

#[test]
fn variations_in_diffusers_mode_share_one_generator() {
    assert_diffusers("two-images", |options| options, 2);
}

#[test]
fn branches_one_by_one_give_the_picture_of_one_batch() {
    assert_diffusers(
        "euler-a",
        |options| options.with_branches(BranchExecution::OneByOne),
        1,
    );
}

#[test]
fn a_tiny_autoencoder_and_velocities_give_the_picture_of_diffusers_too() {
    let editor = Editor::load(fixture("tiny-taesd"), &device()).unwrap();
    for (name, sampler) in [
        ("euler-a", SamplerKind::EulerAncestral),
        ("ddim", SamplerKind::Ddim),
        ("odd-size", SamplerKind::DpmPp2m),
    ] {
        let with_sampler = |options: EditOptions| options.with_sampler(sampler);
        assert_fixture(&editor, &format!("taesd-{name}"), with_sampler, 1);
    }
}

#[test]
fn a_tiny_autoencoder_from_its_own_files_takes_the_place_of_the_models() {
    let options = OpenOptions {
        vae: Some(fixture("single/taesd_decoder.safetensors")),
        ..OpenOptions::default()
    };
    let model = Model::open_with(fixture("tiny-ip2p"), &options).unwrap();
    let editor = model.load(&device(), Precision::F32, &mut |_| ()).unwrap();
    assert_fixture(&editor, "taesd-file", |options| options, 1);
}

#[test]
fn a_strength_begins_with_the_noised_photo_as_diffusers_image_to_image_does() {
    let whole = ["strength-euler-a-whole".to_owned()];
    let each = SamplerKind::ALL.map(|sampler| format!("strength-{sampler}"));
    for name in each.into_iter().chain(whole) {
        let golden = Golden::open(&format!("pipeline/{name}"));
        let sampler = golden.text("sampler").parse().unwrap();
        let strength = golden.text("strength").parse().unwrap();
        let with = |options: EditOptions| options.with_sampler(sampler).with_strength(strength);
        assert_fixture(&editor(), &name, with, 1);
    }
}

#[test]
fn original_mode_gives_the_picture_of_the_original_repository() {
    for name in ["wide", "small"] {
        let mut golden = Golden::open(&format!("pipeline/original-{name}"));
        let editor = editor();
        let photo = photo(&golden);
        let size = TargetSize::Side(golden.text("resolution").parse().unwrap());
        let options = options(&golden, Compat::Original).with_size(size);
        let request = EditRequest::new(&photo, INSTRUCTION);
        let mut steps = editor.steps(&request, &options).unwrap();
        // k-diffusion's callback shows `x` before a step, ours after it.
        for step in &mut steps {
            let step = step.unwrap();
            let name = if step.index + 1 == step.steps {
                "latents".into()
            } else {
                format!("x.{}", step.index + 1)
            };
            golden.check(&name, step.latents);
        }
        assert_same_picture(&golden, "output.0", &steps.finish().unwrap()[0].photo);
        golden.finish();
    }
}
