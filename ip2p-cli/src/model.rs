//! Which model the commands edit with.

use std::path::Path;

use ip2p::{Model, Result};

/// What the full model is, and where it is found.
const FULL: &str =
    "a copy of timbrooks/instruct-pix2pix (https://huggingface.co/timbrooks/instruct-pix2pix)";

/// Opens the checkpoint in this folder, or the model that comes with the command, and says so.
#[cfg(feature = "tiny")]
pub(crate) fn open_model(folder: Option<&Path>, quiet: bool) -> Result<Model> {
    let Some(folder) = folder else {
        if !quiet {
            crate::exit::tell(&format!(
                "using the small model that comes with ip2p; for the full one give {FULL} by --model DIR"
            ));
        }
        return Model::tiny();
    };
    Model::open(folder)
}

/// Opens the checkpoint in this folder.
#[cfg(not(feature = "tiny"))]
pub(crate) fn open_model(folder: Option<&Path>, _quiet: bool) -> Result<Model> {
    let folder = folder.ok_or_else(|| {
        let expected = format!(
            "the folder of a checkpoint in diffusers layout (or the variable IP2P_MODEL), such as {FULL}"
        );
        ip2p::Error::setting("model", expected, "nothing")
    })?;
    Model::open(folder)
}
