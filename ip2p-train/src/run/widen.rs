//! From a checkpoint that makes pictures of sentences to one that edits pictures.
//!
//! InstructPix2Pix begins with Stable Diffusion, whose U-Net takes four channels: those of the source picture come beside them.

use std::path::Path;

use ip2p::io::{Checkpoint, Component, write_whole};
use ip2p::models::unet::UNet2DConditionConfig;
use ip2p::{Error, Result};
use serde_json::{Map, Value, json};

/// Channels of a U-Net that is not told of a picture, and of one that is.
const CHANNELS: [usize; 2] = [4, 8];

/// A checkpoint to train, whose U-Net takes a picture.
pub(super) struct Widened {
    /// The checkpoint; its weights may be narrower than its config.
    pub(super) checkpoint: Checkpoint,
    /// The shape of the U-Net that its weights are of, if that takes no picture.
    pub(super) from: Option<UNet2DConditionConfig>,
}

impl Widened {
    /// # Errors
    ///
    /// Those of [`Checkpoint::open`] and [`UNet2DConditionConfig::from_json`].
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::open(folder)?;
        let json = checkpoint.config(Component::Unet);
        let config = UNet2DConditionConfig::from_json(json)?;
        if config.in_channels != CHANNELS[0] {
            let from = None;
            return Ok(Self { checkpoint, from });
        }
        let path = folder.join("unet/config.json");
        let mut fields = object(&path, json)?;
        fields.insert("in_channels".into(), CHANNELS[1].into());
        let checkpoint = checkpoint.with_config(Component::Unet, pretty(&fields));
        let from = Some(config);
        Ok(Self { checkpoint, from })
    }

    /// Channels that the U-Net takes.
    pub(super) const IN_CHANNELS: usize = CHANNELS[1];
}

/// Writes the small files that say what a trained checkpoint is, over the copies of those that it began with.
///
/// The safety checker, if there was one, is left behind: it is no part of what was trained.
///
/// # Errors
///
/// [`Error::Io`] if a file cannot be read or written.
pub(super) fn write_configs(checkpoint: &Checkpoint, from: &Path, to: &Path) -> Result<()> {
    let config = to.join("unet/config.json");
    write_whole(config, checkpoint.config(Component::Unet).as_bytes())?;
    let path = from.join("model_index.json");
    let text = std::fs::read_to_string(&path).map_err(|error| Error::io(&path, error))?;
    let mut index = object(&path, &text)?;
    let class = "StableDiffusionInstructPix2PixPipeline";
    index.insert("_class_name".into(), class.into());
    index.insert("safety_checker".into(), json!([null, null]));
    index.insert("requires_safety_checker".into(), false.into());
    write_whole(to.join("model_index.json"), pretty(&index).as_bytes())
}

fn object(path: &Path, text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text)
        .map_err(|error| Error::checkpoint(path, format!("is no JSON object: {error}")))
}

fn pretty(object: &Map<String, Value>) -> String {
    let text = serde_json::to_string_pretty(object).expect("an object can be written");
    text + "\n"
}
