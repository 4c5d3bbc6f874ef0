//! Sentences whose brackets say how much the words in them count: AUTOMATIC1111's syntax.
//!
//! `parse_prompt_attention` of its `modules/prompt_parser.py`, which ComfyUI's users know too. What that passes over in silence is
//! refused here: a bracket that is not closed, a weight that is no number, and what the sentence would mean there and cannot here.

/// What a word counts in a pair of brackets without a number.
const ROUND: f64 = 1.1;
const SQUARE: f64 = 1.0 / 1.1;

/// Where a new chunk begins.
const BREAK: &str = "BREAK";

/// Parts of a sentence that would be for other files than the text encoder's.
const NETWORKS: [(&str, &str); 3] = [
    ("<lora:", "--lora FILE:WEIGHT adds a low-rank adaptation"),
    ("<lyco:", "--lora FILE:WEIGHT adds a low-rank adaptation"),
    ("<hypernet:", "hypernetworks are not supported"),
];

/// A part of a sentence.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// Words, and how much they count.
    Text(String, f64),
    /// A new chunk begins.
    Break,
}

/// The parts of a sentence, those of one weight together.
///
/// # Errors
///
/// What is wrong with it and where, to go on with after "a sentence …, got one".
pub(super) fn parse(sentence: &str) -> Result<Vec<Piece>, String> {
    for (tag, instead) in NETWORKS {
        if sentence.contains(tag) {
            return Err(format!("with {tag}…>: {instead}"));
        }
    }
    let mut parser = Parser {
        sentence,
        at: 0,
        pieces: Vec::new(),
        round: Vec::new(),
        square: Vec::new(),
    };
    while parser.at < sentence.len() {
        parser.next()?;
    }
    let open = parser.round.last().map(|open| (open, '('));
    let open = open.or(parser.square.last().map(|open| (open, '[')));
    if let Some((open, bracket)) = open {
        return Err(format!(
            "with a bracket {bracket} at character {} that is not closed; \\{bracket} is a bracket of the sentence",
            parser.character(open.at)
        ));
    }
    Ok(merged(parser.pieces))
}

/// A bracket that is open.
#[derive(Debug)]
struct Open {
    /// The first piece in it.
    piece: usize,
    /// Where in the sentence it stands.
    at: usize,
}

#[derive(Debug)]
struct Parser<'a> {
    sentence: &'a str,
    at: usize,
    pieces: Vec<Piece>,
    round: Vec<Open>,
    square: Vec<Open>,
}

