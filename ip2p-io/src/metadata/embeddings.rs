//! The embeddings of an edit, as files keep them.
//!
//! AUTOMATIC1111 has the word in the prompt, and `TI hashes` among the pairs (`modules/sd_hijack_clip.py`).

use serde::{Deserialize, Serialize};

use super::loras::named_hashes;

/// A word with learnt vectors that an edit's sentences named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbeddingRecord {
    /// The word.
    pub name: String,
    /// See [`Embedding::hash`](crate::Embedding::hash).
    pub hash: Option<String>,
    /// The file, as it was named.
    pub path: Option<String>,
}

/// The pair `TI hashes`, if there is something to say.
pub(super) fn hashes(embeddings: &[EmbeddingRecord]) -> Option<String> {
    let named = embeddings.iter();
    named_hashes(named.map(|embedding| (&embedding.name, &embedding.hash)))
}

/// The embeddings of the pair `TI hashes`.
pub(super) fn take_hashes(value: &str) -> Vec<EmbeddingRecord> {
    let pairs = value.split(',').filter_map(|pair| pair.rsplit_once(':'));
    pairs
        .map(|(name, hash)| EmbeddingRecord {
            name: name.trim().to_owned(),
            hash: Some(hash.trim().to_owned()),
            path: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_belong_to_names() {
        let found = take_hashes("<cat-toy>: 12ab, easy: 3, nonsense");
        let named: Vec<_> = found.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(named, ["<cat-toy>", "easy"]);
        assert_eq!(hashes(&found).as_deref(), Some("<cat-toy>: 12ab, easy: 3"));
        assert_eq!(hashes(&[]), None);
    }
}
