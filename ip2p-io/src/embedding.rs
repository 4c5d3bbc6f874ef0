//! Textual inversion: vectors that were learnt for a word, and stand in the place of a token's.
//!
//! Gal et al. (2022), <https://arxiv.org/abs/2208.01618>. Files of AUTOMATIC1111's web UI (`create_embedding_from_data` in its
//! `modules/textual_inversion/textual_inversion.py`) and of diffusers (`loaders/textual_inversion.py`) are read.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::TensorData;
use ip2p_core::{Error, Precision, Result};

use crate::checkpoint::{Layout, TensorInfo, read_tensor, read_tensors};
use crate::lora::family;
use crate::picture::sha256;

/// Hexadecimal digits of an embedding's hash: as many as AUTOMATIC1111 shows.
const HASH_DIGITS: usize = 12;

/// The largest file that is read: a thousand times what one of 75 vectors takes.
const MAX_BYTES: u64 = 256 << 20;

/// The tensors of an embedding for the two text encoders of Stable Diffusion XL.
const FIRST: &str = "clip_l";
const SECOND: &str = "clip_g";

/// Names of the tensor that say nothing of the word: AUTOMATIC1111's, and those of its safetensors files.
const NO_NAMES: [&str; 3] = ["*", "emb_params", FIRST];

/// A file of textual inversion, opened and checked: a word, and the vectors that it stands for.
///
/// # Examples
///
/// ```no_run
/// use ip2p_io::Embedding;
///
/// let embedding = Embedding::open("cat-toy.pt")?;
/// println!("{}: {} vectors", embedding.name(), embedding.vectors());
/// let renamed = embedding.with_name("my-cat")?;
/// # Ok::<(), ip2p_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    path: PathBuf,
    name: String,
    hash: String,
    width: usize,
    values: Arc<[f32]>,
    /// Those for the second text encoder, if it is for two.
    second: Option<(Arc<[f32]>, usize)>,
}

impl Embedding {
    /// Opens a file of textual inversion: AUTOMATIC1111's `.pt` with `string_to_param`, diffusers' `.safetensors` and `.bin` with one
    /// tensor of the token's name.
    ///
    /// Its name is the token that the file names, or else, as in AUTOMATIC1111's files, the file's own without its ending.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; [`Error::Checkpoint`] if it is damaged, or holds anything else than the vectors of
    /// one word.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |error| Error::io(path, error);
        let wrong = |reason: String| Error::checkpoint(path, reason);
        let bytes = fs::metadata(path).map_err(failed)?.len();
        if bytes > MAX_BYTES {
            return Err(wrong(format!("has {bytes} bytes: it is no embedding")));
        }
        let (mut tensors, _) = read_tensors(path)?;
        let second = tensors.remove(SECOND);
        let count = tensors.len();
        let (key, info) = match tensors.pop_first() {
            Some(only) if count == 1 => only,
            first => return Err(wrong(no_embedding(count, first.map(|(key, _)| key)))),
        };
        let [vectors, width] = shape(&key, &info).map_err(wrong)?;
        let second = match second {
            None => None,
            Some(info) => {
                let [others, width] = shape(SECOND, &info).map_err(wrong)?;
                if key != FIRST || others != vectors {
                    let reason = format!(
                        "has {others} vectors in {SECOND} and {vectors} in {key}: an embedding of Stable Diffusion XL has as many in {SECOND} as in {FIRST}"
                    );
                    return Err(wrong(reason));
                }
                Some((values(path, &info)?.into(), width))
            }
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = if NO_NAMES.contains(&&*key) {
            stem.into_owned()
        } else {
            key
        };
        let hash = sha256(&fs::read(path).map_err(failed)?);
        Self {
            path: path.to_owned(),
            name: String::new(),
            hash: hash[..HASH_DIGITS].to_owned(),
            width,
            values: values(path, &info)?.into(),
            second,
        }
        .with_name(name)
    }

