//! `ip2p session`, with its lines in a pipe.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use ip2p::{EditRecord, Session};

use crate::desk::{Desk, failure, pixels, stdout, tiny};

const BEGIN: [&str; 6] = ["a.ip2p", "photo.png", "--steps", "2", "--size", "64"];

#[test]
fn a_session_is_edited_left_and_gone_on_with() {
    let desk = Desk::new();
    let lines = "set seed 7\nmake it snowy, then add a hat\nundo\nredo\nset where top left\nturn the car red\nsave one.png\n";
    let text = stdout(&desk.session(&BEGIN, lines));
    let expected = "1  make it snowy (seed 7)\n2  add a hat (seed 8)\ntook back: add a hat\nmade again: add a hat\n\
                    3  turn the car red (seed 7, masked)\none.png\n";
    assert_eq!(text, expected);
    let record = EditRecord::read(desk.path("one.png")).unwrap().unwrap();
    assert_eq!((record.earlier.len(), record.steps), (2, 2));
    assert_eq!(record.input.as_deref(), Some("photo.png"));

    // The photo is in the file, and the options are those of the last turn.
    fs::remove_file(desk.path("photo.png")).unwrap();
    let lines =
        "list\nsave two.png\nundo\nbranch other\nedit add a tree\nlist\nquit\nmake it night\n";
    let text = stdout(&desk.session(&["a.ip2p"], lines));
    assert!(text.starts_with("* main: 3 turns\n"), "{text}");
    assert!(
        text.contains("* other: 3 turns\n  1  make it snowy (seed 7)\n"),
        "{text}"
    );
    assert!(text.contains("  3  add a tree (seed "), "{text}");
    assert!(!text.contains("night"), "{text}");
    assert_eq!(pixels(desk.path("two.png")), pixels(desk.path("one.png")));
    let session = Session::open(desk.path("a.ip2p")).unwrap();
    let last = session.turns().last().unwrap();
    assert_eq!((last.record.steps, session.current_branch()), (2, "other"));
    assert_eq!(desk.files(), ["a.ip2p", "one.png", "two.png"]);
}

#[test]
fn what_each_turn_kept_is_shown() {
    let desk = Desk::new();
    let lines =
        "set mask_box 0,0,40,60\nmake it snowy\nunset mask-box\nset\nadd a hat\ncompare\nhelp\n";
    let text = stdout(&desk.session(&BEGIN, lines));
    let compared: Vec<_> = text.lines().filter(|line| line.contains(" dB")).collect();
    assert_eq!(compared.len(), 2, "{text}");
    assert!(
        compared[0].ends_with("outside the masks the photo to the byte"),
        "{text}"
    );
    assert!(compared[1].ends_with("no mask"), "{text}");
    assert!(
        text.contains("nothing is set\n") && text.contains("switch NAME"),
        "{text}"
    );

    // The same, and a sheet: the photo and two pictures side by side, with room for what is said below them.
    let text = stdout(&desk.session(&BEGIN[..1], "compare sheet.png\n"));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..2], compared, "{text}");
    assert_eq!(lines[2..], ["sheet.png"]);
    let size = ip2p::Photo::open(desk.path("sheet.png")).unwrap().size();
    assert!(size.width > 3 * 80 && size.height > 60, "{size}");
}

#[test]
fn in_a_pipe_the_first_error_ends_the_session_with_what_was_done() {
    let desk = Desk::new();
    for (line, says) in [
        ("set sampler fast", "sampler must be"),
        (
            "set size 128",
            "an option that may differ from turn to turn",
        ),
        ("switch other", "branch must be one of at "),
        ("undo the snow", "write: edit undo the snow"),
        ("save picture.xyz", "picture.xyz"),
        ("redo", "redo must be"),
    ] {
        let begin = if desk.path("a.ip2p").exists() {
            &BEGIN[..1]
        } else {
            &BEGIN
        };
        let lines = format!(
            "branch at {}\nmake it snowy\n{line}\nadd a hat\n",
            line.replace(' ', "-")
        );
        let (message, code) = failure(&desk.session(begin, &lines));
        assert!(message.contains(says), "{message}");
        assert!(code == 2 || code == 3, "{message}");
        let session = Session::open(desk.path("a.ip2p")).unwrap();
        let last = session.turns().last().unwrap();
        assert_eq!(last.record.instruction, "make it snowy");
    }
}

#[test]
fn a_file_that_is_no_session_or_another_photos_is_refused() {
    let desk = Desk::new();
    let (message, code) = failure(&desk.session(&["a.ip2p"], ""));
    assert!(
        message.contains("photo must be given") && code == 2,
        "{message}"
    );
    stdout(&desk.session(&BEGIN, "make it snowy\n"));
    // The same photo is no harm; another one is.
    stdout(&desk.session(&BEGIN, "list\n"));
    let photo = fs::read(desk.path("photo.png")).unwrap();
    let other = ip2p::Photo::decode(&photo, "photo.png").unwrap();
    other.save(desk.path("other.bmp"), None).unwrap();
    let (message, code) = failure(&desk.session(&["a.ip2p", "other.bmp"], "list\n"));
    assert!(
        message.contains("another photo than other.bmp") && code == 3,
        "{message}"
    );
    let bytes = fs::read(desk.path("a.ip2p")).unwrap();
    for (content, says) in [
        (&bytes[..bytes.len() - 9], "cut short"),
        (&photo[..], "not a session"),
        (&[][..], "not a session"),
    ] {
        fs::write(desk.path("b.ip2p"), content).unwrap();
        let (message, code) = failure(&desk.session(&["b.ip2p", "photo.png"], "make it snowy\n"));
        assert!(message.contains(says) && code == 3, "{message}");
        assert_eq!(fs::read(desk.path("b.ip2p")).unwrap(), content);
    }
}

/// However the process is killed, the file holds the turns that were said to be done, and can be gone on with.
#[test]
fn a_kill_leaves_the_session_as_it_was_or_with_one_turn_more() {
    let desk = Desk::new();
    stdout(&desk.session(&BEGIN, ""));
    let tiny = tiny();
    let mut done = 0;
    for attempt in 0..12_u64 {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin("ip2p"))
            .args(["session", "a.ip2p", "--steps", "2", "--model"])
            .arg(&tiny)
            .current_dir(&desk.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = "make it snowy\nundo\nredo\n".repeat(40);
        // The pipe breaks when the process is killed before it has read all.
        let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
        std::thread::sleep(Duration::from_millis(120 + attempt * 61 % 400));
        child.kill().unwrap();
        child.wait().unwrap();
        let session = Session::open(desk.path("a.ip2p")).unwrap();
        let turns = session.turns().len() + session.undone().len();
        assert!(turns >= done, "{turns} after {done}");
        done = turns;
    }
    assert!(done > 0, "no attempt came to a turn");
    // What was being written when it was killed lies beside, under a name of its own.
    stdout(&desk.session(&["a.ip2p"], "make it snowy\nsave out.png\n"));
    let session = Session::open(desk.path("a.ip2p")).unwrap();
    assert!(session.turns().len() >= done);
}
