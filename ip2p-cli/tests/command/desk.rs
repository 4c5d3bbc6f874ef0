//! Where the tests work: a folder with a photo, the command, and checkpoints to do damage to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use ip2p::{Photo, RgbPicture, Size};
use tempfile::TempDir;

pub(crate) fn tiny() -> PathBuf {
    ip2p_testing::fixture("tiny-ip2p")
}

/// A folder with a photo in it.
pub(crate) struct Desk {
    pub(crate) folder: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        let mut files: Vec<_> = fs::read_dir(&self.folder).unwrap().map(name).collect();
        files.sort();
        files
    }

    /// Runs `ip2p` here.
    pub(crate) fn ip2p(&self, arguments: &[&str]) -> Output {
        Command::cargo_bin("ip2p")
            .unwrap()
            .args(arguments)
            .env_remove("IP2P_MODEL")
            .current_dir(&self.folder)
            .output()
            .unwrap()
    }

    /// The pixels that a small edit with these arguments writes.
    pub(crate) fn small_edit(&self, arguments: &[&str], output: &str) -> Vec<u8> {
        let always = [
            "edit",
            "photo.png",
            "make it snowy",
            "--seed",
            "3",
            "--steps",
            "2",
            "--size",
            "64",
            "-o",
            output,
        ];
        stdout(&self.ip2p(&[&always[..], arguments].concat()));
        pixels(self.path(output))
    }

    /// Runs `ip2p session` with the tiny checkpoint and small pictures, and these lines in a pipe.
    pub(crate) fn session(&self, arguments: &[&str], lines: &str) -> Output {
        let tiny = tiny();
        Command::cargo_bin("ip2p")
            .unwrap()
            .arg("session")
            .args(arguments)
            .args(["--model", tiny.to_str().unwrap()])
            .env_remove("IP2P_MODEL")
            .current_dir(&self.folder)
            .write_stdin(lines)
            .output()
            .unwrap()
    }

    /// Runs `ip2p edit` with the tiny checkpoint, few steps and small pictures.
    pub(crate) fn edit(&self, arguments: &[&str]) -> Output {
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

pub(crate) fn stdout(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The message and the exit code of a call that failed.
pub(crate) fn failure(output: &Output) -> (String, i32) {
    assert!(
        !output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!message.contains("panicked"), "{message}");
    (message, output.status.code().unwrap())
}

pub(crate) fn pixels(path: impl AsRef<Path>) -> Vec<u8> {
    Photo::open(path).unwrap().rgb().pixels().to_vec()
}

/// A copy of the tiny checkpoint to do damage to.
pub(crate) fn damaged(desk: &Desk, damage: impl Fn(&Path)) -> PathBuf {
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

pub(crate) fn replace(path: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}
