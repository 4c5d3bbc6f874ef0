//! Edits within a budget of memory, with the tiny checkpoint.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{photo, quick};
use ip2p::{
    Bytes, EditOptions, MemoryEdit, MemoryPlan, Model, Precision, Residency, Result, Saving, Size,
    TargetSize, Tiling,
};
use ip2p_testing::{device, fixture};

fn model() -> Model {
    Model::open(fixture("tiny-ip2p")).unwrap()
}

/// How an edit of a photo as large as the model works at keeps within a budget.
fn plan(side: u32, budget: Bytes) -> Result<MemoryPlan> {
    let options = EditOptions::default().with_size(TargetSize::Side(side));
    let edits = [MemoryEdit::new(Size::new(side, side), &options)];
    model().plan_memory(budget, &edits, Precision::F32, &device())
}

fn pixels(saving: Saving, options: &EditOptions) -> Vec<u8> {
    let model = model().with_saving(saving);
    let editor = model.load(&device(), Precision::F32, &mut |_| ()).unwrap();
    let edited = editor.edit(&photo(80, 64), "make it snowy", options);
    edited.unwrap().photo.rgb().pixels().to_vec()
}

#[test]
fn the_less_the_budget_the_more_is_done_for_it_until_none_is_kept() {
    let mut budget = Bytes(u64::MAX);
    let mut plans = Vec::new();
    let error = loop {
        match plan(2048, budget) {
            Ok(plan) => {
                assert!(plan.uses.total() <= budget, "{plan:?}");
                budget = Bytes(plan.uses.total().0 - 1);
                plans.push(plan);
            }
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(plans[0].saving, Saving::default());
    // What costs more is chosen after what costs less, and the two cheaper together before the dearer.
    let cost = |plan: &MemoryPlan| {
        let Saving {
            one_by_one,
            tiling,
            residency,
            ..
        } = plan.saving;
        let tile = tiling.map_or(usize::MAX, |tiling| tiling.tile_size);
        (residency, std::cmp::Reverse(tile), one_by_one)
    };
    assert!(plans.is_sorted_by(|a, b| cost(a) < cost(b)), "{plans:?}");
    assert!(plans.iter().any(|plan| plan.saving.one_by_one), "{plans:?}");
    assert!(
        plans.iter().any(|plan| plan.saving.tiling.is_some()),
        "{plans:?}"
    );

    let least = plans.last().unwrap().uses;
    let said = format!("max_memory must be at least {} in f32", least.total());
    assert!(error.starts_with(&said), "{error}");
    for part in ["at 2048x2048", "weights ", "activations ", "program "] {
        assert!(error.contains(part), "{error}");
    }
    assert!(error.ends_with(&format!("got {budget}")), "{error}");
}

#[test]
fn more_pictures_and_larger_ones_take_more() {
    let model = model();
    let uses = |side: u32, count: usize, at_once: usize| {
        let options = EditOptions::default().with_size(TargetSize::Side(side));
        let edit = MemoryEdit::new(Size::new(side, side), &options)
            .with_count(count)
            .with_at_once(at_once);
        model
            .memory(&edit, Precision::F32, &device())
            .unwrap()
            .total()
    };
    assert!(uses(512, 1, 1) < uses(1024, 1, 1));
    assert!(uses(512, 1, 1) < uses(512, 8, 1));
    assert!(uses(512, 1, 1) < uses(512, 1, 2));
}

#[test]
fn weights_that_are_read_when_they_are_needed_give_the_same_picture() {
    let whole = pixels(Saving::default(), &quick());
    for residency in [Residency::WithoutText, Residency::OneAtATime] {
        let mut saving = Saving::default();
        saving.residency = residency;
        assert_eq!(pixels(saving, &quick()), whole, "{residency:?}");
    }
}

#[test]
fn branches_one_after_another_give_the_same_picture() {
    let whole = pixels(Saving::default(), &quick());
    let mut saving = Saving::default();
    saving.one_by_one = true;
    let alone = pixels(saving, &quick());
    let furthest = whole.iter().zip(&alone).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(furthest <= Some(1), "{furthest:?}");
}

#[test]
fn tiles_are_those_of_the_options_where_these_say_any() {
    let tiled = |side| {
        let mut options = quick();
        options.vae = options.vae.with_tiling(Tiling::new(side));
        options
    };
    let mut saving = Saving::default();
    saving.tiling = Some(Tiling::new(32));
    let chosen = pixels(saving, &quick());
    assert_eq!(chosen, pixels(Saving::default(), &tiled(32)));
    assert_ne!(chosen, pixels(Saving::default(), &quick()));
    assert_eq!(
        pixels(saving, &tiled(48)),
        pixels(Saving::default(), &tiled(48))
    );
}
