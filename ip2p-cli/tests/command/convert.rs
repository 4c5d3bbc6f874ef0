//! `ip2p convert`, `ip2p merge`, and single files.

use std::fs;

use ip2p::EditRecord;
use ip2p_testing::fixture;
use serde_json::Value;

use crate::desk::{Desk, failure, pixels, stdout, tiny};

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_converted_checkpoint_gives_the_same_edit() {
    let desk = Desk::new();
    let printed = stdout(&desk.ip2p(&["convert", text(&tiny()), "tiny.safetensors"]));
    assert!(printed.starts_with("tiny.safetensors ("), "{printed}");
    stdout(&desk.ip2p(&["convert", "tiny.safetensors", "folder"]));
    let edit = |model: &str, output: &str| desk.small_edit(&["--model", model], output);
    let expected = edit(text(&tiny()), "a.png");
    assert_eq!(edit("tiny.safetensors", "b.png"), expected);
    assert_eq!(edit("folder", "c.png"), expected);
    let record = EditRecord::read(desk.path("b.png")).unwrap().unwrap();
    assert_eq!(record.model_path.as_deref(), Some("tiny.safetensors"));
}

#[test]
fn the_weights_that_ran_are_in_the_picture_and_are_taken_again() {
    let desk = Desk::new();
    let (model, config) = (fixture("single/tiny.ckpt"), tiny());
    let edit = |more: &[&str]| {
        let arguments = [
            "edit",
            "--config",
            text(&config),
            "--size",
            "64",
            "--steps",
            "2",
        ];
        stdout(&desk.ip2p(&[&arguments[..], more].concat()));
    };
    let new = [
        "photo.png",
        "make it snowy",
        "--seed",
        "3",
        "--model",
        text(&model),
    ];
    edit(&[&new[..], &["-o", "ema.png"]].concat());
    edit(&[&new[..], &["-o", "raw.png", "--weights", "raw"]].concat());
    assert_ne!(pixels(desk.path("ema.png")), pixels(desk.path("raw.png")));
    for (name, weights) in [("ema.png", "ema"), ("raw.png", "raw")] {
        let record = EditRecord::read(desk.path(name)).unwrap().unwrap();
        assert_eq!(record.weights.as_deref(), Some(weights));
        edit(&["--from", name, "-o", "again.png"]);
        assert_eq!(pixels(desk.path("again.png")), pixels(desk.path(name)));
    }
}

#[test]
fn inspect_says_what_a_single_file_is() {
    let desk = Desk::new();
    stdout(&desk.ip2p(&[
        "convert",
        text(&tiny()),
        "tiny.safetensors",
        "--precision",
        "f16",
    ]));
    let printed = stdout(&desk.ip2p(&["inspect", "tiny.safetensors"]));
    assert!(
        printed.starts_with("tiny.safetensors: an InstructPix2Pix model"),
        "{printed}"
    );
    let report: Value = serde_json::from_str(&stdout(&desk.ip2p(&[
        "inspect",
        "tiny.safetensors",
        "--json",
    ])))
    .unwrap();
    assert_eq!(
        report["components"][2]["dtypes"]["F16"].as_u64(),
        report["components"][2]["tensors"]
            .as_array()
            .map(|list| list.len() as u64)
    );
    let lora = fixture("lora/loha.safetensors");
    let (message, code) = failure(&desk.ip2p(&["inspect", text(&lora)]));
    assert!(
        message.contains("is a file of low-rank adaptations; give it by --lora"),
        "{message}"
    );
    assert_eq!(code, 4);
}

#[test]
fn a_merge_writes_a_model_and_says_how_large() {
    let desk = Desk::new();
    let (tiny, lora) = (tiny(), fixture("lora/diffusers.safetensors"));
    stdout(&desk.ip2p(&["convert", text(&tiny), "style", "--lora", text(&lora)]));
    let merge = [
        "merge",
        text(&tiny),
        "merged",
        "--custom",
        "style",
        "--base",
        text(&tiny),
        "--strength",
        "0.5",
        "--json",
    ];
    let report: Value = serde_json::from_str(&stdout(&desk.ip2p(&merge))).unwrap();
    assert_eq!(report["output"], "merged");
    assert!(report["bytes"].as_u64() > Some(1_000_000));
    // As the adaptation itself at half its weight.
    let edit = |model: &str, output: &str, lora: &[&str]| {
        desk.small_edit(&[&["--model", model], lora].concat(), output)
    };
    let half = format!("{}:0.5", text(&lora));
    let (merged, adapted) = (
        edit("merged", "a.png", &[]),
        edit(text(&tiny), "b.png", &["--lora", &half]),
    );
    let furthest = merged
        .iter()
        .zip(&adapted)
        .map(|(a, b)| a.abs_diff(*b))
        .max();
    assert!(furthest <= Some(1), "{furthest:?}");
}

#[test]
fn nothing_is_overwritten_and_nothing_half_left() {
    let desk = Desk::new();
    let tiny = tiny();
    fs::create_dir(desk.path("full")).unwrap();
    fs::write(desk.path("full/a"), b"").unwrap();
    for (arguments, words, code) in [
        (
            &["convert", text(&tiny), "full"][..],
            "output must be a file or folder that does not exist",
            2,
        ),
        (
            &["convert", text(&tiny), "photo.png"],
            "output must be a file or folder that does not exist",
            2,
        ),
        (
            &["convert", text(&tiny), "nowhere/x.safetensors"],
            "nowhere",
            3,
        ),
        (&["convert", "nowhere", "x"], "does not exist", 4),
        (
            &["convert", text(&tiny), "x", "--precision", "int3"],
            "f32, f16, bf16, q8_0, q4_0, int8",
            2,
        ),
        (
            &[
                "convert",
                text(&tiny),
                "x.safetensors",
                "--precision",
                "int8",
            ],
            "are written to a file that ends in .gguf, got q8_0",
            2,
        ),
        (
            &["convert", text(&tiny), "x.ckpt"],
            "output must be a folder, or a file that ends in .safetensors or .gguf",
            2,
        ),
        (
            &["convert", text(&tiny), "x", "--weights", "ema"],
            "has no unet_ema/",
            2,
        ),
        (
            &[
                "merge",
                text(&tiny),
                "x",
                "--custom",
                "nowhere",
                "--base",
                text(&tiny),
            ],
            "does not exist",
            4,
        ),
        (
            &[
                "merge",
                text(&tiny),
                "x",
                "--custom",
                text(&tiny),
                "--base",
                text(&tiny),
                "--strength",
                "nan",
            ],
            "strength",
            2,
        ),
    ] {
        let (message, found) = failure(&desk.ip2p(arguments));
        assert!(message.contains(words), "{arguments:?}: {message}");
        assert_eq!(found, code, "{message}");
    }
    assert_eq!(desk.files(), ["full", "photo.png"]);
}
