//! Changes a photo only where the sentence acts, and shows where that is:
//! `cargo run --release --example places -- MODEL PHOTO "remove the flower" OUTPUT MASK`

use anyhow::{Context, Result};
use ip2p::region::Where;
use ip2p::{EditOptions, Editor, Photo, device_by_name};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, photo, instruction, output, mask] = arguments.as_slice() else {
        anyhow::bail!("usage: places MODEL PHOTO INSTRUCTION OUTPUT MASK");
    };
    let editor = Editor::load(model, &device_by_name("flex")?).context("loading the model")?;
    let photo = Photo::open(photo)?;
    let options = EditOptions::default().with_seed(42).with_where(Where::AUTO);
    let edited = editor.edit(&photo, instruction, &options)?;
    edited.save(output)?;
    match &edited.mask {
        Some(found) => {
            found.over(&photo).save(mask, None)?;
            println!(
                "{:.0} % of the photo could change",
                100.0 * found.coverage()
            );
        }
        None => println!("nothing stands out: all of the photo could change"),
    }
    Ok(())
}
