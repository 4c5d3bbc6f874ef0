//! `ip2p data`: looking at training data.

use ip2p::{Error, Result};
use ip2p_data::sheet;
use ip2p_train::pictures::to_photo;
use ip2p_train::source::{self, SourceKind, SourceOptions};

use crate::args::{DataArgs, DataCommand};

pub(crate) fn run(args: &DataArgs) -> Result<()> {
    let DataCommand::Preview {
        output,
        photos,
        count,
        columns,
        size,
        seed,
    } = &args.command;
    for (name, value) in [
        ("count", *count),
        ("columns", *columns as u64),
        ("size", u64::from(*size)),
    ] {
        if !(1..=4096).contains(&value) {
            return Err(Error::setting(name, "between 1 and 4096", value));
        }
    }
    ip2p::check_output(output)?;
    let kind = match photos {
        Some(folder) => SourceKind::Photos {
            folder: folder.clone(),
        },
        None => SourceKind::scenes(),
    };
    let source = source::open(&[SourceOptions { kind, share: 1.0 }], *seed)?;
    let examples: Vec<_> = (0..*count)
        .map(|index| source.example(index, *size))
        .collect();
    let sheet = sheet(&examples, *columns);
    to_photo(&sheet)?.save(output, None)?;
    println!("{}", output.display());
    Ok(())
}
