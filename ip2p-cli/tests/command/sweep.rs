//! `ip2p sweep`.

use ip2p::{Photo, Size};
use serde_json::Value;

use crate::desk::{Desk, failure, pixels, stdout, tiny};

impl Desk {
    fn sweep(&self, arguments: &[&str]) -> std::process::Output {
        let tiny = tiny();
        let model = tiny.to_str().unwrap();
        let quick = ["--model", model, "--steps", "2", "--size", "64"];
        self.ip2p(&[&["sweep", "photo.png", "make it snowy"], arguments, &quick].concat())
    }
}

#[test]
fn a_sheet_shows_every_cell_and_each_is_what_an_edit_gives() {
    let desk = Desk::new();
    let text = stdout(&desk.sweep(&[
        "--text-scale",
        "3,7.5",
        "--image-scale",
        "1,1.5,2",
        "--seeds",
        "0,4",
        "-o",
        "sheet.png",
        "--json",
    ]));
    let report: Value = serde_json::from_str(&text).unwrap();
    let cells = report["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 12);
    assert_eq!(report["columns"], 3);
    // Seeds, then rows of one text scale, then columns.
    let cell = &cells[6 + 3 + 2];
    assert_eq!(
        (&cell["seed"], &cell["text_scale"]),
        (&4.into(), &7.5.into())
    );
    assert_eq!(cell["settings"]["image_scale"], 2.0);

    // The sheet holds the picture of the edit with the same settings, and its change is the one that is said.
    stdout(&desk.edit(&[
        "photo.png",
        "make it snowy",
        "--text-scale",
        "7.5",
        "--image-scale",
        "2",
        "--seed",
        "4",
        "-o",
        "one.png",
    ]));
    let (photo, one) = (pixels(desk.path("photo.png")), pixels(desk.path("one.png")));
    let pairs = photo.iter().zip(&one);
    let sum: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    let change = sum / (255.0 * photo.len() as f64);
    let said = cell["change"].as_f64().unwrap();
    assert!((said - change).abs() < 1e-12, "{said} {change}");
    let sheet = Photo::open(desk.path("sheet.png")).unwrap();
    assert!(holds(&sheet, &one, 80), "the cell");
    assert!(holds(&sheet, &photo, 80), "the photo");
}

/// Whether a picture of this width, given by its bytes, is somewhere in the sheet.
fn holds(sheet: &Photo, picture: &[u8], width: usize) -> bool {
    let Size { width: across, .. } = sheet.size();
    let (stride, row) = (across as usize * 3, width * 3);
    let bytes = sheet.rgb().pixels();
    let rows = picture.len() / row;
    let places = bytes.len().saturating_sub((rows - 1) * stride + row);
    (0..=places).step_by(3).any(|at| {
        picture
            .chunks(row)
            .enumerate()
            .all(|(y, line)| bytes[at + y * stride..].starts_with(line))
    })
}

#[test]
fn without_values_the_checkpoints_own_are_in_the_middle() {
    let desk = Desk::new();
    let text = stdout(&desk.sweep(&[]));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "photo-sweep.png");
    assert_eq!(lines.len(), 10);
    assert!(
        lines[1].starts_with("text 5 image 1.2 seed 0: changes "),
        "{text}"
    );
    assert!(
        lines[5].starts_with("text 7.5 image 1.5 seed 0: "),
        "{text}"
    );
    assert!(lines[9].starts_with("text 10 image 1.8 seed 0: "), "{text}");
}

#[test]
fn a_sweep_that_makes_no_sense_is_refused() {
    let desk = Desk::new();
    let many = (0..21).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    for (arguments, expected) in [
        (&["--text-scale", "x"][..], "invalid value 'x'"),
        (
            &["--image-scale", "1,inf"],
            "image_scale must be a finite number",
        ),
        (
            &["--text-scale", &many, "--image-scale", &many],
            "at most 400, got 441",
        ),
        (&["-o", "sheet.gif"], "sheet.gif"),
        (&["--cell", "0"], "invalid value '0'"),
    ] {
        let (message, code) = failure(&desk.sweep(arguments));
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert!(code == 2 || code == 3, "{arguments:?}: {code}");
    }
    assert_eq!(desk.files(), ["photo.png"]);
}

#[test]
fn auto_ranks_the_cells_and_says_why() {
    let desk = Desk::new();
    let auto = |arguments: &[&str]| {
        let scales = ["--text-scale", "3,9", "--image-scale", "1.5", "--auto"];
        let files = ["--json", "--mask-box", "0,0,40,60", "--best", "best.png"];
        let report = stdout(&desk.sweep(&[&scales, &files, arguments].concat()));
        serde_json::from_str::<Value>(&report).unwrap()
    };
    let report = auto(&["-o", "sheet.png"]);
    let ranking = report["ranking"].as_array().unwrap();
    assert_eq!(ranking.len(), 2);
    let inside = |place: usize| ranking[place]["inside"].as_f64().unwrap();
    assert!(inside(0) >= inside(1) && inside(1) > 0.0);
    assert_eq!(ranking[0]["outside"], 0.0, "the mask keeps the rest");
    let why = ranking[0]["why"].as_str().unwrap();
    assert!(why.starts_with("goes furthest: changes"), "{why}");
    // The best is the edit with the cell's settings.
    let settings = &report["cells"][usize::try_from(ranking[0]["edit"].as_u64().unwrap()).unwrap()]
        ["settings"];
    let best = ip2p::EditRecord::read(desk.path("best.png"))
        .unwrap()
        .unwrap();
    assert_eq!(
        settings["text_scale"],
        best.text_scale.to_string().parse::<f64>().unwrap()
    );

    let text = stdout(&desk.sweep(&["--auto", "--where", "left", "-o", "again.png"]));
    assert!(
        text.contains("\n1. text ") && text.contains("\n9. text "),
        "{text}"
    );
}
