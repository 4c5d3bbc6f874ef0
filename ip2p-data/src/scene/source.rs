//! Examples from scenes: without end for training, and by family for measuring.

use image::{GrayImage, RgbImage};
use rand::Rng;
use rand::rngs::ChaCha8Rng;

use super::edit::Edit;
use super::propose::{propose, propose_for};
use super::sample::{chance, pick};
use super::sentence::{clause, finish, join};
use super::{Scene, difference, render_each};
use crate::effect::{self, Effect};
use crate::{Example, Family, Phrasing, Source, rng};

/// Scenes with their edits and sentences: the tiny model's schoolbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenes {
    seed: u64,
    phrasing: Phrasing,
    local: u32,
    global: u32,
    chained: u32,
    families: [u32; 6],
}

impl Scenes {
    /// Scenes of this seed: of 100, 60 have a local edit, 25 a global one, 15 two or three edits.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            phrasing: Phrasing::Training,
            local: 60,
            global: 25,
            chained: 15,
            families: [20, 14, 18, 16, 18, 14],
        }
    }

    /// With sentences of this phrasing (default: those of training).
    #[must_use]
    pub fn with_phrasing(mut self, phrasing: Phrasing) -> Self {
        self.phrasing = phrasing;
        self
    }

    /// With these shares of single local edits, global edits and chained edits (default 60, 25 and 15); if all are 0, all are local.
    #[must_use]
    pub fn with_weights(mut self, local: u32, global: u32, chained: u32) -> Self {
        (self.local, self.global, self.chained) = (local, global, chained);
        self
    }

    /// With these shares of the local families, in the order of [`Family::LOCAL`] (default 20, 14, 18, 16, 18, 14).
    #[must_use]
    pub fn with_local_families(mut self, families: [u32; 6]) -> Self {
        self.families = families;
        self
    }

    fn local_family(&self, rng: &mut impl Rng) -> Family {
        Family::LOCAL[weighted(&self.families, rng)]
    }
}

impl Source for Scenes {
    fn example(&self, index: u64, size: u32) -> Example {
        let mut rng = rng(self.seed, index);
        let mode = weighted(&[self.local, self.global, self.chained], &mut rng);
        until_some(|| {
            let scene = Scene::sample(&mut rng);
            match mode {
                0 => {
                    let family = self.local_family(&mut rng);
                    local(&scene, family, self.phrasing, size, &mut rng)
                }
                1 => Some(global(
                    &scene,
                    effect::sample(&mut rng),
                    self.phrasing,
                    size,
                    &mut rng,
                )),
                _ => {
                    let plan = self.plan(&mut rng);
                    chain(&scene, &plan, self.phrasing, size, &mut rng).map(|chain| chain.example)
                }
            }
        })
    }
}

/// A link of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Local(Family),
    Global(Effect),
}

impl Scenes {
    /// Two links, sometimes three; one of them may be global.
    fn plan(&self, rng: &mut impl Rng) -> Vec<Link> {
        let count = if chance(20, rng) { 3 } else { 2 };
        let mut links: Vec<Link> = (0..count)
            .map(|_| Link::Local(self.local_family(rng)))
            .collect();
        match rng.next_u32() % 4 {
            0 => links[0] = Link::Global(effect::sample(rng)),
            1 => links[count - 1] = Link::Global(effect::sample(rng)),
            _ => {}
        }
        links
    }
}

/// Which of several weights is drawn; the first if all are 0.
fn weighted(weights: &[u32], rng: &mut impl Rng) -> usize {
    let total: u32 = weights.iter().sum();
    let mut left = rng.next_u32() % total.max(1);
    weights
        .iter()
        .position(|weight| {
            let found = left < *weight;
            left = left.saturating_sub(*weight);
            found
        })
        .unwrap_or(0)
}

fn until_some<T>(mut draw: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(drawn) = draw() {
            return drawn;
        }
    }
}

