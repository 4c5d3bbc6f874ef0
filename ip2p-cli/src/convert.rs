//! `ip2p convert` and `ip2p merge`.

use std::path::Path;

use ip2p::{Checkpoint, Error, Lora, OpenOptions, Result, device_by_name};
use serde::Serialize;

use crate::args::{ConvertArgs, MergeArgs, WriteArgs};
use crate::lora::LoraFile;
use crate::progress::Progress;
use crate::{exit, model, output};

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    output: &'a Path,
    precision: &'static str,
    /// Bytes of weights.
    bytes: u64,
    notes: &'a [String],
}

/// Runs `ip2p convert`.
pub(crate) fn convert(args: &ConvertArgs) -> Result<()> {
    let options = OpenOptions {
        weights: args.weights.weights,
        vae: args.weights.vae.clone(),
        config: args.weights.config.clone(),
    };
    let (precision, quiet) = (
        args.write.precision.unwrap_or_default(),
        args.write.report.quiet,
    );
    let path = model::local(&args.model, precision.source(), quiet, Some(&args.weights))?;
    let checkpoint = Checkpoint::open_with(path, &options)?;
    write(&with_loras(checkpoint, &args.weights.lora)?, &args.write)
}

/// Runs `ip2p merge`.
pub(crate) fn merge(args: &MergeArgs) -> Result<()> {
    let (precision, quiet) = (
        args.write.precision.unwrap_or_default(),
        args.write.report.quiet,
    );
    let open = |path| Checkpoint::open(model::local(path, precision.source(), quiet, None)?);
    let model = open(&args.model)?;
    model.check_kind()?;
    let (custom, base) = (open(&args.custom)?, open(&args.base)?);
    let merged = model.with_transplant(&custom, &base, args.strength)?;
    write(&merged, &args.write)
}

fn with_loras(checkpoint: Checkpoint, loras: &[LoraFile]) -> Result<Checkpoint> {
    loras.iter().try_fold(checkpoint, |checkpoint, lora| {
        checkpoint.with_lora(Lora::open(&lora.file, lora.weight)?)
    })
}

fn write(checkpoint: &Checkpoint, args: &WriteArgs) -> Result<()> {
    let path = args.output.as_path();
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::io(parent, missing));
    }
    let device = device_by_name(&args.device)?;
    let format = args.precision.unwrap_or_default();
    let bar = Progress::new(args.report.quiet).bytes("writing");
    let mut bytes = 0;
    let done = checkpoint.save(path, format, &device, &mut |at| {
        bar.set_length(at.total_bytes);
        bar.set_position(at.done_bytes);
        bytes = at.total_bytes;
    });
    bar.finish_and_clear();
    done?;
    let notes = checkpoint.lora_notes();
    if !args.report.quiet {
        for note in notes {
            exit::tell(&format!("warning: {note}"));
        }
    }
    if args.report.json {
        return output::json(&Report {
            output: path,
            precision: format.name(),
            bytes,
            notes,
        });
    }
    output::write(|out| {
        writeln!(
            out,
            "{} ({bytes} bytes of weights in {format})",
            path.display()
        )
    })
}
