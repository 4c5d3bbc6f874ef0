//! Which of our crates may know which: the arrows of `docs/architecture.md`, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Each crate, and the crates of ours that it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("ip2p-core", &[]),
    ("ip2p-kernels", &["ip2p-core"]),
    ("ip2p-models", &["ip2p-core", "ip2p-kernels"]),
    ("ip2p-sched", &["ip2p-core"]),
    ("ip2p-hub", &["ip2p-core"]),
    ("ip2p-io", &["ip2p-core"]),
    ("ip2p-region", &["ip2p-core", "ip2p-io"]),
    (
        "ip2p",
        &[
            "ip2p-core",
            "ip2p-hub",
            "ip2p-io",
            "ip2p-kernels",
            "ip2p-models",
            "ip2p-region",
            "ip2p-sched",
            "ip2p-tiny",
        ],
    ),
    ("ip2p-tiny", &[]),
    ("ip2p-data", &["ip2p-core"]),
    ("ip2p-batch", &["ip2p"]),
    ("ip2p-train", &["ip2p", "ip2p-data", "ip2p-kernels"]),
    (
        "ip2p-cli",
        &["ip2p", "ip2p-batch", "ip2p-data", "ip2p-train"],
    ),
    ("ip2p-testing", &[]),
];

/// The crates of the workspace, each with those of ours that it depends on outside its tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let list = |value: &serde_json::Value| value.as_array().expect("a list").clone();
    let name = |value: &serde_json::Value| value["name"].as_str().expect("a name").to_owned();
    let packages = list(&metadata["packages"]);
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    packages
        .iter()
        .map(|package| {
            let used = list(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
                .map(name)
                .filter(|dependency| ours.contains(dependency))
                .collect();
            (name(package), used)
        })
        .collect()
}

#[test]
fn a_crate_depends_only_on_the_crates_below_it() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let dependencies = dependencies();
    assert_eq!(
        dependencies
            .keys()
            .map(String::as_str)
            .collect::<BTreeSet<_>>(),
        allowed.keys().copied().collect(),
        "a crate was added or removed: say here what it may depend on"
    );
    for (name, used) in dependencies {
        let too_much: Vec<_> = used
            .iter()
            .filter(|dependency| !allowed[name.as_str()].contains(&dependency.as_str()))
            .collect();
        assert!(too_much.is_empty(), "{name} may not depend on {too_much:?}");
    }
}

#[test]
fn a_dependency_has_its_version_in_one_place() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in ALLOWED {
        let folder = if *name == "ip2p" {
            root.to_owned()
        } else {
            root.join(name)
        };
        let manifest =
            std::fs::read_to_string(folder.join("Cargo.toml")).expect("each crate has a manifest");
        let mut table = String::new();
        for line in manifest.lines() {
            if let Some(header) = line.strip_prefix('[') {
                table = header.trim_end_matches(']').to_owned();
            } else if table.ends_with("dependencies")
                && table != "workspace.dependencies"
                && line.contains('=')
            {
                assert!(line.contains("workspace"), "{name} [{table}]: {line}");
            }
        }
    }
}
