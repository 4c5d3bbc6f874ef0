//! How well a model edits what it has never seen: whether it does what the sentence asks, and leaves what it does not.
//!
//! Scenes and photographs come with the picture that the sentence asks for, so everything is measured against that picture.
//! Each number stands beside that of the unchanged input, which is what a model that does nothing would get.

mod cases;
mod places;
mod report;
mod turns;

use image::RgbImage;
use ip2p::{EditOptions, EditRequest, Editor, Photo, Result, split_edits};
use ip2p_data::measure::{mean_squared_error, psnr};
use ip2p_data::photo::Photos;
use ip2p_data::scene;
use ip2p_data::{Example, Family, Phrasing};

use self::cases::{Case, photo_case, scene_case};
pub use self::places::{PlaceEvaluation, PlaceRow, evaluate_where};
pub use self::report::{Evaluation, FamilyRow, Rate, ScaleRow};
use self::turns::in_session;
pub use self::turns::{TurnsTable, in_turn};
use crate::pictures::{from_photo, to_photo};

/// What is measured on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvalOptions {
    /// Scenes for following, gain and keeping: default 200. The other measures on scenes have half as many each.
    pub scenes: u64,
    /// Crops of photographs: default 40.
    pub photos: u64,
    /// The seed of all of them: one that training does not use. Default 20 001.
    pub seed: u64,
    /// The width and height of the pictures: default 256.
    pub size: u32,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self {
            scenes: 200,
            photos: 40,
            seed: 20_001,
            size: 256,
        }
    }
}

/// Edits of one call: what fits a level-3 cache, and shares the cost of a call.
const BATCH: usize = 4;

/// Measures an editor with the checkpoint's own settings; `photos` are pictures that training did not see.
///
/// `progress` is told how many edits are done and how many there are about.
///
/// # Errors
///
/// Those of [`Editor::edit`].
pub fn evaluate(
    editor: &Editor,
    photos: Option<&Photos>,
    options: &EvalOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<Evaluation> {
    let mut edits = Edits {
        editor,
        options: EditOptions::default().with_seed(options.seed),
        done: 0,
        progress,
    };
    let mut evaluation = Evaluation::new(options.clone());

    for (phrasing, share) in [(Phrasing::Training, 1), (Phrasing::HeldOut, 2)] {
        let scenes =
            (0..options.scenes / share).filter_map(|index| scene_case(options, index, phrasing));
        let scenes: Vec<Case> = scenes.collect();
        follow(&mut edits, &scenes, phrasing, &mut evaluation, false)?;
        if let Some(photos) = photos {
            let cases: Vec<Case> = (0..options.photos)
                .map(|index| photo_case(photos, options, index, phrasing))
                .collect::<Result<_>>()?;
            follow(&mut edits, &cases, phrasing, &mut evaluation, true)?;
        }
    }
    place(&mut edits, options, &mut evaluation)?;
    chains(&mut edits, options, &mut evaluation)?;
    scales(&mut edits, options, photos, &mut evaluation)?;
    Ok(evaluation)
}

/// Runs edits and counts them.
struct Edits<'a> {
    editor: &'a Editor,
    options: EditOptions,
    done: usize,
    progress: &'a mut dyn FnMut(usize),
}

impl Edits<'_> {
    /// What the model makes of the inputs and sentences of examples.
    fn run(&mut self, asked: &[&Example]) -> Result<Vec<RgbImage>> {
        self.run_with(asked, &self.options.clone())
    }

    /// What becomes of the input where the sentence is taken apart and its edits are made in turn, as the command does; none where it
    /// is one edit to the command.
    fn run_apart(&mut self, asked: &Example) -> Result<Option<RgbImage>> {
        let photo = to_photo(&asked.input)?;
        let edits = split_edits(&asked.instruction);
        if edits.len() == 1 {
            return Ok(None);
        }
        let turns = edits.iter().map(|edit| (edit.as_str(), None));
        let pictures = in_session(self.editor, &photo, turns, &self.options)?;
        self.done += edits.len();
        (self.progress)(self.done);
        Ok(pictures.into_iter().last())
    }

    fn run_with(&mut self, asked: &[&Example], options: &EditOptions) -> Result<Vec<RgbImage>> {
        let mut outputs = Vec::with_capacity(asked.len());
        for asked in asked.chunks(BATCH) {
            let photos: Vec<Photo> = asked
                .iter()
                .map(|example| to_photo(&example.input))
                .collect::<Result<_>>()?;
            let requests: Vec<_> = photos
                .iter()
                .zip(asked)
                .map(|(photo, example)| EditRequest::new(photo, &example.instruction))
                .collect();
            for edited in self.editor.edit_batch(&requests, options)? {
                outputs.push(from_photo(&edited.photo));
            }
            self.done += asked.len();
            (self.progress)(self.done);
        }
        Ok(outputs)
    }
}

/// The squared distance of two pictures.
fn distance(a: &RgbImage, b: &RgbImage) -> f64 {
    mean_squared_error(a, b, None).expect("a picture has pixels")
}

