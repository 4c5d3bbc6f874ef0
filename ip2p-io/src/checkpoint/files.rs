//! Which files of a component's folder hold its weights.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ip2p_core::{Error, Precision, Result, WeightsName, WeightsVariant};
use serde::Deserialize;

use super::Component;
use crate::storage::Storage;

/// The files that hold the weights of a component.
#[derive(Debug)]
pub(crate) struct WeightFiles {
    /// The files, sorted.
    pub(crate) paths: Vec<PathBuf>,
    /// The index beside them, where there is one.
    pub(crate) index: Option<Index>,
}

/// A `….safetensors.index.json`: which shard holds which tensor.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) path: PathBuf,
    /// Shard's file name by tensor.
    pub(crate) weight_map: BTreeMap<String, String>,
}

impl WeightFiles {
    /// Finds the weights that best serve `precision`.
    ///
    /// The fp16 set is taken for `f16`, where it saves half the reading and loses nothing, and where there is no
    /// other: for `f32` and `bf16` the full set is more precise.
    pub(crate) fn find(
        storage: &Storage,
        folder: &Path,
        component: Component,
        precision: Precision,
    ) -> Result<Self> {
        let names = storage.names(folder)?;
        let preferred = match precision {
            Precision::F16 => [WeightsVariant::Fp16, WeightsVariant::Full],
            _ => [WeightsVariant::Full, WeightsVariant::Fp16],
        };
        for variant in preferred {
            if let Some(files) =
                Self::of_variant(storage, folder, component.stem(), variant, &names)?
            {
                return Ok(files);
            }
        }
        Err(not_found(folder, component.stem(), &names))
    }

    fn of_variant(
        storage: &Storage,
        folder: &Path,
        stem: &str,
        variant: WeightsVariant,
        names: &BTreeSet<String>,
    ) -> Result<Option<Self>> {
        let mut whole = None;
        let mut shards = BTreeMap::new();
        for name in names {
            let Some(found) = WeightsName::parse(name, stem).filter(|it| it.variant == variant)
            else {
                continue;
            };
            let twice = match found.shard {
                None => whole.replace(name),
                Some(shard) => shards.insert(shard, name),
            };
            if let Some(twice) = twice {
                return Err(twice_there(folder, twice, name));
            }
        }
        if let Some(name) = whole {
            // diffusers would read the shards, and transformers the file.
            return match shards.first_key_value() {
                Some((_, shard)) => Err(twice_there(folder, name, shard)),
                None => Ok(Some(Self {
                    paths: vec![folder.join(name)],
                    index: None,
                })),
            };
        }
        if let Some(name) = variant
            .index_names(stem)
            .iter()
            .find(|name| names.contains(*name))
        {
            return Self::of_index(storage, folder, name, names).map(Some);
        }
        check_shards(folder, &shards)?;
        let paths: Vec<_> = shards.into_values().map(|name| folder.join(name)).collect();
        let found = !paths.is_empty();
        Ok(found.then_some(Self { paths, index: None }))
    }

    fn of_index(
        storage: &Storage,
        folder: &Path,
        name: &str,
        names: &BTreeSet<String>,
    ) -> Result<Self> {
        let path = folder.join(name);
        let index = parse_index(&path, &storage.read_text(&path)?)?;
        let shards: BTreeSet<_> = index.weight_map.values().collect();
        for shard in &shards {
            // A name that is in the folder's listing cannot lead out of the folder.
            if !names.contains(*shard) {
                let reason = format!("lists the shard {shard}, which is not in the folder");
                return Err(Error::checkpoint(&path, reason));
            }
        }
        Ok(Self {
            paths: shards.into_iter().map(|shard| folder.join(shard)).collect(),
            index: Some(index),
        })
    }
}

fn twice_there(folder: &Path, first: &str, second: &str) -> Error {
    let reason =
        format!("holds the same weights twice, in {first} and in {second}; remove one of them");
    Error::checkpoint(folder, reason)
}

fn parse_index(path: &Path, json: &str) -> Result<Index> {
    #[derive(Deserialize)]
    struct Raw {
        weight_map: BTreeMap<String, String>,
    }

    let raw: Raw = serde_json::from_str(json)
        .map_err(|error| Error::checkpoint(path, format!("is no index of shards: {error}")))?;
    if raw.weight_map.is_empty() {
        return Err(Error::checkpoint(path, "lists no tensors in `weight_map`"));
    }
    Ok(Index {
        path: path.to_owned(),
        weight_map: raw.weight_map,
    })
}

fn check_shards(folder: &Path, shards: &BTreeMap<(u32, u32), &String>) -> Result<()> {
    let Some((&(_, count), first)) = shards.first_key_value() else {
        return Ok(());
    };
    let complete = shards
        .keys()
        .copied()
        .eq((1..=count).map(|number| (number, count)));
    if complete {
        return Ok(());
    }
    let missing = (1..=count).find(|&number| !shards.contains_key(&(number, count)));
    let reason = match missing {
        Some(number) => format!("shard {number} of {count} is missing beside {first}"),
        None => format!("holds shards of different sets beside {first}"),
    };
    Err(Error::checkpoint(folder, reason))
}

