//! `ip2p edit` of several edits in turn.

use std::fs;

use ip2p::EditRecord;

use crate::desk::{Desk, failure, pixels, stdout};

fn sentences(desk: &Desk, name: &str) -> Vec<(String, u64)> {
    let record = EditRecord::read(desk.path(name)).unwrap().unwrap();
    let turns = record.earlier.iter().chain([&record]);
    turns
        .map(|turn| (turn.instruction.clone(), turn.seed))
        .collect()
}

fn turns(of: &[(&str, u64)]) -> Vec<(String, u64)> {
    of.iter()
        .map(|(sentence, seed)| ((*sentence).to_owned(), *seed))
        .collect()
}

#[test]
fn a_sentence_of_several_edits_is_taken_apart_and_shown() {
    let desk = Desk::new();
    let sentence = "make it snowy, then turn the car red and add a hat";
    let output = desk.edit(&["photo.png", sentence, "-o", "out.png", "--seed", "7"]);
    assert_eq!(stdout(&output), "out.png (seed 7)\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("3 edits, one after the other: make it snowy | turn the car red | add a hat"),
        "{said}"
    );
    let expected = turns(&[
        ("make it snowy", 7),
        ("turn the car red", 8),
        ("add a hat", 9),
    ]);
    assert_eq!(sentences(&desk, "out.png"), expected);
    // The picture says all that is needed to make it again.
    stdout(&desk.ip2p(&["edit", "--from", "out.png", "-o", "again.png"]));
    assert_eq!(pixels(desk.path("again.png")), pixels(desk.path("out.png")));
    assert_eq!(sentences(&desk, "again.png"), expected);
    let shown = stdout(&desk.ip2p(&["inspect", "out.png"]));
    let shown: Vec<_> = shown.lines().step_by(2).collect();
    assert_eq!(shown, ["make it snowy", "turn the car red", "add a hat"]);
    // And can be gone on with.
    let on = [
        "edit",
        "--from",
        "out.png",
        "--then",
        "add a scarf",
        "-o",
        "on.png",
    ];
    stdout(&desk.ip2p(&on));
    let longer = [expected, turns(&[("add a scarf", 10)])].concat();
    assert_eq!(sentences(&desk, "on.png"), longer);
}

#[test]
fn a_list_is_done_as_it_is_given() {
    let desk = Desk::new();
    fs::write(
        desk.path("edits.txt"),
        "# first\nmake it night and add a moon\n\nadd a hat\n",
    )
    .unwrap();
    let by_file = [
        "photo.png",
        "--edits",
        "edits.txt",
        "-o",
        "file.png",
        "--seed",
        "3",
    ];
    stdout(&desk.edit(&by_file));
    let by_then = [
        "photo.png",
        "make it night and add a moon",
        "--then",
        "add a hat",
        "-o",
        "then.png",
        "--seed",
        "3",
    ];
    stdout(&desk.edit(&by_then));
    let expected = turns(&[("make it night and add a moon", 3), ("add a hat", 4)]);
    for name in ["file.png", "then.png"] {
        assert_eq!(sentences(&desk, name), expected);
    }
    assert_eq!(pixels(desk.path("file.png")), pixels(desk.path("then.png")));
}

#[test]
fn at_once_and_in_the_modes_of_other_tools_the_sentence_stays_whole() {
    let desk = Desk::new();
    let sentence = "make it snowy and add a hat";
    for (name, more) in [
        ("whole.png", &["--at-once"][..]),
        ("compat.png", &["--compat", "diffusers"]),
    ] {
        let arguments = ["photo.png", sentence, "-o", name, "--seed", "1"];
        stdout(&desk.edit(&[&arguments, more].concat()));
        assert_eq!(sentences(&desk, name), turns(&[(sentence, 1)]));
        // And again: a record holds a sentence as the model had it.
        stdout(&desk.ip2p(&["edit", "--from", name, "-o", "again.png"]));
        assert_eq!(pixels(desk.path("again.png")), pixels(desk.path(name)));
    }
}

#[test]
fn variations_and_masks_are_of_the_whole_chain() {
    let desk = Desk::new();
    let chain = ["photo.png", "make it snowy", "--then", "add a hat"];
    let masked = ["--mask-box", "0,0,40,60", "--seed", "5"];
    stdout(&desk.edit(&[&chain[..], &masked, &["-o", "a.png", "--count", "2"]].concat()));
    let expected = turns(&[("make it snowy", 6), ("add a hat", 7)]);
    assert_eq!(sentences(&desk, "a-2.png"), expected);
    let masked = ["--mask-box", "0,0,40,60", "--seed", "6"];
    stdout(&desk.edit(&[&chain[..], &masked, &["-o", "b.png"]].concat()));
    assert_eq!(pixels(desk.path("a-2.png")), pixels(desk.path("b.png")));
    let pairs = pixels(desk.path("photo.png"))
        .into_iter()
        .zip(pixels(desk.path("b.png")));
    let changed: Vec<_> = pairs.enumerate().filter(|(_, (a, b))| a != b).collect();
    assert!(!changed.is_empty());
    assert!(changed.iter().all(|(at, _)| at / 3 % 80 < 40));
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_loaded() {
    let desk = Desk::new();
    fs::write(desk.path("empty.txt"), "# none\n").unwrap();
    for (arguments, says) in [
        (
            &["photo.png", "a", "--then", "b", "--compat", "diffusers"][..],
            "compat must be none",
        ),
        (
            &["photo.png", "--edits", "empty.txt"],
            "edits must be a file",
        ),
        (&["photo.png", "a", "--then", " "], "instruction must be"),
        (
            &["photo.png", "a", "--then", "b", "--at-once"],
            "cannot be used with",
        ),
        (&["photo.png", "a", "--strength", "0"], "strength must be"),
        (
            &["photo.png", "a", "--deep-cache", "0"],
            "deep_cache must be",
        ),
        (
            &["photo.png", "a", "--guidance-interval", "0.6..0.2"],
            "guidance_interval must be two shares of the steps",
        ),
        (
            &["photo.png", "a", "--adaptive-guidance", "2"],
            "adaptive_guidance must be above 0 and at most 1",
        ),
        (
            &["photo.png", "a", "--strength", "0.1"],
            "strength must be at least 0.5, for one of the 2 steps",
        ),
    ] {
        let (message, code) = failure(&desk.edit(arguments));
        assert!(message.contains(says), "{message}");
        assert_eq!(code, 2, "{message}");
    }
    let (_, code) = failure(&desk.edit(&["photo.png", "--edits", "missing.txt"]));
    assert_eq!(code, 3);
}

#[test]
fn a_strength_is_recorded_and_keeps_more_of_the_photo() {
    let desk = Desk::new();
    let edit = |name: &str, more: &[&str]| {
        let arguments = ["photo.png", "make it snowy", "-o", name, "--seed", "1"];
        stdout(&desk.edit(&[&arguments, more].concat()));
        EditRecord::read(desk.path(name)).unwrap().unwrap()
    };
    assert_eq!(edit("all.png", &[]).strength, None);
    assert_eq!(edit("half.png", &["--strength", "0.5"]).strength, Some(0.5));
    assert_ne!(pixels(desk.path("all.png")), pixels(desk.path("half.png")));
    stdout(&desk.ip2p(&["edit", "--from", "half.png", "-o", "again.png"]));
    assert_eq!(
        pixels(desk.path("again.png")),
        pixels(desk.path("half.png"))
    );
}