/// Following, gain and keeping; of sentences that training has not seen, following alone.
fn follow(
    edits: &mut Edits<'_>,
    cases: &[Case],
    phrasing: Phrasing,
    evaluation: &mut Evaluation,
    on_photos: bool,
) -> Result<()> {
    let asked: Vec<_> = cases.iter().map(|case| &case.example).collect();
    let outputs = edits.run(&asked)?;
    for (case, output) in cases.iter().zip(&outputs) {
        let followed = case.follows(output);
        let unchanged = case.follows(&case.example.input);
        evaluation
            .following(on_photos, phrasing)
            .add(followed, unchanged);
        if phrasing == Phrasing::HeldOut {
            continue;
        }
        let target = &case.example.edited;
        let of = |picture: &RgbImage| psnr(picture, target, None).expect("a picture has pixels");
        let row = evaluation.family(on_photos, case.family);
        row.add(followed, of(output), of(&case.example.input));
        if let Some(mask) = &case.example.mask
            && let Some(kept) = psnr(output, &case.example.input, Some((mask, false)))
        {
            row.keep(kept);
        }
    }
    Ok(())
}

/// Of two alike objects, whether the named one is edited and its twin is not.
fn place(edits: &mut Edits<'_>, options: &EvalOptions, evaluation: &mut Evaluation) -> Result<()> {
    let cases: Vec<_> = (0..options.scenes / 2)
        .map(|index| scene::twins(options.seed, index, options.size, Phrasing::Training))
        .collect();
    let asked: Vec<_> = cases.iter().map(|case| &case.example).collect();
    for (case, output) in cases.iter().zip(edits.run(&asked)?) {
        let input = &case.example.input;
        let near = |picture: &RgbImage, to: &RgbImage, mask| {
            mean_squared_error(picture, to, Some((mask, true))).unwrap_or(0.0)
        };
        let right = |picture: &RgbImage| {
            let done = near(picture, &case.example.edited, &case.named_mask)
                < near(picture, input, &case.named_mask);
            let kept = near(picture, input, &case.other_mask)
                <= near(picture, &case.other, &case.other_mask);
            done && kept
        };
        evaluation.place.add(right(&output), right(input));
    }
    Ok(())
}

/// Two edits in one sentence: done if the output is nearer to both than to either alone or to neither.
fn chains(edits: &mut Edits<'_>, options: &EvalOptions, evaluation: &mut Evaluation) -> Result<()> {
    let cases: Vec<_> = (0..options.scenes / 2)
        .map(|index| scene::chained(options.seed, index, options.size, Phrasing::Training))
        .collect();
    let asked: Vec<_> = cases.iter().map(|case| &case.example).collect();
    for (case, output) in cases.iter().zip(edits.run(&asked)?) {
        let both = |picture: &RgbImage| {
            let to_both = distance(picture, &case.example.edited);
            [&case.first, &case.second, &case.example.input]
                .into_iter()
                .all(|other| to_both < distance(picture, other))
        };
        let unchanged = both(&case.example.input);
        evaluation.chained.add(both(&output), unchanged);
        let apart = edits.run_apart(&case.example)?.unwrap_or(output);
        evaluation.chained_apart.add(both(&apart), unchanged);
    }
    Ok(())
}

/// Whether a greater image scale keeps more, and a greater text scale follows more.
fn scales(
    edits: &mut Edits<'_>,
    options: &EvalOptions,
    photos: Option<&Photos>,
    evaluation: &mut Evaluation,
) -> Result<()> {
    let mut cases: Vec<Case> = (0..options.scenes / 8)
        .filter_map(|index| scene_case(options, index, Phrasing::Training))
        .collect();
    if let Some(photos) = photos {
        for index in 0..options.photos / 4 {
            cases.push(photo_case(photos, options, index, Phrasing::Training)?);
        }
    }
    let asked: Vec<_> = cases.iter().map(|case| &case.example).collect();
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
    for image_scale in [1.0, 1.4, 1.8, 2.2] {
        let settings = edits.options.clone().with_image_scale(image_scale);
        let outputs = edits.run_with(&asked, &settings)?;
        let kept = cases
            .iter()
            .zip(&outputs)
            .filter_map(|(case, output)| psnr(output, &case.example.input, None));
        evaluation
            .image_scale
            .push(ScaleRow::new(image_scale, mean(kept.collect())));
    }
    for text_scale in [3.0, 5.0, 7.0, 9.0] {
        let settings = edits.options.clone().with_text_scale(text_scale);
        let outputs = edits.run_with(&asked, &settings)?;
        let followed = cases
            .iter()
            .zip(&outputs)
            .map(|(case, output)| case.progress(output));
        evaluation
            .text_scale
            .push(ScaleRow::new(text_scale, mean(followed.collect())));
    }
    Ok(())
}

/// A family of each case in turn, so that all have as many.
fn family_of(families: &[Family], index: u64) -> Family {
    families[usize::try_from(index).unwrap_or(0) % families.len()]
}