impl Parser<'_> {
    /// Takes the next mark, or the words before it.
    fn next(&mut self) -> Result<(), String> {
        let rest = &self.sentence[self.at..];
        let mark = rest.chars().next().unwrap_or_default();
        let open = Open {
            piece: self.pieces.len(),
            at: self.at,
        };
        match mark {
            '\\' => {
                let after = rest[1..].chars().next();
                // A backslash before anything else is left out, as there.
                let literal = after.filter(|c| "\\()[]".contains(*c));
                self.push(literal.map(String::from).unwrap_or_default());
                self.at += 1 + literal.map_or(0, char::len_utf8);
            }
            '(' => {
                self.round.push(open);
                self.at += 1;
            }
            '[' => {
                self.square.push(open);
                self.at += 1;
            }
            ')' => {
                let open = self.round.pop().ok_or_else(|| self.not_open(')', '('))?;
                self.weigh(&open, ROUND)?;
                self.at += 1;
            }
            ']' => {
                let open = self.square.pop().ok_or_else(|| self.not_open(']', '['))?;
                self.refuse_editing(&open)?;
                self.weigh(&open, SQUARE)?;
                self.at += 1;
            }
            ':' => self.colon()?,
            _ => {
                let end = rest.find(['\\', '(', ')', '[', ']', ':']);
                let words = &rest[..end.unwrap_or(rest.len())];
                self.words(words)?;
                self.at += words.len();
            }
        }
        Ok(())
    }

    /// A colon: a weight and a closing bracket follow, or it is one of the sentence.
    fn colon(&mut self) -> Result<(), String> {
        let rest = &self.sentence[self.at + 1..];
        let value = rest.find(['\\', '(', ')', '[', ']', ':']);
        let value = value.filter(|&end| rest[end..].starts_with(')'));
        let Some(value) = value.filter(|_| !self.round.is_empty()) else {
            self.push(":".into());
            self.at += 1;
            return Ok(());
        };
        let text = &rest[..value];
        let is_words = text.starts_with(char::is_whitespace) && text.contains(char::is_alphabetic)
            || text.trim().contains(char::is_whitespace);
        if is_words {
            self.push(":".into());
            self.at += 1;
            return Ok(());
        }
        let is_number = |c: char| c.is_ascii_digit() || "+-.".contains(c);
        let weight = Some(text.trim()).filter(|text| text.chars().all(is_number));
        let weight = weight.and_then(|text| text.parse::<f64>().ok());
        let weight = weight.filter(|weight| weight.is_finite()).ok_or_else(|| {
            format!(
                "with the weight {:?} at character {}, which is no number; with a blank before it, it is words",
                text.trim(),
                self.character(self.at + 1)
            )
        })?;
        let open = self.round.pop();
        let open = open.ok_or_else(|| self.not_open(')', '('))?;
        self.weigh(&open, weight)?;
        // The bracket too.
        self.at += 1 + value + 1;
        Ok(())
    }

    /// Words without marks, in which new chunks may begin.
    fn words(&mut self, words: &str) -> Result<(), String> {
        if find_word(words, "AND").is_some() {
            let reason = "with AND, which would mix several sentences: that is not supported";
            return Err(reason.into());
        }
        let mut rest = words;
        while let Some(start) = find_word(rest, BREAK) {
            if !(self.round.is_empty() && self.square.is_empty()) {
                return Err(format!("with {BREAK} within brackets"));
            }
            self.push(rest[..start].trim_end().to_owned());
            self.pieces.push(Piece::Break);
            rest = rest[start + BREAK.len()..].trim_start();
        }
        self.push(rest.to_owned());
        Ok(())
    }

    fn push(&mut self, text: String) {
        self.pieces.push(Piece::Text(text, 1.0));
    }

    /// Multiplies the weights of what is in a bracket.
    fn weigh(&mut self, open: &Open, factor: f64) -> Result<(), String> {
        for piece in &mut self.pieces[open.piece..] {
            let Piece::Text(_, weight) = piece else {
                continue;
            };
            *weight *= factor;
            if !weight.is_finite() {
                return Err("with a weight that is infinite".into());
            }
        }
        Ok(())
    }

    /// Refuses `[from:to:when]` and `[one|other]`, which are there for sentences that change from step to step.
    fn refuse_editing(&self, open: &Open) -> Result<(), String> {
        let inside = &self.sentence[open.at + 1..self.at];
        let when = inside.rsplit_once(':').map(|(_, when)| when.trim());
        let is_number = |text: &str| {
            let digits = text.trim_end_matches('%');
            !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        };
        if when.is_some_and(is_number) || inside.contains('|') {
            return Err(format!(
                "with [{inside}], words that change on the way: that is not supported"
            ));
        }
        Ok(())
    }

    fn not_open(&self, bracket: char, other: char) -> String {
        format!(
            "with a bracket {bracket} at character {} and no {other} before it; \\{bracket} is a bracket of the sentence",
            self.character(self.at)
        )
    }

    /// Which character of the sentence begins at a byte, counted from 1.
    fn character(&self, at: usize) -> usize {
        self.sentence[..at].chars().count() + 1
    }
}

