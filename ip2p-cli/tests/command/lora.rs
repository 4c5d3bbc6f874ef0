//! `--lora`.

use ip2p::EditRecord;
use ip2p_testing::fixture;
use serde_json::Value;

use crate::desk::{Desk, failure, pixels, stdout};

fn file(name: &str) -> String {
    fixture(&format!("lora/{name}.safetensors"))
        .to_string_lossy()
        .into_owned()
}

fn weighted(name: &str, weight: f64) -> String {
    format!("{}:{weight}", file(name))
}

#[test]
fn an_adaptation_changes_the_edit_and_is_repeated_from_its_picture() {
    let desk = Desk::new();
    let plain = ["photo.png", "make it snowy", "--seed", "3"];
    stdout(&desk.edit(&[&plain[..], &["-o", "plain.png"]].concat()));
    let (one, other) = (weighted("diffusers", 0.5), file("loha"));
    let with = ["-o", "with.png", "--lora", &one, "--lora", &other];
    stdout(&desk.edit(&[&plain[..], &with].concat()));
    assert_ne!(
        pixels(desk.path("plain.png")),
        pixels(desk.path("with.png"))
    );

    let record = EditRecord::read(desk.path("with.png")).unwrap().unwrap();
    let named: Vec<_> = record
        .loras
        .iter()
        .map(|lora| (lora.name.as_str(), lora.weight))
        .collect();
    assert_eq!(named, [("diffusers", 0.5), ("loha", 1.0)]);
    let text = record.to_parameters();
    assert!(
        text.starts_with("make it snowy <lora:diffusers:0.5> <lora:loha:1>\n"),
        "{text}"
    );
    assert!(text.contains("Lora hashes: \"diffusers: "), "{text}");

    stdout(&desk.edit(&["--from", "with.png", "-o", "again.png"]));
    assert_eq!(
        pixels(desk.path("again.png")),
        pixels(desk.path("with.png"))
    );
}

#[test]
fn a_batch_takes_adaptations_and_knows_its_pictures_by_them() {
    let desk = Desk::new();
    let tiny = crate::desk::tiny();
    let batch = |lora: &str| {
        desk.ip2p(&[
            "batch",
            "photo.png",
            "make it snowy",
            "-o",
            "out",
            "--model",
            tiny.to_str().unwrap(),
            "--steps",
            "2",
            "--size",
            "64",
            "--lora",
            lora,
            "--json",
            "--quiet",
        ])
    };
    let report: Value = serde_json::from_str(&stdout(&batch(&file("dora")))).unwrap();
    assert_eq!(report["made"][0]["settings"]["loras"][0]["name"], "dora");
    let report: Value = serde_json::from_str(&stdout(&batch(&file("dora")))).unwrap();
    assert_eq!(
        (
            report["already"].as_u64(),
            report["made"].as_array().map(Vec::len)
        ),
        (Some(1), Some(0))
    );
    let (message, _) = failure(&batch(&weighted("dora", 0.5)));
    assert!(message.contains("loras was"), "{message}");
}

#[test]
fn a_note_is_told_and_a_file_that_does_not_fit_refused() {
    let desk = Desk::new();
    let edit = |lora: &str| {
        desk.edit(&[
            "photo.png",
            "make it snowy",
            "-o",
            "out.png",
            "--lora",
            lora,
        ])
    };
    let done = edit(&file("kohya"));
    let told = String::from_utf8(done.stderr.clone()).unwrap();
    stdout(&done);
    assert!(told.contains("its conv_in is of 4 channels"), "{told}");

    for (lora, words, code) in [
        ("nowhere.safetensors".to_owned(), "nowhere.safetensors", 3),
        ("photo.png:0.5".into(), "photo.png", 4),
        (
            weighted("kohya", f64::NAN),
            "FILE:WEIGHT with a finite number",
            2,
        ),
        (
            fixture("lora/loha-merged.safetensors")
                .to_string_lossy()
                .into(),
            "is no low-rank adaptation",
            4,
        ),
    ] {
        let (message, found) = failure(&edit(&lora));
        assert!(message.contains(words), "{message}");
        assert_eq!(found, code, "{message}");
    }
}

#[test]
fn a_distilled_adaptation_runs_in_few_steps_with_its_sampler() {
    let desk = Desk::new();
    let lora = file("diffusers");
    for (sampler, schedule, more) in [
        ("lcm", "normal", None),
        ("tcd", "normal", Some(["--eta", "0.5"])),
        ("ddim", "trailing", None),
    ] {
        let few = [
            "photo.png",
            "make it snowy",
            "-o",
            "out.png",
            "--lora",
            &lora,
        ];
        let with = ["--sampler", sampler, "--schedule", schedule, "--seed", "1"];
        let scales = ["--text-scale", "1", "--image-scale", "1"];
        let more = more.as_ref().map_or(&[][..], |more| &more[..]);
        stdout(&desk.edit(&[&few[..], &with, &scales, more].concat()));
        let record = EditRecord::read(desk.path("out.png")).unwrap().unwrap();
        assert_eq!((&*record.sampler, &*record.schedule), (sampler, schedule));
        stdout(&desk.edit(&["--from", "out.png", "-o", "again.png"]));
        assert_eq!(pixels(desk.path("again.png")), pixels(desk.path("out.png")));
    }
}