fn not_found(folder: &Path, stem: &str, names: &BTreeSet<String>) -> Error {
    let is_pickle = |name: &&String| {
        Path::new(name)
            .extension()
            .is_some_and(|extension| extension == "bin" || extension == "ckpt")
    };
    let reason = match names.iter().find(is_pickle) {
        Some(pickle) => format!(
            "has only {pickle}, a Python pickle, which can run code and is not read; convert it with diffusers: \
             `StableDiffusionInstructPix2PixPipeline.from_pretrained(OLD).save_pretrained(NEW, safe_serialization=True)`"
        ),
        None => format!(
            "has no weights; looked for {stem}.safetensors, {stem}.fp16.safetensors and shards of either"
        ),
    };
    Error::checkpoint(folder, reason)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        folder
    }

    fn find(folder: &tempfile::TempDir, precision: Precision) -> Result<Vec<String>> {
        let files = WeightFiles::find(&Storage::Disk, folder.path(), Component::Unet, precision)?;
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        Ok(files.paths.iter().map(name).collect())
    }

    #[test]
    fn the_set_that_serves_the_precision_is_taken() {
        let both = folder(&[
            "diffusion_pytorch_model.safetensors",
            "diffusion_pytorch_model.fp16.safetensors",
            "diffusion_pytorch_model.non_ema.safetensors",
        ]);
        let half = ["diffusion_pytorch_model.fp16.safetensors"];
        let full = ["diffusion_pytorch_model.safetensors"];
        assert_eq!(find(&both, Precision::F32).unwrap(), full);
        assert_eq!(find(&both, Precision::Bf16).unwrap(), full);
        assert_eq!(find(&both, Precision::F16).unwrap(), half);
        assert_eq!(find(&folder(&half), Precision::F32).unwrap(), half);
        assert_eq!(find(&folder(&full), Precision::F16).unwrap(), full);
    }

    #[test]
    fn shards_are_found_with_fp16_in_either_place() {
        for names in [
            [
                "diffusion_pytorch_model-00001-of-00002.safetensors",
                "diffusion_pytorch_model-00002-of-00002.safetensors",
            ],
            [
                "diffusion_pytorch_model-00001-of-00002.fp16.safetensors",
                "diffusion_pytorch_model-00002-of-00002.fp16.safetensors",
            ],
            [
                "diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
                "diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
            ],
        ] {
            assert_eq!(find(&folder(&names), Precision::F32).unwrap(), names);
        }
    }

    #[test]
    fn two_files_of_the_same_weights_are_named() {
        for names in [
            [
                "diffusion_pytorch_model.safetensors",
                "diffusion_pytorch_model-00001-of-00002.safetensors",
            ],
            [
                "diffusion_pytorch_model-00001-of-00002.fp16.safetensors",
                "diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
            ],
            [
                "diffusion_pytorch_model-00001-of-00002.safetensors",
                "diffusion_pytorch_model-1-of-2.safetensors",
            ],
        ] {
            let message = find(&folder(&names), Precision::F32)
                .unwrap_err()
                .to_string();
            assert!(message.contains("the same weights twice"), "{message}");
            assert!(names.iter().all(|name| message.contains(name)), "{message}");
        }
    }

    #[test]
    fn a_missing_shard_is_named() {
        let error = find(
            &folder(&["diffusion_pytorch_model-00002-of-00003.safetensors"]),
            Precision::F32,
        );
        let message = error.unwrap_err().to_string();
        assert!(message.contains("shard 1 of 3 is missing"), "{message}");
    }

    #[test]
    fn an_index_that_leads_elsewhere_is_refused() {
        let folder = folder(&["a.safetensors"]);
        let index = folder
            .path()
            .join("diffusion_pytorch_model.safetensors.index.json");
        fs::write(&index, r#"{"weight_map":{"x":"a.safetensors"}}"#).unwrap();
        assert_eq!(find(&folder, Precision::F32).unwrap(), ["a.safetensors"]);
        for (json, words) in [
            (
                r#"{"weight_map":{"x":"../a.safetensors"}}"#,
                "../a.safetensors",
            ),
            (r#"{"weight_map":{}}"#, "lists no tensors"),
            ("{}", "missing field `weight_map`"),
        ] {
            fs::write(&index, json).unwrap();
            let message = find(&folder, Precision::F32).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn pickles_are_refused_with_advice() {
        let error = find(&folder(&["diffusion_pytorch_model.bin"]), Precision::F32);
        let message = error.unwrap_err().to_string();
        assert!(message.contains("diffusion_pytorch_model.bin"), "{message}");
        assert!(message.contains("safe_serialization=True"), "{message}");
    }

    #[test]
    fn an_empty_folder_says_what_was_looked_for() {
        let message = find(&folder(&[]), Precision::F32).unwrap_err().to_string();
        let looked_for = "looked for diffusion_pytorch_model.safetensors";
        assert!(message.contains(looked_for), "{message}");
    }
}
