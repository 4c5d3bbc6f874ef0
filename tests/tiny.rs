//! Edits with the model that comes with ip2p, against diffusers' pipeline on the same files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ip2p::{Compat, EditOptions, Editor, Model, Photo, RgbPicture, SamplerKind, Size};
use ip2p_testing::{Golden, device};

/// The photo of a fixture, and the picture that diffusers made of it.
fn pictures(golden: &Golden) -> (Photo, RgbPicture) {
    let picture = |name: &str| {
        let shape = golden.shape(name);
        let side = |axis: usize| u32::try_from(shape[axis]).unwrap();
        RgbPicture::new(Size::new(side(1), side(0)), golden.bytes(name)).unwrap()
    };
    (picture("photo").into(), picture("output.0"))
}

#[test]
fn the_small_model_gives_the_picture_that_diffusers_gives() {
    let editor = Editor::tiny(&device()).unwrap();
    for name in ["snow", "night"] {
        let golden = Golden::open(&format!("boxed/{name}"));
        let (photo, expected) = pictures(&golden);
        let number = |key: &str| golden.text(key).parse::<f64>().unwrap();
        let options = EditOptions::default()
            .with_compat(Compat::Diffusers)
            .with_sampler(SamplerKind::Euler)
            .with_steps(golden.text("steps").parse().unwrap())
            .with_seed(golden.text("seed").parse().unwrap())
            .with_text_scale(number("text_scale"))
            .with_image_scale(number("image_scale"));
        let edited = editor
            .edit(&photo, golden.text("instruction"), &options)
            .unwrap();
        assert_eq!(edited.photo.size(), expected.size());
        let pairs = edited.photo.rgb().pixels().iter().zip(expected.pixels());
        let differences: Vec<u8> = pairs.map(|(a, b)| a.abs_diff(*b)).collect();
        let far = differences
            .iter()
            .filter(|difference| **difference > 1)
            .count();
        let furthest = differences.iter().max().unwrap();
        assert!(
            far * 1000 <= differences.len() && *furthest <= 3,
            "{name}: {far} of {} further than 1, furthest {furthest}",
            differences.len()
        );
    }
}

#[test]
fn the_small_model_is_small_and_says_what_it_is() {
    let bytes: usize = ip2p_tiny::FILES.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes <= 9_000_000, "{bytes} bytes");
    let model = Model::tiny().unwrap();
    assert_eq!(model.profile().name, "ip2p-tiny");
}

#[test]
fn a_greater_image_scale_keeps_more_of_the_photo() {
    let editor = Editor::tiny(&device()).unwrap();
    let (photo, _) = pictures(&Golden::open("boxed/snow"));
    let change = |image_scale: f64| {
        let options = EditOptions::default().with_image_scale(image_scale);
        let edited = editor.edit(&photo, "make it snowy", &options).unwrap();
        let pairs = edited.photo.rgb().pixels().iter().zip(photo.rgb().pixels());
        pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>()
    };
    let changes = [1.0, 1.4, 1.8, 2.2].map(change);
    assert!(changes.is_sorted_by(|a, b| a > b), "{changes:?}");
}
