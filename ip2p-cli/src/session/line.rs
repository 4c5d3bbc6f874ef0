//! A line that is being typed: the keys of readline that everyone's fingers know.

use console::{Key, measure_text_width};

/// Control keys, as a terminal sends them.
const CTRL_B: char = '\x02';
const CTRL_D: char = '\x04';
const CTRL_F: char = '\x06';
const CTRL_K: char = '\x0b';
const CTRL_N: char = '\x0e';
const CTRL_P: char = '\x10';
const CTRL_U: char = '\x15';
const CTRL_W: char = '\x17';

/// What a key leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    /// The line goes on.
    More,
    /// It is done.
    Done(String),
    /// There are no more lines: Ctrl-D on an empty one.
    End,
    /// The user wants to leave: Ctrl-C on an empty one.
    Interrupt,
}

/// A line that is being typed.
#[derive(Debug, Default)]
pub(super) struct Line {
    text: Vec<char>,
    /// The character before which the cursor is.
    at: usize,
    /// While earlier lines are gone through: what was typed, and which of them is shown.
    seeking: Option<(String, usize)>,
}

impl Line {
    /// A key is pressed. `earlier` are the lines that were said before, the last one last; `known` what Tab completes to.
    pub(super) fn press(&mut self, key: &Key, earlier: &[String], known: &[String]) -> Pressed {
        let seeks = matches!(
            key,
            Key::ArrowUp | Key::ArrowDown | Key::Char(CTRL_P | CTRL_N)
        );
        if !seeks {
            self.seeking = None;
        }
        match *key {
            Key::Enter => return Pressed::Done(self.text.iter().collect()),
            Key::Char(CTRL_D) if self.text.is_empty() => return Pressed::End,
            Key::CtrlC if self.text.is_empty() => return Pressed::Interrupt,
            Key::CtrlC => self.set(""),
            Key::ArrowUp | Key::Char(CTRL_P) => self.seek(earlier, true),
            Key::ArrowDown | Key::Char(CTRL_N) => self.seek(earlier, false),
            Key::ArrowLeft | Key::Char(CTRL_B) => self.at = self.at.saturating_sub(1),
            Key::ArrowRight | Key::Char(CTRL_F) => self.at = self.text.len().min(self.at + 1),
            Key::Home => self.at = 0,
            Key::End => self.at = self.text.len(),
            Key::Backspace => self.delete(self.at.saturating_sub(1), self.at),
            Key::Del | Key::Char(CTRL_D) => self.delete(self.at, self.at + 1),
            Key::Char(CTRL_U) => self.delete(0, self.at),
            Key::Char(CTRL_K) => self.delete(self.at, self.text.len()),
            Key::Char(CTRL_W) => self.delete(self.word_before(), self.at),
            Key::Tab => self.complete(known),
            Key::Char(char) if !char.is_control() => {
                self.text.insert(self.at, char);
                self.at += 1;
            }
            _ => {}
        }
        Pressed::More
    }

    /// What of the line fits into so many columns, and the column of the cursor in it.
    pub(super) fn view(&self, columns: usize) -> (String, usize) {
        let width = |chars: &[char]| measure_text_width(&chars.iter().collect::<String>());
        let mut from = 0;
        while width(&self.text[from..self.at]) >= columns.max(1) {
            from += 1;
        }
        let mut to = self.at;
        while to < self.text.len() && width(&self.text[from..=to]) < columns {
            to += 1;
        }
        let shown = self.text[from..to].iter().collect();
        (shown, width(&self.text[from..self.at]))
    }

    fn set(&mut self, text: &str) {
        self.text = text.chars().collect();
        self.at = self.text.len();
    }

    fn delete(&mut self, from: usize, to: usize) {
        self.text.drain(from..to.min(self.text.len()));
        self.at = from;
    }

    /// Where the word before the cursor begins.
    fn word_before(&self) -> usize {
        let before = &self.text[..self.at];
        let end = before.iter().rposition(|char| !char.is_whitespace());
        let start = before[..end.unwrap_or(0)]
            .iter()
            .rposition(|char| char.is_whitespace());
        start.map_or(0, |at| at + 1)
    }

    /// Shows the line before or after that begins with what was typed.
    fn seek(&mut self, earlier: &[String], back: bool) {
        let typed = || self.text.iter().collect();
        let (typed, shown) = self
            .seeking
            .take()
            .unwrap_or_else(|| (typed(), earlier.len()));
        let fits = |&at: &usize| earlier[at].starts_with(&typed) && earlier[at] != typed;
        let found = if back {
            (0..shown.min(earlier.len())).rev().find(fits)
        } else {
            (shown + 1..earlier.len()).find(fits)
        };
        let now = match found {
            Some(at) => at,
            None if back => shown,
            None => earlier.len(),
        };
        self.set(earlier.get(now).unwrap_or(&typed));
        self.seeking = Some((typed, now));
    }

