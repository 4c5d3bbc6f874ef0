//! Edits in turn: what a photo keeps through five of them, in a session and through pictures that are saved and read.

use std::fmt::Write as _;

use image::{GrayImage, RgbImage};
use ip2p::core::Size;
use ip2p::region::{Mask, Where};
use ip2p::{Detail, EditOptions, Editor, Photo, PhotoFile, Result, Session, TurnRequest};
use ip2p_data::measure::psnr;
use ip2p_data::scene;
use ip2p_data::{Example, Phrasing};

use super::EvalOptions;
use crate::pictures::{from_photo, to_photo};

/// How many edits are made of each scene.
const TURNS: usize = 5;

/// How the picture comes from one turn to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In a session, with the true mask of each turn.
    MaskedSession,
    /// In a session, each turn of which looks for where its sentence acts.
    SeekingSession,
    /// In a session, of which every turn may change everything.
    Session,
    /// As a PNG, with the change carried to the picture.
    Png,
    /// As a PNG of the model's own picture, as in other tools.
    ModelPng,
}

impl Way {
    const ALL: [Self; 5] = [
        Self::MaskedSession,
        Self::SeekingSession,
        Self::Session,
        Self::Png,
        Self::ModelPng,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::MaskedSession => "session, each turn with its true mask",
            Self::SeekingSession => "session, `--where auto`",
            Self::Session => "session, no masks",
            Self::Png => "PNG after PNG",
            Self::ModelPng => "PNG after PNG, `--detail model`",
        }
    }
}

/// What a way came to over all scenes, as sums.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    way: Way,
    scenes: u32,
    /// The PSNR to the first picture outside all masks, after each turn.
    outside: [f64; TURNS],
    /// The PSNR to the picture that all sentences together ask for.
    reached: f64,
}

/// What pictures keep through edits in turn.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnsTable {
    rows: Vec<Row>,
    /// The PSNR of the unchanged pictures to those that are asked for.
    unchanged: f64,
}

/// Measures five local edits in turn on drawn scenes, with the checkpoint's own settings.
///
/// `progress` is told how many edits are done.
///
/// # Errors
///
/// Those of [`Editor::edit`].
pub fn in_turn(
    editor: &Editor,
    options: &EvalOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<TurnsTable> {
    let row = |way| Row {
        way,
        scenes: 0,
        outside: [0.0; TURNS],
        reached: 0.0,
    };
    let mut table = TurnsTable {
        rows: Way::ALL.map(row).to_vec(),
        unchanged: 0.0,
    };
    let mut done = 0;
    for index in 0..options.scenes {
        let turns = scene::in_turn(options.seed, index, options.size, TURNS, Phrasing::Training);
        let asked = &turns[TURNS - 1].edited;
        let mask = everywhere(&turns);
        table.unchanged += of(psnr(&turns[0].input, asked, None));
        for row in &mut table.rows {
            let pictures = edit(editor, row.way, &turns, options.seed)?;
            for (sum, picture) in row.outside.iter_mut().zip(&pictures) {
                *sum += of(psnr(picture, &turns[0].input, Some((&mask, false))));
            }
            row.reached += of(psnr(&pictures[TURNS - 1], asked, None));
            row.scenes += 1;
            done += TURNS;
            progress(done);
        }
    }
    Ok(table)
}

/// A scene leaves some of its picture alone.
fn of(psnr: Option<f64>) -> f64 {
    psnr.expect("no five objects fill a picture")
}

/// 255 where any of the turns is asked to change the picture.
fn everywhere(turns: &[Example]) -> GrayImage {
    let mut all = GrayImage::new(turns[0].input.width(), turns[0].input.height());
    for mask in turns.iter().filter_map(|turn| turn.mask.as_ref()) {
        for (all, mask) in all.pixels_mut().zip(mask.pixels()) {
            all[0] = all[0].max(mask[0]);
        }
    }
    all
}

/// The picture after each turn.
fn edit(editor: &Editor, way: Way, turns: &[Example], seed: u64) -> Result<Vec<RgbImage>> {
    let region = if way == Way::SeekingSession {
        Where::AUTO
    } else {
        Where::default()
    };
    let options = |turn: usize| {
        let seed = seed.wrapping_add(turn as u64);
        EditOptions::default().with_seed(seed).with_where(region)
    };
    let mut pictures = Vec::with_capacity(turns.len());
    let mut photo = to_photo(&turns[0].input)?;
    if !matches!(way, Way::Png | Way::ModelPng) {
        let turns = turns.iter().map(|turn| {
            let mask = turn.mask.as_ref().filter(|_| way == Way::MaskedSession);
            (turn.instruction.as_str(), mask)
        });
        return in_session(editor, &photo, turns, &options(0));
    }
    for (index, turn) in turns.iter().enumerate() {
        let detail = if way == Way::ModelPng {
            Detail::Model
        } else {
            Detail::Photo
        };
        let options = options(index).with_detail(detail);
        let edited = editor.edit(&photo, &turn.instruction, &options)?;
        photo = Photo::decode(&edited.photo.to_png()?, "turn.png")?;
        pictures.push(from_photo(&photo));
    }
    Ok(pictures)
}

/// The picture after each turn of a session: sentences, with a mask where there is one, and the seeds from that of `options` on.
pub(super) fn in_session<'a>(
    editor: &Editor,
    photo: &Photo,
    turns: impl IntoIterator<Item = (&'a str, Option<&'a GrayImage>)>,
    options: &EditOptions,
) -> Result<Vec<RgbImage>> {
    let file = PhotoFile::from_bytes("scene.png", photo.to_png()?);
    let mut session = Session::begin(editor, file, options)?;
    let mut pictures = Vec::new();
    for (turn, (instruction, mask)) in (0..).zip(turns) {
        let seed = options.seed.wrapping_add(turn);
        let mask = mask.map(to_mask).transpose()?;
        let mut request = TurnRequest::new(instruction);
        request.mask = mask.as_ref();
        session.edit(editor, request, &options.clone().with_seed(seed))?;
        pictures.push(from_photo(&session.picture(editor)?.photo));
    }
    Ok(pictures)
}

fn to_mask(mask: &GrayImage) -> Result<Mask> {
    Mask::new(
        Size::new(mask.width(), mask.height()),
        mask.as_raw().clone(),
    )
}

impl TurnsTable {
    /// The table as Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = String::from("| outside all masks, after turn |");
        for turn in 1..=TURNS {
            let _ = write!(text, " {turn} |");
        }
        text.push_str(" 5th against 1st | to what was asked |\n|");
        text.push_str(&" --- |".repeat(TURNS + 3));
        text.push('\n');
        for row in &self.rows {
            let scenes = f64::from(row.scenes.max(1));
            let means = row.outside.map(|sum| sum / scenes);
            let _ = write!(text, "| {} |", row.way.name());
            for mean in means {
                let _ = write!(text, " {} |", decibels(mean));
            }
            let fall = match means[0] - means[TURNS - 1] {
                fall if fall.is_nan() => "the same".to_owned(),
                fall => format!("{:+.1} dB", -fall),
            };
            let _ = writeln!(text, " {fall} | {} |", decibels(row.reached / scenes));
        }
        let scenes = self.rows.first().map_or(0, |row| row.scenes);
        let unchanged = decibels(self.unchanged / f64::from(scenes.max(1)));
        let _ = writeln!(
            text,
            "\n{scenes} scenes; the unchanged picture: {unchanged}."
        );
        text
    }
}

fn decibels(psnr: f64) -> String {
    if psnr.is_infinite() {
        "∞".to_owned()
    } else {
        format!("{psnr:.1} dB")
    }
}
