//! Models from a hub on this machine.

mod stopped;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use assert_cmd::cargo::CommandCargoExt;
use ip2p::EditRecord;
use serde_json::Value;

use crate::desk::{Desk, failure, pixels, stdout, tiny};
use crate::loopback::{Files, Loopback, files_of};

const ID: &str = "org/tiny-ip2p";

/// What the variables of a user's shell might be: the tests must not find a hub there.
const VARIABLES: [&str; 12] = [
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_TOKEN_PATH",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "IP2P_MODEL",
];

/// A desk with a hub that has the tiny model.
struct Hub {
    desk: Desk,
    loopback: Loopback,
    commit: String,
}

impl Hub {
    fn new() -> Self {
        let loopback = Loopback::start();
        Self {
            commit: loopback.commit(ID, &files()),
            desk: Desk::new(),
            loopback,
        }
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::cargo_bin("ip2p").unwrap();
        for name in VARIABLES {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .env("HF_ENDPOINT", self.loopback.endpoint())
            .env("HF_HOME", self.desk.path("hf"))
            .envs(variables.iter().copied())
            .current_dir(&self.desk.folder);
        command
    }

    fn with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        self.command(arguments, variables).output().unwrap()
    }

    fn ip2p(&self, arguments: &[&str]) -> Output {
        self.with(arguments, &[])
    }

    /// A small and quick edit.
    fn edit(&self, model: &str, output: &str, more: &[&str]) -> Output {
        let quick = [
            "edit",
            "photo.png",
            "make it snowy",
            "--model",
            model,
            "-o",
            output,
            "--steps",
            "2",
            "--size",
            "64",
            "--seed",
            "7",
        ];
        self.ip2p(&[&quick, more].concat())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.desk.path("hf/hub/models--org--tiny-ip2p").join(name)
    }

    fn snapshot(&self) -> PathBuf {
        self.path("snapshots").join(&self.commit)
    }
}

/// The tiny model, with what is beside one on the hub.
fn files() -> Files {
    let mut files = files_of(&tiny());
    for name in [
        "README.md",
        "tiny.ckpt",
        "unet/diffusion_pytorch_model.bin",
        "safety_checker/model.safetensors",
    ] {
        files.insert(name.into(), vec![1; 1000]);
    }
    files
}

#[test]
fn a_model_is_fetched_once_and_edited_with() {
    let hub = Hub::new();
    let output = hub.edit(ID, "one.png", &[]);
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(
        told.starts_with("fetching org/tiny-ip2p, 1.29 MB, to "),
        "{told}"
    );
    stdout(&output);
    assert_eq!(files_of(&hub.snapshot()), files_of(&tiny()));
    // The model itself, from its folder, makes the same picture.
    stdout(&hub.desk.edit(&[
        "photo.png",
        "make it snowy",
        "-o",
        "same.png",
        "--seed",
        "7",
    ]));
    assert_eq!(
        pixels(hub.desk.path("one.png")),
        pixels(hub.desk.path("same.png"))
    );
    let record = EditRecord::read(hub.desk.path("one.png")).unwrap().unwrap();
    let name = format!("{ID}@{}", hub.commit);
    assert_eq!(record.model_path.as_deref(), Some(&*name));
    hub.loopback.seen();
    // Just this revision again: there is nothing to ask.
    stdout(&hub.ip2p(&["edit", "--from", "one.png", "-o", "two.png"]));
    assert_eq!(
        pixels(hub.desk.path("one.png")),
        pixels(hub.desk.path("two.png"))
    );
    assert!(hub.loopback.seen().is_empty());
    let told = hub.edit(ID, "three.png", &[]).stderr;
    assert_eq!(String::from_utf8(told).unwrap(), "");
    assert_eq!(hub.loopback.seen().len(), 1);
}

#[test]
fn without_the_network_what_is_in_the_cache_is_used() {
    let hub = Hub::new();
    let (message, code) = failure(&hub.edit(ID, "one.png", &["--offline"]));
    assert!(
        message.contains("is not in the cache") && code == 6,
        "{message}"
    );
    stdout(&hub.ip2p(&["pull", ID]));
    hub.loopback.seen();
    stdout(&hub.edit(ID, "one.png", &["--offline"]));
    let quick = [
        "edit",
        "photo.png",
        "make it snowy",
        "--model",
        ID,
        "-o",
        "two.png",
        "--steps",
        "1",
        "--size",
        "64",
    ];
    stdout(&hub.with(&quick, &[("HF_HUB_OFFLINE", "1")]));
    assert!(hub.loopback.seen().is_empty());
    let output = hub.with(&quick, &[("HF_ENDPOINT", "http://127.0.0.1:1")]);
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(
        told.ends_with("; using the revision of org/tiny-ip2p in the cache\n"),
        "{told}"
    );
    stdout(&output);
    // Who asks to fetch is told that nothing was.
    let (message, code) =
        failure(&hub.with(&["pull", ID], &[("HF_ENDPOINT", "http://127.0.0.1:1")]));
    assert!(
        message.contains("does not answer") && code == 6,
        "{message}"
    );
}

#[test]
fn a_folder_of_that_name_wins() {
    let hub = Hub::new();
    let folder = hub.desk.path(ID);
    for (name, bytes) in files_of(&tiny()) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    stdout(&hub.edit(ID, "one.png", &[]));
    assert!(hub.loopback.seen().is_empty());
    let record = EditRecord::read(hub.desk.path("one.png")).unwrap().unwrap();
    assert_eq!(record.model_path.as_deref(), Some(ID));
    let (message, code) = failure(&hub.edit(ID, "two.png", &["--revision", "main"]));
    assert!(
        message.contains("revision must be left out") && code == 2,
        "{message}"
    );
}

