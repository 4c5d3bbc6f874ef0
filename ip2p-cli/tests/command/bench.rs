//! `ip2p bench`, and how many threads compute.

use serde_json::Value;

use crate::desk::{Desk, stdout, tiny};

/// What `ip2p bench` prints as JSON of the tiny checkpoint.
fn bench(arguments: &[&str]) -> Value {
    let always = [
        "bench",
        "--model",
        tiny().to_str().unwrap(),
        "--json",
        "--runs",
        "2",
    ]
    .map(str::to_owned);
    let always: Vec<_> = always.iter().map(String::as_str).collect();
    let printed = stdout(&Desk::new().ip2p(&[&always[..], arguments].concat()));
    serde_json::from_str(&printed).unwrap()
}

fn part<'a>(report: &'a Value, name: &str) -> &'a Value {
    let parts = report["parts"].as_array().unwrap();
    parts.iter().find(|part| part["name"] == name).unwrap()
}

#[test]
fn each_part_of_an_edit_is_timed_and_costed() {
    let report = bench(&["--size", "64", "--steps", "3"]);
    for name in ["load", "sentence", "encode", "step", "decode", "edit"] {
        let of = |field: &str| part(&report, name)[field].as_f64();
        assert!(of("min_s") > Some(0.0), "{name}");
        assert!(
            of("min_s") <= of("median_s") && of("median_s") <= of("max_s"),
            "{name}"
        );
        assert_eq!(of("flops") > Some(0.0), name != "load", "{name}");
    }
    assert_eq!(part(&report, "step")["times"], 6);
    assert_eq!(part(&report, "edit")["times"], 2);
    assert!(report["peak_gflops"].as_f64() > Some(0.1));
}

#[test]
fn a_branch_that_guidance_does_not_ask_for_costs_nothing() {
    let step = |scales: &[&str]| {
        let report = bench(&[&["--size", "64", "--steps", "1"], scales].concat());
        part(&report, "step")["flops"].as_u64().unwrap()
    };
    let (three, two) = (step(&[]), step(&["--image-scale", "1"]));
    assert_eq!(three * 2, two * 3);
}

#[test]
fn a_count_of_threads_that_cannot_be_is_refused_with_those_that_can() {
    for threads in ["0", "100000"] {
        let output = Desk::new().ip2p(&["bench", "--threads", threads]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("threads must be between 1 and"), "{error}");
    }
    assert_eq!(
        bench(&["--size", "64", "--steps", "1", "--threads", "1"])["threads"],
        1
    );
}

#[cfg(target_os = "linux")]
#[test]
fn what_an_edit_takes_is_told_beforehand() {
    for size in ["64", "512"] {
        let report = bench(&["--size", size, "--steps", "1"]);
        let of = |field: &str| report[field].as_u64().unwrap();
        let (told, peak) = (of("estimated_memory_bytes"), of("peak_memory_bytes"));
        assert!(peak <= told, "{size}: {peak} of {told}");
    }
}
