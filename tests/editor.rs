//! What the facade promises, with the tiny checkpoint.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;
use std::thread;

use common::{editor, quick};
use ip2p::{
    Compat, EditOptions, EditRequest, Editor, Error, FitPolicy, OutputSize, Photo, RgbPicture,
    Size, TargetSize,
};
use ip2p_testing::{device, fixture};

/// A photo of `width` by `height` pixels with something to see on it.
fn photo(width: u32, height: u32) -> Photo {
    let pixel = |i: u32| [(i * 7 % 256), (i / width * 3 % 256), (i % width * 2 % 256)];
    let rgb = (0..width * height)
        .flat_map(pixel)
        .map(|value| u8::try_from(value).unwrap())
        .collect();
    RgbPicture::new(Size::new(width, height), rgb)
        .unwrap()
        .into()
}

#[test]
fn the_result_has_the_photos_own_size() {
    let photo = photo(150, 90);
    let editor = editor();
    for fit in FitPolicy::ALL {
        let edited = editor
            .edit(&photo, "make it snowy", &quick().with_fit(fit))
            .unwrap();
        assert_eq!(edited.photo.size(), Size::new(150, 90), "{fit}");
        assert_ne!(edited.photo.rgb(), photo.rgb(), "{fit}");
    }
    let options = quick().with_output_size(OutputSize::Model);
    let edited = editor.edit(&photo, "make it snowy", &options).unwrap();
    assert_eq!(edited.photo.size(), edited.model_size);
}

#[test]
fn the_same_seed_gives_the_same_picture_and_another_seed_another() {
    let (editor, photo) = (editor(), photo(64, 64));
    let edit = |seed| {
        editor
            .edit(&photo, "make it snowy", &quick().with_seed(seed))
            .unwrap()
            .photo
    };
    assert_eq!(edit(1).rgb(), edit(1).rgb());
    assert_ne!(edit(1).rgb(), edit(2).rgb());
}

#[test]
fn an_image_is_the_same_alone_and_in_company() {
    let editor = editor();
    let photos = [photo(64, 64), photo(96, 64), photo(72, 72)];
    let requests = [
        EditRequest::new(&photos[0], "make it snowy").with_variations(2),
        EditRequest::new(&photos[1], "turn the car red").with_seed(9),
        EditRequest::new(&photos[2], "as a watercolour painting"),
    ];
    let together = editor.edit_batch(&requests, &quick()).unwrap();
    let alone = [
        editor.edit(&photos[0], "make it snowy", &quick()),
        editor.edit(&photos[0], "make it snowy", &quick().with_seed(6)),
        editor.edit(&photos[1], "turn the car red", &quick().with_seed(9)),
        editor.edit(&photos[2], "as a watercolour painting", &quick()),
    ];
    assert_eq!(together.len(), alone.len());
    for (together, alone) in together.iter().zip(alone) {
        let alone = alone.unwrap();
        assert_eq!(together.record.seed, alone.record.seed);
        let pairs = together
            .photo
            .rgb()
            .pixels()
            .iter()
            .zip(alone.photo.rgb().pixels());
        let furthest = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(
            furthest <= 1,
            "{}: furthest {furthest}",
            together.record.instruction
        );
    }
}

#[test]
fn edits_of_what_is_prepared_are_those_of_the_photo() {
    let (editor, photo) = (editor(), photo(96, 64));
    let request = EditRequest::new(&photo, "make it snowy");
    let prepared = editor.prepare(&request, &quick()).unwrap();
    for options in [
        quick().with_seed(1).with_text_scale(3.0),
        quick().with_steps(3).with_image_scale(1.0),
    ] {
        let mut steps = editor.steps_from(&prepared, &options).unwrap();
        for step in &mut steps {
            step.unwrap();
        }
        let shared = steps.finish().unwrap().remove(0);
        let alone = editor.edit(&photo, "make it snowy", &options).unwrap();
        assert_eq!(shared.photo.rgb(), alone.photo.rgb());
        assert_eq!(shared.record, alone.record);
    }
    for (name, options) in [
        ("negative", quick().with_negative("rain")),
        ("size", quick().with_size(TargetSize::Side(128))),
        ("fit", quick().with_fit(FitPolicy::Cover)),
        (
            "compat",
            quick()
                .with_compat(Compat::Original)
                .with_fit(FitPolicy::Contain),
        ),
    ] {
        let error = editor.steps_from(&prepared, &options).unwrap_err();
        assert!(error.to_string().starts_with(name), "{name}: {error}");
    }
}