/// A local edit of a family, with its sentence.
fn local(
    scene: &Scene,
    family: Family,
    phrasing: Phrasing,
    size: u32,
    rng: &mut impl Rng,
) -> Option<Example> {
    let alike = scene.alike();
    let edit = match pick(&alike, rng) {
        Some(pair) if chance(80, rng) => propose_for(scene, family, pick(&pair, rng)?, rng),
        _ => propose(scene, family, rng),
    }?;
    let clause = clause(&[scene], &edit, phrasing, rng)?;
    let instruction = finish(&clause, phrasing, rng);
    Some(shown(
        scene,
        &edit.apply(scene),
        instruction,
        vec![family],
        size,
    ))
}

/// The example of two scenes.
fn shown(
    before: &Scene,
    after: &Scene,
    instruction: String,
    edits: Vec<Family>,
    size: u32,
) -> Example {
    let [input, edited] = render_each([before, after], size);
    let mask = Some(difference(&input, &edited));
    Example {
        input,
        edited,
        instruction,
        edits,
        mask,
    }
}

fn global(
    scene: &Scene,
    effect: Effect,
    phrasing: Phrasing,
    size: u32,
    rng: &mut impl Rng,
) -> Example {
    let input = super::render(scene, size);
    let edited = effect::apply(&input, effect);
    let instruction = effect::sentence(effect, phrasing, rng);
    Example {
        input,
        edited,
        instruction,
        edits: vec![effect.family()],
        mask: None,
    }
}

/// Two or more edits in one sentence, with the pictures in which one of them was forgotten.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// The example, with all edits done.
    pub example: Example,
    /// The picture with the first edit alone.
    pub first: RgbImage,
    /// The picture with all edits but the first.
    pub second: RgbImage,
}

/// Edits in one sentence. A global edit is of the picture as the local ones leave it, wherever the sentence names it.
fn chain(
    scene: &Scene,
    links: &[Link],
    phrasing: Phrasing,
    size: u32,
    rng: &mut impl Rng,
) -> Option<Chain> {
    let mut scenes = vec![scene.clone()];
    let mut edits: Vec<Option<Edit>> = Vec::new();
    let mut clauses = Vec::new();
    for link in links {
        let now = scenes.last().expect("there is the first scene").clone();
        match link {
            Link::Local(family) => {
                let edit =
                    propose(&now, *family, rng).filter(|edit| is_apart(scene, &edits, edit))?;
                let seen: Vec<&Scene> = std::iter::once(&now).chain(&scenes).collect();
                let clause = until_order(&seen, &edit, phrasing, rng)?;
                clauses.push(clause);
                scenes.push(edit.apply(&now));
                edits.push(Some(edit));
            }
            Link::Global(effect) => {
                clauses.push(order(*effect, phrasing, rng));
                edits.push(None);
            }
        }
    }
    let rest = edits[1..]
        .iter()
        .flatten()
        .fold(scene.clone(), |scene, edit| edit.apply(&scene));
    let first = edits[0].map_or_else(|| scene.clone(), |edit| edit.apply(scene));
    let last = scenes.last().expect("there is the first scene");
    let [input, edited, first, second] = render_each([scene, last, &first, &rest], size);
    let paint = |picture: RgbImage, links: &[Link]| {
        links.iter().fold(picture, |picture, link| match link {
            Link::Local(_) => picture,
            Link::Global(effect) => effect::apply(&picture, *effect),
        })
    };
    let edited = paint(edited, links);
    let mask = (scenes.len() == links.len() + 1).then(|| difference(&input, &edited));
    let edits = links.iter().map(|link| link.family()).collect();
    let clause = super::sentence::Clause {
        text: join(&clauses, phrasing, rng),
        is_order: true,
    };
    let instruction = finish(&clause, phrasing, rng);
    Some(Chain {
        example: Example {
            input,
            edited,
            instruction,
            edits,
            mask,
        },
        first: paint(first, &links[..1]),
        second: paint(second, &links[1..]),
    })
}

