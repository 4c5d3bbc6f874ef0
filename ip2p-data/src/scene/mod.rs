//! Small drawn scenes and their local edits, with sentences.
//!
//! A [`Scene`] is data: a backdrop, a light, and objects that have a kind, a colour, a place and a size. An [`Edit`] turns it into
//! another scene. Drawing both gives the pictures before and after, and the pixels in which they differ are the exact mask,
//! shadows included: drawing has no memory and no chance, so whatever the edit does not touch comes out the same to the bit. What
//! an edit does follows from picture and sentence alone: a new object has the standard size of its kind at that distance,
//! and stands in the middle of the place that is named.

mod backdrop;
mod canvas;
mod chain;
mod colour;
mod edit;
mod figure;
mod kind;
mod measure;
mod noise;
mod object;
mod place;
mod propose;
mod refer;
mod sample;
mod sentence;
mod source;

use image::{GrayImage, Luma, RgbImage};

pub use backdrop::{Backdrop, Setting};
use canvas::{Canvas, Part};
pub use colour::Colour;
pub use edit::{Change, Edit};
pub use kind::{Kind, Stand};
pub use measure::{Chained, Twins, chained, following, in_turn, scene, twins};
pub use object::Object;
pub use place::{Column, Place, Row, Side};
pub use source::Scenes;

/// The side that light comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Light {
    Left,
    Right,
}

/// A place with things in it, from which a picture of any size can be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// What lies behind the objects.
    pub backdrop: Backdrop,
    /// Where the light comes from.
    pub light: Light,
    /// The objects, in no order.
    pub objects: Vec<Object>,
}

impl Scene {
    /// The object of this number.
    #[must_use]
    pub fn object(&self, id: u32) -> Option<&Object> {
        self.objects.iter().find(|object| object.id == id)
    }

    /// A number that no object has.
    pub(crate) fn next_id(&self) -> u32 {
        self.objects
            .iter()
            .map(|object| object.id + 1)
            .max()
            .unwrap_or(0)
    }

    /// The pairs of objects of one kind and colour, each in both orders.
    fn alike(&self) -> Vec<[u32; 2]> {
        let pairs = self
            .objects
            .iter()
            .flat_map(|a| self.objects.iter().map(move |b| (a, b)));
        pairs
            .filter(|(a, b)| a.id != b.id && a.kind == b.kind && a.colour == b.colour)
            .map(|(a, b)| [a.id, b.id])
            .collect()
    }

    /// Objects from the farthest to the nearest.
    fn by_distance(&self) -> Vec<&Object> {
        let mut objects: Vec<&Object> = self.objects.iter().collect();
        objects.sort_by(|a, b| {
            let rank = |object: &Object| (object.kind.stand() == Stand::Ground, object.at[1]);
            let ((a_ground, a_y), (b_ground, b_y)) = (rank(a), rank(b));
            a_ground
                .cmp(&b_ground)
                .then(a_y.total_cmp(&b_y))
                .then(a.id.cmp(&b.id))
        });
        objects
    }
}

/// Draws a scene, `size` pixels wide and high.
///
/// # Panics
///
/// If `size` is 0.
#[must_use]
pub fn render(scene: &Scene, size: u32) -> RgbImage {
    draw(scene, empty(scene, size))
}

/// The scene without its objects.
fn empty(scene: &Scene, size: u32) -> Canvas {
    assert!(size > 0, "a picture has at least one pixel");
    let unit = 1.0 / size as f32;
    Canvas::new(size, |at| scene.backdrop.colour(at, unit))
}

/// Lays the objects of a scene on its backdrop.
fn draw(scene: &Scene, mut canvas: Canvas) -> RgbImage {
    let light = if scene.light == Light::Left {
        -1.0
    } else {
        1.0
    };
    let objects = scene.by_distance();
    let figures: Vec<(_, Vec<Part>)> = objects
        .iter()
        .map(|object| {
            (
                object.frame(light),
                figure::parts(object.kind, object.colour),
            )
        })
        .collect();
    let on = |stand: Stand| {
        let pairs = objects
            .iter()
            .zip(&figures)
            .filter(move |(object, _)| object.kind.stand() == stand);
        pairs
            .map(|(_, (frame, parts))| (*frame, parts.as_slice()))
            .collect::<Vec<_>>()
    };
    canvas.cast(&on(Stand::Ground));
    canvas.hang(&on(Stand::Wall));
    for (frame, parts) in &figures {
        for part in parts {
            canvas.fill(part, *frame);
        }
    }
    canvas.finish()
}

/// Draws scenes that share the backdrop of the first, which is drawn once.
fn render_each<const N: usize>(scenes: [&Scene; N], size: u32) -> [RgbImage; N] {
    let canvas = empty(scenes[0], size);
    scenes.map(|scene| draw(scene, canvas.clone()))
}

/// 255 where two pictures of one size differ, 0 where they are the same to the bit.
///
/// # Panics
///
/// If the sizes differ.
#[must_use]
pub fn difference(a: &RgbImage, b: &RgbImage) -> GrayImage {
    assert_eq!(
        a.dimensions(),
        b.dimensions(),
        "pictures to be compared have one size"
    );
    GrayImage::from_fn(a.width(), a.height(), |x, y| {
        Luma([if a.get_pixel(x, y) == b.get_pixel(x, y) {
            0
        } else {
            255
        }])
    })
}

#[cfg(test)]
mod tests;
