//! Sentences for edits.
//!
//! In a template, `{o}` is the object's name, `{n}` a new object with its article, `{c}` a colour, `{at}` and `{to}` a place, `{hue}` the
//! word colour in British or American spelling.

mod templates;

use rand::{Rng, RngExt};

use super::Scene;
use super::colour::Colour;
use super::edit::Edit;
use super::kind::Kind;
use super::place::{Column, Place, Row, Side};
use super::refer::{self, Name};
use super::sample::{chance, pick};
use crate::Phrasing;

/// Ways of asking for one thing: orders ("remove it"), which can be chained, and wishes ("it should be gone").
struct Templates {
    orders: &'static [&'static str],
    wishes: &'static [&'static str],
}

/// A request without capitals or stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) text: String,
    pub(super) is_order: bool,
}

/// Asks for an edit. The object's name must fit it in each of the scenes (the first is the one that the edit is of), and no other object;
/// none if there is no such name.
pub(super) fn clause(
    scenes: &[&Scene],
    edit: &Edit,
    phrasing: Phrasing,
    rng: &mut impl Rng,
) -> Option<Clause> {
    let templates = templates::of(edit, phrasing);
    let orders = templates.orders.len();
    let which = rng.random_range(0..orders + templates.wishes.len());
    let is_order = which < orders;
    let template = if is_order {
        templates.orders[which]
    } else {
        templates.wishes[which - orders]
    };
    let mut text = template.to_string();
    if let Some(id) = edit.object() {
        text = text.replace("{o}", &name(scenes, id, rng)?);
    }
    match *edit {
        Edit::Add {
            kind,
            colour,
            place,
        } => {
            let at = match place {
                Place::Column(Column::Middle) if chance(35, rng) => String::new(),
                Place::Cell(Column::Middle, row) if chance(50, rng) => {
                    format!("at the {}", row_word(row))
                }
                _ => at(scenes, place, rng)?,
            };
            text = text
                .replace("{n}", &new(kind, colour, rng))
                .replace("{at}", &at);
        }
        Edit::Move { place, .. } => {
            text = text
                .replace("{at}", &at(scenes, place, rng)?)
                .replace("{to}", &to(scenes, place, rng)?);
        }
        Edit::Recolour { colour, .. } => text = text.replace("{c}", colour.name()),
        Edit::Replace { kind, colour, .. } => text = text.replace("{n}", &new(kind, colour, rng)),
        Edit::Remove { .. } | Edit::Resize { .. } => {}
    }
    let hue = if chance(50, rng) { "colour" } else { "color" };
    let text = text.replace("{hue}", hue);
    let text = text.trim().trim_start_matches(", ").to_string();
    Some(Clause { text, is_order })
}

/// A name that fits in every one of the scenes.
fn name(scenes: &[&Scene], id: u32, rng: &mut impl Rng) -> Option<String> {
    let mut names = refer::names(scenes.first()?, id);
    for scene in &scenes[1..] {
        let also: Vec<Name> = refer::names(scene, id);
        names.retain(|name| also.iter().any(|other| other.text == name.text));
    }
    let total: u32 = names.iter().map(|name| name.weight).sum();
    if total == 0 {
        return None;
    }
    let mut left = rng.random_range(0..total);
    names
        .into_iter()
        .find(|name| {
            let found = left < name.weight;
            left = left.saturating_sub(name.weight);
            found
        })
        .map(|name| name.text)
}

/// A new object with its article; its default colour is named half the time.
fn new(kind: Kind, colour: Colour, rng: &mut impl Rng) -> String {
    let unsaid = colour == kind.default_colour() && chance(50, rng);
    let noun = if unsaid {
        kind.to_string()
    } else {
        format!("{colour} {kind}")
    };
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {noun}")
}

fn row_word(row: Row) -> &'static str {
    match row {
        Row::Top => "top",
        Row::Middle => "middle",
        Row::Bottom => "bottom",
    }
}

fn side_word(column: Column) -> &'static str {
    match column {
        Column::Left => "left",
        Column::Middle => "middle",
        Column::Right => "right",
    }
}

