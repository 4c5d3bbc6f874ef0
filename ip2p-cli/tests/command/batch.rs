//! `ip2p batch`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ip2p::{Photo, RgbPicture, Size};
use serde_json::Value;

use crate::desk::{Desk, failure, pixels, stdout, tiny};

impl Desk {
    /// A folder `in` with photos of these sizes: `0.png`, `1.png`, …
    pub(crate) fn photos(&self, sizes: &[(u32, u32)]) {
        fs::create_dir(self.path("in")).unwrap();
        for (index, &(width, height)) in sizes.iter().enumerate() {
            let shift = u32::try_from(index).unwrap() * 31;
            let rgb = (0..width * height * 3)
                .map(|i| u8::try_from((i * 7 + shift) % 256).unwrap())
                .collect();
            let photo = Photo::from(RgbPicture::new(Size::new(width, height), rgb).unwrap());
            photo
                .save(self.path(&format!("in/{index}.png")), None)
                .unwrap();
        }
    }

    pub(crate) fn batch(&self, arguments: &[&str]) -> Output {
        let tiny = tiny();
        self.ip2p(&[&["batch"], arguments, &quick(&tiny)].concat())
    }

    fn start_batch(&self, arguments: &[&str]) -> Child {
        Command::new(assert_cmd::cargo::cargo_bin("ip2p"))
            .args(["batch"])
            .args(arguments)
            .args(quick(&tiny()))
            .env_remove("IP2P_MODEL")
            .current_dir(&self.folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Every file in a folder but the manifests, whose lines a kill may repeat.
    fn results(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(&self.path(folder), "", &mut found);
        found.retain(|name, _| !name.starts_with("manifest"));
        found
    }

    pub(crate) fn manifest(&self, path: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(path)).unwrap();
        assert!(text.ends_with('\n'));
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn quick(tiny: &Path) -> [&str; 6] {
    let model = tiny.to_str().unwrap();
    ["--model", model, "--steps", "2", "--size", "64"]
}

fn collect(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), found);
        } else {
            found.insert(name, fs::read(path).unwrap());
        }
    }
}

/// The sizes of seven photos, of which some run together.
const SEVEN: [(u32, u32); 7] = [
    (64, 64),
    (80, 60),
    (64, 64),
    (96, 64),
    (64, 64),
    (80, 60),
    (64, 64),
];

#[test]
fn a_folder_is_edited_once_and_shown_on_a_page() {
    let desk = Desk::new();
    desk.photos(&[(64, 64), (80, 60), (64, 64)]);
    let arguments = ["in", "make it snowy", "-o", "out", "--seed", "7"];
    let text = stdout(&desk.batch(&arguments));
    assert_eq!(
        text,
        "out/0.png (seed 7)\nout/1.png (seed 7)\nout/2.png (seed 7)\n"
    );
    assert_eq!(
        desk.results("out").into_keys().collect::<Vec<_>>(),
        ["0.png", "1.png", "2.png", "index.html"]
    );
    // Each is what `ip2p edit` gives.
    stdout(&desk.edit(&["in/1.png", "make it snowy", "-o", "one.png", "--seed", "7"]));
    assert_eq!(pixels(desk.path("one.png")), pixels(desk.path("out/1.png")));

    let lines = desk.manifest("out/manifest.jsonl");
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["output"], "1.png");
    assert_eq!(lines[1]["input"], "../in/1.png");
    assert_eq!(lines[1]["settings"]["seed"], 7);
    let page = fs::read_to_string(desk.path("out/index.html")).unwrap();
    for expected in ["../in/2.png", "src=\"2.png\"", "make it snowy", "seed 7"] {
        assert!(page.contains(expected), "{expected}: {page}");
    }

    let again = desk.batch(&arguments);
    assert_eq!(stdout(&again), "");
    assert!(String::from_utf8_lossy(&again.stderr).contains("3 pictures are there already"));
    assert_eq!(desk.manifest("out/manifest.jsonl").len(), 3);
}

