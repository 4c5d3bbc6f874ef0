//! Where the names of embeddings stand in a sentence.

use super::Embeddings;

/// A part of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named<'a> {
    Words(&'a str),
    /// Index of an embedding.
    Embedding(usize),
}

/// The sentence, with each embedding apart that is named in it: as a word of its own, in small letters or large.
pub(super) fn split<'a>(text: &'a str, embeddings: &Embeddings) -> Vec<Named<'a>> {
    // Of names that begin alike the longest counts.
    let mut order: Vec<_> = embeddings.iter().enumerate().collect();
    order.sort_by_key(|(_, embedding)| std::cmp::Reverse(embedding.name().len()));
    let mut parts = Vec::new();
    let (mut begun, mut at) = (0, 0);
    while at < text.len() {
        let found = order.iter().find_map(|(index, embedding)| {
            let end = at + matched(&text[at..], embedding.name())?;
            is_apart(text, at, end).then_some((*index, end))
        });
        if let Some((index, end)) = found {
            if begun < at {
                parts.push(Named::Words(&text[begun..at]));
            }
            parts.push(Named::Embedding(index));
            (begun, at) = (end, end);
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    if begun < text.len() {
        parts.push(Named::Words(&text[begun..]));
    }
    parts
}

/// How many bytes of `text` say `name`, whatever the size of the letters.
fn matched(text: &str, name: &str) -> Option<usize> {
    let mut letters = text.chars();
    for expected in name.chars() {
        let letter = letters.next()?;
        if !letter.to_lowercase().eq(expected.to_lowercase()) {
            return None;
        }
    }
    Some(text.len() - letters.as_str().len())
}

/// Whether what stands there is no part of a longer word.
fn is_apart(text: &str, start: usize, end: usize) -> bool {
    let joined = |one: Option<char>, other: Option<char>| {
        let both = one.zip(other);
        both.is_some_and(|(one, other)| one.is_alphanumeric() && other.is_alphanumeric())
    };
    let inside = &text[start..end];
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    !joined(before, inside.chars().next()) && !joined(inside.chars().next_back(), after)
}

#[cfg(test)]
mod tests {
    use super::super::testing::embeddings;
    use super::Named::{Embedding, Words};
    use super::*;

    #[test]
    fn a_name_is_found_as_a_word_of_its_own() {
        let known = embeddings(&[("<cat-toy>", 1), ("Snow", 2), ("snow-2", 1), ("Ä", 1)]);
        let cases = [
            (
                "a <cat-toy>, red",
                vec![Words("a "), Embedding(0), Words(", red")],
            ),
            ("<CAT-toy><cat-toy>", vec![Embedding(0), Embedding(0)]),
            ("snow snowy", vec![Embedding(1), Words(" snowy")]),
            (
                "snow-2 snow-3",
                vec![Embedding(2), Words(" "), Embedding(1), Words("-3")],
            ),
            ("x\u{e4} \u{e4}", vec![Words("x\u{e4} "), Embedding(3)]),
            ("nothing", vec![Words("nothing")]),
            ("", vec![]),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text, &known), expected, "{text}");
        }
    }
}
