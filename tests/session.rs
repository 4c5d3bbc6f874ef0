//! Edits in turn with the tiny checkpoint, whose random weights change everything that they may.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use burn::tensor::Tensor;
use common::{editor, quick};
use ip2p::core::Region;
use ip2p::region::Mask;
use ip2p::{
    Compat, EditOptions, Editor, Error, Focus, OutputSize, Photo, PhotoFile, RgbPicture, Session,
    Size, TargetSize, TurnRequest,
};
use ip2p_testing::{Golden, device, fixture};

fn photo(width: u32, height: u32) -> PhotoFile {
    let photo = common::photo(width, height);
    PhotoFile::from_bytes("photo.png", photo.to_png().unwrap())
}

fn mask(session: &Session, x: u32, y: u32, width: u32, height: u32) -> Mask {
    let size = Size::new(width, height);
    Mask::from_region(session.photo().size(), Region { x, y, size })
}

fn sentences(session: &Session) -> Vec<&str> {
    let turns = session.turns();
    turns.map(|turn| turn.record.instruction.as_str()).collect()
}

#[test]
fn the_first_turn_is_the_edit_of_the_photo() {
    let editor = editor();
    let photo = photo(80, 60);
    let whole = || quick().with_focus(Focus::Photo);
    for options in [
        whole(),
        whole().with_output_size(OutputSize::Model),
        whole().with_strength(0.5),
    ] {
        let mut session = Session::begin(&editor, photo.clone(), &options).unwrap();
        session.edit(&editor, "make it snowy", &options).unwrap();
        let turn = session.picture(&editor).unwrap();
        let edited = editor
            .edit(&photo.decode().unwrap(), "make it snowy", &options)
            .unwrap();
        assert_eq!(turn.photo.rgb(), edited.photo.rgb());
        assert_eq!(turn.record, edited.record);
    }
}

#[test]
fn the_next_turn_goes_on_from_latents_and_not_from_the_picture() {
    let editor = editor();
    let mut session = Session::begin(&editor, photo(64, 64), &quick()).unwrap();
    session.edit(&editor, "make it snowy", &quick()).unwrap();
    let between = session.picture(&editor).unwrap().photo;
    let options = quick().with_seed(6);
    session.edit(&editor, "add a hat", &options).unwrap();
    let in_turn = session.picture(&editor).unwrap();
    let through_bytes = editor.edit(&between, "add a hat", &options).unwrap();
    assert_ne!(in_turn.photo.rgb(), through_bytes.photo.rgb());
    // All turns are in the record.
    let earlier = &in_turn.record.earlier;
    assert_eq!((earlier.len(), earlier[0].seed), (1, 5));
    assert_eq!(
        (in_turn.record.instruction.as_str(), in_turn.record.seed),
        ("add a hat", 6)
    );
}

/// The latents after the last step of a turn, which is added to the session.
fn made(
    session: &mut Session,
    editor: &Editor,
    sentence: &str,
    options: &EditOptions,
) -> Tensor<4> {
    let mut steps = session
        .steps(editor, TurnRequest::new(sentence), options)
        .unwrap();
    let last = steps.by_ref().map(Result::unwrap).last().unwrap();
    session.add(steps).unwrap();
    last.latents
}

#[test]
fn turns_are_those_of_the_original_loop_from_latents_to_latents() {
    let editor = editor();
    let mut golden = Golden::open("pipeline/turns");
    let [height, width] = [0, 1].map(|axis| u32::try_from(golden.shape("photo")[axis]).unwrap());
    let picture = RgbPicture::new(Size::new(width, height), golden.bytes("photo")).unwrap();
    let png = Photo::from(picture).to_png().unwrap();
    let seed: u64 = golden.text("seed").parse().unwrap();
    let options = EditOptions::default()
        .with_steps(golden.text("steps").parse().unwrap())
        .with_size(TargetSize::Side(64))
        .with_seed(seed);
    let mut session =
        Session::begin(&editor, PhotoFile::from_bytes("photo.png", png), &options).unwrap();
    let first = made(&mut session, &editor, "make it snowy", &options);
    golden.check("turn.0", first);
    let second = golden.text("second").to_owned();
    let second = made(&mut session, &editor, &second, &options.with_seed(seed + 1));
    golden.check("turn.1", second);
    golden.finish();
}

