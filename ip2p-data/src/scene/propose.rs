//! Edits by chance that make sense in a scene: what they do is seen, fits into the picture and hides little.

use rand::{Rng, RngExt};

use super::Scene;
use super::colour::Colour;
use super::edit::{Change, Edit, places};
use super::kind::{Kind, Stand};
use super::object::Object;
use super::place::{Place, Row, Side};
use super::refer;
use super::sample::{chance, pick};
use crate::Family;

/// The largest share of an object that another may hide after an edit.
const OVERLAP: f32 = 0.3;
/// How far an object may reach out of the picture.
const OUTSIDE: f32 = 0.03;
/// The shortest way of a move.
const WAY: f32 = 0.24;

/// An edit of a local family, or none if no good one was found.
pub(super) fn propose(scene: &Scene, family: Family, rng: &mut impl Rng) -> Option<Edit> {
    (0..24).find_map(|_| guess(scene, family, rng).filter(|edit| is_good(scene, edit)))
}

/// An edit of a local family, of an object at hand.
pub(super) fn propose_for(
    scene: &Scene,
    family: Family,
    object: u32,
    rng: &mut impl Rng,
) -> Option<Edit> {
    (0..24).find_map(|_| {
        guess(scene, family, rng)
            .map(|edit| edit.of(object))
            .filter(|edit| is_good(scene, edit))
    })
}

fn guess(scene: &Scene, family: Family, rng: &mut impl Rng) -> Option<Edit> {
    let ids: Vec<u32> = scene.objects.iter().map(|object| object.id).collect();
    let object = pick(&ids, rng)?;
    Some(match family {
        Family::Add => {
            let (kind, colour) = newcomer(scene, rng)?;
            Edit::Add {
                kind,
                colour,
                place: place(scene, rng)?,
            }
        }
        Family::Remove => Edit::Remove { object },
        Family::Recolour => Edit::Recolour {
            object,
            colour: pick(&Colour::ALL, rng)?,
        },
        // Of the growths, many do not fit.
        Family::Resize => Edit::Resize {
            object,
            change: if chance(85, rng) {
                Change::Bigger
            } else {
                Change::Smaller
            },
        },
        Family::Move => Edit::Move {
            object,
            place: place(scene, rng)?,
        },
        Family::Replace => {
            let (kind, colour) = newcomer(scene, rng)?;
            Edit::Replace {
                object,
                kind,
                colour,
            }
        }
        _ => return None,
    })
}

/// A kind that belongs here and that the scene mostly lacks, in a colour that it has in scenes or, now and then, any.
fn newcomer(scene: &Scene, rng: &mut impl Rng) -> Option<(Kind, Colour)> {
    let strange = chance(8, rng);
    let twin = chance(8, rng);
    let kinds: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| {
            kind.suits(scene.backdrop.setting) || (strange && kind.stand() == Stand::Ground)
        })
        .filter(|kind| twin || scene.objects.iter().all(|object| object.kind != *kind))
        .collect();
    let kind = pick(&kinds, rng)?;
    let colour = match rng.random_range(0..10) {
        0..3 => kind.default_colour(),
        3..9 => pick(kind.colours(), rng)?,
        _ => pick(&Colour::ALL, rng)?,
    };
    Some((kind, colour))
}

fn place(scene: &Scene, rng: &mut impl Rng) -> Option<Place> {
    if chance(25, rng) {
        let marks: Vec<u32> = scene
            .objects
            .iter()
            .map(|object| object.id)
            .filter(|id| refer::plain(scene, *id).is_some())
            .collect();
        let side = pick(&[Side::Left, Side::Right, Side::Above], rng)?;
        return Some(Place::Beside(side, pick(&marks, rng)?));
    }
    pick(&places(), rng)
}

fn is_good(scene: &Scene, edit: &Edit) -> bool {
    let before = edit.object().and_then(|id| scene.object(id));
    let Some(after) = edit.result(scene) else {
        return matches!(edit, Edit::Remove { .. }) && before.is_some();
    };
    match (*edit, before) {
        (Edit::Add { place, .. }, _) => {
            can_stand(scene, &after, place) && fits(scene, &after, OVERLAP)
        }
        (Edit::Move { place, .. }, Some(before)) => {
            let way = [after.at[0] - before.at[0], after.at[1] - before.at[1]];
            can_stand(scene, &after, place)
                && place != Place::Beside(Side::Above, before.id)
                && edit.neighbour() != Some(before.id)
                && way[0] * way[0] + way[1] * way[1] > WAY * WAY
                && fits(scene, &after, OVERLAP)
        }
        (Edit::Recolour { colour, .. }, Some(before)) => colour.is_far_from(before.colour),
        (Edit::Resize { .. }, Some(_)) => {
            (0.008..0.36).contains(&after.area()) && fits(scene, &after, 0.6)
        }
        (Edit::Replace { kind, .. }, Some(before)) => {
            kind != before.kind && kind.stand() == before.kind.stand() && fits(scene, &after, 0.45)
        }
        _ => false,
    }
}

/// Whether such a thing can be at such a place, and just there.
fn can_stand(scene: &Scene, object: &Object, place: Place) -> bool {
    match place {
        Place::Cell(_, row) => row != Row::Middle && row.holds(object.kind),
        Place::Column(_) => true,
        Place::Beside(Side::Above, id) => {
            Row::Top.holds(object.kind)
                && scene.object(id).is_some_and(|mark| {
                    mark.kind.stand() == Stand::Ground && (mark.at[0] - object.at[0]).abs() < 0.04
                })
        }
        Place::Beside(side, id) => scene.object(id).is_some_and(|mark| {
            let gap = if side == Side::Left {
                mark.bounds()[0] - object.bounds()[2]
            } else {
                object.bounds()[0] - mark.bounds()[2]
            };
            mark.kind.stand() == object.kind.stand() && gap > 0.0
        }),
    }
}

fn fits(scene: &Scene, object: &Object, share: f32) -> bool {
    let [left, top, right, bottom] = object.bounds();
    left > -OUTSIDE
        && top > -OUTSIDE
        && right < 1.0 + OUTSIDE
        && bottom < 1.0 + OUTSIDE
        && scene.fits(object, share)
}
