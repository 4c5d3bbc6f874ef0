//! Starts from the photo under noise, not from noise alone, so that its layout stays:
//! `cargo run --release --example strength -- MODEL PHOTO "make it snowy" 0.6 OUTPUT`

use anyhow::Result;
use ip2p::{EditOptions, EditRequest, Editor, Photo, device_by_name};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, photo, instruction, strength, output] = arguments.as_slice() else {
        anyhow::bail!("usage: strength MODEL PHOTO INSTRUCTION STRENGTH OUTPUT");
    };
    let editor = Editor::load(model, &device_by_name("flex")?)?;
    let photo = Photo::open(photo)?;
    let options = EditOptions::default()
        .with_steps(20)
        .with_seed(42)
        .with_strength(strength.parse()?);
    let mut steps = editor.steps(&EditRequest::new(&photo, instruction), &options)?;
    for step in &mut steps {
        let step = step?;
        println!(
            "step {} of {}, from sigma {:.2}",
            step.index + 1,
            step.steps,
            step.sigma
        );
    }
    steps.finish()?.remove(0).save(output)?;
    Ok(())
}
