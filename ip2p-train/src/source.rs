//! Where a training's examples come from.

use std::path::PathBuf;

use ip2p::{Error, Result};
use ip2p_data::folder::{Buckets, Flips, Folder, FolderOptions, FolderSource, Split, View};
use ip2p_data::photo::Photos;
use ip2p_data::scene::Scenes;
use ip2p_data::{Example, Source, rng};
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// One of the sources of a training, and its share of the examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceOptions {
    /// What it is.
    #[serde(flatten)]
    pub kind: SourceKind,
    /// Its share, beside those of the others: default 1.
    #[serde(default = "one")]
    pub share: f64,
}

fn one() -> f64 {
    1.0
}

/// What examples are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case")]
pub enum SourceKind {
    /// Drawn scenes, their objects and the whole picture edited.
    Scenes {
        /// Of so many as these three together, how many have an edit of one object: default 60.
        #[serde(default = "local")]
        local: u32,
        /// How many have one of the whole picture: default 25.
        #[serde(default = "global")]
        global: u32,
        /// How many have two or three edits: default 15.
        #[serde(default = "chained")]
        chained: u32,
    },
    /// Crops of the photographs in a folder, the whole picture edited.
    Photos {
        /// The folder.
        folder: PathBuf,
    },
    /// A data set on disk: the original repository's layout, parquet or JSONL.
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Which part of it: default the training's.
        #[serde(default)]
        split: Part,
        /// Whether examples are mirrored where their sentences allow it: default yes.
        #[serde(default = "yes")]
        flips: bool,
    },
}

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// What is for training; the first 90 % where the data set does not say.
    #[default]
    Train,
    /// All of it.
    All,
}

fn yes() -> bool {
    true
}

fn local() -> u32 {
    Scenes::WEIGHTS[0]
}

fn global() -> u32 {
    Scenes::WEIGHTS[1]
}

fn chained() -> u32 {
    Scenes::WEIGHTS[2]
}

impl SourceKind {
    /// Drawn scenes with as many edits of each kind as [`Scenes::new`] has.
    #[must_use]
    pub fn scenes() -> Self {
        let [local, global, chained] = Scenes::WEIGHTS;
        Self::Scenes {
            local,
            global,
            chained,
        }
    }

    fn open(&self, seed: u64) -> Result<Box<dyn Source>> {
        Ok(match self {
            Self::Scenes {
                local,
                global,
                chained,
            } => Box::new(Scenes::new(seed).with_weights(*local, *global, *chained)),
            Self::Photos { folder } => Box::new(Photos::open(folder, seed)?),
            Self::Folder { path, split, flips } => {
                let split = match split {
                    Part::Train => Split::Train,
                    Part::All => Split::All,
                };
                let options = FolderOptions::default().with_split(split);
                let flips = if *flips {
                    Flips::WhereSafe
                } else {
                    Flips::Never
                };
                let folder = Folder::open(path, &options)?;
                Box::new(FolderSource::new(folder, seed, View::Training(flips))?)
            }
        })
    }
}

/// Opens the sources of a training as one, whose example is of each in its share.
///
/// # Errors
///
/// [`Error::InvalidSetting`] if there is none, or a share is not a number above 0; those of [`Photos::open`],
/// [`Folder::open`] and [`FolderSource::new`].
pub fn open(sources: &[SourceOptions], seed: u64) -> Result<Box<dyn Source>> {
    let mut opened: Vec<(f64, Box<dyn Source>)> = Vec::new();
    for options in sources {
        if !(options.share.is_finite() && options.share > 0.0) {
            let expected = "a number above 0";
            return Err(Error::setting("share", expected, options.share));
        }
        opened.push((options.share, options.kind.open(seed)?));
    }
    if opened.is_empty() {
        return Err(Error::setting("data", "at least one source", "none"));
    }
    Ok(Box::new(Mixed {
        sources: opened,
        seed,
    }))
}

/// Several sources, each with its share of the examples.
#[derive(Debug)]
struct Mixed {
    sources: Vec<(f64, Box<dyn Source>)>,
    seed: u64,
}

impl Mixed {
    /// The source that example `index` is of.
    fn of(&self, index: u64) -> &dyn Source {
        let total: f64 = self.sources.iter().map(|(share, _)| share).sum();
        let mut draw = rng(self.seed, index).random::<f64>() * total;
        let mut chosen = &self.sources[0].1;
        for (share, source) in &self.sources {
            chosen = source;
            draw -= share;
            if draw < 0.0 {
                break;
            }
        }
        chosen.as_ref()
    }
}

impl Source for Mixed {
    fn example(&self, index: u64, size: u32) -> Example {
        self.of(index).example(index, size)
    }

    fn example_in(&self, index: u64, buckets: &Buckets) -> Example {
        self.of(index).example_in(index, buckets)
    }

    fn skipped(&self) -> Vec<String> {
        let sources = self.sources.iter();
        sources.flat_map(|(_, source)| source.skipped()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_gives_its_share() {
        #[derive(Debug)]
        struct Named(&'static str);
        impl Source for Named {
            fn example(&self, index: u64, size: u32) -> Example {
                Example {
                    instruction: self.0.into(),
                    ..Scenes::new(0).example(index, size)
                }
            }
        }
        let mixed = Mixed {
            sources: vec![(3.0, Box::new(Named("a"))), (1.0, Box::new(Named("b")))],
            seed: 4,
        };
        let of_a = (0..400)
            .filter(|&index| mixed.example(index, 8).instruction == "a")
            .count();
        assert!((270..330).contains(&of_a), "{of_a}");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let parse = |json: &str| serde_json::from_str::<Vec<SourceOptions>>(json);
        assert!(
            parse(r#"[{"source": "dreams"}]"#)
                .unwrap_err()
                .to_string()
                .contains("dreams")
        );
        assert!(
            open(&[], 0)
                .unwrap_err()
                .to_string()
                .contains("at least one source")
        );
        let negative = parse(r#"[{"source": "scenes", "share": -1}]"#).unwrap();
        assert!(
            open(&negative, 0)
                .unwrap_err()
                .to_string()
                .contains("above 0")
        );
    }
}
