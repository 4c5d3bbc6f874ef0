//! Edits of a part of a photo, with the tiny checkpoint, whose random weights change everything that they may.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{changed_inside, editor, photo, quick};
use ip2p::core::Region;
use ip2p::region::{Mask, Place};
use ip2p::{Compat, Detail, EditOptions, EditRequest, Edited, Editor, FitPolicy, Photo, Size};

fn region(x: u32, y: u32, width: u32, height: u32) -> Region {
    Region {
        x,
        y,
        size: Size::new(width, height),
    }
}

fn masked(editor: &Editor, photo: &Photo, mask: &Mask, options: &EditOptions) -> Edited {
    let request = EditRequest::new(photo, "make it snowy").with_mask(mask);
    let mut edited = editor.edit_batch(&[request], options).unwrap();
    edited.swap_remove(0)
}

#[test]
fn outside_a_hard_mask_every_byte_is_the_photos_in_every_format_that_can_hold_it() {
    let editor = editor();
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ((80, 60), region(10, 10, 30, 20), FitPolicy::Contain, "png"),
        ((150, 90), region(0, 0, 7, 90), FitPolicy::Cover, "webp"),
        ((33, 47), region(32, 46, 1, 1), FitPolicy::Stretch, "tiff"),
        ((64, 64), region(3, 40, 61, 9), FitPolicy::Native, "bmp"),
        ((97, 31), region(50, 0, 47, 31), FitPolicy::Original, "png"),
    ];
    for (index, ((width, height), region, fit, format)) in cases.into_iter().enumerate() {
        let photo = photo(width, height);
        let mask = Mask::from_region(photo.size(), region);
        for detail in Detail::ALL {
            let options = quick().with_fit(fit).with_detail(detail);
            let edited = masked(&editor, &photo, &mask, &options);
            let path = folder.path().join(format!("{index}-{detail}.{format}"));
            edited.save(&path).unwrap();
            let read = Photo::open(&path).unwrap();
            let changed = changed_inside(&read, &photo, &mask);
            assert!(changed > 0, "{fit} {detail}: the mask's inside was edited");
        }
    }
}

#[test]
fn a_mask_holds_at_the_models_size_too() {
    let (editor, photo) = (editor(), photo(64, 64));
    let mask = Mask::from_region(photo.size(), region(8, 8, 40, 24));
    let options = quick().with_compat(Compat::Diffusers);
    let edited = masked(&editor, &photo, &mask, &options);
    assert!(changed_inside(&edited.photo, &photo, &mask) > 0);
}

#[test]
fn images_of_a_batch_have_masks_of_their_own() {
    let (editor, photo) = (editor(), photo(64, 64));
    let left = Mask::from_region(photo.size(), region(0, 0, 32, 64));
    let top = "top".parse::<Place>().unwrap().mask(photo.size());
    let request = || EditRequest::new(&photo, "make it snowy");
    let requests = [
        request().with_mask(&left),
        request(),
        request().with_mask(&top).with_variations(2),
    ];
    let edited = editor.edit_batch(&requests, &quick()).unwrap();
    let whole = Mask::from_region(photo.size(), region(0, 0, 64, 64));
    for (edited, mask) in edited.iter().zip([&left, &whole, &top, &top]) {
        assert!(changed_inside(&edited.photo, &photo, mask) > 0);
        let named = edited.record.mask_hash.is_some();
        assert_eq!(named, !std::ptr::eq(mask, &raw const whole));
    }
}

#[test]
fn a_mask_of_another_size_is_fitted_and_said_so() {
    let (editor, photo) = (editor(), photo(80, 60));
    let mask = Mask::from_region(Size::new(40, 30), region(0, 0, 20, 30));
    let edited = masked(&editor, &photo, &mask, &quick());
    let fitted = mask.resized(photo.size());
    assert!(changed_inside(&edited.photo, &photo, &fitted) > 0);
    let said = |text| edited.warnings.iter().any(|warning| warning.contains(text));
    assert!(said("fitted to the photo's 80x60"), "{:?}", edited.warnings);
}

#[test]
fn a_black_mask_is_refused_and_a_white_one_said_to_be_none() {
    let (editor, photo) = (editor(), photo(64, 64));
    let all = |weight| Mask::new(photo.size(), vec![weight; 64 * 64]).unwrap();
    let (black, white) = (all(0), all(255));
    let request = EditRequest::new(&photo, "make it snowy").with_mask(&black);
    let error = editor.edit_batch(&[request], &quick()).unwrap_err();
    assert!(error.to_string().contains("all black"), "{error}");
    let edited = masked(&editor, &photo, &white, &quick());
    let said = edited
        .warnings
        .iter()
        .any(|warning| warning.contains("white all over"));
    assert!(said, "{:?}", edited.warnings);
}

#[test]
fn the_model_detail_is_the_models_picture() {
    let (editor, photo) = (editor(), photo(64, 64));
    let edit = |options: EditOptions| editor.edit(&photo, "make it snowy", &options).unwrap();
    let raw = edit(quick().with_compat(Compat::None).with_detail(Detail::Model));
    let whole = edit(quick().with_output_size(ip2p::OutputSize::Model));
    // At the model's own size nothing is resampled.
    assert_eq!(raw.photo.rgb(), whole.photo.rgb());
    let carried = edit(quick());
    assert_ne!(carried.photo.rgb(), raw.photo.rgb());
    assert_eq!(carried.record.detail, "photo");
}