#[test]
fn two_devices_make_what_one_makes_in_its_order() {
    let desk = Desk::new();
    desk.photos(&SEVEN);
    fs::write(desk.path("in/3b.png"), "no picture").unwrap();
    let all = ["in", "make it snowy", "--count", "2"];
    let [one, two] = [("one", "flex"), ("two", "flex, flex")].map(|(folder, device)| {
        let output = desk.batch(&[&all[..], &["-o", folder, "--device", device]].concat());
        let (message, code) = failure(&output);
        assert!(message.contains("1 jobs could not be done"), "{message}");
        assert_eq!(code, 1);
        let told = String::from_utf8(output.stdout).unwrap();
        told.replace(&format!("{folder}/"), "")
    });
    assert_eq!(one, two);
    assert_eq!(one.lines().count(), 14);
    assert_eq!(desk.results("one"), desk.results("two"));
    let [one, two] =
        ["one", "two"].map(|folder| desk.manifest(&format!("{folder}/manifest.jsonl")));
    assert_eq!(one, two);

    // No such device, or one that this build has not.
    for device in ["flex,abacus", "flex,", "flex,flex:1"] {
        let output = desk.batch(&[&all[..], &["-o", "none", "--device", device]].concat());
        let (message, code) = failure(&output);
        assert!(message.contains("device"), "{message}");
        assert_eq!(code, 5, "{device}");
    }
}

#[test]
fn photos_of_one_size_run_together_and_variations_have_the_seeds_that_follow() {
    let desk = Desk::new();
    desk.photos(&[(64, 64), (96, 64), (64, 64)]);
    let all = ["in/*.png", "make it snowy", "--count", "2", "--seed", "3"];
    let text = stdout(&desk.batch(&[&all[..], &["-o", "out", "--batch", "4"]].concat()));
    // The two squares are one batch, and the other photo the second.
    assert_eq!(
        text,
        "out/0-1.png (seed 3)\nout/0-2.png (seed 4)\nout/2-1.png (seed 3)\nout/2-2.png (seed 4)\n\
         out/1-1.png (seed 3)\nout/1-2.png (seed 4)\n"
    );
    stdout(&desk.batch(&[&all[..], &["-o", "alone", "--batch", "1"]].concat()));
    for name in ["0-1.png", "0-2.png", "1-1.png", "2-2.png"] {
        let [together, alone] = ["out", "alone"].map(|folder| pixels(desk.path(folder).join(name)));
        let pairs = together.iter().zip(&alone);
        let furthest = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(furthest <= 1, "{name}: {furthest}");
    }
}

#[test]
fn a_table_has_any_option_and_a_bad_row_does_not_stop_the_others() {
    let desk = Desk::new();
    desk.photos(&[(64, 64), (64, 64)]);
    let whole = fs::read(desk.path("in/0.png")).unwrap();
    fs::write(desk.path("in/broken.png"), &whole[..whole.len() / 2]).unwrap();
    let table = "input,instruction,output,text-scale,steps,sampler,seed\n\
                 0.png,make it snowy,deep/snow.webp,5,1,ddim,9\n\
                 1.png,turn it red,,many,,,\n\
                 missing.png,turn it red,,,,,\n\
                 broken.png,turn it red,,,,,\n\
                 1.png,turn it red,,,5000,,\n\
                 1.png,turn it red,,,,,\n";
    fs::write(desk.path("in/jobs.csv"), table).unwrap();
    let output = desk.batch(&["in/jobs.csv", "-o", "out"]);
    let (message, code) = failure(&output);
    assert_eq!(code, 1);
    for expected in [
        "jobs.csv line 3: column text_scale: scale must be a number",
        "jobs.csv line 4: cannot access in/missing.png",
        "jobs.csv line 5: in/broken.png: cannot be read as PNG",
        "jobs.csv line 6: steps must be between 1 and 1000, got 5000",
        "2 pictures are there; 4 jobs could not be done",
    ] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "out/deep/snow.webp (seed 9)\nout/1-c.png (seed 0)\n"
    );
    stdout(&desk.edit(&[
        "in/0.png",
        "make it snowy",
        "-o",
        "one.webp",
        "--text-scale",
        "5",
        "--sampler",
        "ddim",
        "--seed",
        "9",
    ]));
    let lines = desk.manifest("out/manifest.jsonl");
    assert_eq!(lines[0]["settings"]["steps"], 1);
    assert_eq!(lines[0]["settings"]["text_scale"], 5.0);

    // What can be done now is done, and nothing twice.
    fs::copy(desk.path("in/0.png"), desk.path("in/missing.png")).unwrap();
    let output = desk.batch(&["in/jobs.csv", "-o", "out"]);
    failure(&output);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "out/missing.png (seed 0)\n"
    );
}

