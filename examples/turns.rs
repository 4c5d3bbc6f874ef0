//! Edits a photo in turns, and tries the last one in two ways:
//! `cargo run --release --example turns -- MODEL PHOTO SESSION.ip2p "make it snowy, then add a hat" "add a scarf"`

use anyhow::Result;
use ip2p::{EditOptions, Editor, PhotoFile, Session, device_by_name, split_edits};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, photo, file, sentence, other] = arguments.as_slice() else {
        anyhow::bail!("usage: turns MODEL PHOTO SESSION.ip2p SENTENCE OTHER_LAST_EDIT");
    };
    let editor = Editor::load(model, &device_by_name("flex")?)?;
    let options = EditOptions::default().with_seed(42);
    let mut session = Session::begin(&editor, PhotoFile::open(photo)?, &options)?;
    for edit in split_edits(sentence) {
        session.edit(&editor, edit.as_str(), &options)?;
        // A kill leaves the file of the turn before or of this one.
        session.save(file)?;
    }
    session.picture(&editor)?.save("first.png")?;

    session.branch("other")?;
    session.undo();
    session.edit(&editor, other.as_str(), &options)?;
    session.picture(&editor)?.save("other.png")?;
    session.save(file)?;
    for (turn, drift) in (1..).zip(session.compare(&editor, None)?) {
        println!("turn {turn}: {:.1} dB from the photo", drift.whole);
    }
    Ok(())
}
