//! Edits with low-rank adaptations, against diffusers' with the same merged.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ip2p::{
    Compat, EditOptions, EditRequest, Editor, Error, LoraRecord, Model, Photo, Precision,
    RgbPicture, Size,
};
use ip2p_testing::{Golden, device, fixture};

fn model() -> Model {
    Model::open(fixture("tiny-ip2p")).unwrap()
}

fn load(model: Model, precision: Precision) -> Editor {
    model.load(&device(), precision, &mut |_| ()).unwrap()
}

fn photo(golden: &Golden) -> Photo {
    let size = |axis: usize| u32::try_from(golden.shape("photo")[axis]).unwrap();
    let size = Size::new(size(1), size(0));
    RgbPicture::new(size, golden.bytes("photo")).unwrap().into()
}

fn options(golden: &Golden) -> EditOptions {
    EditOptions::default()
        .with_compat(Compat::Diffusers)
        .with_steps(golden.text("steps").parse().unwrap())
        .with_seed(golden.text("seed").parse().unwrap())
}

#[test]
fn an_edit_with_an_adaptation_is_that_of_diffusers() {
    let mut golden = Golden::open("lora/diffusers-merged");
    let weight = golden.text("weight").parse().unwrap();
    let model = model()
        .with_lora(fixture("lora/diffusers.safetensors"), weight)
        .unwrap();
    let editor = load(model, Precision::F32);
    let photo = photo(&golden);
    let instruction = golden.text("instruction").to_owned();
    let request = EditRequest::new(&photo, &instruction);
    let mut steps = editor.steps(&request, &options(&golden)).unwrap();
    let last = steps.by_ref().map(Result::unwrap).last().unwrap();
    golden.check("latents", last.latents);
    let edited = steps.finish().unwrap().swap_remove(0);
    let expected = golden.bytes("output.0");
    let furthest = expected
        .iter()
        .zip(edited.photo.rgb().pixels())
        .map(|(a, b)| a.abs_diff(*b))
        .max();
    assert!(furthest <= Some(3), "furthest {furthest:?}");
    golden.finish();
    let [
        LoraRecord {
            name,
            weight: 0.7,
            hash,
            path,
        },
    ] = &edited.record.loras[..]
    else {
        panic!("{:?}", edited.record.loras);
    };
    assert_eq!(name, "diffusers");
    assert!(hash.as_ref().is_some_and(|hash| hash.len() == 12));
    assert!(
        path.as_ref()
            .is_some_and(|path| path.ends_with("diffusers.safetensors"))
    );
}

#[test]
fn half_precision_gets_the_merged_weights_too() {
    let pixel = |i: u32| u8::try_from(i * 7 % 256).unwrap();
    let rgb = (0..64 * 64 * 3).map(pixel).collect();
    let photo = Photo::from(RgbPicture::new(Size::new(64, 64), rgb).unwrap());
    let options = EditOptions::default()
        .with_steps(2)
        .with_size(Size::new(64, 64).into());
    let edit = |weight: Option<f64>, precision| {
        let model = match weight {
            None => model(),
            Some(weight) => model()
                .with_lora(fixture("lora/diffusers.safetensors"), weight)
                .unwrap(),
        };
        let edited = load(model, precision)
            .edit(&photo, "make it snowy", &options)
            .unwrap();
        edited.photo.rgb().clone()
    };
    let difference = |a: &RgbPicture, b: &RgbPicture| {
        let pairs = a.pixels().iter().zip(b.pixels());
        pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>()
    };
    let whole = edit(Some(0.7), Precision::F32);
    let half = edit(Some(0.7), Precision::F16);
    let plain = edit(None, Precision::F32);
    assert!(difference(&whole, &half) * 4 < difference(&whole, &plain));
    assert_eq!(edit(Some(0.0), Precision::F32), plain);
}

#[test]
fn the_fingerprint_says_what_was_added() {
    let print = |weight: Option<f64>| {
        let model = match weight {
            None => model(),
            Some(weight) => model()
                .with_lora(fixture("lora/loha.safetensors"), weight)
                .unwrap(),
        };
        model.fingerprint(Precision::F32).unwrap()
    };
    assert_eq!(print(Some(0.5)), print(Some(0.5)));
    assert_ne!(print(Some(0.5)), print(Some(1.0)));
    assert_ne!(print(Some(0.5)), print(None));
}

#[test]
fn what_does_not_fit_is_refused_before_weights_are_loaded() {
    // Its U-Net has other layers.
    let model = Model::open(fixture("tiny-taesd")).unwrap();
    let error = model
        .with_lora(fixture("lora/kohya.safetensors"), 1.0)
        .unwrap_err();
    assert!(matches!(error, Error::Weights { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("kohya.safetensors does not fit the model"),
        "{error}"
    );
}
