//! `ip2p edit`.

use ip2p::{Photo, Size};
use serde_json::Value;

use crate::desk::{Desk, failure, pixels, stdout};

#[test]
fn an_edit_is_written_and_its_seed_printed() {
    let desk = Desk::new();
    let text = stdout(&desk.edit(&["photo.png", "make it snowy", "-o", "out.png", "--seed", "7"]));
    assert_eq!(text, "out.png (seed 7)\n");
    assert_eq!(
        Photo::open(desk.path("out.png")).unwrap().size(),
        Size::new(80, 60)
    );
    assert_eq!(desk.files(), ["out.png", "photo.png"]);
}

#[test]
fn without_an_output_no_file_is_overwritten() {
    let desk = Desk::new();
    for expected in ["photo-edited.png", "photo-edited-2.png"] {
        let text = stdout(&desk.edit(&["photo.png", "make it snowy"]));
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn variations_have_the_seeds_that_follow() {
    let desk = Desk::new();
    let text = stdout(&desk.edit(&[
        "photo.png",
        "make it snowy",
        "-o",
        "a.png",
        "--seed",
        "7",
        "--count",
        "2",
    ]));
    assert_eq!(text, "a-1.png (seed 7)\na-2.png (seed 8)\n");
    stdout(&desk.edit(&["photo.png", "make it snowy", "-o", "b.png", "--seed", "8"]));
    assert_eq!(pixels(desk.path("a-2.png")), pixels(desk.path("b.png")));
}

#[test]
fn json_is_one_object_with_settings_times_and_memory() {
    let desk = Desk::new();
    let text = stdout(&desk.edit(&[
        "photo.png",
        "make it snowy",
        "-o",
        "out.png",
        "--json",
        "--text-scale",
        "5",
    ]));
    let report: Value = serde_json::from_str(&text).unwrap();
    let settings = &report["outputs"][0]["settings"];
    assert_eq!(settings["instruction"], "make it snowy");
    assert_eq!(settings["text_scale"], 5.0);
    assert!(settings["seed"].is_u64());
    assert_eq!(report["times"]["steps_s"].as_array().unwrap().len(), 2);
    assert!(
        report["peak_memory_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 1_000_000)
            || !cfg!(target_os = "linux")
    );
}

#[test]
fn an_edit_is_repeated_from_its_picture() {
    let desk = Desk::new();
    for (first, second) in [
        ("one.png", "two.png"),
        ("one.webp", "two.webp"),
        ("one.jpg", "two.jpg"),
    ] {
        let negative = [
            "--negative",
            "rain",
            "--sampler",
            "dpmpp-2m",
            "--image-scale",
            "1.1",
        ];
        stdout(&desk.edit(&[&["photo.png", "make it snowy", "-o", first][..], &negative].concat()));
        stdout(&desk.ip2p(&["edit", "--from", first, "-o", second]));
        assert_eq!(
            pixels(desk.path(first)),
            pixels(desk.path(second)),
            "{first}"
        );
    }
}

#[test]
fn an_edit_keeps_within_a_budget_and_says_how() {
    let desk = Desk::new();
    let edit = |budget: &str, more: &[&str]| {
        let always = ["photo.png", "make it snowy", "-o", "out.png", "--seed", "1"];
        let budget = ["--max-memory", budget];
        desk.edit(&[&always[..], &budget, more].concat())
    };
    let output = edit("1 GB", &["--json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let memory = &report["memory"];
    assert_eq!(memory["budget_bytes"], 1_000_000_000);
    assert_eq!(memory["choices"].as_array().unwrap().len(), 0);
    let told = memory["estimate_bytes"].as_u64().unwrap();
    if let Some(peak) = report["peak_memory_bytes"].as_u64() {
        assert!(peak <= told, "{peak} of {told}");
    }
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("within 1.00 GB: at most"), "{said}");

    let (message, code) = failure(&edit("1MB", &[]));
    assert_eq!(code, 2, "{message}");
    assert!(message.contains("max_memory must be at least"), "{message}");
    let (message, code) = failure(&edit("plenty", &[]));
    assert_eq!(code, 2, "{message}");
    assert!(
        message.contains("plenty") && message.contains("3GB"),
        "{message}"
    );
}