#[test]
fn outside_every_mask_the_picture_is_the_first_photo_and_in_one_mask_that_turns() {
    let editor = editor();
    for output_size in [OutputSize::Photo, OutputSize::Model] {
        let options = quick().with_output_size(output_size);
        // At the model's own size, so that both are one picture.
        let mut session = Session::begin(&editor, photo(64, 64), &options).unwrap();
        let first = session.photo().clone();
        let masks = [mask(&session, 0, 0, 20, 64), mask(&session, 10, 40, 30, 20)];
        let mut pictures = vec![first.clone()];
        for mask in &masks {
            let request = TurnRequest::new("make it snowy").with_mask(mask);
            session.edit(&editor, request, &options).unwrap();
            pictures.push(session.picture(&editor).unwrap().photo);
        }
        for (turn, mask) in masks.iter().enumerate() {
            let pairs = pictures[turn]
                .rgb()
                .pixels()
                .iter()
                .zip(pictures[turn + 1].rgb().pixels());
            let changed = pairs
                .enumerate()
                .filter(|(_, (a, b))| a != b)
                .map(|(at, _)| at / 3);
            let changed: Vec<_> = changed.collect();
            assert!(!changed.is_empty());
            assert!(
                changed.iter().all(|&pixel| mask.weights()[pixel] == 255),
                "turn {turn}"
            );
        }
        for drift in session.compare(&editor, None).unwrap() {
            assert_eq!(drift.outside, Some(f64::INFINITY));
            assert!(drift.whole.is_finite());
        }
        // The drift of the whole picture is that of the pixels.
        let drifts = session.compare(&editor, None).unwrap();
        let whole = first.rgb().psnr(pictures[2].rgb(), |_| true).unwrap();
        assert_eq!(drifts[1].whole, whole);
    }
}

#[test]
fn without_a_mask_there_is_no_outside_but_that_of_the_caller() {
    let editor = editor();
    let mut session = Session::begin(&editor, photo(64, 64), &quick()).unwrap();
    session.edit(&editor, "make it snowy", &quick()).unwrap();
    assert_eq!(session.compare(&editor, None).unwrap()[0].outside, None);
    let of_caller = mask(&session, 0, 0, 32, 64);
    let drift = session.compare(&editor, Some(&of_caller)).unwrap()[0];
    assert!(drift.outside.unwrap().is_finite());
}

#[test]
fn turns_are_taken_back_and_brought_again() {
    let editor = editor();
    let mut session = Session::begin(&editor, photo(80, 60), &quick()).unwrap();
    assert!(session.undo().is_none() && session.redo().is_none());
    for sentence in ["one", "two", "three"] {
        session.edit(&editor, sentence, &quick()).unwrap();
    }
    let three = session.picture(&editor).unwrap();
    assert_eq!(session.undo().unwrap().record.instruction, "three");
    assert_eq!(session.undo().unwrap().record.instruction, "two");
    assert_eq!(
        (sentences(&session), session.undone().len()),
        (vec!["one"], 2)
    );
    session.redo().unwrap();
    session.redo().unwrap();
    assert!(session.redo().is_none());
    assert_eq!(session.picture(&editor).unwrap().photo, three.photo);
    // Another edit instead of what was taken back.
    session.undo();
    session.edit(&editor, "four", &quick()).unwrap();
    assert_eq!(
        (sentences(&session), session.undone().len()),
        (vec!["one", "two", "four"], 0)
    );
    // Without any turn there is no picture, and the session goes on.
    while session.undo().is_some() {}
    let error = session.picture(&editor).unwrap_err();
    assert!(error.to_string().starts_with("turns must be"), "{error}");
    assert_eq!(session.compare(&editor, None).unwrap(), []);
}

#[test]
fn branches_share_what_came_before_and_nothing_else() {
    let editor = editor();
    let mut session = Session::begin(&editor, photo(80, 60), &quick()).unwrap();
    session.edit(&editor, "one", &quick()).unwrap();
    session.edit(&editor, "two", &quick()).unwrap();
    session.undo();
    session.branch("other").unwrap();
    session.edit(&editor, "three", &quick()).unwrap();
    assert_eq!(sentences(&session), ["one", "three"]);
    session.switch("main").unwrap();
    assert_eq!(sentences(&session), ["one"]);
    session.redo().unwrap();
    assert_eq!(sentences(&session), ["one", "two"]);
    let branches: Vec<_> = session.branches().collect();
    assert_eq!(branches, [("main", 2), ("other", 2)]);
    assert_eq!(session.current_branch(), "main");
    for name in ["other", "", " ", "a\nb"] {
        assert!(session.branch(name).is_err(), "{name:?}");
    }
    let error = session.switch("third").unwrap_err().to_string();
    assert!(error.contains("main, other"), "{error}");
}