#[test]
fn photos_of_several_sizes_are_not_walked_together() {
    let (editor, photos) = (editor(), [photo(64, 64), photo(128, 64)]);
    let requests = photos
        .each_ref()
        .map(|photo| EditRequest::new(photo, "make it snowy"));
    let error = editor
        .steps_of(&requests, &quick())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("64x64") && error.contains("64x32"),
        "{error}"
    );
    assert!(editor.steps_of(&[], &quick()).is_err());
}

#[test]
fn a_walk_can_be_left_early_with_what_there_is() {
    let (editor, photo) = (editor(), photo(64, 64));
    let request = EditRequest::new(&photo, "make it snowy");
    let mut steps = editor.steps(&request, &quick().with_steps(4)).unwrap();
    assert_eq!(steps.size_hint(), (4, Some(4)));
    let step = steps.next().unwrap().unwrap();
    let previews = step.previews();
    assert_eq!((previews.len(), previews[0].size()), (1, Size::new(8, 8)));
    let partial = steps.finish().unwrap().remove(0);
    assert_eq!(partial.photo.size(), photo.size());
    assert_eq!(partial.record.steps_done, Some(1));
}

#[test]
fn a_walk_without_a_step_has_nothing_to_show() {
    let (editor, photo) = (editor(), photo(64, 64));
    let request = EditRequest::new(&photo, "make it snowy");
    let steps = editor.steps(&request, &quick()).unwrap();
    assert!(matches!(steps.finish(), Err(Error::Stopped)));
}

#[test]
fn threads_share_an_editor() {
    let (editor, photo) = (editor(), photo(64, 64));
    let edit = || {
        editor
            .edit(&photo, "make it snowy", &quick())
            .unwrap()
            .photo
    };
    let expected = edit();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(edit)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap().rgb(), expected.rgb());
        }
    });
}

#[test]
fn scales_do_what_the_formula_says_below_one_too() {
    let (editor, photo) = (editor(), photo(64, 64));
    let edit = |text: f64, image: f64| {
        let options = quick().with_text_scale(text).with_image_scale(image);
        editor
            .edit(&photo, "make it snowy", &options)
            .unwrap()
            .photo
    };
    // At text scale 0 the sentence does not count, so another one gives the same picture.
    let options = quick().with_text_scale(0.0).with_image_scale(0.5);
    let other = editor
        .edit(&photo, "turn the car red", &options)
        .unwrap()
        .photo;
    assert_eq!(edit(0.0, 0.5).rgb(), other.rgb());
    assert_ne!(edit(0.9, 0.5).rgb(), other.rgb());
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let (editor, photo) = (editor(), photo(64, 64));
    let cases = [
        ("steps", quick().with_steps(0)),
        ("steps", quick().with_steps(1001)),
        ("text_scale", quick().with_text_scale(f64::NAN)),
        ("image_scale", quick().with_image_scale(f64::INFINITY)),
        ("guidance_rescale", quick().with_guidance_rescale(1.5)),
        ("deep_cache", quick().with_deep_cache(0)),
        ("adaptive_guidance", quick().with_adaptive_guidance(0.0)),
        ("adaptive_guidance", quick().with_adaptive_guidance(1.1)),
        (
            "adaptive_guidance",
            quick().with_adaptive_guidance(f64::NAN),
        ),
        ("eta", quick().with_eta(-0.1)),
        ("size", quick().with_size(TargetSize::Side(100))),
    ];
    for (name, options) in cases {
        let error = editor.edit(&photo, "make it snowy", &options).unwrap_err();
        assert!(error.to_string().starts_with(name), "{name}: {error}");
    }
    for instruction in ["", " \n"] {
        let error = editor.edit(&photo, instruction, &quick()).unwrap_err();
        assert!(error.to_string().starts_with("instruction"), "{error}");
    }
}

#[test]
fn words_that_the_text_encoder_does_not_get_are_shown() {
    let (editor, photo) = (editor(), photo(64, 64));
    let long = "make it snowy and ".repeat(30) + "add a walrus";
    let edited = editor.edit(&photo, &long, &quick()).unwrap();
    assert!(
        edited
            .warnings
            .iter()
            .any(|warning| warning.contains("walrus")),
        "{:?}",
        edited.warnings
    );
}

#[test]
fn diffusers_mode_says_when_it_turns_guidance_off() {
    let (editor, photo) = (editor(), photo(64, 64));
    let options = quick().with_compat(Compat::Diffusers).with_image_scale(0.9);
    let edited = editor.edit(&photo, "make it snowy", &options).unwrap();
    assert!(
        edited
            .warnings
            .iter()
            .any(|warning| warning.contains("guidance off")),
        "{:?}",
        edited.warnings
    );
}