    /// Goes on with what all that is known and begins like this has in common.
    fn complete(&mut self, known: &[String]) {
        let before: String = self.text[..self.at].iter().collect();
        let mut fitting = known.iter().filter(|known| known.starts_with(&before));
        let Some(first) = fitting.next() else { return };
        let common = fitting.fold(first.chars().collect::<Vec<_>>(), |common, other| {
            let same = common
                .iter()
                .zip(other.chars())
                .take_while(|(a, b)| **a == *b);
            let length = same.count();
            common[..length].to_vec()
        });
        let typed = self.at;
        self.text
            .splice(typed..typed, common[typed..].iter().copied());
        self.at = common.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is typed, with the cursor as `|`.
    fn after(keys: &[Key], earlier: &[&str], known: &[&str]) -> String {
        let own = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (earlier, known) = (own(earlier), own(known));
        let mut line = Line::default();
        for key in keys {
            assert_eq!(line.press(key, &earlier, &known), Pressed::More, "{key:?}");
        }
        let mut text = line.text.clone();
        text.insert(line.at, '|');
        text.into_iter().collect()
    }

    fn typed(text: &str) -> Vec<Key> {
        text.chars().map(Key::Char).collect()
    }

    #[test]
    fn keys_move_and_delete_as_in_a_shell() {
        let then = |text: &str, keys: &[Key]| after(&[&typed(text)[..], keys].concat(), &[], &[]);
        assert_eq!(then("snöw", &[Key::ArrowLeft, Key::Backspace]), "sn|w");
        assert_eq!(
            then("snow", &[Key::Home, Key::Del, Key::Char('S')]),
            "S|now"
        );
        assert_eq!(then("make it snowy ", &[Key::Char(CTRL_W)]), "make it |");
        assert_eq!(then("snow", &[Key::Char(CTRL_W), Key::Char(CTRL_W)]), "|");
        assert_eq!(
            then("make it", &[Key::Char(CTRL_B), Key::Char(CTRL_U)]),
            "|t"
        );
        assert_eq!(then("make it", &[Key::Home, Key::Char(CTRL_K)]), "|");
        assert_eq!(then("make it", &[Key::CtrlC]), "|");
        assert_eq!(
            then(
                "a",
                &[Key::ArrowRight, Key::End, Key::Del, Key::Char('\x1a')]
            ),
            "a|"
        );
    }

    #[test]
    fn arrows_go_through_what_was_said_and_begins_like_this() {
        let said = ["make it snowy", "undo", "make it night"];
        let then = |text: &str, keys: &[Key]| after(&[&typed(text)[..], keys].concat(), &said, &[]);
        let (up, down) = (Key::ArrowUp, Key::ArrowDown);
        assert_eq!(then("", std::slice::from_ref(&up)), "make it night|");
        assert_eq!(then("", &[up.clone(), up.clone()]), "undo|");
        assert_eq!(then("m", &[up.clone(), up.clone()]), "make it snowy|");
        assert_eq!(
            then("m", &[up.clone(), up.clone(), up.clone(), down.clone()]),
            "make it night|"
        );
        assert_eq!(then("m", &[up.clone(), down.clone()]), "m|");
        assert_eq!(then("x", &[up.clone(), down]), "x|");
        assert_eq!(then("", &[up, Key::Backspace]), "make it nigh|");
    }

    #[test]
    fn tab_goes_as_far_as_there_is_no_choice() {
        let known = ["set", "set steps", "set strength", "save"];
        let then = |text: &str| after(&[&typed(text)[..], &[Key::Tab]].concat(), &[], &known);
        assert_eq!(then("s"), "s|");
        assert_eq!(then("set "), "set st|");
        assert_eq!(then("set stre"), "set strength|");
        assert_eq!(then("make"), "make|");
    }

    #[test]
    fn a_line_ends_and_so_does_the_input() {
        let mut line = Line::default();
        assert_eq!(line.press(&Key::Char(CTRL_D), &[], &[]), Pressed::End);
        assert_eq!(line.press(&Key::CtrlC, &[], &[]), Pressed::Interrupt);
        line.press(&Key::Char('a'), &[], &[]);
        assert_eq!(line.press(&Key::Enter, &[], &[]), Pressed::Done("a".into()));
    }

    #[test]
    fn of_a_long_line_the_part_around_the_cursor_is_shown() {
        let mut line = Line::default();
        line.set("0123456789");
        assert_eq!(line.view(20), ("0123456789".into(), 10));
        assert_eq!(line.view(5), ("6789".into(), 4));
        line.at = 2;
        assert_eq!(line.view(5), ("0123".into(), 2));
        line.set("雪雪雪");
        assert_eq!(line.view(5), ("雪雪".into(), 4));
    }
}
