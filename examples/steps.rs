//! Walks the steps of an edit, keeping a preview of each:
//! `cargo run --release --example steps -- MODEL PHOTO "make it snowy" OUTPUT_FOLDER`

use std::path::Path;

use anyhow::Result;
use ip2p::{EditOptions, EditRequest, Editor, Photo, device_by_name};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, photo, instruction, folder] = arguments.as_slice() else {
        anyhow::bail!("usage: steps MODEL PHOTO INSTRUCTION OUTPUT_FOLDER");
    };
    let folder = Path::new(folder);
    let editor = Editor::load(model, &device_by_name("flex")?)?;
    let photo = Photo::open(photo)?;
    let request = EditRequest::new(&photo, instruction);
    let mut steps = editor.steps(&request, &EditOptions::default())?;
    for step in &mut steps {
        let step = step?;
        println!(
            "step {} of {}, sigma {:.3}",
            step.index + 1,
            step.steps,
            step.sigma
        );
        let preview = step.previews().remove(0);
        let file = folder.join(format!("step-{:02}.png", step.index + 1));
        Photo::from(preview).save(file, None)?;
    }
    for edited in steps.finish()? {
        edited.save(folder.join("edited.png"))?;
    }
    Ok(())
}
