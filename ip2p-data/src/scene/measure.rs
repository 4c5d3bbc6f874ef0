//! Examples to measure an editor with, as functions of a seed and an index.

use image::{GrayImage, RgbImage};
use rand::rngs::ChaCha8Rng;

use super::chain::Chain;
use super::propose::{propose, propose_for};
use super::sample::pick;
use super::sentence::{clause, finish};
use super::source::{Ask, Scenes, global, local, until_some};
use super::{Scene, difference, render_each};
use crate::effect::Effect;
use crate::{Example, Family, Phrasing, rng};

/// Scene `index` of a seed, from which [`following`] makes the examples of all families.
#[must_use]
pub fn scene(seed: u64, index: u64) -> Scene {
    Scene::sample(&mut rng(seed, index))
}

/// The streams of [`twins`], [`chained`] and [`in_turn`], after those of the families.
const TWINS: u64 = 100;
const CHAINED: u64 = 101;
const IN_TURN: u64 = 102;

/// The draws of one measure, shared with no other.
fn stream(seed: u64, measure: u64, index: u64) -> ChaCha8Rng {
    rng(
        seed ^ (measure + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        index,
    )
}

/// An example of a family on [`scene`] `index`: all families have the same input. None if the scene has none.
#[must_use]
pub fn following(
    seed: u64,
    index: u64,
    size: u32,
    family: Family,
    phrasing: Phrasing,
) -> Option<Example> {
    let scene = scene(seed, index);
    let mut rng = stream(seed, family as u64, index);
    let ask = Ask { phrasing, size };
    match Effect::of(family) {
        Some(effect) => Some(global(&scene, effect, ask, &mut rng)),
        None => (0..8).find_map(|_| local(&scene, family, ask, &mut rng)),
    }
}

/// An edit of one of two objects that are alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Twins {
    /// The example; its mask is that of the named object's edit.
    pub example: Example,
    /// The picture if the edit were of the other one.
    pub other: RgbImage,
    /// 255 where the edit of the named object changes the picture.
    pub named_mask: GrayImage,
    /// 255 where the same edit of its twin would change the picture.
    pub other_mask: GrayImage,
}

/// Case `index` of telling two objects of one kind and colour apart: one is removed, recoloured, resized or replaced.
#[must_use]
pub fn twins(seed: u64, index: u64, size: u32, phrasing: Phrasing) -> Twins {
    const FAMILIES: [Family; 4] = [
        Family::Remove,
        Family::Recolour,
        Family::Resize,
        Family::Replace,
    ];
    let mut rng = stream(seed, TWINS, index);
    until_some(|| {
        let scene = Scene::sample(&mut rng);
        let [named, other] = pick(&scene.alike(), &mut rng)?;
        let family = pick(&FAMILIES, &mut rng)?;
        let edit = propose_for(&scene, family, named, &mut rng)?;
        let instruction = finish(
            &clause(&[&scene], &edit, phrasing, &mut rng)?,
            phrasing,
            &mut rng,
        );
        let after = [named, other].map(|object| edit.of(object).apply(&scene));
        let [input, edited, other] = render_each([&scene, &after[0], &after[1]], size);
        let named_mask = difference(&input, &edited);
        let other_mask = difference(&input, &other);
        let mask = Some(named_mask.clone());
        let example = Example {
            input,
            edited,
            instruction,
            edits: vec![family],
            mask,
        };
        Some(Twins {
            example,
            other,
            named_mask,
            other_mask,
        })
    })
}

/// Two edits in one sentence, with the pictures in which one of them was forgotten.
#[derive(Debug, Clone, PartialEq)]
pub struct Chained {
    /// The example, with both edits done.
    pub example: Example,
    /// The picture with the first edit alone.
    pub first: RgbImage,
    /// The picture with the second edit alone.
    pub second: RgbImage,
}

/// Case `index` of two edits in one sentence: two local ones, or a local and a global one in either order.
#[must_use]
pub fn chained(seed: u64, index: u64, size: u32, phrasing: Phrasing) -> Chained {
    let mut rng = stream(seed, CHAINED, index);
    until_some(|| {
        let scene = Scene::sample(&mut rng);
        let mut links = Scenes::new(seed).plan(&mut rng);
        links.truncate(2);
        let chain = Chain::draw(&scene, &links, phrasing, &mut rng)?;
        let [input, edited, first, second] = chain.pictures(&scene, size);
        Some(Chained {
            example: chain.example(input, edited),
            first,
            second,
        })
    })
}

/// Case `index` of edits in turn: so many local ones, each with a sentence of its own and of the picture that the one
/// before asks for.
#[must_use]
pub fn in_turn(seed: u64, index: u64, size: u32, turns: usize, phrasing: Phrasing) -> Vec<Example> {
    let mut rng = stream(seed, IN_TURN, index);
    let ask = Ask { phrasing, size };
    until_some(|| {
        let mut scene = Scene::sample(&mut rng);
        (0..turns)
            .map(|_| turn(&mut scene, ask, &mut rng))
            .collect()
    })
}

/// A local edit of the scene, which is then the scene after it.
fn turn(scene: &mut Scene, ask: Ask, rng: &mut ChaCha8Rng) -> Option<Example> {
    let family = pick(&Family::LOCAL, rng)?;
    let edit = propose(scene, family, rng)?;
    let sentence = clause(&[scene], &edit, ask.phrasing, rng)?;
    let instruction = finish(&sentence, ask.phrasing, rng);
    let after = edit.apply(scene);
    let [input, edited] = render_each([scene, &after], ask.size);
    *scene = after;
    Some(Example {
        mask: Some(difference(&input, &edited)),
        input,
        edited,
        instruction,
        edits: vec![family],
    })
}
