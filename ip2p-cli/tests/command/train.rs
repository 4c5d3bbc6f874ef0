//! `ip2p train` and `ip2p data`.

use std::fs;

use ip2p::Photo;
use ip2p_testing::fixture;
use serde_json::{Value, json};

use crate::desk::{Desk, failure, stdout};

/// A training of two steps.
fn run() -> Value {
    json!({
        "stage": "edit",
        "model": fixture("tiny-taesd"),
        "output": "out",
        "data": [{"source": "scenes"}],
        "batch": 2,
        "train_text_encoder": true,
        "pool": {"shard": 4, "shards": 1, "size": 32},
        "loss": {"prediction": "v_prediction"},
        "trainer": {"steps": 2, "learning_rate": {"peak": 1e-4}},
        "samples": 2,
    })
}

impl Desk {
    fn train(&self, run: &Value) -> std::process::Output {
        fs::write(self.path("run.json"), run.to_string()).unwrap();
        self.ip2p(&["train", "run.json"])
    }
}

#[test]
fn a_training_leaves_a_checkpoint_that_edits_and_goes_on_from_its_state() {
    let desk = Desk::new();
    let model = stdout(&desk.train(&run()));
    let model = model.trim();
    let lines = || fs::read_to_string(desk.path("out/metrics.jsonl")).unwrap();
    assert_eq!(lines().lines().count(), 2);
    stdout(&desk.ip2p(&["edit", "photo.png", "make it snowy", "--model", model]));

    let mut longer = run();
    longer["trainer"]["steps"] = 3.into();
    stdout(&desk.train(&longer));
    assert_eq!(lines().lines().count(), 3);
}

#[test]
fn a_training_that_makes_no_sense_is_refused_by_the_name_of_the_setting() {
    let desk = Desk::new();
    let cases: [(&str, Value, &str); 9] = [
        ("/batch", 0.into(), "batch must be at least 1"),
        ("/pool/size", 30.into(), "pool.size must be a multiple of"),
        (
            "/loss/prediction",
            "epsilon".into(),
            "loss.prediction must be \"v_prediction\"",
        ),
        (
            "/trainer/learning_rate/peak",
            0.into(),
            "learning_rate.peak must be between",
        ),
        (
            "/trainer/steps",
            0.into(),
            "trainer.steps must be at least 1",
        ),
        ("/data", json!([]), "at least one source"),
        (
            "/data",
            json!([{"source": "photos", "folder": "nowhere"}]),
            "nowhere",
        ),
        ("/model", "nowhere".into(), "nowhere"),
        ("/stage", "dream".into(), "unknown variant `dream`"),
    ];
    for (place, value, expected) in cases {
        let mut run = run();
        *run.pointer_mut(place).unwrap() = value;
        let (message, code) = failure(&desk.train(&run));
        assert!(message.contains(expected), "{place}: {message}");
        assert!((2..=5).contains(&code), "{place}: {code}");
        assert_eq!(desk.files(), ["photo.png", "run.json"], "{place}");
    }
    let (message, _) = failure(&desk.ip2p(&["train", "no.json"]));
    assert!(message.contains("no.json"), "{message}");
}

#[test]
fn a_preview_is_a_sheet_of_examples() {
    let desk = Desk::new();
    let preview = [
        "data",
        "preview",
        "-o",
        "sheet.png",
        "--count",
        "3",
        "--columns",
        "2",
        "--size",
        "32",
    ];
    stdout(&desk.ip2p(&preview));
    assert!(Photo::open(desk.path("sheet.png")).unwrap().size().width > 4 * 32);
    let (message, _) = failure(&desk.ip2p(&["data", "preview", "-o", "sheet.png", "--count", "0"]));
    assert!(message.contains("count must be"), "{message}");
}

#[test]
fn an_evaluation_prints_its_table_beside_the_unchanged_input() {
    let desk = Desk::new();
    let model = fixture("tiny-taesd");
    let table = stdout(&desk.ip2p(&[
        "train",
        "eval",
        "--model",
        model.to_str().unwrap(),
        "--scenes",
        "18",
        "--size",
        "32",
        "-o",
        "table.md",
    ]));
    assert!(table.contains("| following | scenes | 90 % |") && table.contains("unchanged input"));
    assert_eq!(fs::read_to_string(desk.path("table.md")).unwrap(), table);
}
