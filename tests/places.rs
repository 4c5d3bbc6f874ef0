//! Edits where something says where: the sentence itself, a place, a small mask; and two hundred hard masks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::cell::Cell;

use common::{changed_inside, editor, photo, quick};
use ip2p::core::Region;
use ip2p::region::{Mask, Where, composite, view};
use ip2p::{
    EditOptions, EditRequest, Edited, Editor, FitPolicy, Focus, Photo, RgbPicture, Size, TargetSize,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// The formats that lose nothing.
const FORMATS: [&str; 4] = ["png", "webp", "tiff", "bmp"];

fn edit(editor: &Editor, request: &EditRequest<'_>, options: &EditOptions) -> Edited {
    let mut edited = editor
        .edit_batch(std::slice::from_ref(request), options)
        .unwrap();
    edited.swap_remove(0)
}

#[test]
fn what_auto_finds_is_said_and_the_rest_is_kept() {
    let (editor, photo) = (editor(), photo(90, 70));
    let request = EditRequest::new(&photo, "make it snowy");
    let mut unfound = 0;
    // Few steps, where the edit's own evaluations show it, and enough to ask beforehand.
    for steps in [1, 2, 10] {
        let options = quick().with_steps(steps);
        let plain = edit(&editor, &request, &options);
        assert_eq!(plain.mask, None);
        let auto = edit(&editor, &request, &options.clone().with_where(Where::AUTO));
        assert_eq!(auto.record.region, "auto");
        if let Some(mask) = &auto.mask {
            assert!(changed_inside(&auto.photo, &photo, mask) > 0);
        } else {
            assert_eq!(auto.photo.rgb(), plain.photo.rgb());
            assert!(auto.warnings.iter().any(|said| said.contains("stands out")));
        }
        let at = |region: &str| options.clone().with_where(region.parse::<Where>().unwrap());
        let left = edit(&editor, &request, &at("auto left"));
        if left.warnings.iter().any(|said| said.contains("stands out")) {
            // Then the place alone says where, and all that the edit changes there is taken.
            let place = edit(&editor, &request, &at("left"));
            assert_eq!(left.photo.rgb(), place.photo.rgb());
            unfound += 1;
        }
        let mask = left.mask.expect("a place is a mask");
        assert!(changed_inside(&left.photo, &photo, &mask) > 0);
        assert_eq!(mask.weights()[89], 0, "the right is kept");
        // The record has all that is needed to make the picture again.
        let again = EditOptions::from_record(&left.record).unwrap();
        let again = edit(&editor, &request, &again);
        assert_eq!(again.photo.rgb(), left.photo.rgb());
    }
    assert!(unfound > 0);
}

#[test]
fn a_place_in_the_options_is_the_mask_of_that_place() {
    let (editor, photo) = (editor(), photo(64, 64));
    let mask = "top left"
        .parse::<ip2p::region::Place>()
        .unwrap()
        .mask(photo.size());
    let request = EditRequest::new(&photo, "make it snowy");
    let region: Where = "top left".parse().unwrap();
    let by_place = edit(&editor, &request, &quick().with_where(region));
    let by_mask = edit(&editor, &request.clone().with_mask(&mask), &quick());
    assert_eq!(by_place.photo.rgb(), by_mask.photo.rgb());
    assert_eq!(by_place.record.mask_hash, None);

    let right = Mask::from_region(
        photo.size(),
        Region {
            x: 50,
            y: 0,
            size: Size::new(14, 64),
        },
    );
    let request = request.with_mask(&right);
    let options = quick().with_where("left".parse::<Where>().unwrap());
    let error = editor.edit_batch(&[request], &options).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("where must be a place that the mask"),
        "{error}"
    );
}

#[test]
fn a_small_part_has_the_models_whole_resolution_and_the_rest_is_kept() {
    let (editor, photo) = (editor(), photo(400, 300));
    let part = Region {
        x: 300,
        y: 20,
        size: Size::new(40, 50),
    };
    let mask = Mask::from_region(photo.size(), part);
    let request = EditRequest::new(&photo, "make it snowy").with_mask(&mask);
    let near = edit(&editor, &request, &quick());
    assert!(changed_inside(&near.photo, &photo, &mask) > 0);
    assert_eq!(near.photo.size(), photo.size());
    assert_eq!(near.mask.as_deref(), Some(&mask));
    assert_eq!(near.record.photo_size, Some(photo.size()));

    // It is the edit of that part, put back.
    let seen = view(photo.size(), part, TargetSize::Side(64)).unwrap();
    let (alone, of_part) = (photo.part(seen), mask.part(seen));
    let alone = EditRequest::new(&alone, "make it snowy").with_mask(&of_part);
    let alone = edit(&editor, &alone, &quick());
    assert_eq!(near.photo.part(seen).rgb(), alone.photo.rgb());

    let far = edit(&editor, &request, &quick().with_focus(Focus::Photo));
    assert!(changed_inside(&far.photo, &photo, &mask) > 0);
    assert_ne!(far.photo.rgb(), near.photo.rgb());
    // A photo of which all may change is seen whole.
    let whole = EditRequest::new(&photo, "make it snowy");
    let [a, b] = Focus::ALL.map(|focus| edit(&editor, &whole, &quick().with_focus(focus)));
    assert_eq!(a.photo.rgb(), b.photo.rgb());
}

