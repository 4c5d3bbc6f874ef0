//! Where the lines come from: a terminal, where they can be edited, or a pipe.

use std::io::{BufRead, ErrorKind, IsTerminal, stdin};

use console::{Term, measure_text_width};
use ip2p::{Error, Result};

use super::line::{Line, Pressed};

/// The lines of a session.
pub(super) struct Input {
    terminal: Option<Term>,
    /// What was said before.
    earlier: Vec<String>,
}

impl Input {
    /// With what was said in earlier days, the last line last.
    pub(super) fn new(earlier: impl IntoIterator<Item = String>) -> Self {
        let terminal = Term::stdout();
        let attended = stdin().is_terminal() && terminal.is_term();
        let mut input = Self {
            terminal: attended.then_some(terminal),
            earlier: Vec::new(),
        };
        earlier.into_iter().for_each(|line| input.remember(line));
        input
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// The next line; none at the end, which on a terminal is Ctrl-D. `known` is what Tab completes to.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] for Ctrl-C on a terminal.
    pub(super) fn line(&mut self, branch: &str, known: &[String]) -> Result<Option<String>> {
        let cannot = |error| Error::io("standard input", error);
        let Some(terminal) = &self.terminal else {
            return stdin().lock().lines().next().transpose().map_err(cannot);
        };
        let mut line = Line::default();
        let typed = loop {
            draw(terminal, &format!("{branch}> "), &line).map_err(cannot)?;
            let key = match terminal.read_key_raw() {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                key => key.map_err(cannot)?,
            };
            match line.press(&key, &self.earlier, known) {
                Pressed::More => {}
                pressed => break pressed,
            }
        };
        terminal.write_line("").map_err(cannot)?;
        match typed {
            Pressed::Done(text) => {
                self.remember(text.trim().to_owned());
                Ok(Some(text))
            }
            Pressed::Interrupt => Err(Error::Stopped),
            _ => Ok(None),
        }
    }

    fn remember(&mut self, line: String) {
        if !line.is_empty() && self.earlier.last() != Some(&line) {
            self.earlier.push(line);
        }
    }
}

/// Draws the line that is being typed over what is there.
fn draw(terminal: &Term, prompt: &str, line: &Line) -> std::io::Result<()> {
    let (_, columns) = terminal.size();
    let room = usize::from(columns).saturating_sub(measure_text_width(prompt));
    let (shown, cursor) = line.view(room);
    terminal.clear_line()?;
    terminal.write_str(&format!("{prompt}{shown}"))?;
    terminal.move_cursor_left(measure_text_width(&shown) - cursor)
}
