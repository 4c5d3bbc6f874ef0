//! The command as a user meets it: what it prints, what it leaves behind, and its exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use ip2p::{Photo, RgbPicture, Size};
use serde_json::Value;
use tempfile::TempDir;

fn tiny() -> PathBuf {
    ip2p_testing::fixture("tiny-ip2p")
}

/// A folder with a photo in it.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let rgb = (0..80 * 60 * 3_u32)
            .map(|i| u8::try_from(i * 7 % 256).unwrap())
            .collect();
        let photo = Photo::from(RgbPicture::new(Size::new(80, 60), rgb).unwrap());
        photo.save(desk.path("photo.png"), None).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn files(&self) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        let mut files: Vec<_> = fs::read_dir(&self.folder).unwrap().map(name).collect();
        files.sort();
        files
    }

    /// Runs `ip2p` here.
    fn ip2p(&self, arguments: &[&str]) -> Output {
        Command::cargo_bin("ip2p")
            .unwrap()
            .args(arguments)
            .env_remove("IP2P_MODEL")
            .current_dir(&self.folder)
            .output()
            .unwrap()
    }

    /// Runs `ip2p edit` with the tiny checkpoint, few steps and small pictures.
    fn edit(&self, arguments: &[&str]) -> Output {
        let tiny = tiny();
        let quick = [
            "--model",
            tiny.to_str().unwrap(),
            "--steps",
            "2",
            "--size",
            "64",
        ];
        self.ip2p(&[&["edit"], arguments, &quick].concat())
    }
}

