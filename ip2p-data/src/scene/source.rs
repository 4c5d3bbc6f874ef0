//! Examples from scenes, without end.

use rand::Rng;

use super::chain::{self, Link};
use super::propose::{propose, propose_for};
use super::sample::{chance, pick};
use super::sentence::{clause, finish};
use super::{Scene, difference, render, render_each};
use crate::effect::{self, Effect};
use crate::{Example, Family, Phrasing, Source, rng};

/// Scenes with their edits and sentences: the tiny model's schoolbook.
///
/// They must not be mirrored, and need not be: a new object looks to the right whatever the sentence says.
///
/// # Examples
///
/// ```
/// use ip2p_data::Source;
/// use ip2p_data::scene::Scenes;
///
/// let example = Scenes::new(7).with_weights(1, 0, 0).example(3, 64);
/// let mask = example.mask.expect("a local edit has a mask");
/// for (x, y, masked) in mask.enumerate_pixels() {
///     assert!(masked.0 == [255] || example.input.get_pixel(x, y) == example.edited.get_pixel(x, y));
/// }
/// ```
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
    /// Of 100 scenes, how many have a local edit, a global one, two or three edits, where nothing else is asked for.
    pub const WEIGHTS: [u32; 3] = [60, 25, 15];

    /// Scenes of this seed, with edits in the shares of [`Self::WEIGHTS`].
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let [local, global, chained] = Self::WEIGHTS;
        Self {
            seed,
            phrasing: Phrasing::Training,
            local,
            global,
            chained,
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

    /// With these shares of the local families, in the order of [`Family::LOCAL`] (default 20, 14, 18, 16, 18, 14); if all are 0, all
    /// are additions.
    #[must_use]
    pub fn with_local_families(mut self, families: [u32; 6]) -> Self {
        self.families = families;
        self
    }

    fn local_family(&self, rng: &mut impl Rng) -> Family {
        Family::LOCAL[weighted(&self.families, rng)]
    }

    /// Two links, sometimes three; one of them may be global.
    pub(super) fn plan(&self, rng: &mut impl Rng) -> Vec<Link> {
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

impl Source for Scenes {
    fn example(&self, index: u64, size: u32) -> Example {
        let mut rng = rng(self.seed, index);
        let ask = Ask {
            phrasing: self.phrasing,
            size,
        };
        let mode = weighted(&[self.local, self.global, self.chained], &mut rng);
        until_some(|| {
            let scene = Scene::sample(&mut rng);
            match mode {
                0 => local(&scene, self.local_family(&mut rng), ask, &mut rng),
                1 => Some(global(&scene, effect::sample(&mut rng), ask, &mut rng)),
                _ => chain::example(&scene, &self.plan(&mut rng), ask, &mut rng),
            }
        })
    }
}

/// How an example is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) phrasing: Phrasing,
    pub(super) size: u32,
}

/// Which of several weights is drawn; the first if all are 0.
fn weighted(weights: &[u32], rng: &mut impl Rng) -> usize {
    let total: u32 = weights.iter().sum();
    let mut left = rng.next_u32() % total.max(1);
    let drawn = weights.iter().position(|weight| {
        let found = left < *weight;
        left = left.saturating_sub(*weight);
        found
    });
    drawn.unwrap_or(0)
}

/// Draws until something comes: what is drawn fails for a few scenes only.
pub(super) fn until_some<T>(mut draw: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(drawn) = draw() {
            return drawn;
        }
    }
}

/// A local edit of a family, with its sentence. Where two objects are alike, it is mostly of one of them.
pub(super) fn local(
    scene: &Scene,
    family: Family,
    ask: Ask,
    rng: &mut impl Rng,
) -> Option<Example> {
    let edit = match pick(&scene.alike(), rng) {
        Some(pair) if chance(80, rng) => propose_for(scene, family, pick(&pair, rng)?, rng),
        _ => propose(scene, family, rng),
    }?;
    let instruction = finish(
        &clause(&[scene], &edit, ask.phrasing, rng)?,
        ask.phrasing,
        rng,
    );
    let [input, edited] = render_each([scene, &edit.apply(scene)], ask.size);
    let mask = Some(difference(&input, &edited));
    Some(Example {
        input,
        edited,
        instruction,
        edits: vec![family],
        mask,
    })
}

/// A global edit, with its sentence.
pub(super) fn global(scene: &Scene, effect: Effect, ask: Ask, rng: &mut impl Rng) -> Example {
    let input = render(scene, ask.size);
    let edited = effect::apply(&input, effect);
    let instruction = effect::sentence(effect, ask.phrasing, rng);
    Example {
        input,
        edited,
        instruction,
        edits: vec![effect.family()],
        mask: None,
    }
}