/// The files of a folder, with their paths in it.
fn files_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            let inner = files_of(&entry.path()).into_iter();
            files.extend(inner.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            files.push((name, fs::read(entry.path()).unwrap()));
        }
    }
    files
}

#[test]
fn a_checkpoint_in_memory_edits_as_from_its_folder() {
    let folder = fixture("tiny-taesd");
    let from_disk = Editor::load(&folder, &device()).unwrap();
    let from_memory = Editor::load_from_memory("tiny-taesd", files_of(&folder), &device()).unwrap();
    assert_eq!(from_memory.fingerprint(), from_disk.fingerprint());
    assert_eq!(from_memory.model().profile(), from_disk.model().profile());
    assert_eq!(from_memory.model().folder(), None);
    let photo = photo(70, 60);
    let edit = |editor: &Editor| {
        let options = EditOptions::default().with_seed(5);
        editor.edit(&photo, "make it snowy", &options).unwrap()
    };
    let (memory, disk) = (edit(&from_memory), edit(&from_disk));
    assert_eq!(memory.photo.rgb(), disk.photo.rgb());
    assert_eq!(memory.record.model_path, None);
    assert_eq!(memory.record.model_hash, disk.record.model_hash);
}

#[test]
fn what_is_wrong_in_memory_is_named_as_on_the_disk() {
    let files = files_of(&fixture("tiny-taesd"));
    let message = |change: &dyn Fn(&str, &mut Vec<u8>) -> bool| {
        let mut files = files.clone();
        files.retain_mut(|(name, bytes)| change(name, bytes));
        let error = Editor::load_from_memory("box", files, &device()).unwrap_err();
        error.to_string()
    };
    let weights = "unet/diffusion_pytorch_model.fp16.safetensors";
    for (expected, message) in [
        (
            "box: has no model_index.json",
            message(&|name, _| name != "model_index.json"),
        ),
        (
            "box: the tokenizer is missing",
            message(&|name, _| !name.starts_with("tokenizer/")),
        ),
        (
            "box/tokenizer: has no tokenizer",
            message(&|name, _| name != "tokenizer/merges.txt"),
        ),
        (
            "box/unet: has no weights",
            message(&|name, _| name != weights),
        ),
        (
            "box/unet/diffusion_pytorch_model.fp16.safetensors: ends at byte",
            message(&|name, bytes| {
                if name == weights {
                    bytes.pop();
                }
                true
            }),
        ),
        (
            "box/ip2p.json: is no profile",
            message(&|name, bytes| {
                if name == "ip2p.json" {
                    *bytes = br#"{"step": 3}"#.to_vec();
                }
                true
            }),
        ),
    ] {
        assert!(message.starts_with(expected), "{expected}: {message}");
    }
}

#[test]
fn a_checkpoints_own_defaults_are_used_and_recorded() {
    let editor = Editor::load(fixture("tiny-taesd"), &device()).unwrap();
    let photo = photo(90, 60);
    let options = EditOptions::default().with_seed(5);
    let edited = editor.edit(&photo, "make it snowy", &options).unwrap();
    assert_eq!(edited.model_size, Size::new(64, 48));
    assert_eq!(edited.record.steps, 3);
    assert_eq!(edited.record.sampler, "dpmpp-2m");
    assert_eq!(edited.record.size, TargetSize::Side(64));
    let stated = options
        .with_steps(3)
        .with_sampler(ip2p::SamplerKind::DpmPp2m)
        .with_size(TargetSize::Side(64));
    let same = editor.edit(&photo, "make it snowy", &stated).unwrap();
    assert_eq!(same.photo.rgb(), edited.photo.rgb());
    // The record repeats the edit with a checkpoint of other defaults too.
    let again = EditOptions::from_record(&edited.record).unwrap();
    assert_eq!((again.steps, again.size), (stated.steps, stated.size));
    let repeated = editor.edit(&photo, "make it snowy", &again).unwrap();
    assert_eq!(repeated.record, edited.record);
}

#[test]
fn a_record_gives_back_the_options_that_it_was_made_with() {
    let (editor, photo) = (editor(), photo(64, 64));
    let options = quick()
        .with_text_scale(vec![9.0, 3.0])
        .with_negative("rain, \"fog\"\nand night")
        .with_fit(FitPolicy::Stretch)
        .with_sampler(ip2p::SamplerKind::Ddim)
        .with_eta(0.5);
    let edited = editor.edit(&photo, "make it snowy", &options).unwrap();
    let again = EditOptions::from_record(&edited.record).unwrap();
    let repeated = editor
        .edit(&photo, &edited.record.instruction, &again)
        .unwrap();
    assert_eq!(repeated.photo.rgb(), edited.photo.rgb());
    assert_eq!(repeated.record, edited.record);
}