#[test]
fn paths_that_are_missing_are_no_names_of_models() {
    let hub = Hub::new();
    for path in [
        "photo.jpg",
        "./org/model",
        "/nowhere/model",
        "models/sd.safetensors",
        "a/b/c",
        "model",
    ] {
        let (message, code) = failure(&hub.edit(path, "one.png", &[]));
        assert!(
            message.contains(path) && message.contains("does not exist") && code == 4,
            "{path}: {message}"
        );
    }
    assert!(hub.loopback.seen().is_empty());
    let (message, code) = failure(&hub.edit("org/other", "one.png", &[]));
    let expected = "error: org/other: 127.0.0.1 has no such model (404); check the name (there is no file or folder of \
                    this name here)\n";
    assert_eq!((message.as_str(), code), (expected, 6));
    let (message, code) = failure(&hub.edit("org/tiny-ip2p@v2", "one.png", &[]));
    assert!(message.contains("no revision v2") && code == 6, "{message}");
}

#[test]
fn the_token_is_the_variable_s() {
    let hub = Hub::new();
    hub.loopback.ask_for("hf_secret");
    let (message, code) = failure(&hub.ip2p(&["pull", ID]));
    assert!(message.contains("set HF_TOKEN") && code == 6, "{message}");
    let text = stdout(&hub.with(&["pull", ID], &[("HF_TOKEN", "hf_secret")]));
    assert_eq!(text, format!("{}\n", hub.snapshot().display()));
}

#[test]
fn a_revision_is_pinned_by_name_or_option() {
    let hub = Hub::new();
    let mut newer = files();
    newer.insert("ip2p.json".into(), b"{\"steps\": 3}".to_vec());
    let second = hub.loopback.commit(ID, &newer);
    for (arguments, commit) in [
        (vec![ID], &second),
        (vec![ID, "--revision", &hub.commit], &hub.commit),
        (vec![&*format!("{ID}@{}", hub.commit)], &hub.commit),
    ] {
        let text = stdout(&hub.ip2p(&[&["pull", "--json"], &*arguments].concat()));
        let report: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["commit"], **commit, "{arguments:?}");
    }
}

#[test]
fn what_is_in_the_cache_is_listed_inspected_and_removed() {
    let hub = Hub::new();
    let text = stdout(&hub.ip2p(&["models"]));
    assert!(text.starts_with("no models in "), "{text}");
    let (message, code) = failure(&hub.ip2p(&["inspect", ID]));
    assert!(
        message.contains("`ip2p pull org/tiny-ip2p` fetches it") && code == 6,
        "{message}"
    );
    stdout(&hub.ip2p(&["pull", ID]));
    hub.loopback.seen();
    let text = stdout(&hub.ip2p(&["inspect", ID]));
    assert!(text.contains("an InstructPix2Pix model"), "{text}");
    let text = stdout(&hub.ip2p(&["models"]));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "org/tiny-ip2p  1.30 MB");
    let expected = format!(
        "  {} (main)  1.30 MB  an InstructPix2Pix model, Custom",
        &hub.commit[..12]
    );
    assert_eq!(lines[1..], [expected]);
    let models: Value = serde_json::from_str(&stdout(&hub.ip2p(&["models", "--json"]))).unwrap();
    let revision = &models[0]["revisions"][0];
    assert_eq!(models[0]["id"], ID);
    assert_eq!(
        (&revision["commit"], &revision["refs"][0]),
        (&hub.commit.as_str().into(), &"main".into())
    );
    assert_eq!(
        (&revision["kind"], &revision["profile"]["steps"]),
        (&"instruct_pix2_pix".into(), &20.into())
    );
    assert_eq!(revision["folder"], hub.snapshot().to_str().unwrap());
    let text = stdout(&hub.ip2p(&["rm", ID]));
    assert_eq!(text, "removed org/tiny-ip2p: 1.30 MB are free again\n");
    assert!(!hub.path("").exists());
    let (message, code) = failure(&hub.ip2p(&["rm", ID]));
    assert!(
        message.contains("org/tiny-ip2p: is not in the cache") && code == 6,
        "{message}"
    );
    let (message, code) = failure(&hub.ip2p(&["rm", "../x"]));
    assert!(
        message.contains("must be a model's name") && code == 2,
        "{message}"
    );
    assert!(hub.loopback.seen().is_empty());
}

#[test]
fn what_is_no_model_for_an_edit_is_refused_before_its_weights() {
    let hub = Hub::new();
    let mut files = files();
    let config = String::from_utf8(files["unet/config.json"].clone()).unwrap();
    assert!(config.contains("\"in_channels\": 8"), "{config}");
    let config = config.replace("\"in_channels\": 8", "\"in_channels\": 4");
    files.insert("unet/config.json".into(), config.into());
    hub.loopback.commit("org/sd", &files);
    let (message, code) = failure(&hub.edit("org/sd", "one.png", &[]));
    assert!(
        message.contains("a text-to-image Stable Diffusion model") && code == 4,
        "{message}"
    );
    assert!(hub.loopback.seen().iter().all(|seen| !seen.at_cdn));
    // To merge with, it is one.
    stdout(&hub.ip2p(&["pull", "org/sd"]));
    let text = stdout(&hub.ip2p(&[
        "merge", ID, "merged", "--custom", "org/sd", "--base", "org/sd", "-q",
    ]));
    assert!(text.starts_with("merged"), "{text}");
    stdout(&hub.ip2p(&["convert", ID, "tiny.safetensors", "-q"]));
}