    /// Gives it another name, by which sentences name it.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if the name is empty, or begins or ends with white space.
    pub fn with_name(mut self, name: impl Into<String>) -> Result<Self> {
        self.name = name.into();
        if self.name.is_empty() || self.name.trim() != self.name {
            let reason = format!("cannot be called {:?}: that is no word", self.name);
            return Err(Error::checkpoint(&self.path, reason));
        }
        Ok(self)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The word that stands for it in a sentence.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first 12 hexadecimal digits of the file's SHA-256, as AUTOMATIC1111 names embeddings.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// How many vectors stand for the word.
    #[must_use]
    pub fn vectors(&self) -> usize {
        self.values.len() / self.width
    }

    /// How wide each is: 768 for Stable Diffusion 1.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The vectors, one after the other.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same word for the second text encoder, if it is for two, as those of Stable Diffusion XL are.
    #[must_use]
    pub fn second(&self) -> Option<Self> {
        let (values, width) = self.second.clone()?;
        Some(Self {
            values,
            width,
            second: None,
            ..self.clone()
        })
    }

    /// Refuses an embedding for a text encoder of another width.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] that says which family it is for.
    pub fn check_width(&self, expected: usize) -> Result<()> {
        if self.width == expected {
            return Ok(());
        }
        let reason = format!(
            "is for {}, whose tokens are {} wide; this model is {}, whose are {expected}",
            family(self.width),
            self.width,
            family(expected)
        );
        Err(Error::checkpoint(&self.path, reason))
    }

    #[cfg(test)]
    pub(crate) fn of_values(name: &str, values: &[f32], width: usize) -> Self {
        Self {
            path: format!("{name}.pt").into(),
            name: name.into(),
            hash: String::new(),
            width,
            values: values.into(),
            second: None,
        }
    }
}

/// How many vectors a tensor holds, and how wide they are.
fn shape(key: &str, info: &TensorInfo) -> Result<[usize; 2], String> {
    let shape = match info.shape[..] {
        [width] => [1, width],
        [vectors, width] => [vectors, width],
        _ => [0, 0],
    };
    if shape.contains(&0) || !info.format.is_float() {
        return Err(format!(
            "is no embedding: its tensor {key} is of type {} and shape {:?}, not of float vectors",
            info.format, info.shape
        ));
    }
    Ok(shape)
}

fn no_embedding(count: usize, first: Option<String>) -> String {
    let instead = first.map_or_else(String::new, |key| format!(", the first of them {key}"));
    format!(
        "is no embedding, which holds the vectors of one word: it holds {count} tensors{instead}"
    )
}

fn values(path: &Path, info: &TensorInfo) -> Result<Vec<f32>> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::InvalidData => {
            Error::checkpoint(path, "holds NaN among its vectors: it is damaged")
        }
        _ => Error::io(path, error),
    };
    let mut file = fs::File::open(path).map_err(failed)?;
    let data: TensorData =
        read_tensor(&mut file, info, Layout::Same, Precision::F32, &info.shape).map_err(failed)?;
    let values: Vec<f32> = data
        .try_into_vec()
        .map_err(|error| Error::other("reading a tensor's numbers", format!("{error:?}")))?;
    if values.iter().all(|value| value.is_finite()) {
        return Ok(values);
    }
    let reason = "holds an infinite number among its vectors: it is damaged";
    Err(Error::checkpoint(path, reason))
}

#[cfg(test)]
mod tests {
    use ip2p_testing::fixture;

    use super::*;

    fn open(name: &str) -> Result<Embedding> {
        Embedding::open(fixture(&format!("text/{name}")))
    }

    #[test]
    fn the_files_of_each_trainer_hold_the_same_vectors() {
        let expected = open("cat.safetensors").unwrap();
        assert_eq!((expected.vectors(), expected.name()), (2, "<cat-toy>"));
        for (file, name) in [
            ("cat.bin", "<cat-toy>"),
            ("a1111.pt", "a1111"),
            ("dictionary.pt", "dictionary"),
            ("params.safetensors", "params"),
        ] {
            let found = open(file).unwrap();
            assert_eq!(found.values(), expected.values(), "{file}");
            assert_eq!(found.name(), name);
            assert_eq!(found.hash().len(), 12);
        }
        let one = open("one.safetensors").unwrap();
        assert_eq!((one.vectors(), one.name()), (1, "<one>"));
        assert_eq!(one.second(), None);
        let both = open("xl.safetensors").unwrap();
        let second = both.second().unwrap();
        assert_eq!((both.width(), second.width()), (32, 40));
        assert_eq!(
            (both.name(), second.name(), second.vectors()),
            ("xl", "xl", 2)
        );
    }

    #[test]
    fn what_is_no_embedding_says_what_it_is() {
        for (file, words) in [
            (
                "lora/kohya.safetensors",
                "is no embedding, which holds the vectors of one word: it holds",
            ),
            ("clip/weights.safetensors", "is no embedding"),
        ] {
            let error = Embedding::open(fixture(file)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(matches!(open("nowhere.pt"), Err(Error::Io { .. })));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("no.pt");
        for bytes in [&b""[..], b"PK\x03\x04", b"\x80\x02}.", b"1234567890"] {
            fs::write(&file, bytes).unwrap();
            let error = Embedding::open(&file).unwrap_err().to_string();
            assert!(error.contains("no.pt"), "{error}");
        }
    }

    #[test]
    fn another_width_says_which_family_it_is_for() {
        let wide = Embedding::of_values("x", &[0.0; 1024], 1024);
        let error = wide.check_width(768).unwrap_err().to_string();
        assert!(
            error.contains("is for Stable Diffusion 2, whose tokens are 1024 wide"),
            "{error}"
        );
        assert!(
            error.contains("this model is Stable Diffusion 1"),
            "{error}"
        );
        wide.check_width(1024).unwrap();
    }

    #[test]
    fn a_name_is_a_word() {
        let embedding = open("one.safetensors").unwrap();
        assert_eq!(embedding.clone().with_name("it").unwrap().name(), "it");
        for name in ["", " it", "it\n"] {
            assert!(embedding.clone().with_name(name).is_err(), "{name:?}");
        }
    }
}
