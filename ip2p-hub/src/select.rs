//! Which files of a model an edit needs.
//!
//! The same rules choose among the files that the hub lists and those that are in the cache.

use std::collections::{BTreeMap, BTreeSet};

use ip2p_core::{Precision, WeightsName, WeightsVariant};
use serde_json::Value;

/// The file that says of which parts a pipeline consists.
pub(crate) const MODEL_INDEX: &str = "model_index.json";

/// Our own file beside it.
const PROFILE: &str = "ip2p.json";

/// Parts that an edit does not use.
const LEFT_OUT: [&str; 3] = ["safety_checker", "feature_extractor", "image_encoder"];

/// How the names of files of weights begin, of diffusers' networks and of transformers'.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// How the names of small files end.
const SMALL: [&str; 3] = ["json", "txt", "model"];

/// The files of a model that are needed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Needed {
    /// Configs and the tokenizer.
    pub(crate) small: Vec<String>,
    /// Weights, in the order of the parts.
    pub(crate) weights: Vec<String>,
}

impl Needed {
    /// Chooses among `files`, for which `index`, the text of [`MODEL_INDEX`], names the parts.
    ///
    /// What cannot be chosen is said in words.
    pub(crate) fn choose(
        files: &BTreeSet<&str>,
        index: &str,
        variants: &[WeightsVariant],
    ) -> Result<Self, String> {
        let mut needed = Self {
            small: Vec::new(),
            weights: Vec::new(),
        };
        let root = [MODEL_INDEX, PROFILE];
        let there = root.iter().filter(|name| files.contains(**name));
        needed.small.extend(there.map(ToString::to_string));
        for part in parts(index)? {
            let names = in_folder(files, &part);
            let full = |name: &str| format!("{part}/{name}");
            if names.is_empty() {
                return Err(format!("the {part} is missing: there is no folder {part}/"));
            }
            let weights = weights(&part, &names, variants)?;
            let small = names.iter().filter(|name| is_small(name));
            needed.small.extend(small.map(|name| full(name)));
            needed.weights.extend(weights.iter().map(|name| full(name)));
        }
        Ok(needed)
    }
}

/// The sets of weights to look for, the better first.
pub(crate) fn variants(precision: Precision) -> [WeightsVariant; 2] {
    WeightsVariant::smallest_for(precision)
}

/// The sets that do for a precision if they are there, without looking for better ones.
pub(crate) fn serving(precision: Precision) -> &'static [WeightsVariant] {
    match precision {
        Precision::F32 => &[WeightsVariant::Full],
        _ => &[WeightsVariant::Fp16, WeightsVariant::Full],
    }
}

/// What a model is that has no folders of a pipeline.
pub(crate) fn no_pipeline(files: &BTreeSet<&str>) -> String {
    let endings = [".safetensors", ".ckpt", ".gguf"];
    let single =
        |name: &&&str| !name.contains('/') && endings.iter().any(|end| name.ends_with(end));
    let singles: Vec<_> = files.iter().filter(single).copied().collect();
    let reason = "has no model_index.json, so it is no pipeline of diffusers";
    if singles.is_empty() {
        return reason.into();
    }
    format!(
        "{reason}; of its single files ({}) download the one you want, and give its path",
        singles.join(", ")
    )
}

/// The parts that are to be loaded.
fn parts(index: &str) -> Result<Vec<String>, String> {
    let index: BTreeMap<String, Value> = serde_json::from_str(index)
        .map_err(|error| format!("{MODEL_INDEX} is no JSON object: {error}"))?;
    // `["library", "Class"]`; `[null, null]` for a part that was left out, and settings are no lists.
    let is_part = |value: &Value| value.get(1).is_some_and(Value::is_string);
    let parts = index.iter().filter(|(_, value)| is_part(value));
    let mut names = Vec::new();
    for (name, _) in parts.filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())) {
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!(
                "{MODEL_INDEX} names a part {name:?}, which is no name"
            ));
        }
        names.push(name.clone());
    }
    Ok(names)
}

/// The names of the files that lie in a folder, and not deeper.
fn in_folder<'a>(files: &BTreeSet<&'a str>, folder: &str) -> Vec<&'a str> {
    let within = |path: &&'a str| path.strip_prefix(folder)?.strip_prefix('/');
    files
        .iter()
        .filter_map(within)
        .filter(|name| !name.contains('/'))
        .collect()
}

fn is_small(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let is_index = name.contains(".index.");
    SMALL.contains(&ending) && !is_index
}

/// The first of the sets that the part has, with its index; nothing of a part that is no network.
fn weights(part: &str, names: &[&str], variants: &[WeightsVariant]) -> Result<Vec<String>, String> {
    if part == "scheduler" || part.starts_with("tokenizer") {
        return Ok(Vec::new());
    }
    let stem = (STEMS.iter()).find(|stem| names.iter().any(|name| is_weights(name, stem)));
    let stem = stem.ok_or_else(|| format!("the {part} has no weights"))?;
    for &variant in variants {
        if let Some(files) = set(names, stem, variant) {
            return Ok(files);
        }
    }
    let has_any = names
        .iter()
        .any(|name| WeightsName::parse(name, stem).is_some());
    Err(if has_any {
        format!("the {part} has no whole set of weights: shards are missing")
    } else {
        format!(
            "the {part} has its weights only as Python pickles, which are not read from folders; convert it with \
             diffusers: `StableDiffusionInstructPix2PixPipeline.from_pretrained(OLD).save_pretrained(NEW)`"
        )
    })
}

/// Whether a name is of weights, in whatever form.
fn is_weights(name: &str, stem: &str) -> bool {
    let pickle = stem == "model" && name.starts_with("pytorch_model");
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let begins = name
        .strip_prefix(stem)
        .is_some_and(|rest| rest.starts_with(['.', '-']));
    (begins || pickle) && matches!(ending, "safetensors" | "bin" | "msgpack")
}

