//! Examples from photographs: a crop, an [effect], and the sentence that asks for it.
//!
//! Local edits of a photograph would need to know what is in it; effects need only the pixels, and so the target is exact.
//! Each crop differs in scale, place, side and colours, so that some dozens of photographs give very many examples.
//! All pictures are decoded once and kept, small enough that a whole folder stays below [`MEMORY`].

mod crop;
mod load;

use std::fmt;
use std::path::{Path, PathBuf};

use image::RgbImage;
use ip2p_core::{Error, Result};
use rand::{Rng, RngExt};

use crate::effect::{self, Effect, apply, chained_sentence, sample_after, sentence};
use crate::{Example, Family, Phrasing, Source, rng};

pub use load::MEMORY;

/// How likely an example of a photograph chains two effects.
const CHAINED: f64 = 0.15;

/// Photographs of a folder, cropped and edited.
pub struct Photos {
    seed: u64,
    phrasing: Phrasing,
    pictures: Vec<Photo>,
    skipped: Vec<Error>,
}

/// A picture as it is kept in memory.
struct Photo {
    path: PathBuf,
    picture: RgbImage,
}

impl Photos {
    /// Reads the JPEG and PNG pictures of a folder, in the order of their names.
    ///
    /// They are turned as their EXIF data say, and made smaller than [`MEMORY`] together. A picture that cannot be read is left
    /// out: see [`skipped`](Self::skipped).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be read; [`Error::InvalidSetting`] if it holds no picture, none that can be read, or
    /// so many that they would have to be smaller than 256 pixels.
    pub fn open(folder: impl AsRef<Path>, seed: u64) -> Result<Self> {
        let (pictures, skipped) = load::folder(folder.as_ref())?;
        Ok(Self {
            seed,
            phrasing: Phrasing::Training,
            pictures,
            skipped,
        })
    }

    /// The photos with other sentences than those of training, which is the default.
    #[must_use]
    pub fn with_phrasing(mut self, phrasing: Phrasing) -> Self {
        self.phrasing = phrasing;
        self
    }

    /// How many pictures there are.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "there is always one: opening fails otherwise"
    )]
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// The pictures' files, in order.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.pictures.iter().map(|photo| photo.path.as_path())
    }

    /// Why each picture that was left out cannot be read, with its name.
    #[must_use]
    pub fn skipped(&self) -> &[Error] {
        &self.skipped
    }

    /// The file that example `index` is cropped from.
    #[must_use]
    pub fn file(&self, index: u64) -> &Path {
        &self.choose(&mut rng(self.seed, index)).path
    }

    /// The crop of example `index` with the effects of `families` in their order, whatever the example itself asks for: to measure how
    /// the same picture follows each of them.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if `families` is empty or one of them is an edit of one object.
    pub fn following(
        &self,
        index: u64,
        size: u32,
        families: &[Family],
        phrasing: Phrasing,
    ) -> Result<Example> {
        let effects = families
            .iter()
            .map(|&family| Effect::of(family).ok_or_else(|| not_global(family.name())))
            .collect::<Result<Vec<_>>>()?;
        if effects.is_empty() {
            return Err(not_global("none"));
        }
        let mut rng = rng(self.seed, index);
        let input = self.crop(size, &mut rng);
        Ok(edit(input, &effects, phrasing, &mut rng))
    }

    fn choose(&self, rng: &mut impl Rng) -> &Photo {
        &self.pictures[rng.random_range(0..self.pictures.len())]
    }

    fn crop(&self, size: u32, rng: &mut impl Rng) -> RgbImage {
        let photo = self.choose(rng);
        crop::crop(&photo.picture, size, rng)
    }
}

impl Source for Photos {
    fn example(&self, index: u64, size: u32) -> Example {
        let mut rng = rng(self.seed, index);
        let input = self.crop(size, &mut rng);
        let first = effect::sample(&mut rng);
        let effects = if rng.random_bool(CHAINED) {
            vec![first, sample_after(first, &mut rng)]
        } else {
            vec![first]
        };
        edit(input, &effects, self.phrasing, &mut rng)
    }

    fn skipped(&self) -> Vec<String> {
        self.skipped.iter().map(ToString::to_string).collect()
    }
}

