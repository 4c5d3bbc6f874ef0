//! Where the tests work: a hub with a model, and an empty cache.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ip2p_core::{Precision, Result};
use ip2p_hub::{Hub, HubOptions, HubProgress, Snapshot};
use tempfile::TempDir;

use crate::loopback::{Files, Loopback, Seen};

pub(crate) const ID: &str = "org/model";

/// The largest file of the model.
pub(crate) const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// A hub, and a folder for a cache.
pub(crate) struct Desk {
    pub(crate) hub: Loopback,
    pub(crate) commit: String,
    folder: TempDir,
}

impl Desk {
    /// With one model on the hub.
    pub(crate) fn new() -> Self {
        let hub = Loopback::start();
        Self {
            commit: hub.commit(ID, &model()),
            hub,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    /// A path in the model's folder in the cache.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.cache().join("models--org--model").join(name)
    }

    /// Impatient, so that the tests are quick.
    pub(crate) fn options(&self) -> HubOptions {
        let mut options = HubOptions::new(self.cache());
        options.endpoint = self.hub.endpoint();
        options.retry_wait = Duration::from_millis(1);
        options.longest_wait = Duration::from_secs(2);
        options.timeout = Duration::from_secs(5);
        options.retries = 3;
        options
    }

    pub(crate) fn pull(&self) -> Result<Snapshot> {
        pull(self.options(), ID, Precision::F32)
    }

    /// The requests to the hub and its CDN since the last call, as `GET unet/config.json` and `CDN`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.hub.seen().iter().map(short).collect()
    }

    /// What is among the blobs.
    pub(crate) fn blobs(&self) -> Vec<String> {
        names(&self.path("blobs"))
    }
}

fn short(seen: &Seen) -> String {
    if seen.at_cdn {
        return "CDN".into();
    }
    match seen.line.split_once("/resolve/") {
        Some((before, after)) => {
            let (method, _) = before.split_once(' ').unwrap();
            let (_, name) = after.split_once('/').unwrap();
            format!("{method} {name}")
        }
        None => seen.line.clone(),
    }
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The configs and the weights.
pub(crate) fn pull(options: HubOptions, id: &str, precision: Precision) -> Result<Snapshot> {
    pull_watched(options, id, precision, &mut |_| ControlFlow::Continue(()))
}

pub(crate) fn pull_watched(
    options: HubOptions,
    id: &str,
    precision: Precision,
    watch: &mut dyn FnMut(&HubProgress<'_>) -> ControlFlow<()>,
) -> Result<Snapshot> {
    let hub = Hub::new(options)?;
    let snapshot = hub.snapshot(&id.parse()?, precision, watch)?;
    hub.fetch_weights(&snapshot, watch)?;
    Ok(snapshot)
}

/// Bytes that do not repeat.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// A model as people upload them: two precisions, pickles, a safety checker, single files.
pub(crate) fn model() -> Files {
    let index = r#"{"_class_name": "StableDiffusionInstructPix2PixPipeline", "_diffusers_version": "0.15.0",
        "feature_extractor": ["transformers", "CLIPFeatureExtractor"], "requires_safety_checker": true,
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "scheduler": ["diffusers", "EulerAncestralDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}"#;
    let mut files = Files::new();
    files.insert("model_index.json".into(), index.into());
    for name in [
        "README.md",
        "feature_extractor/preprocessor_config.json",
        "safety_checker/config.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "vae/config.json",
    ] {
        files.insert(name.into(), format!("{{\"of\": \"{name}\"}}").into());
    }
    for (seed, (name, size)) in [
        (UNET, 300_000),
        ("unet/diffusion_pytorch_model.fp16.safetensors", 150_000),
        ("unet/diffusion_pytorch_model.bin", 300_000),
        ("vae/diffusion_pytorch_model.safetensors", 40_000),
        ("text_encoder/model.safetensors", 50_000),
        ("text_encoder/model.fp16.safetensors", 25_000),
        ("text_encoder/pytorch_model.bin", 50_000),
        ("safety_checker/model.safetensors", 60_000),
        ("instruct-pix2pix-00-22000.safetensors", 400_000),
        ("instruct-pix2pix-00-22000.ckpt", 400_000),
    ]
    .into_iter()
    .enumerate()
    {
        files.insert(name.into(), noise(size, seed as u64 + 1));
    }
    files
}
