//! One error type for the workspace, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// The result of everything in ip2p that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause of an error in a library below ours: boxed, so that its version does not become part of our interface.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, where, and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its range.
    #[error("{name} must be {expected}, got {got}")]
    InvalidSetting {
        /// The setting, as the option is spelt.
        name: &'static str,
        /// The values that it may have.
        expected: String,
        /// The value that it had.
        got: String,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot access {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is not a picture that can be read or written.
    #[error("{}: {reason}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// A file is not a session that can be gone on with.
    #[error("{}: {reason}", path.display())]
    Session {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// A file of a checkpoint is damaged or says something that cannot be.
    #[error("{}: {reason}", path.display())]
    Checkpoint {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, naming the field or tensor, and what was expected.
        reason: String,
    },
    /// The weights in a file are not those of the network.
    #[error("{} does not fit the {network}: {}", path.display(), describe_weights(missing, unused, mismatched))]
    Weights {
        /// The file or folder.
        path: PathBuf,
        /// The network: `unet`, `vae` or `text_encoder`.
        network: &'static str,
        /// The weights that the network has and the file lacks.
        missing: Vec<String>,
        /// The weights that the file has and the network lacks.
        unused: Vec<String>,
        /// The weights whose shape differs: the name, then the two shapes in words.
        mismatched: Vec<String>,
    },
    /// A network's config has a field or value that is not understood.
    #[error("{network} config: {reason}")]
    Config {
        /// The network: `unet`, `vae`, `text_encoder` or `scheduler`.
        network: &'static str,
        /// The field, its value, and what was expected.
        reason: String,
    },
    /// A model cannot be had from the hub, or is not in its cache.
    #[error("{model}: {reason}")]
    Hub {
        /// The model, `ORG/NAME`, with `@REVISION` if one was named.
        model: String,
        /// What the hub said or where it failed, and what to do.
        reason: String,
    },
    /// The latents are no longer numbers.
    #[error("{what} at step {step} holds NaN or infinite values; {advice}")]
    NotFinite {
        /// The layer or tensor that first held them.
        what: String,
        /// The step, counted from 1.
        step: usize,
        /// What to try.
        advice: &'static str,
    },
    /// The device cannot do what was asked.
    #[error("device {device}: {reason}")]
    Device {
        /// The device, as it was named.
        device: String,
        /// What it lacks, and what there is instead.
        reason: String,
    },
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
    /// A library below ours failed.
    #[error("{context}")]
    Other {
        /// What was being done.
        context: String,
        /// The library's own error.
        source: Source,
    },
}

impl Error {
    /// The error and its causes, in one line.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let causes =
            std::iter::successors(Some(self as &dyn std::error::Error), |error| error.source());
        causes
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    }

    /// Says that `name` had the value `got` where only `expected` is allowed.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a call reads better without the ampersand"
    )]
    pub fn setting(name: &'static str, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::InvalidSetting {
            name,
            expected: expected.into(),
            got: got.to_string(),
        }
    }

    /// Says which path an operating-system error was about.
    pub fn io(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_owned(),
            source,
        }
    }

    /// Says what is wrong with a picture file.
    pub fn image(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Image {
            path: path.as_ref().to_owned(),
            reason: reason.into(),
        }
    }

    /// Says what is wrong with the file of a session.
    pub fn session(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Session {
            path: path.as_ref().to_owned(),
            reason: reason.into(),
        }
    }

    /// Says what is wrong with a file of a checkpoint.
    pub fn checkpoint(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Checkpoint {
            path: path.as_ref().to_owned(),
            reason: reason.into(),
        }
    }

    /// Says what is wrong with a network's config.
    pub fn config(network: &'static str, reason: impl Into<String>) -> Self {
        Self::Config {
            network,
            reason: reason.into(),
        }
    }

    /// Says why a model cannot be had from the hub.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a call reads better without the ampersand"
    )]
    pub fn hub(model: impl ToString, reason: impl Into<String>) -> Self {
        Self::Hub {
            model: model.to_string(),
            reason: reason.into(),
        }
    }

    /// Says what was being done when a library below ours failed.
    pub fn other(context: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Other {
            context: context.into(),
            source: source.into(),
        }
    }
}

/// How many names a message lists before it only counts the rest.
const LISTED: usize = 8;

fn describe_weights(missing: &[String], unused: &[String], mismatched: &[String]) -> String {
    [
        ("missing", missing),
        ("unused", unused),
        ("of another shape", mismatched),
    ]
    .into_iter()
    .filter(|(_, names)| !names.is_empty())
    .map(|(what, names)| {
        let more = names.len().saturating_sub(LISTED);
        let listed = names[..names.len() - more].join(", ");
        let rest = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("{} {what}: {listed}{rest}", names.len())
    })
    .collect::<Vec<_>>()
    .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weights_error_lists_names_and_counts_the_rest() {
        let names = |prefix: &str, n: usize| (0..n).map(|i| format!("{prefix}{i}")).collect();
        let error = Error::Weights {
            path: "unet".into(),
            network: "unet",
            missing: names("a", 1),
            unused: names("b", 10),
            mismatched: vec![],
        };
        assert_eq!(
            error.to_string(),
            "unet does not fit the unet: 1 missing: a0; 10 unused: b0, b1, b2, b3, b4, b5, b6, b7 and 2 more"
        );
    }
}
