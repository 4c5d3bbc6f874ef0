//! What a state on disk was begun with, so that a training which is another one does not go on from it.

use std::collections::BTreeMap;
use std::path::Path;

use ip2p::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a training and the states that it goes on from must have in common, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Origin {
    facts: BTreeMap<String, Fact>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Fact {
    /// What must be the same.
    value: String,
    /// What a user is shown of it.
    shown: String,
}

impl Origin {
    /// With one more: what must be the same, and what a user is shown of it.
    #[must_use]
    pub fn with(mut self, name: &str, value: String, shown: String) -> Self {
        self.facts.insert(name.to_owned(), Fact { value, shown });
        self
    }

    /// Whether a training of this origin may go on from the state `path`, which was written by one of origin `begun`. What only
    /// one of them has is not compared.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] that names the first difference, on both sides.
    pub(crate) fn check(&self, begun: &Self, path: &Path) -> Result<()> {
        for (name, now) in &self.facts {
            if let Some(then) = begun.facts.get(name)
                && then.value != now.value
            {
                let reason = format!(
                    "was begun with {name} {}, and this training has {name} {}; go on with what it was begun with, or \
                     begin anew in another output folder",
                    then.shown, now.shown
                );
                return Err(Error::checkpoint(path, reason));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(model: &str, shown: &str) -> Origin {
        Origin::default().with("model", model.into(), shown.into())
    }

    #[test]
    fn what_differs_is_named_on_both_sides() {
        let error = origin("1f", "mine")
            .check(&origin("2e", "theirs"), Path::new("state.safetensors"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("begun with model theirs") && error.contains("has model mine"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_of_another_name_is_the_same_checkpoint() {
        let path = Path::new("state.safetensors");
        origin("1f", "here")
            .check(&origin("1f", "there"), path)
            .unwrap();
        origin("1f", "here")
            .check(&Origin::default(), path)
            .unwrap();
    }
}
