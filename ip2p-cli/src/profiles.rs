//! `ip2p inspect --profiles`.

use std::io::Write;

use ip2p::{CheckpointProfile, KnownProfile, Result};
use serde::Serialize;

use crate::output::{json, write};

/// What `--json` prints of each.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    licence: &'static str,
    page: &'static str,
    conventions: CheckpointProfile,
}

/// Prints every known model with its conventions.
pub(crate) fn print(as_json: bool) -> Result<()> {
    if as_json {
        let listed = KnownProfile::ALL.iter().map(|known| Listed {
            name: known.name,
            licence: known.licence,
            page: known.page,
            conventions: known.profile(),
        });
        return json(&listed.collect::<Vec<_>>());
    }
    write(|out| {
        KnownProfile::ALL
            .iter()
            .try_for_each(|known| describe(out, known))
    })
}

fn describe(out: &mut dyn Write, known: &KnownProfile) -> std::io::Result<()> {
    let profile = known.profile();
    writeln!(out, "{}: {}", known.name, known.title)?;
    writeln!(
        out,
        "  {:?}, {:?}, guidance {:?}, latents scaled by {}, the source image's by {}",
        profile.family,
        profile.prediction,
        profile.guidance,
        profile.scaling_factor,
        profile.image_latents_scale
    )?;
    writeln!(
        out,
        "  by default {} steps of {} at {} pixels, text scale {}, image scale {}",
        profile.steps,
        profile.sampler,
        profile.longer_side,
        profile.text_scale,
        profile.image_scale
    )?;
    if !profile.suffix.is_empty() {
        writeln!(out, "  after every sentence {:?}", profile.suffix)?;
    }
    writeln!(out, "  licence {}\n  {}", known.licence, known.page)
}