impl Link {
    fn family(self) -> Family {
        match self {
            Self::Local(family) => family,
            Self::Global(effect) => effect.family(),
        }
    }
}

/// Whether an edit is of an object that no earlier one touches, was in the scene from the start, and could be done without them.
fn is_apart(scene: &Scene, earlier: &[Option<Edit>], edit: &Edit) -> bool {
    let touched = [edit.object(), edit.neighbour()];
    touched
        .iter()
        .flatten()
        .all(|id| scene.object(*id).is_some())
        && earlier.iter().flatten().all(|other| {
            [other.object(), other.neighbour()]
                .iter()
                .flatten()
                .all(|id| edit.object() != Some(*id))
                && edit.neighbour().is_none_or(|id| other.object() != Some(id))
        })
}

/// An order (a wish cannot be chained).
fn until_order(
    scenes: &[&Scene],
    edit: &Edit,
    phrasing: Phrasing,
    rng: &mut impl Rng,
) -> Option<String> {
    (0..24)
        .find_map(|_| clause(scenes, edit, phrasing, rng).filter(|clause| clause.is_order))
        .map(|clause| clause.text)
}

/// The bare order for an effect.
fn order(effect: Effect, phrasing: Phrasing, rng: &mut impl Rng) -> String {
    let text = effect::chained_sentence(&[effect], phrasing, rng).to_lowercase();
    let text = text
        .trim_end_matches(['.', '?'])
        .trim_end_matches(", please");
    text.trim_start_matches("please ")
        .trim_start_matches("can you ")
        .to_owned()
}

/// Scene `index` of a seed, from which [`following`] makes the examples of all families.
#[must_use]
pub fn scene(seed: u64, index: u64) -> Scene {
    Scene::sample(&mut rng(seed, index))
}

/// What the draws of one measure share with no other: its own stream of the seed.
fn stream(seed: u64, purpose: u64, index: u64) -> ChaCha8Rng {
    rng(
        seed ^ (purpose + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        index,
    )
}

/// An example of a family on scene `index`: all families have the same input. None if the scene has none.
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
    if let Some(effect) = Effect::of(family) {
        return Some(global(&scene, effect, phrasing, size, &mut rng));
    }
    (0..8).find_map(|_| local(&scene, family, phrasing, size, &mut rng))
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

/// The stream of [`twins`] and that of [`chained`], after those of the families.
const TWINS: u64 = 100;
const CHAINED: u64 = 101;

/// Case `index` of telling two objects of one kind and colour apart: one is removed, recoloured, resized or replaced.
#[must_use]
pub fn twins(seed: u64, index: u64, size: u32, phrasing: Phrasing) -> Twins {
    let mut rng = stream(seed, TWINS, index);
    until_some(|| {
        let scene = Scene::sample(&mut rng);
        let [named, other] = pick(&scene.alike(), &mut rng)?;
        let family = pick(
            &[
                Family::Remove,
                Family::Recolour,
                Family::Resize,
                Family::Replace,
            ],
            &mut rng,
        )?;
        let edit = propose_for(&scene, family, named, &mut rng)?;
        let clause = clause(&[&scene], &edit, phrasing, &mut rng)?;
        let instruction = finish(&clause, phrasing, &mut rng);
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

/// Case `index` of two edits in one sentence: two local ones, or a local and a global one in either order.
#[must_use]
pub fn chained(seed: u64, index: u64, size: u32, phrasing: Phrasing) -> Chain {
    let mut rng = stream(seed, CHAINED, index);
    until_some(|| {
        let scene = Scene::sample(&mut rng);
        let mut plan = Scenes::new(seed).plan(&mut rng);
        plan.truncate(2);
        chain(&scene, &plan, phrasing, size, &mut rng)
    })
}
