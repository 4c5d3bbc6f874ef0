//! `ip2p batch` with a device of another machine, which goes away: burn's own server in a process of its own, on loopback.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ip2p::{Model, Photo, Precision, RgbPicture, Size, device_by_name};
use ip2p_batch::{Batch, Defaults, Event, Jobs, Plan, Worker, made_in};
use ip2p_testing::fixture;

const PHOTOS: u32 = 12;

/// A process that lends flex, until it is dropped.
struct Lender {
    process: Child,
    name: String,
}

impl Lender {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let process = Command::new(ip2p())
            .args(["train", "lend", "--port", &address.port().to_string()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            process,
            name: format!("remote:{address}"),
        }
    }

    /// The process is gone, as by a kill -9.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The process stands still and its connections stay: what a machine looks like that has lost its power.
    fn freeze(&self) {
        let id = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-STOP", &id])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Lender {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn ip2p() -> PathBuf {
    assert_cmd::cargo::cargo_bin("ip2p")
}

/// Photos in a folder of their own.
fn photos(folder: &Path) {
    fs::create_dir(folder.join("in")).unwrap();
    for index in 0..PHOTOS {
        let rgb = (0..64 * 64 * 3).map(|i: u32| u8::try_from((i * 7 + index * 31) % 256).unwrap());
        let photo = Photo::from(RgbPicture::new(Size::new(64, 64), rgb.collect()).unwrap());
        photo
            .save(folder.join(format!("in/{index:02}.png")), None)
            .unwrap();
    }
}

/// The command, in that folder.
fn batch(folder: &Path, output: &str, device: &str) -> Command {
    let mut command = Command::new(ip2p());
    command
        .args([
            "batch",
            "in",
            "make it snowy",
            "-o",
            output,
            "--device",
            device,
        ])
        .args(["--steps", "4", "--size", "64", "--model"])
        .arg(fixture("tiny-ip2p"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What the command says and its exit code; `at` so many pictures something happens to the other machine.
fn run(mut command: Command, at: usize, what: impl FnOnce()) -> (String, String, i32) {
    let mut child = command.spawn().unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines: Vec<String> = told.by_ref().take(at).map(Result::unwrap).collect();
    what();
    lines.extend(told.map(Result::unwrap));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (lines.join("\n"), said, output.status.code().unwrap())
}

/// Waits until the batch's second device has made a picture: the first, which is slower, is then at work.
fn until_under_way(folder: &Path) {
    let deadline = Instant::now() + Duration::from_mins(2);
    let begins = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with("1-");
    loop {
        let mut staged = fs::read_dir(folder.join(".ip2p-batch"))
            .into_iter()
            .flatten();
        if staged.any(|entry| entry.is_ok_and(begins)) {
            return;
        }
        assert!(Instant::now() < deadline, "nothing is made");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn outputs(folder: &Path) -> Vec<String> {
    let made = made_in(folder).unwrap();
    made.into_iter().map(|made| made.output).collect()
}

fn expected() -> Vec<String> {
    (0..PHOTOS).map(|index| format!("{index:02}.png")).collect()
}

#[test]
fn a_machine_that_goes_away_gives_its_photos_to_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    photos(path);
    let mut lender = Lender::new();
    let device = format!("{},flex", lender.name);
    let (told, said, code) = run(batch(path, "out", &device), 0, || {
        until_under_way(&path.join("out"));
        lender.kill();
    });
    assert_eq!(code, 0, "{said}");
    // One line says so, and nothing else.
    let lines: Vec<_> = said.lines().collect();
    let [line] = lines.as_slice() else {
        panic!("{said}");
    };
    let begin = format!(
        "error: device {} is lost: does not answer any more: ",
        lender.name
    );
    assert!(line.starts_with(&begin), "{said}");
    assert!(
        line.ends_with("; its photos go to the other device"),
        "{said}"
    );
    // Told and journalled in the list's order, whichever device made them.
    let in_order: Vec<_> = expected()
        .iter()
        .map(|name| format!("out/{name} (seed 0)"))
        .collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), in_order);
    assert_eq!(outputs(&path.join("out")), expected());

    // What a device of the machine itself makes, but for the last digits of its sums.
    let (_, said, code) = run(batch(path, "here", "flex"), 0, || ());
    assert_eq!(code, 0, "{said}");
    for name in expected() {
        let [there, here] =
            ["out", "here"].map(|folder| Photo::open(path.join(folder).join(&name)).unwrap());
        let pairs = there.rgb().pixels().iter().zip(here.rgb().pixels());
        let furthest = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(furthest <= 1, "{name}: {furthest}");
    }
}

#[test]
fn without_any_machine_left_what_is_left_is_said_and_another_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    photos(path);
    let mut lender = Lender::new();
    let name = lender.name.clone();
    let (_, said, code) = run(batch(path, "out", &name), 2, || lender.kill());
    assert_eq!(code, 5, "{said}");
    let made = outputs(&path.join("out")).len();
    let left = PHOTOS as usize - made;
    assert!(made >= 2 && left > 0, "{made}");
    let expects = format!(
        "{made} pictures were made, and {left} are still to make: the same command goes on"
    );
    assert!(said.contains(&expects), "{said}");
    assert!(!said.contains("panicked at"), "{said}");

    let (told, said, code) = run(batch(path, "out", "flex"), 0, || ());
    assert_eq!((code, told.lines().count()), (0, left), "{said}");
    assert_eq!(outputs(&path.join("out")), expected());
}

/// A plan of the photos.
fn plan(folder: &Path, model: &Model) -> Plan {
    let options = ip2p::EditOptions::default()
        .with_steps(4)
        .with_size("64".parse().unwrap());
    let defaults = Defaults::default()
        .with_instruction("make it snowy")
        .with_options(options);
    let input = folder.join("in").to_string_lossy().into_owned();
    let jobs = Jobs::open(&[input], &defaults).unwrap();
    Batch::new(jobs, folder.join("out"))
        .plan(model, Precision::F32)
        .unwrap()
}

#[test]
fn a_machine_that_stands_still_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path());
    let lender = Lender::new();
    let model = Model::open(fixture("tiny-ip2p")).unwrap();
    let worker = |name: &str| {
        let device = device_by_name(name).unwrap();
        let editor = model
            .clone()
            .load(&device, Precision::F32, &mut |_| ())
            .unwrap();
        Worker::new(editor, name).with_patience(Duration::from_millis(700))
    };
    let workers = [worker(&lender.name), worker("flex")];
    let mut lost = Vec::new();
    let mut steps = 0;
    let done = plan(folder.path(), &model)
        .run(&workers, &mut |event| {
            match event {
                Event::Step { .. } => {
                    steps += 1;
                    if steps == 6 {
                        lender.freeze();
                    }
                }
                Event::Lost {
                    device,
                    reason,
                    left,
                } => {
                    lost.push((device.to_owned(), reason.to_owned(), left));
                }
                _ => {}
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(done.made.len(), PHOTOS as usize);
    assert_eq!(outputs(&folder.path().join("out")), expected());
    let [(device, reason, 1)] = lost.as_slice() else {
        panic!("{lost:?}");
    };
    assert_eq!(device, &lender.name);
    assert!(reason.contains("does not answer"), "{reason}");
}