fn stdout(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The message and the exit code of a call that failed.
fn failure(output: &Output) -> (String, i32) {
    assert!(
        !output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!message.contains("panicked"), "{message}");
    (message, output.status.code().unwrap())
}

fn pixels(path: impl AsRef<Path>) -> Vec<u8> {
    Photo::open(path).unwrap().rgb().pixels().to_vec()
}

#[test]
fn an_edit_is_written_and_its_seed_printed() {
    let desk = Desk::new();
    let text = stdout(&desk.edit(&["photo.png", "make it snowy", "-o", "out.png", "--seed", "7"]));
    assert_eq!(text, "out.png (seed 7)\n");
    assert_eq!(
        Photo::open(desk.path("out.png")).unwrap().size(),
        Size::new(80, 60)
    );
    assert_eq!(desk.files(), ["out.png", "photo.png"]);
}

#[test]
fn without_an_output_no_file_is_overwritten() {
    let desk = Desk::new();
    for expected in ["photo-edited.png", "photo-edited-2.png"] {
        let text = stdout(&desk.edit(&["photo.png", "make it snowy"]));
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn variations_have_the_seeds_that_follow() {
    let desk = Desk::new();
    let text = stdout(&desk.edit(&[
        "photo.png",
        "make it snowy",
        "-o",
        "a.png",
        "--seed",
        "7",
        "--count",
        "2",
    ]));
    assert_eq!(text, "a-1.png (seed 7)\na-2.png (seed 8)\n");
    stdout(&desk.edit(&["photo.png", "make it snowy", "-o", "b.png", "--seed", "8"]));
    assert_eq!(pixels(desk.path("a-2.png")), pixels(desk.path("b.png")));
}

#[test]
fn json_is_one_object_with_settings_times_and_memory() {
    let desk = Desk::new();
    let text = stdout(&desk.edit(&[
        "photo.png",
        "make it snowy",
        "-o",
        "out.png",
        "--json",
        "--text-scale",
        "5",
    ]));
    let report: Value = serde_json::from_str(&text).unwrap();
    let settings = &report["outputs"][0]["settings"];
    assert_eq!(settings["instruction"], "make it snowy");
    assert_eq!(settings["text_scale"], 5.0);
    assert!(settings["seed"].is_u64());
    assert_eq!(report["times"]["steps_s"].as_array().unwrap().len(), 2);
    assert!(
        report["peak_memory_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 1_000_000)
            || !cfg!(target_os = "linux")
    );
}

#[test]
fn an_edit_is_repeated_from_its_picture() {
    let desk = Desk::new();
    for (first, second) in [
        ("one.png", "two.png"),
        ("one.webp", "two.webp"),
        ("one.jpg", "two.jpg"),
    ] {
        let negative = [
            "--negative",
            "rain",
            "--sampler",
            "dpmpp-2m",
            "--image-scale",
            "1.1",
        ];
        stdout(&desk.edit(&[&["photo.png", "make it snowy", "-o", first][..], &negative].concat()));
        stdout(&desk.ip2p(&["edit", "--from", first, "-o", second]));
        assert_eq!(
            pixels(desk.path(first)),
            pixels(desk.path(second)),
            "{first}"
        );
    }
}

#[test]
fn inspect_says_how_a_picture_was_made_and_what_a_checkpoint_is() {
    let desk = Desk::new();
    stdout(&desk.edit(&["photo.png", "make it snowy", "-o", "out.png", "--seed", "7"]));
    let text = stdout(&desk.ip2p(&["inspect", "out.png"]));
    assert!(
        text.starts_with("make it snowy\n") && text.contains("Seed: 7"),
        "{text}"
    );
    let record: Value =
        serde_json::from_str(&stdout(&desk.ip2p(&["inspect", "out.png", "--json"]))).unwrap();
    assert_eq!(record["seed"], 7);
    let tiny = tiny();
    let text = stdout(&desk.ip2p(&["inspect", tiny.to_str().unwrap(), "--weights"]));
    assert!(
        text.contains("InstructPix2Pix") && text.contains("[16, 8, 3, 3] conv_in.weight"),
        "{text}"
    );
    let taesd = ip2p_testing::fixture("tiny-taesd");
    let text = stdout(&desk.ip2p(&["inspect", taesd.to_str().unwrap()]));
    assert!(
        text.contains("3 steps of dpmpp-2m at 64 pixels") && text.contains("vae (AutoencoderTiny)"),
        "{text}"
    );
    let (message, code) = failure(&desk.ip2p(&["inspect", "photo.png"]));
    assert!(
        message.contains("photo.png: holds no record") && code == 3,
        "{message}"
    );
}

#[test]
fn settings_that_make_no_sense_are_refused_before_weights_are_read() {
    let desk = Desk::new();
    let without_weights = damaged(&desk, |folder| {
        fs::remove_file(folder.join("unet/diffusion_pytorch_model.safetensors")).unwrap();
    });
    let model = without_weights.to_str().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["--steps", "0"], "steps must be between 1 and 1000, got 0"),
        (
            &["--text-scale", "NaN"],
            "text_scale must be a finite number",
        ),
        (
            &["--image-scale", "inf"],
            "image_scale must be a finite number",
        ),
        (&["--sampler", "euler_a"], "euler-a, euler, heun"),
        (&["--schedule", "kerras"], "normal, karras"),
        (&["--size", "100"], "size must be a multiple of 16"),
        (&["--count", "0"], "count must be"),
        (&["--device", "abacus"], "abacus"),
        (&["--precision", "f8"], "f32, f16, bf16"),
        (&["-o", "nowhere/out.png"], "nowhere"),
        (&["-o", "out.xyz"], "out.xyz"),
        (&["-o", "out.gif"], "out.gif"),
    ];
    for (arguments, expected) in cases {
        let all = [
            &["edit", "photo.png", "make it snowy", "--model", model],
            *arguments,
        ]
        .concat();
        let (message, code) = failure(&desk.ip2p(&all));
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert!((2..=5).contains(&code), "{arguments:?}: {code}");
    }
    let (message, code) = failure(&desk.edit(&["photo.png", ""]));
    assert!(
        message.contains("instruction must be a sentence") && code == 2,
        "{message}"
    );
    assert_eq!(desk.files(), ["model", "photo.png"]);
}

#[test]
fn photos_that_are_none_are_refused_by_name() {
    let desk = Desk::new();
    let real = fs::read(desk.path("photo.png")).unwrap();
    fs::write(desk.path("text.png"), "this is no picture").unwrap();
    fs::write(desk.path("short.png"), &real[..real.len() / 2]).unwrap();
    fs::write(desk.path("empty.png"), "").unwrap();
    let mut huge = real.clone();
    // The header's width and height; its checksum no longer fits either.
    huge[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    fs::write(desk.path("huge.png"), &huge).unwrap();
    for name in [
        "text.png",
        "short.png",
        "empty.png",
        "huge.png",
        "missing.png",
        ".",
    ] {
        let (message, code) = failure(&desk.edit(&[name, "make it snowy", "-o", "out.png"]));
        assert!(message.contains(name) && code == 3, "{name}: {message}");
    }
    assert!(!desk.path("out.png").exists());
}

#[test]
fn an_earlier_picture_survives_an_edit_that_fails() {
    let desk = Desk::new();
    fs::write(desk.path("out.png"), "earlier").unwrap();
    failure(&desk.edit(&[
        "photo.png",
        "make it snowy",
        "-o",
        "out.png",
        "--text-scale",
        "1e300",
    ]));
    assert_eq!(fs::read_to_string(desk.path("out.png")).unwrap(), "earlier");
    assert_eq!(desk.files(), ["out.png", "photo.png"]);
}

/// A copy of the tiny checkpoint to do damage to.
fn damaged(desk: &Desk, damage: impl Fn(&Path)) -> PathBuf {
    let copy = desk.path("model");
    for entry in ["", "unet", "vae", "text_encoder", "tokenizer", "scheduler"] {
        let (from, to) = (tiny().join(entry), copy.join(entry));
        fs::create_dir_all(&to).unwrap();
        for file in fs::read_dir(from)
            .unwrap()
            .map(Result::unwrap)
            .filter(|file| file.path().is_file())
        {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    damage(&copy);
    copy
}

/// Something that goes wrong with a checkpoint's folder.
type Damage<'a> = &'a dyn Fn(&Path);

fn replace(path: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn checkpoints_that_do_not_fit_are_refused_by_file_and_field() {
    let weights = |folder: &Path| folder.join("unet/diffusion_pytorch_model.safetensors");
    let cases: &[(&str, Damage<'_>)] = &[
        ("unet", &|folder| fs::remove_file(weights(folder)).unwrap()),
        ("diffusion_pytorch_model.safetensors", &|folder| {
            let bytes = fs::read(weights(folder)).unwrap();
            fs::write(weights(folder), &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("in_channels is 4", &|folder| {
            replace(
                folder.join("unet/config.json"),
                "\"in_channels\": 8",
                "\"in_channels\": 4",
            );
        }),
        ("missing", &|folder| {
            replace(
                folder.join("text_encoder/config.json"),
                "\"num_hidden_layers\": 2",
                "\"num_hidden_layers\": 3",
            );
        }),
        ("unused", &|folder| {
            replace(
                folder.join("text_encoder/config.json"),
                "\"num_hidden_layers\": 2",
                "\"num_hidden_layers\": 1",
            );
        }),
        ("shape", &|folder| {
            replace(
                folder.join("text_encoder/config.json"),
                "\"intermediate_size\": 64",
                "\"intermediate_size\": 65",
            );
        }),
        ("act_fn", &|folder| {
            replace(folder.join("unet/config.json"), "\"silu\"", "\"mish\"");
        }),
        ("beta_schedule", &|folder| {
            replace(
                folder.join("scheduler/scheduler_config.json"),
                "scaled_linear",
                "cubic",
            );
        }),
        ("merges.txt", &|folder| {
            fs::remove_file(folder.join("tokenizer/merges.txt")).unwrap();
        }),
    ];
    for (expected, damage) in cases {
        let desk = Desk::new();
        let model = damaged(&desk, damage);
        let model = model.to_str().unwrap();
        let output = desk.ip2p(&[
            "edit",
            "photo.png",
            "make it snowy",
            "-o",
            "out.png",
            "--model",
            model,
        ]);
        let (message, code) = failure(&output);
        assert!(message.contains(expected), "{expected}: {message}");
        assert_eq!(code, 4, "{message}");
        assert!(!desk.path("out.png").exists());
    }
}

#[test]
fn nan_in_a_weight_names_the_step_and_the_layer() {
    let desk = Desk::new();
    let model = damaged(&desk, |folder| {
        let path = folder.join("unet/diffusion_pytorch_model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let start = 8
            + header
            + metadata.tensors()["mid_block.resnets.0.conv1.weight"]
                .data_offsets
                .0;
        bytes[start..start + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        fs::write(path, bytes).unwrap();
    });
    let model = model.to_str().unwrap();
    let output = desk.ip2p(&[
        "edit",
        "photo.png",
        "make it snowy",
        "-o",
        "out.png",
        "--model",
        model,
        "--size",
        "64",
    ]);
    let (message, code) = failure(&output);
    assert!(
        message.contains("mid_block") && message.contains("step 1") && code == 5,
        "{message}"
    );
    assert!(!desk.path("out.png").exists());
}

#[test]
fn completions_and_manual_pages_are_written() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(
            stdout(&desk.ip2p(&["completions", shell])).contains("ip2p"),
            "{shell}"
        );
    }
    fs::create_dir(desk.path("man")).unwrap();
    stdout(&desk.ip2p(&["man", "man"]));
    assert!(desk.path("man/ip2p.1").exists() && desk.path("man/ip2p-edit.1").exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_nothing_half_written() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    use std::time::Duration;

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
