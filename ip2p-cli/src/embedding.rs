//! `--embedding FILE[=NAME]`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use ip2p::{EditRecord, Error, Model, Result};

/// A file of textual inversion, and the word for it if not the file's own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EmbeddingFile {
    pub(crate) file: PathBuf,
    pub(crate) name: Option<String>,
}

impl FromStr for EmbeddingFile {
    type Err = Error;

    /// What comes after the last equals sign is the name, unless there is a file of the whole text.
    fn from_str(text: &str) -> Result<Self> {
        let named = text.rsplit_once('=').filter(|_| !Path::new(text).exists());
        let (file, name) = match named {
            Some((file, name)) => (file, Some(name.to_owned())),
            None => (text, None),
        };
        if file.is_empty() || name.as_deref().is_some_and(str::is_empty) {
            let expected = "a file, or FILE=NAME";
            return Err(Error::setting("embedding", expected, text));
        }
        Ok(Self {
            file: file.into(),
            name,
        })
    }
}

/// Adds the files to the model.
pub(crate) fn with_embeddings(model: Model, embeddings: &[EmbeddingFile]) -> Result<Model> {
    embeddings
        .iter()
        .try_fold(model, |model, embedding| match &embedding.name {
            Some(name) => model.with_embedding_as(&embedding.file, name),
            None => model.with_embedding(&embedding.file),
        })
}

/// The files of the command line, or else those of the edit that is repeated.
pub(crate) fn embeddings(
    given: &[EmbeddingFile],
    record: Option<&EditRecord>,
) -> Result<Vec<EmbeddingFile>> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let recorded = record.map_or(&[][..], |record| &record.embeddings);
    recorded
        .iter()
        .map(|embedding| {
            let path = embedding.path.as_ref().ok_or_else(|| {
                let expected = format!(
                    "the file of {}, which the picture's sentences name and whose place it does not",
                    embedding.name
                );
                Error::setting("embedding", expected, "none")
            })?;
            Ok(EmbeddingFile {
                file: path.into(),
                name: Some(embedding.name.clone()),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_comes_after_the_last_equals_sign() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("lr=0.1");
        std::fs::write(&there, "").unwrap();
        let there = there.to_str().unwrap();
        for (text, file, name) in [
            ("cat.pt", "cat.pt", None),
            ("cat.pt=<cat>", "cat.pt", Some("<cat>")),
            ("a=b/cat.pt=cat", "a=b/cat.pt", Some("cat")),
            (there, there, None),
        ] {
            let expected = EmbeddingFile {
                file: file.into(),
                name: name.map(ToOwned::to_owned),
            };
            assert_eq!(text.parse::<EmbeddingFile>().unwrap(), expected);
        }
        for text in ["", "=cat", "cat.pt="] {
            assert!(text.parse::<EmbeddingFile>().is_err(), "{text}");
        }
    }
}