#[test]
fn lists_that_cannot_be_right_are_refused_before_anything_is_done() {
    let desk = Desk::new();
    desk.photos(&[(64, 64)]);
    let tables = [
        (
            "input,instruction,output\n0.png,a,x.png\n0.png,b,X.png\n",
            "jobs.csv line 2 and for in/jobs.csv line 3",
            2,
        ),
        ("input,prompt\n0.png,a\n", "unknown columns: prompt", 3),
        ("instruction\na\n", "column input: is missing", 3),
        ("", "column input: is missing", 3),
    ];
    for (table, expected, expected_code) in tables {
        fs::write(desk.path("in/jobs.csv"), table).unwrap();
        let (message, code) = failure(&desk.batch(&["in/jobs.csv", "-o", "out"]));
        assert!(message.contains(expected), "{expected}: {message}");
        assert_eq!(code, expected_code, "{message}");
    }
    let cases: &[(&[&str], &str)] = &[
        (&["in", "-o", "out"], "instruction must be a sentence"),
        (&["in", "in/0.png", "-o", "out"], "the file in/0.png"),
        (&["in/*.jpg", "snow", "-o", "out"], "matches no picture"),
        (&["in", "snow", "-o", "in"], "take the place of a photo"),
        (
            &["in", "snow", "-o", "out", "--batch", "0"],
            "batch must be",
        ),
        (
            &["in", "snow", "-o", "out", "--shard", "3/2"],
            "shard must be",
        ),
        (&["in", "snow", "-o", "photo.png"], "photo.png"),
    ];
    for (arguments, expected) in cases {
        let (message, code) = failure(&desk.batch(arguments));
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert!(code == 2 || code == 3, "{arguments:?}: {code}");
    }
    assert_eq!(desk.files(), ["in", "photo.png"]);
}

#[test]
fn pictures_that_are_others_are_made_again_only_when_asked() {
    let desk = Desk::new();
    desk.photos(&[(64, 64), (64, 64)]);
    let all = ["in", "make it snowy", "-o", "out"];
    stdout(&desk.batch(&all));
    let first = desk.results("out");

    // Other settings, another photo, a picture that was touched, a stranger's picture.
    let refused = |arguments: &[&str], expected: &str| {
        let (message, code) = failure(&desk.batch(arguments));
        assert!(
            message.contains(expected) && message.contains("--redo"),
            "{message}"
        );
        assert_eq!(code, 3);
    };
    refused(
        &["in", "make it snowy", "-o", "out", "--seed", "1"],
        "seed was the default and is 1, and 1 more",
    );
    fs::copy(desk.path("out/1.png"), desk.path("out/0.png")).unwrap();
    refused(&all, "was changed after it was made");
    fs::write(desk.path("out/0.png"), &first["0.png"]).unwrap();
    fs::rename(desk.path("in/1.png"), desk.path("in/2.png")).unwrap();
    fs::copy(desk.path("in/0.png"), desk.path("in/1.png")).unwrap();
    refused(&all, "another photo, or the photo has changed");
    fs::write(desk.path("out/2.png"), "somebody's").unwrap();
    fs::remove_file(desk.path("out/1.png")).unwrap();
    refused(&all, "was not made by a batch");
    assert_eq!(desk.results("out")["0.png"], first["0.png"]);

    let text = stdout(&desk.batch(&[&all[..], &["--redo"]].concat()));
    assert_eq!(text, "out/1.png (seed 0)\nout/2.png (seed 0)\n");
    assert_eq!(stdout(&desk.batch(&all)), "");
}

#[test]
fn shards_share_a_folder_and_together_do_all() {
    let desk = Desk::new();
    desk.photos(&[(64, 64); 5]);
    let all = ["in", "make it snowy", "-o", "out"];
    for (shard, expected) in [("1/2", 3), ("2/2", 2)] {
        let text = stdout(&desk.batch(&[&all[..], &["--shard", shard]].concat()));
        assert_eq!(text.lines().count(), expected);
    }
    assert_eq!(desk.manifest("out/manifest-2-of-2.jsonl").len(), 2);
    // The whole finds what the shards have done, and the page is the same.
    let page = desk.results("out");
    assert_eq!(stdout(&desk.batch(&all)), "");
    assert_eq!(desk.results("out"), page);
    stdout(&desk.batch(&["in", "make it snowy", "-o", "whole"]));
    assert_eq!(desk.results("whole"), page);
}

