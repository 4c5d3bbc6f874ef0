//! How sentences are read, by name.

use std::fmt;
use std::str::FromStr;

use ip2p_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// What brackets in a sentence mean.
///
/// # Examples
///
/// ```
/// use ip2p_io::{LongPrompt, PromptSyntax};
///
/// let syntax: PromptSyntax = "a1111".parse()?;
/// assert_eq!(syntax.long_prompt(), LongPrompt::Chunks);
/// assert_eq!(PromptSyntax::default().long_prompt(), LongPrompt::Cut);
/// # Ok::<(), ip2p_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PromptSyntax {
    /// Nothing: they are brackets.
    #[default]
    Plain,
    /// What they mean in AUTOMATIC1111's web UI: `(word)` counts 1.1 times, `(word:1.3)` so many times, `[word]` 1/1.1 times, `\(` is
    /// a bracket, and `BREAK` begins a new chunk.
    ///
    /// What is refused that is passed over there: brackets that are not closed, weights that are no numbers, chunks of nothing, and
    /// `[from:to:when]`, `[one|other]`, `AND` and `<lora:…>`, which are not for the text encoder.
    A1111,
}

impl PromptSyntax {
    /// Every syntax there is.
    pub const ALL: [Self; 2] = [Self::Plain, Self::A1111];

    /// The name, as the command spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::A1111 => "a1111",
        }
    }

    /// What becomes of a sentence that is too long, where nothing else is asked for.
    #[must_use]
    pub const fn long_prompt(self) -> LongPrompt {
        match self {
            Self::Plain => LongPrompt::Cut,
            Self::A1111 => LongPrompt::Chunks,
        }
    }
}

impl fmt::Display for PromptSyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PromptSyntax {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|syntax| syntax.name() == text);
        found.ok_or_else(|| Error::setting("prompt_syntax", "plain or a1111", text))
    }
}

/// What becomes of a sentence of more tokens than the text encoder takes, 75.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LongPrompt {
    /// The rest is cut off, as the original repository and diffusers do.
    #[default]
    Cut,
    /// It is encoded in chunks of 75, one after the other, as AUTOMATIC1111 does: a chunk that is full ends after its last comma, if
    /// that is at most 20 tokens back.
    Chunks,
}

impl LongPrompt {
    /// Every choice there is.
    pub const ALL: [Self; 2] = [Self::Cut, Self::Chunks];

    /// The name, as the command spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Chunks => "chunks",
        }
    }
}

impl fmt::Display for LongPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LongPrompt {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|choice| choice.name() == text);
        found.ok_or_else(|| Error::setting("long_prompt", "cut or chunks", text))
    }
}
