//! Tries several scales on one photo, which is encoded once, and says how far each edit went:
//! `cargo run --release --example scales -- MODEL PHOTO "make it snowy" OUTPUT_FOLDER`

use std::path::Path;

use anyhow::Result;
use ip2p::{EditOptions, EditRequest, Editor, Photo, device_by_name};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, photo, instruction, folder] = arguments.as_slice() else {
        anyhow::bail!("usage: scales MODEL PHOTO INSTRUCTION OUTPUT_FOLDER");
    };
    let editor = Editor::load(model, &device_by_name("flex")?)?;
    let photo = Photo::open(photo)?;
    let options = EditOptions::default().with_seed(42);
    let prepared = editor.prepare(&EditRequest::new(&photo, instruction), &options)?;
    let profile = editor.model().profile();
    for factor in [0.5, 1.0, 1.5] {
        let text_scale = profile.text_scale * factor;
        let options = options.clone().with_text_scale(text_scale);
        let mut steps = editor.steps_from(&prepared, &options)?;
        steps.by_ref().try_for_each(|step| step.map(|_| ()))?;
        let edited = steps.finish()?.remove(0);
        let change = photo.rgb().difference(edited.photo.rgb());
        println!("text scale {text_scale}: changes {:.1} %", 100.0 * change);
        edited.save(Path::new(folder).join(format!("text-{text_scale}.png")))?;
    }
    Ok(())
}
