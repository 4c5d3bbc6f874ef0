use std::collections::BTreeSet;

use image::{GenericImageView, Rgb};

use super::*;
use crate::{Example, Family, Phrasing, Source, rng};

const SIZE: u32 = 48;

#[test]
fn a_scene_is_its_seed_and_its_index() {
    assert_eq!(scene(7, 3), scene(7, 3));
    assert_ne!(scene(7, 3), scene(7, 4));
    assert_eq!(render(&scene(7, 3), 64), render(&scene(7, 3), 64));
}

#[test]
fn an_example_is_the_same_in_every_order() {
    let scenes = Scenes::new(11);
    let forwards: Vec<Example> = (0..12).map(|index| scenes.example(index, SIZE)).collect();
    let backwards: Vec<Example> = (0..12)
        .rev()
        .map(|index| scenes.example(index, SIZE))
        .collect();
    assert!(forwards.iter().eq(backwards.iter().rev()));
    assert_ne!(forwards[0], Scenes::new(12).example(0, SIZE));
}

#[test]
fn a_mask_is_exact() {
    let scenes = Scenes::new(3).with_weights(1, 0, 0);
    for index in 0..150 {
        let example = scenes.example(index, SIZE);
        let mask = example.mask.expect("a local edit has a mask");
        for (x, y, masked) in mask.enumerate_pixels() {
            let same = example.input.get_pixel(x, y) == example.edited.get_pixel(x, y);
            assert_eq!(masked.0[0] == 0, same, "example {index} at {x}, {y}");
        }
        let share =
            mask.pixels().filter(|pixel| pixel.0[0] > 0).count() as f32 / (SIZE * SIZE) as f32;
        assert!(
            (0.002..0.5).contains(&share),
            "example {index} changes {share}: {}",
            example.instruction
        );
    }
}

#[test]
fn every_kind_is_seen_and_has_a_colour_of_its_own() {
    let backdrop = Backdrop {
        setting: Setting::Street,
        palette: 1,
        horizon: 0.46,
        clouds: false,
        seed: 1,
    };
    let bare = Scene {
        backdrop,
        light: Light::Left,
        objects: Vec::new(),
    };
    for kind in Kind::ALL {
        let row = if kind.stand() == Stand::Ground {
            Row::Bottom
        } else {
            Row::Top
        };
        let add = |colour| {
            Edit::Add {
                kind,
                colour,
                place: Place::Cell(Column::Middle, row),
            }
            .apply(&bare)
        };
        let [red, blue] = [Colour::Red, Colour::Blue].map(|colour| render(&add(colour), SIZE));
        let seen = difference(&render(&bare, SIZE), &red)
            .pixels()
            .filter(|pixel| pixel.0[0] > 0)
            .count();
        let hued = difference(&red, &blue)
            .pixels()
            .filter(|pixel| pixel.0[0] > 0)
            .count();
        assert!(
            seen > 60 && hued * 4 > seen,
            "{kind}: {seen} pixels, {hued} of its colour"
        );
    }
}

#[test]
fn what_is_removed_was_never_drawn() {
    for index in 0..20 {
        let scene = scene(4, index);
        for object in &scene.objects {
            let mut without = scene.clone();
            without.objects.retain(|other| other.id != object.id);
            let removed = Edit::Remove { object: object.id }.apply(&scene);
            assert_eq!(render(&removed, SIZE), render(&without, SIZE));
        }
    }
}

#[test]
fn sizes_change_by_their_factor_and_feet_stay() {
    for index in 0..40 {
        let scene = scene(15, index);
        for (object, change) in scene
            .objects
            .iter()
            .zip([Change::Bigger, Change::Smaller].into_iter().cycle())
        {
            let after = Edit::Resize {
                object: object.id,
                change,
            }
            .apply(&scene);
            let resized = after.object(object.id).unwrap();
            assert!((resized.height() / object.height() - change.factor()).abs() < 1e-5);
            assert_eq!(resized.at, object.at);
        }
    }
}