/// Where a word stands that is no part of another.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .map(|(start, _)| start)
        .find(|&start| {
            let before = text[..start].chars().next_back();
            let after = text[start + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
}

/// Neighbours of one weight together: what they are tokenised as depends on it.
fn merged(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (merged.last_mut(), piece) {
            (Some(Piece::Text(text, weight)), Piece::Text(more, other)) if *weight == other => {
                text.push_str(&more);
            }
            (_, piece) => merged.push(piece),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str, weight: f64) -> Piece {
        Piece::Text(text.into(), weight)
    }

    #[test]
    fn brackets_weigh_the_words_in_them() {
        // The examples of `parse_prompt_attention` itself, with its brackets closed.
        let cases = [
            ("normal text", vec![text("normal text", 1.0)]),
            (
                "an (important) word",
                vec![text("an ", 1.0), text("important", 1.1), text(" word", 1.0)],
            ),
            ("\\(literal\\]", vec![text("(literal]", 1.0)]),
            (
                "(unnecessary)(parens)",
                vec![text("unnecessaryparens", 1.1)],
            ),
            (
                "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky)))).",
                vec![
                    text("a ", 1.0),
                    text("house", 1.573_000_000_000_000_4),
                    text(" ", 1.1),
                    text("on", 1.0),
                    text(" a ", 1.1),
                    text("hill", 0.55),
                    text(", sun, ", 1.1),
                    text("sky", 1.464_100_000_000_000_6),
                    text(".", 1.0),
                ],
            ),
            (
                "a ((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
                vec![
                    text("a ", 1.0),
                    text("house", 1.3 * 1.1),
                    text(" ", 1.0),
                    text("on", 1.0 / 1.1),
                    text(" a ", 1.0),
                    text("hill", 0.5),
                    text(", sun, ", 1.0),
                    text("sky", 1.1 * 1.1 * 1.1),
                    text(".", 1.0),
                ],
            ),
            ("(night: 1.2 )", vec![text("night", 1.2)]),
            (
                "(of: snow) at 12:30",
                vec![text("of: snow", 1.1), text(" at 12:30", 1.0)],
            ),
            ("a \\ b", vec![text("a  b", 1.0)]),
            ("", vec![]),
            ("()", vec![]),
        ];
        for (sentence, expected) in cases {
            assert_eq!(parse(sentence).unwrap(), expected, "{sentence}");
        }
    }

    #[test]
    fn a_break_begins_a_chunk() {
        let expected = [text("a hat,", 1.0), Piece::Break, text("red", 1.0)];
        assert_eq!(parse("a hat,  BREAK\nred").unwrap(), expected);
        assert_eq!(parse("BREAKFAST").unwrap(), [text("BREAKFAST", 1.0)]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        for (sentence, words) in [
            (
                "make it (snowy",
                "bracket ( at character 9 that is not closed; \\(",
            ),
            ("make [it", "bracket [ at character 6"),
            ("snow)", "bracket ) at character 5 and no ( before it; \\)"),
            ("s\u{e9}now:1.3)", "bracket ) at character 10"),
            ("snow]", "no [ before it"),
            (
                "(snow:much)",
                "weight \"much\" at character 7, which is no number",
            ),
            ("(snow:1.2.3)", "weight \"1.2.3\""),
            ("(snow: 1,3)", "weight \"1,3\""),
            ("(snow:)", "weight \"\""),
            ("(snow:nan)", "weight \"nan\""),
            ("(a (b BREAK c))", "BREAK within brackets"),
            ("[rain:snow:0.5]", "change on the way"),
            ("[snow:10]", "change on the way"),
            ("[rain|snow]", "change on the way"),
            ("snow AND rain", "AND, which would mix"),
            ("snow <lora:x:1>", "--lora FILE:WEIGHT"),
        ] {
            let reason = parse(sentence).unwrap_err();
            assert!(reason.contains(words), "{sentence}: {reason}");
        }
        let huge = format!("(a:{})", "9".repeat(400));
        assert!(parse(&huge).unwrap_err().contains("no number"));
        let huge = format!("({huge}:2)").replace(&"9".repeat(400), &"9".repeat(308));
        assert!(parse(&huge).unwrap_err().contains("infinite"), "{huge}");
    }

    proptest! {
        #[test]
        fn no_sentence_is_too_strange(sentence in "([a-z :.0-9()\\[\\]\\\\|]|BREAK|\u{e9}){0,20}") {
            let _ = parse(&sentence);
        }

        #[test]
        fn a_sentence_without_marks_stays_what_it_is(sentence in "[a-z ,.!?\u{e9}0-9]{1,40}") {
            prop_assert_eq!(parse(&sentence).unwrap(), vec![text(&sentence, 1.0)]);
        }
    }
}