/// Where something is.
fn at(scenes: &[&Scene], place: Place, rng: &mut impl Rng) -> Option<String> {
    let forms: &[&str] = match place {
        Place::Cell(Column::Middle, _) => &["in the {row} middle", "at the {row} in the middle"],
        Place::Cell(..) => &[
            "in the {row} {side}",
            "in the {row} {side} corner",
            "at the {row} {side}",
        ],
        Place::Column(Column::Middle) => &["in the middle", "in the centre", "in the center"],
        Place::Column(_) => &["on the {side}", "on the {side} side", "at the {side}"],
        Place::Beside(..) => return beside(scenes, place, rng),
    };
    spelled(forms, place, rng)
}

/// Where something goes.
fn to(scenes: &[&Scene], place: Place, rng: &mut impl Rng) -> Option<String> {
    let forms: &[&str] = match place {
        Place::Cell(Column::Middle, _) => &["to the {row} middle", "into the {row} middle"],
        Place::Cell(..) => &[
            "to the {row} {side}",
            "to the {row} {side} corner",
            "into the {row} {side} corner",
        ],
        Place::Column(Column::Middle) => &[
            "to the middle",
            "to the centre",
            "to the center",
            "into the middle",
        ],
        Place::Column(_) => &["to the {side}", "to the {side} side", "over to the {side}"],
        Place::Beside(..) => return beside(scenes, place, rng),
    };
    spelled(forms, place, rng)
}

fn spelled(forms: &[&str], place: Place, rng: &mut impl Rng) -> Option<String> {
    let form = pick(forms, rng)?;
    Some(match place {
        Place::Cell(column, row) => form
            .replace("{row}", row_word(row))
            .replace("{side}", side_word(column)),
        Place::Column(column) => form.replace("{side}", side_word(column)),
        Place::Beside(..) => form.to_string(),
    })
}

fn beside(scenes: &[&Scene], place: Place, rng: &mut impl Rng) -> Option<String> {
    let Place::Beside(side, id) = place else {
        return None;
    };
    let mark = refer::plain(scenes.first()?, id)?;
    if scenes
        .iter()
        .any(|scene| refer::plain(scene, id).as_ref() != Some(&mark))
    {
        return None;
    }
    let forms: &[&str] = match side {
        Side::Left => &["to the left of", "on the left of", "left of"],
        Side::Right => &["to the right of", "on the right of", "right of"],
        Side::Above => &["above", "over"],
    };
    Some(format!("{} {mark}", pick(forms, rng)?))
}

/// A clause as someone might type it: mostly bare, now and then polite, or with a capital and a full stop.
pub(super) fn finish(clause: &Clause, phrasing: Phrasing, rng: &mut impl Rng) -> String {
    const POLITE: [&str; 5] = ["please", "can you", "could you", "could you please", "now"];
    let mut text = clause.text.clone();
    let mut stop = ".";
    if clause.is_order && chance(12, rng) {
        let word = if phrasing == Phrasing::Training {
            pick(&POLITE, rng)
        } else {
            Some("please")
        };
        let word = word.unwrap_or(POLITE[0]);
        text = format!("{word} {text}");
        stop = if word.starts_with('c') { "?" } else { "." };
    }
    match rng.random_range(0..100) {
        0..14 => format!("{}{stop}", capitalised(&text)),
        14..18 => capitalised(&text),
        18..22 => format!("{text}{stop}"),
        _ => text,
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// Two or three orders in one sentence.
pub(super) fn join(clauses: &[String], phrasing: Phrasing, rng: &mut impl Rng) -> String {
    const TRAINING: [&str; 6] = [
        " and ",
        ", then ",
        " and then ",
        ", and then ",
        ", and ",
        ". after that, ",
    ];
    const HELD_OUT: [&str; 3] = [", after that ", ". then ", " and after that "];
    let words: &[&str] = if phrasing == Phrasing::Training {
        &TRAINING
    } else {
        &HELD_OUT
    };
    let mut text = clauses[0].clone();
    for clause in &clauses[1..] {
        text.push_str(pick(words, rng).unwrap_or(" and "));
        text.push_str(clause);
    }
    text
}