#[test]
fn in_diffusers_mode_a_row_is_what_an_edit_of_it_is() {
    let desk = Desk::new();
    desk.photos(&[(64, 64), (64, 64)]);
    let mode = ["--compat", "diffusers", "--count", "2", "--seed", "4"];
    let all = ["in", "make it snowy", "-o", "out", "--batch", "3"];
    stdout(&desk.batch(&[&all[..], &mode].concat()));
    stdout(&desk.edit(&[&["in/1.png", "make it snowy", "-o", "one.png"][..], &mode].concat()));
    for number in 1..=2 {
        assert_eq!(
            pixels(desk.path(&format!("out/1-{number}.png"))),
            pixels(desk.path(&format!("one-{number}.png")))
        );
    }
}

#[test]
fn json_is_one_object_with_what_was_made_and_what_was_not() {
    let desk = Desk::new();
    desk.photos(&[(64, 64)]);
    fs::write(desk.path("in/1.png"), "no picture").unwrap();
    let output = desk.batch(&["in", "make it snowy", "-o", "out", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["made"][0]["output"], "0.png");
    assert_eq!(report["failed"][0]["outputs"][0], "1.png");
    assert_eq!(report["page"], "out/index.html");
}

/// Kills the command at moments drawn from the system, starts it again until it is done, and compares with an unbroken run.
fn kill_and_resume(kills: usize, device: &str) {
    use std::hash::{BuildHasher, RandomState};
    let desk = Desk::new();
    desk.photos(&SEVEN);
    let all = [
        "in",
        "make it snowy",
        "--count",
        "3",
        "--batch",
        "2",
        "--device",
        device,
        "-o",
    ];
    let started = Instant::now();
    stdout(&desk.batch(&[&all[..], &["whole"]].concat()));
    let whole = started.elapsed();
    let expected = desk.results("whole");
    assert_eq!(expected.len(), 22);

    let mut killed = Vec::new();
    for round in 0.. {
        let folder = format!("out{round}");
        loop {
            let share = RandomState::new().hash_one(killed.len()) % 1000;
            let moment = whole.mul_f64(share as f64 / 1000.0);
            let mut child = desk.start_batch(&[&all[..], &[&folder]].concat());
            std::thread::sleep(moment);
            if child.try_wait().unwrap().is_some() || killed.len() == kills {
                let output = child.wait_with_output().unwrap();
                stdout(&output);
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed.push((round, moment.as_millis()));
        }
        let results = desk.results(&folder);
        let other = |name: &&String| results.get(*name) != expected.get(*name);
        let names: Vec<_> = results
            .keys()
            .chain(expected.keys())
            .filter(other)
            .collect();
        assert!(names.is_empty(), "killed at {killed:?} ms: {names:?}");
        let made = ip2p_batch::made_in(desk.path(&folder)).unwrap();
        assert_eq!(made, ip2p_batch::made_in(desk.path("whole")).unwrap());
        if killed.len() == kills {
            break;
        }
    }
    eprintln!("killed at {killed:?} ms of {}", whole.as_millis());
}

#[test]
fn a_batch_that_is_killed_and_goes_on_gives_what_an_unbroken_one_does() {
    kill_and_resume(4, "flex");
    kill_and_resume(3, "flex,flex");
}

/// `cargo test -p ip2p-cli killed_twenty_times -- --ignored --nocapture`
#[test]
#[ignore = "for a change of what is written when: a batch killed at 20 random moments"]
fn a_batch_killed_twenty_times_gives_what_an_unbroken_one_does() {
    kill_and_resume(20, "flex");
    kill_and_resume(20, "flex,flex");
}

#[test]
#[cfg(unix)]
fn ctrl_c_leaves_a_folder_that_goes_on() {
    use std::io::Read;
    let desk = Desk::new();
    desk.photos(&[(64, 64); 3]);
    let all = ["in", "make it snowy", "--count", "200", "-o", "out"];
    let mut child = desk.start_batch(&all);
    let deadline = Instant::now() + Duration::from_mins(1);
    while !desk.path("out/0-2.png").exists() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    let lines = desk.manifest("out/manifest.jsonl").len();
    let pictures = desk.results("out").into_keys().collect::<Vec<_>>();
    assert_eq!(pictures.len(), lines, "{pictures:?}");
    assert!(!desk.path("out/index.html").exists());
}
