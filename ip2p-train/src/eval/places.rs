//! What leaving the rest alone gains: edits of all of a scene beside edits where something else says, such as the model itself.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use image::{GrayImage, RgbImage};
use ip2p::region::{Mask, Where};
use ip2p::{EditOptions, EditRequest, Edited, Editor, Result, Size};
use ip2p_data::Phrasing;
use ip2p_data::measure::psnr;

use super::EvalOptions;
use super::cases::{Case, scene_case};
use crate::pictures::{from_photo, to_photo};

/// The most that one picture counts for, in dB: where nothing at all changed the PSNR has no end.
const MOST: f64 = 60.0;

/// One way of editing, measured.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PlaceRow {
    /// PSNR to the input outside the true mask of local edits, in dB: a sum over them.
    outside: f64,
    local: u32,
    local_followed: u32,
    global: u32,
    global_followed: u32,
    seconds: f64,
}

impl PlaceRow {
    fn add(&mut self, case: &Case, output: &RgbImage, time: Duration) {
        let followed = u32::from(case.follows(output));
        self.seconds += time.as_secs_f64();
        let Some(mask) = &case.example.mask else {
            self.global += 1;
            self.global_followed += followed;
            return;
        };
        self.local += 1;
        self.local_followed += followed;
        let outside = psnr(output, &case.example.input, Some((mask, false)));
        self.outside += outside.unwrap_or(MOST).min(MOST);
    }

    /// The mean PSNR to the input outside the true mask of local edits, in dB, a picture counting for 60 at most.
    #[must_use]
    pub fn outside(&self) -> f64 {
        self.outside / f64::from(self.local.max(1))
    }

    /// The share of all edits that were followed, 0 to 1.
    #[must_use]
    pub fn following(&self) -> f64 {
        let followed = f64::from(self.local_followed + self.global_followed);
        followed / f64::from((self.local + self.global).max(1))
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PlaceEvaluation {
    /// Edits of all of the scene.
    pub plain: PlaceRow,
    /// Edits where it was said.
    pub placed: PlaceRow,
    /// How much of the found mask and the true one is of both: the mean over local edits of intersection over union.
    pub overlap: f64,
    /// For each side of the question how often the map was right: a part for local edits, all for global ones.
    pub parts: (u32, u32),
    region: Where,
}

/// Measures edits of `options.scenes` scenes with and without `region`.
///
/// `progress` is told how many scenes are done.
///
/// # Errors
///
/// Those of [`Editor::edit`].
pub fn evaluate_where(
    editor: &Editor,
    region: Where,
    options: &EvalOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<PlaceEvaluation> {
    let plain = EditOptions::default().with_seed(options.seed);
    let placed = plain.clone().with_where(region);
    let mut evaluation = PlaceEvaluation {
        plain: PlaceRow::default(),
        placed: PlaceRow::default(),
        overlap: 0.0,
        parts: (0, 0),
        region,
    };
    for index in 0..options.scenes {
        let Some(case) = scene_case(options, index, Phrasing::Training) else {
            continue;
        };
        let photo = to_photo(&case.example.input)?;
        let edit = |options: &EditOptions| -> Result<(Edited, Duration)> {
            let started = Instant::now();
            let request = EditRequest::new(&photo, &case.example.instruction);
            let mut edited = editor.edit_batch(&[request], options)?;
            Ok((edited.swap_remove(0), started.elapsed()))
        };
        // Turn by turn the one or the other is first: what else the machine does meets both alike.
        let ((without, time), (with, more)) = if index.is_multiple_of(2) {
            let without = edit(&plain)?;
            (without, edit(&placed)?)
        } else {
            let with = edit(&placed)?;
            (edit(&plain)?, with)
        };
        evaluation
            .plain
            .add(&case, &from_photo(&without.photo), time);
        evaluation.placed.add(&case, &from_photo(&with.photo), more);
        evaluation.add_map(&case, with.mask.as_deref())?;
        progress(usize::try_from(index).unwrap_or(usize::MAX) + 1);
    }
    evaluation.overlap /= f64::from(evaluation.plain.local.max(1));
    Ok(evaluation)
}

impl PlaceEvaluation {
    fn add_map(&mut self, case: &Case, found: Option<&Mask>) -> Result<()> {
        let Some(mask) = &case.example.mask else {
            self.parts.1 += u32::from(found.is_none());
            return Ok(());
        };
        let truth = of_picture(mask)?;
        let whole = Mask::from_region(truth.size(), truth.size().into());
        self.parts.0 += u32::from(found.is_some());
        self.overlap += found
            .unwrap_or(&whole)
            .hardened()
            .overlap(&truth.hardened());
        Ok(())
    }

    /// The whole as Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let (plain, placed) = (&self.plain, &self.placed);
        let mut text = format!(
            "| | plain | `--where {}` |\n| --- | --- | --- |\n",
            self.region
        );
        let mut row = |name: &str, of: &dyn Fn(&PlaceRow) -> String| {
            let _ = writeln!(text, "| {name} | {} | {} |", of(plain), of(placed));
        };
        row("PSNR outside the true mask, local edits", &|row| {
            format!("{:.1} dB", row.outside())
        });
        row("followed, local edits", &|row| {
            format!("{} of {}", row.local_followed, row.local)
        });
        row("followed, edits of the whole", &|row| {
            format!("{} of {}", row.global_followed, row.global)
        });
        row("followed", &|row| {
            format!("{:.1} %", 100.0 * row.following())
        });
        row("time of an edit", &|row| {
            let edits = f64::from((row.local + row.global).max(1));
            format!("{:.0} ms", 1000.0 * row.seconds / edits)
        });
        let (local, global) = self.parts;
        let _ = writeln!(
            text,
            "| overlap of the found mask with the true one, mean | – | {:.2} |\n\
             | local edits for which a part was found | – | {local} of {} |\n\
             | edits of the whole for which none was | – | {global} of {} |",
            self.overlap, plain.local, plain.global
        );
        let _ = writeln!(
            text,
            "\nGain outside {:.1} dB (8 wanted), following {:+.1} points (-2 at most), overlap {:.2} (0.5 wanted), time {:+.1} % \
             (+10 at most).",
            placed.outside() - plain.outside(),
            100.0 * (placed.following() - plain.following()),
            self.overlap,
            100.0 * (placed.seconds / plain.seconds.max(f64::MIN_POSITIVE) - 1.0)
        );
        text
    }
}

/// The mask that a grey picture shows.
fn of_picture(picture: &GrayImage) -> Result<Mask> {
    let (width, height) = picture.dimensions();
    Mask::new(Size::new(width, height), picture.as_raw().clone())
}

#[cfg(test)]
mod tests {
    use ip2p_data::Family;

    use super::*;

    #[test]
    fn a_picture_that_nothing_changed_counts_for_the_most_and_a_ruined_one_for_little() {
        let options = EvalOptions {
            size: 64,
            ..EvalOptions::default()
        };
        let case =
            scene_case(&options, 0, Phrasing::Training).expect("the first scene has an addition");
        assert!(Family::LOCAL.contains(&case.family));
        let of = |picture: &RgbImage| {
            let mut row = PlaceRow::default();
            row.add(&case, picture, Duration::from_secs(1));
            (row.outside(), row.following())
        };
        assert_eq!(of(&case.example.edited), (MOST, 1.0));
        let mut ruined = case.example.edited.clone();
        image::imageops::invert(&mut ruined);
        let (outside, following) = of(&ruined);
        assert!(outside < 20.0 && following == 0.0, "{outside} {following}");
    }
}
