//! What the tests of sentences share.

use super::Embeddings;
use crate::embedding::Embedding;

/// Embeddings of these names and numbers of vectors, three wide, after a vocabulary of 1000.
pub(crate) fn embeddings(named: &[(&str, usize)]) -> Embeddings {
    let mut embeddings = Embeddings::new(1000);
    for (name, vectors) in named {
        let values = vec![0.5; vectors * 3];
        embeddings
            .add(Embedding::of_values(name, &values, 3))
            .unwrap();
    }
    embeddings
}
