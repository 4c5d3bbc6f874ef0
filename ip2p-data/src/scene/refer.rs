//! What an object can be called in its scene: every noun phrase here fits that object and no other.

use super::Scene;
use super::object::Object;
use super::place::{Column, Row};

/// How far two objects must lie apart, in units of the picture, to be told apart by place; how much larger one must be.
const APART: f32 = 0.2;
const LARGER: f32 = 1.45;
/// How near is "next to", and how far is not.
const BESIDE: f32 = 0.05;
const NOT_BESIDE: f32 = 0.18;

/// A noun phrase with its article, and how readily it is chosen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) weight: u32,
}

/// An object among all that a noun fits.
struct Group<'a> {
    object: &'a Object,
    others: Vec<&'a Object>,
    noun: String,
}

impl Group<'_> {
    fn say(&self, names: &mut Vec<Name>, weight: u32, forms: &[&str]) {
        for form in forms {
            let text = form.replace("{}", &self.noun);
            names.push(Name {
                text: format!("the {text}"),
                weight,
            });
        }
    }

    /// By a third of the width.
    fn by_column(&self, names: &mut Vec<Name>, weight: u32) {
        let x = self.object.at[0];
        let alone = self.others.is_empty();
        let all = |test: &dyn Fn(f32) -> bool| self.others.iter().all(|other| test(other.at[0]));
        if all(&|other| x + APART < other)
            && if alone {
                Column::of(x) == Some(Column::Left)
            } else {
                x < 0.5
            }
        {
            self.say(
                names,
                weight,
                &["left {}", "{} on the left", "{} on the left side"],
            );
        }
        if all(&|other| other + APART < x)
            && if alone {
                Column::of(x) == Some(Column::Right)
            } else {
                x > 0.5
            }
        {
            self.say(
                names,
                weight,
                &["right {}", "{} on the right", "{} on the right side"],
            );
        }
        if Column::of(x) == Some(Column::Middle) && all(&|other| (other - 0.5).abs() > APART) {
            self.say(
                names,
                weight,
                &[
                    "middle {}",
                    "{} in the middle",
                    "{} in the centre",
                    "{} in the center",
                ],
            );
        }
    }

    /// By a cell of the grid, or a row of it.
    fn by_cell(&self, names: &mut Vec<Name>, weight: u32) {
        let row = Row::of(self.object.kind, self.object.at[1]);
        let in_row = |other: &Object| Row::of(other.kind, other.at[1]) == row;
        let word = match row {
            Row::Top => "top",
            Row::Middle => return,
            Row::Bottom => "bottom",
        };
        if !self.others.iter().any(|other| in_row(other)) {
            self.say(names, weight, &[&format!("{{}} at the {word}")]);
        }
        let x = self.object.at[0];
        let clear = self
            .others
            .iter()
            .all(|other| !in_row(other) || (other.at[0] - x).abs() > APART);
        let side = match Column::of(x) {
            Some(Column::Left) => "left",
            Some(Column::Right) => "right",
            _ => return,
        };
        if clear {
            let forms = [
                format!("{{}} in the {word} {side}"),
                format!("{{}} in the {word} {side} corner"),
                format!("{{}} at the {word} {side}"),
            ];
            self.say(names, weight, &forms.each_ref().map(String::as_str));
        }
    }

    /// By distance from the viewer.
    fn by_depth(&self, names: &mut Vec<Name>) {
        const DEEPER: f32 = 0.15;
        let stand = self.object.kind.stand();
        let y = self.object.at[1];
        if self.others.is_empty() || self.others.iter().any(|other| other.kind.stand() != stand) {
            return;
        }
        if self.others.iter().all(|other| other.at[1] + DEEPER < y) {
            self.say(
                names,
                2,
                &["{} in front", "front {}", "closest {}", "nearest {}"],
            );
        }
        if self.others.iter().all(|other| y + DEEPER < other.at[1]) {
            self.say(
                names,
                2,
                &["{} in the back", "{} at the back", "farthest {}"],
            );
        }
    }

    /// By size.
    fn by_size(&self, names: &mut Vec<Name>) {
        let area = self.object.area();
        let two = self.others.len() == 1;
        if self.others.is_empty() {
            return;
        }
        if self.others.iter().all(|other| area > other.area() * LARGER) {
            self.say(names, 3, &["largest {}", "biggest {}"]);
            if two {
                self.say(names, 3, &["bigger {}", "larger {}", "big {}"]);
            }
        }
        if self.others.iter().all(|other| area * LARGER < other.area()) {
            self.say(names, 4, &["smallest {}"]);
            if two {
                self.say(names, 3, &["smaller {}", "small {}"]);
            }
        }
    }

    /// By what it stands next to.
    fn by_neighbour(&self, scene: &Scene, names: &mut Vec<Name>) {
        for mark in &scene.objects {
            let known = mark.kind != self.object.kind && of_kind(scene, mark) == 1;
            let near = self.object.gap(mark) < BESIDE;
            if known
                && near
                && self
                    .others
                    .iter()
                    .all(|other| other.id == mark.id || other.gap(mark) > NOT_BESIDE)
            {
                let weight = if self.others.is_empty() { 1 } else { 3 };
                let forms = ["next to", "near", "beside"]
                    .map(|word| format!("{{}} {word} the {}", mark.kind));
                self.say(names, weight, &forms.each_ref().map(String::as_str));
            }
        }
    }
}

/// How many objects are of the kind of this one.
fn of_kind(scene: &Scene, object: &Object) -> usize {
    scene
        .objects
        .iter()
        .filter(|other| other.kind == object.kind)
        .count()
}

/// Everything that an object can be called.
pub(super) fn names(scene: &Scene, id: u32) -> Vec<Name> {
    let Some(object) = scene.object(id) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    let group = |noun: String, fits: &dyn Fn(&Object) -> bool| Group {
        object,
        others: scene
            .objects
            .iter()
            .filter(|other| other.id != id && fits(other))
            .collect(),
        noun,
    };
    let kind = group(object.kind.to_string(), &|other| other.kind == object.kind);
    let coloured = group(format!("{} {}", object.colour, object.kind), &|other| {
        other.kind == object.kind && other.colour == object.colour
    });
    for (group, plain) in [(&kind, 14), (&coloured, 10)] {
        if group.others.is_empty() {
            group.say(&mut names, plain, &["{}"]);
        }
        let weight = if group.others.is_empty() { 1 } else { 3 };
        group.by_column(&mut names, weight);
        group.by_cell(&mut names, weight);
        group.by_depth(&mut names);
        group.by_size(&mut names);
        group.by_neighbour(scene, &mut names);
    }
    for noun in ["object", "thing"] {
        let any = group(noun.to_string(), &|_| true);
        any.by_size(&mut names);
        any.by_cell(&mut names, 1);
        let hued = group(format!("{} {noun}", object.colour), &|other| {
            other.colour == object.colour
        });
        if hued.others.is_empty() {
            hued.say(&mut names, 1, &["{}"]);
        }
    }
    names
}

/// The shortest name: the kind, or colour and kind; none if that fits others too.
pub(super) fn plain(scene: &Scene, id: u32) -> Option<String> {
    let object = scene.object(id)?;
    if of_kind(scene, object) == 1 {
        return Some(format!("the {}", object.kind));
    }
    let same = scene
        .objects
        .iter()
        .filter(|other| other.kind == object.kind && other.colour == object.colour);
    (same.count() == 1).then(|| format!("the {} {}", object.colour, object.kind))
}