impl fmt::Debug for Photos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Photos")
            .field("seed", &self.seed)
            .field("phrasing", &self.phrasing)
            .field("pictures", &self.pictures.len())
            .field("skipped", &self.skipped)
            .finish()
    }
}

fn edit(input: RgbImage, effects: &[Effect], phrasing: Phrasing, rng: &mut impl Rng) -> Example {
    let instruction = match effects {
        [effect] => sentence(*effect, phrasing, rng),
        several => chained_sentence(several, phrasing, rng),
    };
    let edited = effects
        .iter()
        .fold(input.clone(), |picture, &effect| apply(&picture, effect));
    Example {
        input,
        edited,
        instruction,
        edits: effects.iter().map(|effect| effect.family()).collect(),
        mask: None,
    }
}

fn not_global(got: &str) -> Error {
    Error::setting("families", "edits of the whole picture, at least one", got)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::Rgb;

    use super::*;

    fn folder_of(pictures: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for i in 0..pictures {
            let wave = |x: u32| u8::try_from(x * 2 % 256).expect("below 256");
            let picture = RgbImage::from_fn(120 + 30 * i, 90, |x, y| {
                Rgb([wave(x), wave(y), wave(i * 30 + x * y)])
            });
            picture
                .save(folder.path().join(format!("{i}.png")))
                .expect("a picture");
        }
        folder
    }

    #[test]
    fn an_example_is_its_seed_and_its_index() {
        let folder = folder_of(3);
        let open = |seed| Photos::open(folder.path(), seed).expect("pictures");
        let (photos, again, other) = (open(1), open(1), open(2));
        for index in 0..20 {
            let example = photos.example(index, 48);
            assert_eq!(example, again.example(index, 48));
            assert_eq!(example.input.dimensions(), (48, 48));
            assert_eq!(example.edited.dimensions(), (48, 48));
            assert!(!example.edits.is_empty() && example.mask.is_none());
        }
        assert_ne!(photos.example(0, 48), photos.example(1, 48));
        assert_ne!(photos.example(0, 48), other.example(0, 48));
    }

    #[test]
    fn every_family_follows_from_the_same_crop() {
        let folder = folder_of(2);
        let photos = Photos::open(folder.path(), 5).expect("pictures");
        let input = photos.example(7, 32).input;
        for family in Family::GLOBAL {
            let example = photos
                .following(7, 32, &[family], Phrasing::HeldOut)
                .expect("a global family");
            assert_eq!(example.input, input);
            assert_eq!(example.edits, [family]);
            assert_ne!(example.edited, input);
        }
        assert!(
            photos
                .following(7, 32, &[Family::Move], Phrasing::Training)
                .is_err()
        );
        assert!(photos.following(7, 32, &[], Phrasing::Training).is_err());
    }

    #[test]
    fn a_seventh_of_the_examples_are_chained() {
        let folder = folder_of(1);
        let photos = Photos::open(folder.path(), 3).expect("pictures");
        let chained = (0..2000)
            .filter(|&index| photos.example(index, 4).edits.len() == 2)
            .count();
        assert!((240..=360).contains(&chained), "{chained} of 2000");
    }

    #[test]
    fn a_broken_picture_is_named_and_the_rest_is_used() {
        let folder = folder_of(2);
        fs::write(folder.path().join("broken.jpg"), b"not a picture").expect("a file");
        fs::write(folder.path().join("notes.txt"), b"no picture").expect("a file");
        let photos = Photos::open(folder.path(), 0).expect("two pictures");
        assert_eq!(photos.len(), 2);
        assert_eq!(photos.skipped().len(), 1);
        assert!(photos.skipped()[0].to_string().contains("broken.jpg"));
    }

    #[test]
    fn a_folder_without_pictures_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let nothing = Photos::open(folder.path(), 0).expect_err("no pictures");
        assert!(
            nothing
                .to_string()
                .contains(&folder.path().display().to_string())
        );
        fs::write(folder.path().join("broken.png"), b"\x89PNG").expect("a file");
        let broken = Photos::open(folder.path(), 0).expect_err("no picture can be read");
        assert!(
            broken.to_string().contains("1 that cannot be read"),
            "{broken}"
        );
        let missing = folder.path().join("missing");
        assert!(
            matches!(Photos::open(&missing, 0), Err(Error::Io { path, .. }) if path == missing)
        );
    }
}
