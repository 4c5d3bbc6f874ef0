//! A turn: the edit of what the turn before left.

use ip2p_core::{Error, Result};
use ip2p_region::Mask;

use super::{Session, Turn};
use crate::editor::{EditRequest, Editor, Step, Steps, Timings};
use crate::options::EditOptions;

/// What to do in a turn.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct TurnRequest<'a> {
    /// The sentence.
    pub instruction: &'a str,
    /// Where the picture may change: default everywhere. A mask of another size is fitted to the photo's.
    pub mask: Option<&'a Mask>,
}

impl<'a> TurnRequest<'a> {
    /// Edits as `instruction` says.
    #[must_use]
    pub fn new(instruction: &'a str) -> Self {
        Self {
            instruction,
            mask: None,
        }
    }

    /// Changes the picture only where the mask says: elsewhere every byte stays what it was after the turn before.
    #[must_use]
    pub fn with_mask(mut self, mask: &'a Mask) -> Self {
        self.mask = Some(mask);
        self
    }
}

impl<'a> From<&'a str> for TurnRequest<'a> {
    fn from(instruction: &'a str) -> Self {
        Self::new(instruction)
    }
}

/// A turn under way: an iterator over its steps, of which [`Session::add`] makes a turn.
#[derive(Debug)]
pub struct TurnSteps<'a> {
    steps: Steps<'a>,
    options: EditOptions,
    /// The turns that it goes on from.
    path: Vec<u64>,
}

impl Iterator for TurnSteps<'_> {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        self.steps.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.steps.size_hint()
    }
}

impl TurnSteps<'_> {
    /// How many steps there are in all.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps.steps()
    }

    /// How long the parts took until now.
    #[must_use]
    pub fn timings(&self) -> &Timings {
        self.steps.timings()
    }
}

impl Session {
    /// Edits the picture as it is now, as the sentence says; what was taken back before is forgotten.
    ///
    /// # Errors
    ///
    /// Those of [`Session::steps`], and [`Error::NotFinite`] if the numbers ran away. The session is then what it was.
    pub fn edit<'a>(
        &mut self,
        editor: &Editor,
        request: impl Into<TurnRequest<'a>>,
        options: &EditOptions,
    ) -> Result<&Turn> {
        let mut steps = self.steps(editor, request, options)?;
        for step in &mut steps {
            step?;
        }
        self.add(steps)
    }

    /// The steps of the next turn, for the caller to walk; [`Session::add`] then takes it into the session.
    ///
    /// # Errors
    ///
    /// Those of [`Editor::edit`]; [`Error::InvalidSetting`] if the editor's checkpoint is not that of the session, or an option
    /// differs that all turns have in common: `size`, `fit` or `output_size`.
    pub fn steps<'a, 'e>(
        &self,
        editor: &'e Editor,
        request: impl Into<TurnRequest<'a>>,
        options: &EditOptions,
    ) -> Result<TurnSteps<'e>> {
        self.check_same(editor, options)?;
        let TurnRequest { instruction, mask } = request.into();
        let mut request = EditRequest::new(&self.photo, instruction);
        request.mask = mask;
        let path = self.path().to_vec();
        let now = match path.last() {
            Some(turn) => &self.turns[turn].latents,
            None => &self.first,
        };
        Ok(TurnSteps {
            steps: editor.steps_of_turn(&request, now, &self.first, options)?,
            options: options.clone(),
            path,
        })
    }

    /// Takes a turn into the session: after the last step its result, before it what the network takes that to be.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if no step was made; [`Error::InvalidSetting`] if the session has gone elsewhere since the steps
    /// were begun.
    #[expect(clippy::missing_panics_doc, reason = "the turn was just put there")]
    pub fn add(&mut self, steps: TurnSteps<'_>) -> Result<&Turn> {
        if steps.path != self.path() {
            let expected = "one that goes on from where the session is";
            return Err(Error::setting("turn", expected, "one from elsewhere"));
        }
        let made = steps.steps.into_turn()?;
        let number = self.push(Turn {
            record: made.record,
            mask: made.mask,
            found: made.found,
            warnings: made.warnings,
            latents: made.latents,
            options: steps.options,
        });
        Ok(self.turns.get(&number).expect("it was just pushed"))
    }
}
