//! Ctrl-C.

#![cfg(unix)]

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::desk::{Desk, tiny};

#[test]
fn ctrl_c_leaves_nothing_half_written() {
    let desk = Desk::new();
    let tiny = tiny();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("ip2p"))
        .args([
            "edit",
            "photo.png",
            "make it snowy",
            "-o",
            "out.png",
            "--steps",
            "1000",
            "--size",
            "512",
            "--model",
        ])
        .arg(tiny)
        .current_dir(&desk.folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("stopping after this step"), "{said}");
    assert_eq!(desk.files(), ["photo.png"]);
}
