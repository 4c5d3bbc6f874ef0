//! Which turns there are, which of them count, and which were taken back.

use std::collections::BTreeSet;

use ip2p_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{Session, Turn};

/// Turns one after another.
///
/// Branches that part share the turns before that by their numbers: a turn's own number says which ones came before it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Branch {
    pub(super) turns: Vec<u64>,
    /// How many of them count; those after were taken back.
    pub(super) done: usize,
}

impl Session {
    /// The turns of this branch that count, the first of them first.
    #[must_use]
    pub fn turns(&self) -> impl ExactSizeIterator<Item = &Turn> {
        self.path().iter().map(|number| &self.turns[number])
    }

    /// The turns of this branch that were taken back, and that [`Session::redo`] brings again, the first of them first.
    #[must_use]
    pub fn undone(&self) -> impl ExactSizeIterator<Item = &Turn> {
        let branch = self.here();
        let undone = &branch.turns[branch.done..];
        undone.iter().map(|number| &self.turns[number])
    }

    /// Takes the last turn back, and gives it; none if there is none.
    pub fn undo(&mut self) -> Option<&Turn> {
        let branch = self.here_mut();
        branch.done = branch.done.checked_sub(1)?;
        let number = branch.turns[branch.done];
        self.turns.get(&number)
    }

    /// Brings the turn again that was taken back last, and gives it; none if there is none.
    pub fn redo(&mut self) -> Option<&Turn> {
        let branch = self.here_mut();
        let number = *branch.turns.get(branch.done)?;
        branch.done += 1;
        self.turns.get(&number)
    }

    /// Begins another branch here and goes onto it; what was taken back stays on the branch that is left.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if the name is empty or a branch has it.
    pub fn branch(&mut self, name: &str) -> Result<()> {
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            return Err(Error::setting("branch", "a name", format!("{name:?}")));
        }
        if self.branches.contains_key(name) {
            return Err(Error::setting("branch", "a name that no branch has", name));
        }
        let turns = self.path().to_vec();
        let branch = Branch {
            done: turns.len(),
            turns,
        };
        self.branches.insert(name.to_owned(), branch);
        name.clone_into(&mut self.current);
        Ok(())
    }

    /// Goes onto another branch, to where it was left.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] that lists the branches, if none has the name.
    pub fn switch(&mut self, name: &str) -> Result<()> {
        if !self.branches.contains_key(name) {
            let names: Vec<_> = self.branches.keys().map(String::as_str).collect();
            let expected = format!("one of {}", names.join(", "));
            return Err(Error::setting("branch", expected, name));
        }
        name.clone_into(&mut self.current);
        Ok(())
    }

    /// The branch that the session is on.
    #[must_use]
    pub fn current_branch(&self) -> &str {
        &self.current
    }

    /// All branches in the order of their names, each with how many turns of it count.
    #[must_use]
    pub fn branches(&self) -> impl ExactSizeIterator<Item = (&str, usize)> {
        let each = self.branches.iter();
        each.map(|(name, branch)| (name.as_str(), branch.done))
    }

    /// The numbers of the turns that count.
    pub(super) fn path(&self) -> &[u64] {
        let branch = self.here();
        &branch.turns[..branch.done]
    }

    /// Adds a turn after those that count; those that were taken back here are forgotten.
    pub(super) fn push(&mut self, turn: Turn) -> u64 {
        let number = self.next;
        self.next += 1;
        let branch = self.here_mut();
        branch.turns.truncate(branch.done);
        branch.turns.push(number);
        branch.done += 1;
        self.turns.insert(number, turn);
        let kept: BTreeSet<u64> = self
            .branches
            .values()
            .flat_map(|branch| branch.turns.iter().copied())
            .collect();
        self.turns.retain(|number, _| kept.contains(number));
        number
    }

    fn here(&self) -> &Branch {
        &self.branches[&self.current]
    }

    fn here_mut(&mut self) -> &mut Branch {
        self.branches
            .get_mut(&self.current)
            .expect("the current branch is one of them")
    }
}