#[test]
fn a_session_comes_back_from_its_file_to_the_byte() {
    let editor = editor();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.ip2p");
    let mut session = Session::begin(&editor, photo(81, 60), &quick()).unwrap();
    let masked = mask(&session, 3, 4, 33, 21).feathered(4);
    session.edit(&editor, "one", &quick()).unwrap();
    let request = TurnRequest::new("two").with_mask(&masked);
    session
        .edit(&editor, request, &quick().with_eta(0.5).with_strength(0.5))
        .unwrap();
    session.branch("other").unwrap();
    session.edit(&editor, "three", &quick()).unwrap();
    session.undo();
    session.save(&path).unwrap();

    let mut read = Session::open(&path).unwrap();
    assert_eq!(read.to_bytes().unwrap(), std::fs::read(&path).unwrap());
    assert_eq!(sentences(&read), sentences(&session));
    assert_eq!((read.current_branch(), read.undone().len()), ("other", 1));
    assert_eq!(read.photo(), session.photo());
    let (was, is) = (
        session.picture(&editor).unwrap(),
        read.picture(&editor).unwrap(),
    );
    assert_eq!((was.photo, was.record), (is.photo, is.record));
    // And goes on as if it had never been away.
    for session in [&mut session, &mut read] {
        session.redo().unwrap();
        session.edit(&editor, "four", &quick()).unwrap();
    }
    let (was, is) = (
        session.picture(&editor).unwrap(),
        read.picture(&editor).unwrap(),
    );
    assert_eq!(was.photo, is.photo);
}

#[test]
fn what_is_no_whole_session_of_this_version_is_refused() {
    let editor = editor();
    let mut session = Session::begin(&editor, photo(64, 64), &quick()).unwrap();
    session.edit(&editor, "one", &quick()).unwrap();
    let bytes = session.to_bytes().unwrap();
    let refused = |bytes: &[u8]| match Session::from_bytes("photo.ip2p", bytes) {
        Err(Error::Session { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let header = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap() + 8;
    for cut in [0, 7, 8] {
        assert!(refused(&bytes[..cut]).contains("not a session"), "{cut}");
    }
    for cut in [100, header - 1, header, header + 1, bytes.len() - 1] {
        assert!(refused(&bytes[..cut]).contains("cut short"), "{cut}");
    }
    for at in [header, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(refused(&damaged).contains("damaged"), "{at}");
    }
    let replaced = |from: &str, to: &str| {
        let mut bytes = bytes.clone();
        let at = bytes
            .windows(from.len())
            .position(|part| part == from.as_bytes())
            .unwrap();
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    assert!(refused(&replaced("\"1 ", "\"7 ")).contains("version 7"));
    assert!(refused(&replaced("\\\"one\\\"", "\\\"two\\\"")).contains("damaged"));
    assert!(refused(&replaced("ip2p-session", "ip2p-sessiom")).contains("not a session"));
    // A checkpoint's weights are in the same container.
    let weights = std::fs::read(fixture("clip/weights.safetensors")).unwrap();
    assert!(refused(&weights).contains("not a session"));
    assert!(matches!(
        Session::open("missing.ip2p"),
        Err(Error::Io { .. })
    ));
}

#[test]
fn another_model_and_options_that_all_turns_share_are_refused_by_name() {
    let editor = editor();
    let mut session = Session::begin(&editor, photo(64, 64), &quick()).unwrap();
    let mut refused = |editor: &Editor, options: EditOptions| {
        session
            .edit(editor, "one", &options)
            .unwrap_err()
            .to_string()
    };
    let other = Editor::load(fixture("tiny-taesd"), &device()).unwrap();
    assert!(refused(&other, quick()).starts_with("model must be"));
    let side = quick().with_size(TargetSize::Side(128));
    assert!(refused(&editor, side).starts_with("size must be 64"));
    let stretch = quick().with_fit(ip2p::FitPolicy::Stretch);
    assert!(refused(&editor, stretch).starts_with("fit must be contain"));
    let small = quick().with_output_size(OutputSize::Model);
    assert!(refused(&editor, small).starts_with("keep_model_size must be false"));
    let compat = quick().with_compat(Compat::Diffusers);
    assert!(refused(&editor, compat.clone()).starts_with("compat must be none"));
    assert!(Session::begin(&editor, photo(64, 64), &compat).is_err());
    assert!(refused(&editor, quick().with_steps(0)).starts_with("steps"));
    assert_eq!(session.turns().len(), 0);
}

#[test]
fn steps_belong_to_the_turn_that_they_were_begun_after() {
    let editor = editor();
    let mut session = Session::begin(&editor, photo(64, 64), &quick()).unwrap();
    let mut early = session.steps(&editor, "one", &quick()).unwrap();
    assert_eq!(early.steps(), 2);
    early.next().unwrap().unwrap();
    session.edit(&editor, "two", &quick()).unwrap();
    let error = session.add(early).unwrap_err();
    assert!(error.to_string().starts_with("turn must be"), "{error}");
    // None made is nothing; some made is what there is by now.
    let none = session.steps(&editor, "three", &quick()).unwrap();
    assert!(matches!(session.add(none), Err(Error::Stopped)));
    let mut some = session.steps(&editor, "three", &quick()).unwrap();
    assert!(some.next().unwrap().unwrap().previews()[0].size().width > 0);
    assert_eq!(session.add(some).unwrap().record.steps_done, Some(1));
    assert_eq!(sentences(&session), ["two", "three"]);
}