/// A whole set: one file, or all of the shards.
fn set(names: &[&str], stem: &str, variant: WeightsVariant) -> Option<Vec<String>> {
    let mut shards = BTreeMap::new();
    for name in names {
        let Some(found) = WeightsName::parse(name, stem).filter(|it| it.variant == variant) else {
            continue;
        };
        match found.shard {
            None => return Some(vec![(*name).to_owned()]),
            Some(shard) => shards.insert(shard, (*name).to_owned()),
        };
    }
    let (&(_, count), _) = shards.first_key_value()?;
    let whole = (1..=count).map(|number| (number, count));
    if !shards.keys().copied().eq(whole) {
        return None;
    }
    let index = variant.index_names(stem);
    let index = index.into_iter().find(|name| names.contains(&&**name));
    Some(index.into_iter().chain(shards.into_values()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = r#"{"_class_name": "X", "_diffusers_version": "0.1", "requires_safety_checker": true,
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": ["s", "S"], "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "Euler"], "image_encoder": [null, null]}"#;

    /// What timbrooks/instruct-pix2pix holds.
    const REAL: &[&str] = &[
        ".gitattributes",
        "README.md",
        "feature_extractor/preprocessor_config.json",
        "instruct-pix2pix-00-22000.ckpt",
        "instruct-pix2pix-00-22000.safetensors",
        "model_index.json",
        "safety_checker/config.json",
        "safety_checker/model.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.bin",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.bin",
        "vae/diffusion_pytorch_model.safetensors",
    ];

    fn choose(files: &[&str], precision: Precision) -> Result<Needed, String> {
        Needed::choose(
            &files.iter().copied().collect(),
            INDEX,
            &variants(precision),
        )
    }

    /// The files with one replaced by others.
    fn with(file: &str, others: &[&'static str]) -> Vec<&'static str> {
        let rest = REAL.iter().copied().filter(|name| *name != file);
        rest.chain(others.iter().copied()).collect()
    }

    #[test]
    fn one_set_of_weights_and_the_small_files_are_needed() {
        let needed = choose(REAL, Precision::F32).unwrap();
        let weights = [
            "text_encoder/model.safetensors",
            "unet/diffusion_pytorch_model.safetensors",
            "vae/diffusion_pytorch_model.safetensors",
        ];
        assert_eq!(needed.weights, weights);
        let small = [
            "model_index.json",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            "tokenizer/merges.txt",
            "tokenizer/special_tokens_map.json",
            "tokenizer/tokenizer_config.json",
            "tokenizer/vocab.json",
            "unet/config.json",
            "vae/config.json",
        ];
        assert_eq!(needed.small, small);
    }

    #[test]
    fn the_smallest_set_that_serves_is_taken_part_by_part() {
        for precision in [Precision::F16, Precision::Bf16] {
            let weights = [
                "text_encoder/model.fp16.safetensors",
                "unet/diffusion_pytorch_model.fp16.safetensors",
                // There is no smaller one.
                "vae/diffusion_pytorch_model.safetensors",
            ];
            assert_eq!(choose(REAL, precision).unwrap().weights, weights);
        }
        let only_half = with("text_encoder/model.safetensors", &[]);
        let weights = choose(&only_half, Precision::F32).unwrap().weights;
        assert_eq!(weights[0], "text_encoder/model.fp16.safetensors");
    }

    #[test]
    fn shards_come_with_their_index_and_whole() {
        let shards = [
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
            "unet/diffusion_pytorch_model.safetensors.index.json",
        ];
        let full = "unet/diffusion_pytorch_model.safetensors";
        let needed = choose(&with(full, &shards), Precision::F32).unwrap();
        assert_eq!(needed.weights[1..4], [shards[2], shards[0], shards[1]]);
        assert!(!needed.small.contains(&shards[2].to_owned()));
        // A set that is not whole serves nobody; the other does.
        let needed = choose(&with(full, &shards[1..]), Precision::F32).unwrap();
        assert_eq!(
            needed.weights[1],
            "unet/diffusion_pytorch_model.fp16.safetensors"
        );
        let mut files = with(full, &shards[1..]);
        files.retain(|name| !name.contains("fp16"));
        let reason = choose(&files, Precision::F32).unwrap_err();
        assert!(reason.contains("unet has no whole set"), "{reason}");
    }

    #[test]
    fn what_cannot_be_read_is_said_before_it_is_fetched() {
        let mut files = REAL.to_vec();
        files.retain(|name| !(name.starts_with("unet") && name.ends_with("safetensors")));
        let reason = choose(&files, Precision::F32).unwrap_err();
        assert!(
            reason.contains("unet has its weights only as Python pickles"),
            "{reason}"
        );
        files.retain(|name| !name.starts_with("vae/"));
        files.push("unet/diffusion_pytorch_model.safetensors");
        let reason = choose(&files, Precision::F32).unwrap_err();
        assert!(reason.contains("the vae is missing"), "{reason}");
        let files = BTreeSet::from(["README.md", "cosxl_edit.safetensors", "x/y.ckpt"]);
        let reason = no_pipeline(&files);
        assert!(reason.contains("(cosxl_edit.safetensors)"), "{reason}");
    }

    #[test]
    fn parts_are_names() {
        let files = BTreeSet::from(["model_index.json"]);
        for index in [
            r#"{"../x": ["a", "b"]}"#,
            r#"{"a/b": ["a", "b"]}"#,
            "[]",
            "{",
        ] {
            assert!(Needed::choose(&files, index, &variants(Precision::F32)).is_err());
        }
    }
}
