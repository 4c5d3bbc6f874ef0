//! The names of models on the hub.

use std::fmt;
use std::str::FromStr;

use ip2p_core::{Error, Result};

/// How the names of files end that are weights or pictures: what ends so is no model's name.
const FILES: [&str; 12] = [
    "safetensors",
    "ckpt",
    "pt",
    "pth",
    "bin",
    "gguf",
    "png",
    "jpg",
    "jpeg",
    "webp",
    "json",
    "zip",
];

/// A model on the hub: `ORG/NAME`, and which of its revisions.
///
/// # Examples
///
/// ```
/// use ip2p_hub::ModelId;
///
/// let id: ModelId = "timbrooks/instruct-pix2pix@fp16".parse()?;
/// assert_eq!((id.name(), id.revision()), ("timbrooks/instruct-pix2pix", "fp16"));
/// assert!("photo.jpg".parse::<ModelId>().is_err());
/// # Ok::<(), ip2p_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelId {
    name: String,
    revision: Option<String>,
}

impl ModelId {
    /// The revision that is meant where none is named.
    pub const DEFAULT_REVISION: &str = "main";

    /// `ORG/NAME`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The branch, tag or commit.
    #[must_use]
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(Self::DEFAULT_REVISION)
    }

    /// Whether a revision was named.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.revision.is_some()
    }

    /// Names the branch, tag or commit.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if it cannot be the name of one, or another was named already.
    pub fn with_revision(mut self, revision: &str) -> Result<Self> {
        if !is_revision(revision) {
            let expected =
                "a branch, a tag or a commit, such as main, v1.0 or 40 hexadecimal digits";
            return Err(Error::setting("revision", expected, revision));
        }
        if let Some(other) = self.revision.filter(|other| other != revision) {
            let expected = format!("{other}, which the model's name says");
            return Err(Error::setting("revision", expected, revision));
        }
        self.revision = Some(revision.to_owned());
        Ok(self)
    }

    /// As with a commit named in the place of the revision.
    pub(crate) fn at(&self, commit: &str) -> Self {
        Self {
            name: self.name.clone(),
            revision: Some(commit.to_owned()),
        }
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

impl FromStr for ModelId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (text, None),
        };
        let is_name = name
            .split_once('/')
            .is_some_and(|(org, name)| is_segment(org) && is_segment(name) && !is_file(name));
        if !is_name {
            let expected = "a model's name on the hub, ORG/NAME or ORG/NAME@REVISION, such as timbrooks/instruct-pix2pix";
            return Err(Error::setting("model", expected, text));
        }
        let id = Self {
            name: name.to_owned(),
            revision: None,
        };
        match revision {
            Some(revision) => id.with_revision(revision),
            None => Ok(id),
        }
    }
}

/// The hub's rule for either half of a name; `--` stands for the slash in the cache.
fn is_segment(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let edges = ['-', '.'];
    (1..=96).contains(&text.len())
        && text.chars().all(allowed)
        && !text.starts_with(edges)
        && !text.ends_with(edges)
        && !text.contains("--")
        && !text.contains("..")
}

fn is_file(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, ending)| FILES.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}

/// Git's rule for names of branches and tags, as far as it keeps a path within its folder.
fn is_revision(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    text.len() <= 255
        && text.split('/').all(|part| {
            !part.is_empty()
                && part.chars().all(allowed)
                && !part.starts_with(['.', '-'])
                && !part.ends_with('.')
                && !part.contains("..")
        })
}

/// Whether this is a commit, which never changes.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models_are_told_from_paths() {
        for text in [
            "a/b",
            "timbrooks/instruct-pix2pix",
            "A_1/b.c-d",
            "a/sd-v1.5",
        ] {
            assert_eq!(text.parse::<ModelId>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "a",
            "/a",
            "a/",
            "a/b/c",
            "./a",
            "../a",
            "a/..",
            "-a/b",
            "a/b.",
            "a--b/c",
            "a b/c",
            "a\\b",
            "C:/b",
            "photos/photo.jpg",
            "models/model.SafeTensors",
            "a/b@",
            "a/b@..",
            "a/b@x/../y",
            "a/b@/x",
            "a/ü",
        ] {
            assert!(text.parse::<ModelId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_revision_is_named_once() {
        let id: ModelId = "a/b@v1.0".parse().unwrap();
        assert_eq!((id.revision(), id.is_pinned()), ("v1.0", true));
        assert!(id.clone().with_revision("v1.0").is_ok());
        let message = id.with_revision("main").unwrap_err().to_string();
        assert_eq!(
            message,
            "revision must be v1.0, which the model's name says, got main"
        );
        let id: ModelId = "a/b".parse().unwrap();
        assert_eq!((id.revision(), id.is_pinned()), ("main", false));
        assert_eq!(
            id.with_revision("refs/pr/1").unwrap().to_string(),
            "a/b@refs/pr/1"
        );
    }
}
