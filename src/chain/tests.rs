//! What is one edit and what is several.

use ip2p_data::scene::Scenes;
use ip2p_data::{Phrasing, Source, effect, rng};
use proptest::prelude::*;

use super::*;

#[test]
fn several_edits_are_taken_apart() {
    for (sentence, parts) in [
        (
            "make it snowy, then turn the car red and add a hat",
            &["make it snowy", "turn the car red", "add a hat"][..],
        ),
        (
            "Add trees, flowers and a house, and remove the car.",
            &["Add trees, flowers and a house", "remove the car"],
        ),
        (
            "please make it night; now add 3 stars. After that, get rid of the lamp!",
            &["please make it night", "add 3 stars", "get rid of the lamp"],
        ),
        (
            "remove the car and make it winter",
            &["remove the car", "make it winter"],
        ),
        (
            "delete the sign, then make it darker",
            &["delete the sign", "make it darker"],
        ),
        (
            "make it black and white and add a red and blue ball",
            &["make it black and white", "add a red and blue ball"],
        ),
        (
            "change the season to winter and make it brighter",
            &["change the season to winter", "make it brighter"],
        ),
        (
            "make the man smile, then add a hat",
            &["make the man smile", "add a hat"],
        ),
        (
            "add a sign that says \"stop and make tea\", then remove the dog",
            &[
                "add a sign that says \"stop and make tea\"",
                "remove the dog",
            ],
        ),
    ] {
        assert_eq!(split_edits(sentence), parts, "{sentence}");
    }
}

#[test]
fn one_edit_stays_as_it_is_to_the_byte() {
    for sentence in [
        "",
        "  ",
        "and",
        "make it black and white",
        "Add a red and blue ball.",
        "make it red, white, and blue",
        "add a dog, a cat and a bird, all of them brown",
        "in the top left corner, add a tree",
        "add a frame and paint",
        "give her lipstick and make up",
        "add mirrors and turn signals to the car",
        "make the car red and the house blue",
        "make it look like it was burned, then frozen",
        "make the sky dark and turn on the lamps",
        // What follows belongs to a clause.
        "add a robot that can cook and make tea",
        "add a brush to paint and make lines",
        "make the man sit down and turn the page",
        "have her smile and make a face",
        // "It" is not the picture.
        "add a dog and make it black",
        "turn the car red, then make it shiny",
        "make the sky purple and make it brighter",
        "draw a tree and add a nest to it",
        "remove the hat of the man and make him smile",
        // What must not change is no edit.
        "make it snowy and keep the house as it is",
        "make it snowy, do not touch the car",
        // Quoted.
        "add a sign that says \"stop, then turn the car\"",
        "write ‘make it new, then add salt’ on the wall",
        "add a sign that says \"stop, then add a never ending text",
        "the cat should be black and add a hat",
    ] {
        assert_eq!(split_edits(sentence), [sentence]);
    }
}

#[test]
fn no_sentence_that_asks_for_one_thing_is_taken_apart() {
    for phrasing in [Phrasing::Training, Phrasing::HeldOut] {
        let scenes = Scenes::new(9).with_weights(1, 0, 0).with_phrasing(phrasing);
        let mut rng = rng(3, 1);
        for index in 0..2000 {
            let effect = effect::sample(&mut rng);
            let of_effect = effect::sentence(effect, phrasing, &mut rng);
            for sentence in [scenes.example(index, 8).instruction, of_effect] {
                assert_eq!(split_edits(&sentence), [sentence.as_str()]);
            }
        }
    }
}

#[test]
fn the_orders_of_one_sentence_are_found() {
    let scenes = Scenes::new(9).with_weights(0, 0, 1);
    let (mut right, mut too_many) = (0, 0);
    for index in 0..500 {
        let example = scenes.example(index, 8);
        let parts = split_edits(&example.instruction).len();
        right += usize::from(parts == example.edits.len());
        too_many += usize::from(parts > example.edits.len());
    }
    assert_eq!(too_many, 0);
    assert!(right >= 400, "{right} of 500");
}

/// Orders that stand alone.
const ORDERS: &[&str] = &[
    "make it snowy",
    "turn the car red",
    "add a hat",
    "remove all people",
    "replace the cat with a black and white dog",
    "paint the wall blue, white and green",
    "turn it into a watercolour",
    "give the man a beard and a moustache",
    "change the sky to purple",
    "put a boat on the lake",
];

/// What joins them.
const JOINTS: &[&str] = &[
    ", then ",
    " and ",
    ", and ",
    " and then ",
    "; ",
    ". ",
    ", ",
    ". After that, ",
    ", after that ",
    " then ",
    ", and also ",
    ". Now ",
    "\nthen ",
];

proptest! {
    #[test]
    fn orders_come_out_as_they_went_in(
        orders in proptest::collection::vec(proptest::sample::select(ORDERS), 1..6),
        joints in proptest::collection::vec(proptest::sample::select(JOINTS), 5),
    ) {
        let mut sentence = orders[0].to_owned();
        for (order, joint) in orders[1..].iter().zip(&joints) {
            sentence.push_str(joint);
            sentence.push_str(order);
        }
        prop_assert_eq!(split_edits(&sentence), orders);
    }

    /// Nothing but joints is lost, nothing is put in, and a part has no parts.
    #[test]
    fn the_parts_are_of_the_sentence_and_are_whole(
        words in proptest::collection::vec(
            proptest::sample::select(&[
                "make", "it", "the", "and", "then", "add", "car,", "red", "\"hat", "hat\"", "that", "after", "turn", "a",
                "remove", "snowy.", "paint", "to", "’", "black;", "please", "them", "ß", "'tis", "…",
            ][..]),
            0..24,
        ),
        gap in proptest::sample::select(&[" ", "  ", "\n", "\u{a0}"][..]),
    ) {
        let sentence = words.join(gap);
        let parts = split_edits(&sentence);
        let mut rest = sentence.as_str();
        for part in &parts {
            let at = rest.find(part.as_str());
            prop_assert!(at.is_some(), "{:?} in {:?}", part, sentence);
            let at = at.unwrap_or(0);
            let lost = rest[..at].split_whitespace().map(|word| word.trim_matches([',', ';', '.', '!', '?']));
            for word in lost {
                prop_assert!(
                    ["", "and", "then", "after", "that", "please"].contains(&word),
                    "{:?} of {:?}", word, sentence
                );
            }
            rest = &rest[at + part.len()..];
        }
        for part in &parts {
            prop_assert!(parts.len() == 1 || split_edits(part).len() == 1, "{:?}", part);
        }
    }

    #[test]
    fn any_text_is_taken(sentence in "\\PC{0,60}") {
        prop_assert!(!split_edits(&sentence).is_empty());
    }
}