/// A photo, a picture that is everywhere another, and a mask.
fn case() -> impl Strategy<Value = (Photo, RgbPicture, Mask, usize)> {
    let size = (1..80_u32, 1..80_u32).prop_map(|(width, height)| Size::new(width, height));
    (size, any::<u64>(), 0..4_usize, 0..FORMATS.len()).prop_map(|(size, seed, kind, format)| {
        let mut state = seed | 1;
        let mut byte = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        let count = usize::try_from(size.pixels()).unwrap();
        let pixels: Vec<u8> = (0..3 * count).map(|_| byte()).collect();
        let other = pixels.iter().map(|&byte| byte.wrapping_add(128)).collect();
        let picture = |pixels| RgbPicture::new(size, pixels).unwrap();
        let mask = match kind {
            // A box, single pixels, a place, all of it.
            0 => {
                let part = |of: u32, share: u8| of * u32::from(share) / 256;
                let (x, y) = (part(size.width, byte()), part(size.height, byte()));
                let size_of =
                    Size::new(1 + part(size.width, byte()), 1 + part(size.height, byte()));
                Mask::from_region(
                    size,
                    Region {
                        x,
                        y,
                        size: size_of,
                    },
                )
            }
            1 => Mask::new(size, (0..count).map(|_| 255 * (byte() & 1)).collect()).unwrap(),
            2 => "bottom right"
                .parse::<ip2p::region::Place>()
                .unwrap()
                .mask(size)
                .hardened(),
            _ => Mask::from_region(size, size.into()),
        };
        (picture(pixels).into(), picture(other), mask, format)
    })
}

#[test]
fn outside_two_hundred_hard_masks_every_byte_of_the_file_is_the_photos() {
    let folder = tempfile::tempdir().unwrap();
    let (cases, kept) = (Cell::new(0), Cell::new(0_usize));
    let mut runner = TestRunner::new(Config::with_cases(200));
    let outcome = runner.run(&case(), |(photo, other, mask, format)| {
        let path = folder
            .path()
            .join(format!("{}.{}", cases.get(), FORMATS[format]));
        composite(&photo, &other, &mask)
            .unwrap()
            .save(&path, None)
            .unwrap();
        let read = Photo::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let (before, after) = (photo.rgb().pixels(), read.rgb().pixels());
        for (at, &weight) in mask.weights().iter().enumerate() {
            let from = if weight == 0 { before } else { other.pixels() };
            let pixel = at * 3..at * 3 + 3;
            prop_assert_eq!(
                &after[pixel.clone()],
                &from[pixel],
                "pixel {} of {:?}",
                at,
                mask
            );
            kept.set(kept.get() + usize::from(weight == 0));
        }
        cases.set(cases.get() + 1);
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(cases.get(), 200);
    assert!(
        kept.get() > 10_000,
        "masks that keep something: {}",
        kept.get()
    );
}

/// The same through the whole editor, with every way of fitting.
#[test]
fn outside_random_hard_masks_the_editor_keeps_every_byte() {
    let editor = editor();
    let folder = tempfile::tempdir().unwrap();
    let index = Cell::new(0_usize);
    let mut runner = TestRunner::new(Config::with_cases(10));
    let outcome = runner.run(&case(), |(photo, _, mask, format)| {
        let fit = FitPolicy::ALL[index.get() % FitPolicy::ALL.len()];
        let focus = Focus::ALL[index.get() % 2];
        index.set(index.get() + 1);
        let options = quick().with_steps(1).with_fit(fit).with_focus(focus);
        let request = EditRequest::new(&photo, "make it snowy").with_mask(&mask);
        // A policy may refuse so small a photo.
        let Ok(edited) = editor.edit_batch(&[request], &options) else {
            prop_assert!(photo.size().shorter() < 64);
            return Ok(());
        };
        let path = folder.path().join(format!("picture.{}", FORMATS[format]));
        edited[0].save(&path).unwrap();
        changed_inside(&Photo::open(&path).unwrap(), &photo, &mask);
        Ok(())
    });
    outcome.unwrap();
}
