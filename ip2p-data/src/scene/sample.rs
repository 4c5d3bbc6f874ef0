//! Scenes by chance.

use rand::{Rng, RngExt};

use super::backdrop::{Backdrop, Setting};
use super::colour::Colour;
use super::kind::Kind;
use super::object::Object;
use super::place::{Column, Row};
use super::{Light, Scene};

/// How many scenes in a hundred have two objects alike.
const TWINS_IN_100: u32 = 35;
/// The largest share of an object that another may hide.
const OVERLAP: f32 = 0.25;

/// One of several, by chance; none of none.
pub(super) fn pick<T: Copy>(from: &[T], rng: &mut impl Rng) -> Option<T> {
    (!from.is_empty()).then(|| one(from, rng))
}

/// One of several, of which there is at least one.
fn one<T: Copy>(from: &[T], rng: &mut impl Rng) -> T {
    from[rng.random_range(0..from.len())]
}

/// True so many times in a hundred.
pub(super) fn chance(in_100: u32, rng: &mut impl Rng) -> bool {
    rng.random_range(0..100_u32) < in_100
}

impl Scene {
    /// A scene by chance, of two to five objects.
    pub fn sample(rng: &mut impl Rng) -> Self {
        let setting = one(&Setting::ALL, rng);
        let mut scene = Self {
            backdrop: Backdrop {
                setting,
                palette: rng.random_range(0..1000),
                horizon: rng.random_range(0.43..0.50),
                clouds: chance(60, rng),
                seed: rng.random_range(0..1_000_000),
            },
            light: if chance(50, rng) {
                Light::Left
            } else {
                Light::Right
            },
            objects: Vec::new(),
        };
        let wanted = one(&[2, 3, 3, 3, 4, 4, 5], rng);
        if chance(TWINS_IN_100, rng) {
            scene.add_twins(rng);
        }
        for _ in 0..200 {
            if scene.objects.len() >= wanted {
                break;
            }
            let kind = one(&Kind::ALL, rng);
            let fresh = scene.objects.iter().all(|object| object.kind != kind);
            if kind.suits(setting) && (fresh || chance(10, rng)) {
                let colour = one(kind.colours(), rng);
                let scale = rng.random_range(0.88..1.14);
                scene.try_add(kind, colour, scale, rng);
            }
        }
        scene.backdrop.clouds &= scene
            .objects
            .iter()
            .all(|object| object.kind != Kind::Cloud);
        scene
    }

    /// Two of a kind: of one colour, or of one size.
    fn add_twins(&mut self, rng: &mut impl Rng) {
        let kinds: Vec<Kind> = Kind::ALL
            .into_iter()
            .filter(|kind| kind.suits(self.backdrop.setting))
            .collect();
        let kind = one(&kinds, rng);
        let colour = one(kind.colours(), rng);
        let (scales, other) = match rng.random_range(0..100) {
            0..45 => ([1.0, 1.0], colour),
            45..80 => ([1.2, 0.75], colour),
            _ => ([1.0, 1.0], one(kind.colours(), rng)),
        };
        let scales = if chance(50, rng) {
            scales
        } else {
            [scales[1], scales[0]]
        };
        for (scale, colour) in scales.into_iter().zip([colour, other]) {
            for _ in 0..12 {
                if self.try_add(kind, colour, scale, rng) {
                    break;
                }
            }
        }
    }

    /// Puts an object somewhere near the middle of a cell, if the cell is free.
    fn try_add(&mut self, kind: Kind, colour: Colour, scale: f32, rng: &mut impl Rng) -> bool {
        let column = one(&Column::ALL, rng);
        let rows: Vec<Row> = Row::ALL.into_iter().filter(|row| row.holds(kind)).collect();
        let row = one(&rows, rng);
        let at = [
            column.x() + rng.random_range(-0.05..0.05),
            row.y() + rng.random_range(-0.02..0.02),
        ];
        let object = Object {
            id: self.next_id(),
            kind,
            colour,
            at,
            scale,
            mirrored: chance(50, rng),
        }
        .within();
        let free = self.fits(&object, OVERLAP);
        if free {
            self.objects.push(object);
        }
        free
    }

    /// Whether no other object would hide more than such a share of this one, or be hidden by it.
    pub(super) fn fits(&self, object: &Object, share: f32) -> bool {
        self.objects
            .iter()
            .all(|other| other.id == object.id || other.overlap(object) <= share)
    }
}