#[test]
fn growth_is_proposed_as_often_as_shrinking() {
    let mut rng = rng(16, 0);
    let edits =
        (0..400).filter_map(|index| propose::propose(&scene(16, index), Family::Resize, &mut rng));
    let changes: Vec<bool> = edits
        .map(|edit| {
            matches!(
                edit,
                Edit::Resize {
                    change: Change::Bigger,
                    ..
                }
            )
        })
        .collect();
    let grows = changes.iter().filter(|grows| **grows).count() as f32 / changes.len() as f32;
    assert!((0.4..0.65).contains(&grows), "{grows}");
}

#[test]
fn objects_have_the_size_that_is_asked_for() {
    let mut areas = Vec::new();
    for index in 0..300 {
        let scene = scene(5, index);
        assert!(
            (2..=5).contains(&scene.objects.len()),
            "scene {index} has {}",
            scene.objects.len()
        );
        areas.extend(scene.objects.iter().map(Object::area));
    }
    let mean = areas.iter().sum::<f32>() / areas.len() as f32;
    assert!((0.05..0.14).contains(&mean), "{mean}");
}

#[test]
fn every_size_shows_the_same_scene() {
    for index in 0..6 {
        let scene = scene(6, index);
        let [small, large] = [64, 256].map(|size| render(&scene, size));
        let mut sum = 0.0;
        for (x, y, pixel) in small.enumerate_pixels() {
            let block = large.view(4 * x, 4 * y, 4, 4);
            for channel in 0..3 {
                let mean = block
                    .pixels()
                    .map(|(_, _, pixel)| f32::from(pixel.0[channel]))
                    .sum::<f32>()
                    / 16.0;
                sum += (mean - f32::from(pixel.0[channel])).abs();
            }
        }
        let error = sum / (64.0 * 64.0 * 3.0);
        assert!(error < 4.0, "scene {index} differs by {error} of 255");
    }
}

#[test]
fn a_name_fits_one_object_only() {
    for index in 0..400 {
        let scene = scene(8, index);
        let mut owners = std::collections::BTreeMap::new();
        for object in &scene.objects {
            for name in refer::names(&scene, object.id) {
                let owner = *owners.entry(name.text.clone()).or_insert(object.id);
                assert_eq!(
                    owner, object.id,
                    "scene {index}: two are called {}",
                    name.text
                );
            }
        }
    }
}

#[test]
fn most_objects_have_a_name() {
    let scenes: Vec<Scene> = (0..200).map(|index| scene(9, index)).collect();
    let objects: usize = scenes.iter().map(|scene| scene.objects.len()).sum();
    let named = scenes
        .iter()
        .flat_map(|scene| scene.objects.iter().map(move |object| (scene, object.id)));
    let named = named
        .filter(|(scene, id)| !refer::names(scene, *id).is_empty())
        .count();
    assert!(named * 20 > objects * 19, "{named} of {objects}");
}

/// A sentence without what makes it polite or ends it.
fn bare(sentence: &str) -> String {
    let text = sentence.to_lowercase();
    let mut text = text.trim_end_matches(['.', '?']);
    for word in [
        "please ",
        "can you ",
        "could you please ",
        "could you ",
        "now ",
    ] {
        text = text.strip_prefix(word).unwrap_or(text);
    }
    text.to_owned()
}

fn sentences(phrasing: Phrasing, count: u64) -> Vec<String> {
    let scenes = Scenes::new(13).with_phrasing(phrasing);
    (0..count)
        .map(|index| scenes.example(index, 4).instruction)
        .collect()
}

#[test]
fn what_is_held_out_is_never_said_in_training() {
    let training: BTreeSet<String> = sentences(Phrasing::Training, 3000)
        .iter()
        .map(|s| bare(s))
        .collect();
    for sentence in sentences(Phrasing::HeldOut, 1500) {
        assert!(!training.contains(&bare(&sentence)), "{sentence:?}");
    }
}

