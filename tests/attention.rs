//! Where a sentence acts, against the published formulas in PyTorch: `tests/golden/gen_where.py`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ip2p::region::Where;
use ip2p::{
    BranchExecution, Compat, EditOptions, EditRequest, Editor, GuidanceFormula, Model, Photo,
    Precision, RgbPicture, SamplerKind, Size, TargetSize,
};
use ip2p_testing::{Golden, device, fixture};

const INSTRUCTION: &str = "make it snowy";

fn editor(name: &str) -> Editor {
    Editor::load(fixture(name), &device()).unwrap()
}

fn photo(golden: &Golden) -> Photo {
    let shape = golden.shape("photo");
    let [height, width] = [0, 1].map(|axis| u32::try_from(shape[axis]).unwrap());
    let picture = RgbPicture::new(Size::new(width, height), golden.bytes("photo")).unwrap();
    picture.into()
}

/// The share of the way from the lowest value to the highest, outliers cut off at the quartiles: as the paper's code.
fn stretched(values: &[f32]) -> Vec<f32> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let quartile = |quarters: usize| {
        let at = quarters * (sorted.len() - 1);
        0.5 * (sorted[at / 4] + sorted[at.div_ceil(4)])
    };
    let (q1, q3) = (quartile(1), quartile(3));
    let most = sorted[sorted.len() - 1].min(q3 + 1.5 * (q3 - q1));
    let least = sorted[0];
    let share = |value: &f32| (value.min(most) - least) / (most - least);
    values.iter().map(share).collect()
}

#[test]
fn the_map_is_that_of_watch_your_steps() {
    for name in ["ip2p", "taesd"] {
        let mut golden = Golden::open(&format!("where/relevance-{name}"));
        let photo = photo(&golden);
        let seed = golden.text("seed").parse().unwrap();
        let options = EditOptions::default()
            .with_size(TargetSize::Side(96))
            .with_seed(seed);
        let request = EditRequest::new(&photo, INSTRUCTION);
        let map = editor(&format!("tiny-{name}"))
            .relevance(&request, &options)
            .unwrap();
        let shape = [map.size().height as usize, map.size().width as usize];
        assert_eq!(golden.shape("relevance"), shape);
        // Ours is a share of how much the photo varies: in another unit.
        let unit = |values: &[f32]| values.iter().copied().fold(0.0, f32::max);
        let expected = golden.floats("relevance");
        let scale = unit(&expected) / unit(&map.values());
        let values: Vec<f32> = map.values().iter().map(|value| value * scale).collect();
        golden.check_floats("relevance", &values);
        let stretched = stretched(&values);
        golden.check_floats("stretched", &stretched);
        let mask: Vec<u8> = stretched
            .iter()
            .map(|&share| u8::from(share >= 0.5))
            .collect();
        assert_eq!(mask, golden.bytes("mask"), "{name}");
        golden.finish();
    }
}

fn options(golden: &Golden) -> EditOptions {
    EditOptions::default()
        .with_compat(Compat::Diffusers)
        .with_sampler(SamplerKind::Ddim)
        .with_steps(golden.text("steps").parse().unwrap())
        .with_seed(golden.text("seed").parse().unwrap())
        .with_text_scale(7.5)
        .with_image_scale(1.5)
        .with_where(Where::ATTENTION)
}

#[test]
fn scales_by_attention_give_the_edit_of_the_published_formula() {
    for branches in [BranchExecution::Batched, BranchExecution::OneByOne] {
        let mut golden = Golden::open("where/attention");
        let photo = photo(&golden);
        let editor = editor("tiny-taesd");
        let options = options(&golden).with_branches(branches);
        let request = EditRequest::new(&photo, INSTRUCTION);
        let expected = golden.bytes("output.0");
        let mut steps = editor.steps(&request, &options).unwrap();
        // Before the last step diffusers' latents are another multiple.
        let last = steps.by_ref().map(Result::unwrap).last().unwrap();
        golden.check(&format!("latents.{}", last.index), last.latents);
        golden.finish();
        let edited = steps.finish().unwrap().remove(0);
        assert_eq!(edited.record.region, "attention");
        assert!(edited.mask.is_none() && edited.warnings.is_empty());
        let pairs = expected.iter().zip(edited.photo.rgb().pixels());
        let far = pairs.filter(|(a, b)| a.abs_diff(**b) > 1).count();
        assert!(far * 1000 <= expected.len(), "{far} of {}", expected.len());
    }
}

#[test]
fn each_photo_of_a_batch_has_maps_of_its_own() {
    let golden = Golden::open("where/attention");
    let editor = editor("tiny-taesd");
    let options = options(&golden).with_compat(Compat::None).with_steps(2);
    let photo = photo(&golden);
    let requests =
        [INSTRUCTION, "a red car, in the rain"].map(|text| EditRequest::new(&photo, text));
    let together = editor.edit_batch(&requests, &options).unwrap();
    for (request, together) in requests.iter().zip(together) {
        let alone = editor.edit(&photo, request.instruction, &options).unwrap();
        let pairs = alone
            .photo
            .rgb()
            .pixels()
            .iter()
            .zip(together.photo.rgb().pixels());
        assert!(pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap() <= 1);
    }
}

#[test]
fn what_cannot_be_scoped_is_refused() {
    let options = EditOptions::default().with_where(Where::ATTENTION);
    options.check().unwrap();
    let error = options
        .clone()
        .with_guidance_rescale(0.5)
        .check()
        .unwrap_err()
        .to_string();
    assert!(error.contains("--where attention"), "{error}");
    let model = Model::open(fixture("tiny-ip2p")).unwrap();
    let mut profile = model.profile().clone();
    profile.guidance = GuidanceFormula::Nested;
    let model = model.with_profile(profile).unwrap();
    let size = Size::new(64, 64);
    let error = model
        .record(size, None, INSTRUCTION, &options, Precision::F32)
        .unwrap_err();
    assert!(error.to_string().contains("Brooks"), "{error}");
}
