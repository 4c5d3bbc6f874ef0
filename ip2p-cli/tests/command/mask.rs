//! Edits of a part of the photo.

use std::fs;

use ip2p::{Photo, RgbPicture, Size};

use crate::desk::{Desk, failure, pixels, stdout};

fn error(desk: &Desk, arguments: &[&str]) -> String {
    let output = desk.edit(&[&["photo.png", "make it snowy", "-o", "out.png"], arguments].concat());
    assert!(!output.status.success());
    assert!(!desk.files().contains(&"out.png".to_owned()));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_box_keeps_the_rest_and_the_mask_can_be_looked_at() {
    let desk = Desk::new();
    let output = desk.edit(&[
        "photo.png",
        "make it snowy",
        "-o",
        "out.png",
        "--mask-box",
        "0,0,40,60",
        "--where",
        "top left",
        "--save-mask",
        "mask.png",
        "--show-mask",
        "shown.png",
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let open = |name| Photo::open(desk.path(name)).unwrap();
    let (photo, edited, mask) = (open("photo.png"), open("out.png"), open("mask.png"));
    assert_eq!(mask.size(), photo.size());
    let corners = [mask.rgb().pixels()[0], mask.rgb().pixels()[79 * 3]];
    assert_eq!(corners, [255, 0]);
    assert_ne!(open("shown.png").rgb(), photo.rgb());
    let pixels = |photo: &Photo, from: usize, to: usize| {
        let rows = photo.rgb().pixels().chunks(80 * 3);
        rows.flat_map(|row| row[from * 3..to * 3].to_vec())
            .collect::<Vec<_>>()
    };
    assert_eq!(pixels(&edited, 40, 80), pixels(&photo, 40, 80));
    assert_ne!(pixels(&edited, 0, 40), pixels(&photo, 0, 40));

    // The picture does not hold its mask.
    let again = desk.ip2p(&["edit", "--from", "out.png", "-o", "again.png"]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        !again.status.success() && said.contains("the mask of the edit"),
        "{said}"
    );
}

#[test]
fn what_makes_no_mask_is_refused() {
    let desk = Desk::new();
    for (arguments, expected) in [
        (&["--mask-box", "80,0,5,5"] as &[&str], "within the photo"),
        (&["--mask-box", "1,2,3"], "X,Y,W,H"),
        (&["--where", "over there"], "top left"),
        (&["--mask", "none.png"], "none.png"),
        (&["--mask-invert"], "together with"),
        (&["--mask-feather", "3"], "together with"),
        (&["--where", "left", "--mask-invert"], "together with"),
        (&["--save-mask", "mask.png"], "together with"),
        (&["--where", "left", "--show-mask", "mask.xyz"], "mask.xyz"),
        (&["--mask-box", "0,0,80,60", "--mask-invert"], "all black"),
    ] {
        let error = error(&desk, arguments);
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn auto_writes_the_mask_of_each_variation() {
    let desk = Desk::new();
    let output = desk.edit(&[
        "photo.png",
        "make it snowy",
        "-o",
        "out.png",
        "--where",
        "auto left",
        "--save-mask",
        "mask.png",
        "--count",
        "2",
        "--seed",
        "3",
    ]);
    stdout(&output);
    let open = |name: &str| Photo::open(desk.path(name)).unwrap();
    let photo = open("photo.png");
    for number in [1, 2] {
        let (edited, mask) = (
            open(&format!("out-{number}.png")),
            open(&format!("mask-{number}.png")),
        );
        let pairs = edited.rgb().pixels().iter().zip(photo.rgb().pixels());
        let kept = pairs
            .zip(mask.rgb().pixels())
            .filter(|(_, weight)| **weight == 0);
        assert!(kept.clone().count() > 0);
        assert!(kept.into_iter().all(|((edited, photo), _)| edited == photo));
    }
    // The record knows where, so that nothing has to be said again.
    let again = desk.ip2p(&["edit", "--from", "out-2.png", "-o", "again.png"]);
    stdout(&again);
    assert_eq!(open("again.png").rgb(), open("out-2.png").rgb());
}

#[test]
fn a_row_has_a_mask_and_a_place_of_its_own() {
    let desk = Desk::new();
    desk.photos(&[(64, 64), (64, 64)]);
    let half = |white_below: usize, name: &str| {
        let grey = (0..64 * 64).flat_map(|at| [if at / 64 < white_below { 255 } else { 0 }; 3]);
        let mask = RgbPicture::new(Size::new(64, 64), grey.collect()).unwrap();
        Photo::from(mask).save(desk.path(name), None).unwrap();
    };
    half(32, "in/top.png");
    let table = "input,instruction,mask,where\n\
                 0.png,make it snowy,top.png,\n\
                 1.png,make it snowy,,auto left\n\
                 1.png,make it snowy,none.png,\n";
    fs::write(desk.path("in/jobs.csv"), table).unwrap();
    let batch = || desk.batch(&["in/jobs.csv", "-o", "out", "--batch", "2"]);
    let (message, _) = failure(&batch());
    assert!(
        message.contains("line 4: cannot access in/none.png"),
        "{message}"
    );
    let [photo, edited] = ["in/0.png", "out/0.png"].map(|name| pixels(desk.path(name)));
    let below = 32 * 64 * 3;
    assert_eq!(edited[below..], photo[below..]);
    assert_ne!(edited[..below], photo[..below]);
    let lines = desk.manifest("out/manifest.jsonl");
    assert_eq!(lines[1]["settings"]["where"], "auto left");

    // The mask is a part of what a picture is made of.
    let (message, _) = failure(&batch());
    assert!(
        message.contains("2 pictures are there already"),
        "{message}"
    );
    half(16, "in/top.png");
    let (message, _) = failure(&batch());
    assert!(message.contains("mask_hash"), "{message}");
}

#[test]
fn a_picture_of_the_small_model_is_made_again_where_attention_scopes_its_scales() {
    let desk = Desk::new();
    let edit = |rest: &[&str]| desk.ip2p(&[&["edit"], rest].concat());
    let first = ["photo.png", "make it snowy", "--text-scale", "2"];
    stdout(&edit(&[&first[..], &["-o", "out.png"]].concat()));
    // That picture was rescaled, as the model asks; this one cannot be, and nobody asked for it.
    let attention = ["--from", "out.png", "--where", "attention"];
    stdout(&edit(&[&attention[..], &["-o", "scoped.png"]].concat()));
    let rescaled = [&attention[..], &["--guidance-rescale", "1", "-o", "no.png"]];
    let (message, _) = failure(&edit(&rescaled.concat()));
    assert!(message.contains("guidance_rescale"), "{message}");
}