#[test]
fn what_is_held_out_uses_words_of_training() {
    let words = |sentences: Vec<String>| -> BTreeSet<String> {
        let words = sentences.iter().flat_map(|s| {
            s.split(|c: char| !c.is_alphanumeric())
                .map(str::to_lowercase)
        });
        words.collect()
    };
    let training = words(sentences(Phrasing::Training, 5000));
    for word in words(sentences(Phrasing::HeldOut, 1500)) {
        assert!(training.contains(&word), "{word:?} is not met in training");
    }
    assert!(
        (150..420).contains(&training.len()),
        "{} words",
        training.len()
    );
}

#[test]
fn every_family_follows_from_one_picture() {
    let mut found = 0;
    for index in 0..10 {
        let input = render(&scene(2, index), SIZE);
        for family in Family::LOCAL.into_iter().chain(Family::GLOBAL) {
            if let Some(example) = following(2, index, SIZE, family, Phrasing::HeldOut) {
                assert_eq!(example.input, input);
                assert_ne!(example.edited, input, "{family}: {}", example.instruction);
                assert_eq!(example.edits, [family]);
                assert_eq!(example.mask.is_some(), family.is_local());
                found += 1;
            }
        }
    }
    assert!(found > 170, "{found} of 180");
}

#[test]
fn twins_are_alike_and_told_apart() {
    for index in 0..40 {
        let twins = twins(1, index, SIZE, Phrasing::Training);
        assert_ne!(twins.example.edited, twins.other);
        assert_eq!(twins.example.mask.as_ref(), Some(&twins.named_mask));
        assert_eq!(
            difference(&twins.example.input, &twins.other),
            twins.other_mask
        );
    }
}

#[test]
fn a_chain_does_more_than_each_of_its_edits() {
    for index in 0..40 {
        let chain = chained(1, index, SIZE, Phrasing::Training);
        assert_eq!(chain.example.edits.len(), 2);
        for part in [&chain.first, &chain.second] {
            assert_ne!(part, &chain.example.input, "{}", chain.example.instruction);
            assert_ne!(part, &chain.example.edited, "{}", chain.example.instruction);
        }
        let local = chain.example.edits.iter().all(|family| family.is_local());
        assert_eq!(chain.example.mask.is_some(), local);
    }
}

#[test]
fn each_edit_in_turn_is_of_what_the_one_before_left() {
    for index in 0..20 {
        let turns = in_turn(1, index, SIZE, 5, Phrasing::Training);
        assert_eq!(turns.len(), 5);
        for pair in turns.windows(2) {
            assert_eq!(pair[0].edited, pair[1].input);
        }
        for turn in &turns {
            assert_ne!(turn.input, turn.edited, "{}", turn.instruction);
        }
    }
}

#[test]
fn an_addition_depends_on_scene_and_edit_alone() {
    let scene = Scene {
        objects: Vec::new(),
        ..scene(1, 1)
    };
    let edit = Edit::Add {
        kind: Kind::Ball,
        colour: Colour::Red,
        place: Place::Cell(Column::Left, Row::Bottom),
    };
    let added = edit.apply(&scene);
    assert_eq!(added.objects[0].at, [Column::Left.x(), Row::Bottom.y()]);
    let picture = render(&added, 128);
    let Rgb([red, green, blue]) = *picture.get_pixel(20, 100);
    assert!(red > 180 && green < 90 && blue < 90, "{red} {green} {blue}");
}

#[test]
fn a_nearer_object_hides_a_farther_one() {
    let object = |id, colour, y| Object {
        id,
        kind: Kind::Box,
        colour,
        at: [0.5, y],
        scale: 1.0,
        mirrored: false,
    };
    let objects = vec![object(0, Colour::Red, 0.9), object(1, Colour::Blue, 0.8)];
    let scene = Scene {
        objects,
        ..scene(1, 1)
    };
    let Rgb([red, _, blue]) = *render(&scene, 128).get_pixel(58, 108);
    assert!(red > blue);
}

#[test]
fn one_draw_does_not_change_another() {
    let (mut first, mut second) = (rng(1, 1), rng(1, 1));
    assert_eq!(Scene::sample(&mut first), Scene::sample(&mut second));
}
