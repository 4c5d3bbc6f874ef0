//! `ip2p inspect`.

use std::io::Write;
use std::path::Path;

use ip2p::{CheckpointProfile, CheckpointSummary, ComponentSummary, EditRecord, Error, Result};

use crate::args::InspectArgs;
use crate::model;
use crate::output::{json, write};

/// How the files of weights end; pictures end otherwise.
const WEIGHTS: [&str; 6] = ["safetensors", "ckpt", "pt", "pth", "bin", "gguf"];

/// Runs the command: a folder is a checkpoint, a file by its ending a checkpoint or a picture.
pub(crate) fn run(args: &InspectArgs) -> Result<()> {
    let Some(path) = &args.path else {
        return crate::profiles::print(args.json);
    };
    let path = model::in_cache(path)?;
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    if path.is_dir() || WEIGHTS.iter().any(|ending| extension == *ending) {
        let summary = ip2p::inspect(&path)?;
        if args.json {
            json(&summary)
        } else {
            write(|out| print_checkpoint(out, &summary, args.weights))
        }
    } else {
        let record = picture(&path)?;
        if args.json {
            json(&record)
        } else {
            write(|out| {
                let turns = record.earlier.iter().chain([&record]);
                turns
                    .map(EditRecord::to_parameters)
                    .try_for_each(|turn| writeln!(out, "{turn}"))
            })
        }
    }
}

fn picture(path: &Path) -> Result<EditRecord> {
    let nothing = "holds no record of an edit; a checkpoint is inspected by its folder";
    EditRecord::read(path)?.ok_or_else(|| Error::image(path, nothing))
}

fn print_checkpoint(
    out: &mut dyn Write,
    summary: &CheckpointSummary,
    weights: bool,
) -> std::io::Result<()> {
    let profile = &summary.profile;
    writeln!(out, "{}: {}", summary.folder.display(), summary.kind)?;
    if let Some(pipeline) = &summary.pipeline {
        writeln!(out, "pipeline             {pipeline}")?;
    }
    writeln!(out, "fingerprint          {}", summary.fingerprint)?;
    writeln!(out, "name                 {}", profile.name)?;
    writeln!(out, "family               {:?}", profile.family)?;
    writeln!(out, "prediction           {:?}", profile.prediction)?;
    print_noise(out, profile)?;
    writeln!(
        out,
        "latents scaled by    {}, the source image's by {}",
        profile.scaling_factor, profile.image_latents_scale
    )?;
    writeln!(
        out,
        "guidance             {:?}, null text {:?}, text state {:?}",
        profile.guidance, profile.null_text, profile.text_state
    )?;
    writeln!(
        out,
        "by default           {} steps of {} at {} pixels, text scale {}, image scale {}",
        profile.steps,
        profile.sampler,
        profile.longer_side,
        profile.text_scale,
        profile.image_scale
    )?;
    if profile.guidance_rescale != 0.0 {
        writeln!(out, "guidance rescale     {}", profile.guidance_rescale)?;
    }
    if !profile.suffix.is_empty() {
        writeln!(out, "after every sentence {:?}", profile.suffix)?;
    }
    for component in &summary.components {
        print_component(out, component, weights)?;
    }
    for note in &summary.notes {
        writeln!(out, "\nnote: {note}")?;
    }
    Ok(())
}

/// The noise of the training: its betas, or its range where it had none.
fn print_noise(out: &mut dyn Write, profile: &CheckpointProfile) -> std::io::Result<()> {
    match profile.edm {
        None => writeln!(
            out,
            "betas                {:?}, {} to {} in {} timesteps",
            profile.beta_schedule, profile.beta_start, profile.beta_end, profile.train_timesteps
        ),
        Some(edm) => writeln!(
            out,
            "noise without betas  sigma {} to {}, of latents {}",
            edm.sigma_min, edm.sigma_max, edm.sigma_data
        ),
    }
}

fn print_component(
    out: &mut dyn Write,
    component: &ComponentSummary,
    weights: bool,
) -> std::io::Result<()> {
    let class = component.class.as_deref().unwrap_or("class not stated");
    writeln!(
        out,
        "\n{} ({class}): {} parameters",
        component.component.name(),
        component.parameters
    )?;
    for file in &component.files {
        writeln!(out, "  {} ({} bytes)", file.path.display(), file.bytes)?;
    }
    let dtypes: Vec<_> = component
        .dtypes
        .iter()
        .map(|(dtype, count)| format!("{count} {dtype}"))
        .collect();
    writeln!(out, "  tensors: {}", dtypes.join(", "))?;
    if weights {
        for tensor in &component.tensors {
            writeln!(
                out,
                "  {:5} {:?} {}",
                tensor.dtype, tensor.shape, tensor.name
            )?;
        }
    }
    Ok(())
}
