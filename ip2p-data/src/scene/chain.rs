//! Two or three edits in one sentence.

use image::RgbImage;
use rand::Rng;

use super::edit::Edit;
use super::propose::propose;
use super::sentence::{Clause, clause, finish, join};
use super::source::Ask;
use super::{Scene, difference, render_each};
use crate::effect::{self, Effect};
use crate::{Example, Family, Phrasing};

/// A link of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Local(Family),
    Global(Effect),
}

impl Link {
    fn family(self) -> Family {
        match self {
            Self::Local(family) => family,
            Self::Global(effect) => effect.family(),
        }
    }
}

/// A chain in words and as edits. Global edits are of the picture as all the local ones leave it, wherever the sentence names them.
#[derive(Debug)]
pub(super) struct Chain {
    links: Vec<Link>,
    /// The edits, none for a global one.
    edits: Vec<Option<Edit>>,
    instruction: String,
}

impl Chain {
    /// A chain of such links; none if some link found no edit, or no name that holds before and after the others.
    pub(super) fn draw(
        scene: &Scene,
        links: &[Link],
        phrasing: Phrasing,
        rng: &mut impl Rng,
    ) -> Option<Self> {
        let mut scenes = vec![scene.clone()];
        let (mut edits, mut orders) = (Vec::new(), Vec::new());
        for link in links {
            let now = &scenes[scenes.len() - 1];
            match link {
                Link::Local(family) => {
                    let edit =
                        propose(now, *family, rng).filter(|edit| is_apart(scene, &edits, edit))?;
                    let seen: Vec<&Scene> = scenes.iter().rev().collect();
                    orders.push(order(&seen, &edit, phrasing, rng)?);
                    scenes.push(edit.apply(now));
                    edits.push(Some(edit));
                }
                Link::Global(effect) => {
                    orders.push(effect::order(*effect, phrasing, rng).to_owned());
                    edits.push(None);
                }
            }
        }
        let sentence = Clause {
            text: join(&orders, phrasing, rng),
            is_order: true,
        };
        let instruction = finish(&sentence, phrasing, rng);
        Some(Self {
            links: links.to_vec(),
            edits,
            instruction,
        })
    }

    /// The scene after such local edits.
    fn after(scene: &Scene, edits: &[Option<Edit>]) -> Scene {
        edits
            .iter()
            .flatten()
            .fold(scene.clone(), |scene, edit| edit.apply(&scene))
    }

    /// The picture before; then those after all edits, after the first, and after all but the first.
    pub(super) fn pictures(&self, scene: &Scene, size: u32) -> [RgbImage; 4] {
        let all = Self::after(scene, &self.edits);
        let first = Self::after(scene, &self.edits[..1]);
        let rest = Self::after(scene, &self.edits[1..]);
        let [input, all, first, rest] = render_each([scene, &all, &first, &rest], size);
        [
            input,
            paint(all, &self.links),
            paint(first, &self.links[..1]),
            paint(rest, &self.links[1..]),
        ]
    }

    /// The example of pictures before and after.
    pub(super) fn example(&self, input: RgbImage, edited: RgbImage) -> Example {
        let is_local = self.edits.iter().all(Option::is_some);
        Example {
            mask: is_local.then(|| difference(&input, &edited)),
            input,
            edited,
            instruction: self.instruction.clone(),
            edits: self.links.iter().map(|link| link.family()).collect(),
        }
    }
}

/// The example of a chain of such links.
pub(super) fn example(
    scene: &Scene,
    links: &[Link],
    ask: Ask,
    rng: &mut impl Rng,
) -> Option<Example> {
    let chain = Chain::draw(scene, links, ask.phrasing, rng)?;
    let [input, edited] = render_each([scene, &Chain::after(scene, &chain.edits)], ask.size);
    Some(chain.example(input, paint(edited, links)))
}

/// The picture after the global edits among some links.
fn paint(picture: RgbImage, links: &[Link]) -> RgbImage {
    links.iter().fold(picture, |picture, link| match link {
        Link::Local(_) => picture,
        Link::Global(effect) => effect::apply(&picture, *effect),
    })
}

/// Whether an edit is of an object that was there from the start and that no earlier edit names, and so could be done without those.
fn is_apart(scene: &Scene, earlier: &[Option<Edit>], edit: &Edit) -> bool {
    let named = |edit: &Edit| [edit.object(), edit.neighbour()];
    let from_the_start = named(edit)
        .iter()
        .flatten()
        .all(|id| scene.object(*id).is_some());
    let clashes = |other: &Edit| {
        let its = named(other);
        named(edit)
            .iter()
            .flatten()
            .any(|id| its.contains(&Some(*id)))
    };
    from_the_start && !earlier.iter().flatten().any(clashes)
}

/// An order (a wish cannot be chained).
fn order(scenes: &[&Scene], edit: &Edit, phrasing: Phrasing, rng: &mut impl Rng) -> Option<String> {
    (0..24)
        .find_map(|_| clause(scenes, edit, phrasing, rng).filter(|clause| clause.is_order))
        .map(|clause| clause.text)
}
