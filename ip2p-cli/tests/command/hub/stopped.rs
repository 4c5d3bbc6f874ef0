//! Downloads that are killed, or have no room.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Hub, ID, VARIABLES};
use crate::desk::{failure, stdout, tiny};
use crate::loopback::{Kind, files_of};

#[test]
fn killed_in_the_middle_it_goes_on() {
    let hub = Hub::new();
    hub.loopback
        .fault("/lfs/", 99, Kind::Slow(Duration::from_millis(20)));
    let mut child = hub
        .command(&["pull", ID], &[])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let blobs = hub.path("blobs");
    let arrived = || {
        let entries = fs::read_dir(&blobs).into_iter().flatten().flatten();
        let part = |entry: &fs::DirEntry| {
            entry
                .path()
                .extension()
                .is_some_and(|end| end == "incomplete")
        };
        entries
            .filter(part)
            // One that is whole by now has another name.
            .map(|entry| entry.metadata().map_or(0, |metadata| metadata.len()))
            .sum::<u64>()
    };
    let started = Instant::now();
    while arrived() < 100_000 {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", arrived());
        sleep(Duration::from_millis(5));
    }
    // SIGKILL: nothing can be tidied up.
    child.kill().unwrap();
    child.wait().unwrap();
    let kept = arrived();
    assert!(kept >= 100_000 && !hub.path("refs/main").exists());
    hub.loopback.heal();
    hub.loopback.seen();
    stdout(&hub.ip2p(&["pull", ID]));
    assert_eq!(files_of(&hub.snapshot()), files_of(&tiny()));
    let seen = hub.loopback.seen();
    assert!(
        seen.iter()
            .any(|seen| seen.range == Some(format!("bytes={kept}-"))),
        "{seen:?}"
    );
}

/// The shell sets a limit that only a file of weights reaches.
#[cfg(target_os = "linux")]
#[test]
fn where_a_file_may_not_grow_nothing_half_written_counts() {
    let hub = Hub::new();
    let ip2p = assert_cmd::cargo::cargo_bin("ip2p");
    let limited = format!(
        "trap '' XFSZ; ulimit -f 200; exec '{}' pull {ID}",
        ip2p.display()
    );
    let mut shell = Command::new("bash");
    for name in VARIABLES {
        shell.env_remove(name);
    }
    let output = shell
        .args(["-c", &limited])
        .env("HF_ENDPOINT", hub.loopback.endpoint())
        .env("HF_HOME", hub.desk.path("hf"))
        .output()
        .unwrap();
    let (message, code) = failure(&output);
    assert!(
        message.contains("cannot be written to") && message.contains("File too large"),
        "{message}"
    );
    assert!(code == 6 && !hub.path("refs/main").exists());
    stdout(&hub.ip2p(&["pull", ID]));
    assert_eq!(files_of(&hub.snapshot()), files_of(&tiny()));
}
