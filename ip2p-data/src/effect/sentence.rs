//! Sentences that ask for effects.

use rand::{Rng, RngExt};

use super::Effect;
use super::phrases::phrases;
use crate::Phrasing;

/// How likely a sentence is polite ("please make it snowy").
const POLITE: f64 = 0.12;
/// How likely a sentence starts with a capital and ends with a mark.
const PUNCTUATED: f64 = 0.2;

/// A sentence that asks for an effect.
///
/// The words are drawn from those of the phrasing: what is held out is never used in training, with whatever politeness and punctuation.
pub fn sentence(effect: Effect, phrasing: Phrasing, rng: &mut impl Rng) -> String {
    let all = phrases(effect);
    let words = match phrasing {
        Phrasing::Training => {
            let drawn = rng.random_range(0..all.orders.len() + all.looks.len());
            match all.orders.get(drawn) {
                Some(order) => polite(order, rng),
                None => all.looks[drawn - all.orders.len()].to_owned(),
            }
        }
        Phrasing::HeldOut => polite(one(all.held_out, rng), rng),
    };
    punctuated(words, rng)
}

/// A sentence that asks for several effects, in their order: "make it snowy and then turn it into a sketch".
///
/// # Panics
///
/// If there are no effects.
pub fn chained_sentence(effects: &[Effect], phrasing: Phrasing, rng: &mut impl Rng) -> String {
    assert!(!effects.is_empty(), "a sentence asks for something");
    let mut words = String::new();
    for &effect in effects {
        if !words.is_empty() {
            words.push_str(one(&[" and ", " and then ", ", then ", ", and "], rng));
        }
        words.push_str(order(effect, phrasing, rng));
    }
    let words = polite(&words, rng);
    punctuated(words, rng)
}

/// A bare order for an effect, to be chained with others.
pub(crate) fn order(effect: Effect, phrasing: Phrasing, rng: &mut impl Rng) -> &'static str {
    let all = phrases(effect);
    match phrasing {
        Phrasing::Training => one(all.orders, rng),
        Phrasing::HeldOut => one(all.held_out, rng),
    }
}

fn one<'a>(of: &[&'a str], rng: &mut impl Rng) -> &'a str {
    of[rng.random_range(0..of.len())]
}

fn polite(order: &str, rng: &mut impl Rng) -> String {
    if !rng.random_bool(POLITE) {
        return order.to_owned();
    }
    match rng.random_range(0..3) {
        0 => format!("please {order}"),
        1 => format!("{order}, please"),
        _ => format!("can you {order}"),
    }
}

fn punctuated(words: String, rng: &mut impl Rng) -> String {
    if !rng.random_bool(PUNCTUATED) {
        return words;
    }
    let is_question = words.starts_with("what ") || words.starts_with("can ");
    let (first, rest) = words.split_at(1);
    let mark = if is_question { '?' } else { '.' };
    format!("{}{rest}{mark}", first.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rng;

    fn words(sentence: &str) -> Vec<&str> {
        sentence
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect()
    }

    #[test]
    fn there_are_enough_phrases_and_none_has_two_meanings() {
        let mut seen = BTreeSet::new();
        for effect in Effect::ALL {
            let all = phrases(effect);
            assert!(
                all.orders.len() >= 15 && all.held_out.len() >= 5,
                "{effect:?}"
            );
            for phrase in all.orders.iter().chain(all.looks).chain(all.held_out) {
                assert!(seen.insert(*phrase), "{phrase:?} is there twice");
                assert!(!crate::names_a_side(phrase), "{phrase:?}");
            }
        }
    }

    #[test]
    fn what_is_held_out_is_never_drawn_for_training() {
        let held_out: Vec<&str> = Effect::ALL
            .iter()
            .flat_map(|&effect| phrases(effect).held_out)
            .copied()
            .collect();
        let mut rng = rng(1, 0);
        for effect in Effect::ALL {
            for _ in 0..300 {
                let drawn = sentence(effect, Phrasing::Training, &mut rng).to_lowercase();
                let drawn = drawn
                    .trim_start_matches("please ")
                    .trim_start_matches("can you ")
                    .trim_end_matches(['.', '?'])
                    .trim_end_matches(", please");
                assert!(!held_out.contains(&drawn), "{drawn:?}");
            }
        }
    }

    #[test]
    fn what_is_held_out_uses_words_of_training() {
        let known: BTreeSet<&str> = Effect::ALL
            .iter()
            .flat_map(|&effect| phrases(effect).orders.iter().chain(phrases(effect).looks))
            .flat_map(|phrase| words(phrase))
            .collect();
        for effect in Effect::ALL {
            for phrase in phrases(effect).held_out {
                for word in words(phrase) {
                    assert!(
                        known.contains(word),
                        "{word:?} of {phrase:?} is not met in training"
                    );
                }
            }
        }
        assert!(known.len() < 200, "{} words", known.len());
    }

    #[test]
    fn a_chain_asks_for_its_effects_in_order() {
        let mut rng = rng(2, 0);
        for _ in 0..50 {
            let drawn = chained_sentence(
                &[Effect::Snow, Effect::Sketch],
                Phrasing::Training,
                &mut rng,
            )
            .to_lowercase();
            let place = |effect| {
                let all = phrases(effect).orders.iter();
                all.filter_map(|order| drawn.find(order))
                    .min()
                    .expect("an order of each effect")
            };
            assert!(place(Effect::Snow) < place(Effect::Sketch), "{drawn:?}");
        }
    }
}
