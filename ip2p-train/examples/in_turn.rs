//! Prints the table of edits in turn of `docs/editing.md`, for a model of drawn scenes:
//! `cargo run --release -p ip2p-train --example in_turn -- ip2p-tiny/model 40`

use ip2p::{Editor, Error, device_by_name};
use ip2p_train::eval::{EvalOptions, in_turn};

fn main() -> ip2p::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, scenes] = arguments.as_slice() else {
        return Err(Error::setting(
            "arguments",
            "MODEL SCENES",
            arguments.join(" "),
        ));
    };
    let mut options = EvalOptions::default();
    options.scenes = scenes
        .parse()
        .map_err(|_| Error::setting("scenes", "a whole number", scenes))?;
    let editor = Editor::load(model, &device_by_name("flex")?)?;
    let table = in_turn(&editor, &options, &mut |done| eprintln!("{done} edits"))?;
    print!("{}", table.to_markdown());
    Ok(())
}
