//! Edits several photos in one call, each in two variations:
//! `cargo run --release --example batch -- MODEL "make it snowy" OUTPUT_FOLDER PHOTO...`

use std::path::Path;

use anyhow::Result;
use ip2p::{EditOptions, EditRequest, Editor, Photo, device_by_name};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, instruction, folder, photos @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: batch MODEL INSTRUCTION OUTPUT_FOLDER PHOTO...");
    };
    let editor = Editor::load(model, &device_by_name("flex")?)?;
    let photos = photos
        .iter()
        .map(Photo::open)
        .collect::<ip2p::Result<Vec<_>>>()?;
    let requests: Vec<_> = photos
        .iter()
        .map(|photo| EditRequest::new(photo, instruction).with_variations(2))
        .collect();
    for (index, edited) in editor
        .edit_batch(&requests, &EditOptions::default())?
        .iter()
        .enumerate()
    {
        edited.save(Path::new(folder).join(format!("edited-{index}.png")))?;
    }
    Ok(())
}
