//! Edits one photo: `cargo run --release --example edit -- MODEL PHOTO "make it snowy" OUTPUT`

use anyhow::{Context, Result};
use ip2p::{EditOptions, Editor, Photo, device_by_name};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, photo, instruction, output] = arguments.as_slice() else {
        anyhow::bail!("usage: edit MODEL PHOTO INSTRUCTION OUTPUT");
    };
    let editor = Editor::load(model, &device_by_name("flex")?).context("loading the model")?;
    let photo = Photo::open(photo)?;
    let edited = editor.edit(&photo, instruction, &EditOptions::default().with_seed(42))?;
    edited.save(output)?;
    Ok(())
}
