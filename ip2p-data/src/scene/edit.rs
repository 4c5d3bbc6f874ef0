//! Edits of one object, as data, and what they make of a scene.

use super::Scene;
use super::colour::Colour;
use super::kind::{Kind, Stand};
use super::object::Object;
use super::place::{Column, Place, Row, Side};
use crate::Family;

/// How an object's size changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// By 1.5.
    Bigger,
    /// By 0.6.
    Smaller,
}

impl Change {
    /// New height over old.
    #[must_use]
    pub fn factor(self) -> f32 {
        match self {
            Self::Bigger => 1.5,
            Self::Smaller => 0.6,
        }
    }
}

/// An edit of one object. Nothing in it is left to chance: scene and edit give the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Edit {
    /// A new object of standard size that looks to the right.
    Add {
        kind: Kind,
        colour: Colour,
        place: Place,
    },
    /// The object is gone.
    Remove { object: u32 },
    /// The object has another colour.
    Recolour { object: u32, colour: Colour },
    /// The object is larger or smaller, and stays where it stands.
    Resize { object: u32, change: Change },
    /// The object is elsewhere, with the size that it has at that distance.
    Move { object: u32, place: Place },
    /// Another object stands where this one stood, of the standard size of its own kind.
    Replace {
        object: u32,
        kind: Kind,
        colour: Colour,
    },
}

impl Edit {
    /// Its family.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Add { .. } => Family::Add,
            Self::Remove { .. } => Family::Remove,
            Self::Recolour { .. } => Family::Recolour,
            Self::Resize { .. } => Family::Resize,
            Self::Move { .. } => Family::Move,
            Self::Replace { .. } => Family::Replace,
        }
    }

    /// The object that it changes; none for one that adds.
    #[must_use]
    pub fn object(&self) -> Option<u32> {
        match *self {
            Self::Add { .. } => None,
            Self::Remove { object }
            | Self::Recolour { object, .. }
            | Self::Resize { object, .. }
            | Self::Move { object, .. }
            | Self::Replace { object, .. } => Some(object),
        }
    }

    /// The same edit, done to another object.
    #[must_use]
    pub fn of(mut self, other: u32) -> Self {
        match &mut self {
            Self::Add { .. } => {}
            Self::Remove { object }
            | Self::Recolour { object, .. }
            | Self::Resize { object, .. }
            | Self::Move { object, .. }
            | Self::Replace { object, .. } => *object = other,
        }
        self
    }

    /// The object beside which the place of the edit lies.
    pub(super) fn neighbour(&self) -> Option<u32> {
        match *self {
            Self::Add {
                place: Place::Beside(_, id),
                ..
            }
            | Self::Move {
                place: Place::Beside(_, id),
                ..
            } => Some(id),
            _ => None,
        }
    }

    /// The scene after the edit. An object that the scene lacks is left alone.
    #[must_use]
    pub fn apply(&self, scene: &Scene) -> Scene {
        let mut after = scene.clone();
        match (self, self.result(scene)) {
            (Self::Remove { object }, _) => after.objects.retain(|other| other.id != *object),
            (_, Some(object)) => {
                after.objects.retain(|other| other.id != object.id);
                after.objects.push(object);
            }
            (_, None) => {}
        }
        after
    }

    /// The object as the edit leaves it; none where it is removed or the scene lacks it.
    pub(super) fn result(&self, scene: &Scene) -> Option<Object> {
        match *self {
            Self::Add {
                kind,
                colour,
                place,
            } => {
                let object = Object {
                    id: scene.next_id(),
                    kind,
                    colour,
                    at: [0.5, 0.5],
                    scale: 1.0,
                    mirrored: false,
                };
                let default = if kind.stand() == Stand::Ground {
                    Row::Middle
                } else {
                    Row::Top
                };
                put(object, place, default.y(), scene)
            }
            Self::Remove { .. } => None,
            Self::Recolour { object, colour } => Some(Object {
                colour,
                ..*scene.object(object)?
            }),
            Self::Resize { object, change } => {
                let object = *scene.object(object)?;
                Some(Object {
                    scale: object.scale * change.factor(),
                    ..object
                })
            }
            Self::Move { object, place } => {
                let object = *scene.object(object)?;
                put(object, place, object.at[1], scene)
            }
            Self::Replace {
                object,
                kind,
                colour,
            } => {
                let object = *scene.object(object)?;
                Some(
                    Object {
                        kind,
                        colour,
                        scale: 1.0,
                        mirrored: false,
                        ..object
                    }
                    .within(),
                )
            }
        }
    }
}

/// The object at a named place; `y` is where it stands if the place does not say.
fn put(mut object: Object, place: Place, y: f32, scene: &Scene) -> Option<Object> {
    object.at = match place {
        Place::Cell(column, row) => [column.x(), row.y()],
        Place::Column(column) => [column.x(), y],
        Place::Beside(side, other) => beside(object, side, scene.object(other)?),
    };
    Some(object.within())
}

/// Where an object is when it is on such a side of another.
fn beside(object: Object, side: Side, other: &Object) -> [f32; 2] {
    const GAP: f32 = 0.02;
    let object = Object {
        at: [0.0, other.at[1]],
        ..object
    };
    let (own, its) = (object.bounds(), other.bounds());
    match side {
        Side::Left => [its[0] - GAP - own[2], other.at[1]],
        Side::Right => [its[2] + GAP - own[0], other.at[1]],
        Side::Above => [other.at[0], Row::Top.y()],
    }
}

/// The places that an addition or a move can name by themselves, with no other object.
pub(super) fn places() -> Vec<Place> {
    let cells = Column::ALL
        .into_iter()
        .flat_map(|column| Row::ALL.map(|row| Place::Cell(column, row)));
    cells.chain(Column::ALL.map(Place::Column)).collect()
}
