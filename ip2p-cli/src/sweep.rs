//! `ip2p sweep`.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ip2p::region::Mask;
use ip2p::{
    CheckpointProfile, EditOptions, EditRecord, EditRequest, Edited, Editor, Error, MemoryEdit,
    Photo, Prepared, Result, RgbPicture,
};
use ip2p_data::{Cell, sheet_of};
use ip2p_train::pictures::{from_photo, to_photo};
use serde::Serialize;

use crate::args::SweepArgs;
use crate::budget::{Budget, Kept};
use crate::edit::{apply, device_name, load, stop_on_ctrl_c};
use crate::model::{ModelChoice, open_model};
use crate::output::{self, default_output};
use crate::progress::Progress;
use crate::rank::{Change, Ranked, map, rank};
use crate::sheet::{scaled, within};
use crate::{exit, memory};

/// The most cells of a sheet.
const MAX_CELLS: usize = 400;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    sheet: &'a Path,
    columns: usize,
    /// In the order of the sheet: row by row, a block of rows for each seed.
    cells: Vec<CellReport<'a>>,
    /// With --auto: the cells from the best on, and why.
    ranking: Option<&'a [Ranked]>,
    device: &'a str,
    load_s: f64,
    /// The text encoder and the autoencoder's encoder, once for all cells.
    encode_s: f64,
    total_s: f64,
    /// Null without a budget.
    memory: Option<Kept>,
    /// Null where the system does not tell.
    peak_memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct CellReport<'a> {
    text_scale: f64,
    image_scale: f64,
    seed: u64,
    /// The mean difference from the photo, 0 to 1.
    change: f64,
    /// Every setting, as `ip2p edit` would write it.
    settings: &'a EditRecord,
    warnings: &'a [String],
}

/// The values that are tried.
#[derive(Debug, PartialEq)]
struct Grid {
    text_scales: Vec<f64>,
    image_scales: Vec<f64>,
    seeds: Vec<u64>,
}

/// What is tried in one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Choice {
    text_scale: f64,
    image_scale: f64,
    seed: u64,
}

/// A cell that is done.
struct Done {
    choice: Choice,
    change: f64,
    /// How far it went where the sentence acts and where it does not, if that was asked for.
    of_map: Option<Change>,
    /// As large as the sheet shows it.
    picture: RgbPicture,
    record: EditRecord,
    warnings: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: &SweepArgs) -> Result<()> {
    let started = Instant::now();
    let stop = stop_on_ctrl_c();
    let progress = Progress::new(args.report.quiet);
    let sheet = match &args.output {
        Some(path) => path.clone(),
        None => default_output(&args.input, "sweep", 1),
    };
    ip2p::check_output(&sheet)?;
    args.best.as_ref().map_or(Ok(()), ip2p::check_output)?;
    let photo = Photo::open(&args.input)?;
    let model = open_model(
        &ModelChoice::of(&args.shared, None)?,
        args.report.quiet,
        &stop,
    )?;
    let grid = Grid::of(args, model.profile())?;
    let mut options = EditOptions::default();
    apply(&mut options, &args.shared);
    let mask = args.mask.mask(&photo)?;
    let mut request = EditRequest::new(&photo, &args.instruction);
    request.mask = mask.as_ref();
    for choice in grid.cells() {
        model.check(&request, &choice.over(&options))?;
    }
    let device = device_name(&args.shared);
    let precision = args.shared.precision.unwrap_or_default();
    let budget = Budget {
        bytes: args.shared.max_memory,
        device: &device,
        precision,
        quiet: args.report.quiet,
    };
    let edit = MemoryEdit::new(photo.size(), &options)
        .with_mask(mask.is_some())
        .with_beside(1);
    let (model, plan) = budget.keep(model, &[edit])?;
    let editor = load(model, &device, precision, progress)?;
    let loading = started.elapsed();

    let spinner = progress.spinner("reading");
    let prepared = editor.prepare(&request, &options);
    spinner.finish_and_clear();
    let prepared = prepared?;
    let sweep = Sweep {
        args,
        editor: &editor,
        prepared: &prepared,
        options: &options,
        photo: &photo,
        map: args
            .auto
            .then(|| map(&editor, &request, &options.clone().with_seed(grid.seeds[0])))
            .transpose()?,
    };
    let cells = sweep.edit_all(&grid, progress, &stop)?;
    let ranking = sweep.rank(&cells)?;
    let columns = grid.image_scales.len();
    sweep.draw(&cells, columns)?.save(&sheet, None)?;
    if !args.report.quiet {
        tell_warnings(&cells);
    }
    if !args.report.json {
        return print(&sheet, &cells, ranking.as_deref());
    }
    let encoding = prepared.timings().text + prepared.timings().encode;
    output::json(&Report {
        sheet: &sheet,
        columns,
        cells: cells.iter().map(report).collect(),
        ranking: ranking.as_deref(),
        device: &device,
        load_s: loading.as_secs_f64(),
        encode_s: encoding.as_secs_f64(),
        total_s: started.elapsed().as_secs_f64(),
        memory: plan.as_ref().map(Kept::of),
        peak_memory_bytes: memory::peak_bytes(),
    })
}

/// The sheet, and a line for each cell: in its order, or from the best on with why.
fn print(sheet: &Path, cells: &[Done], ranking: Option<&[Ranked]>) -> Result<()> {
    output::write(|out| {
        writeln!(out, "{}", sheet.display())?;
        let Some(ranking) = ranking else {
            let mut cells = cells.iter();
            return cells.try_for_each(|cell| writeln!(out, "{}", label(cell)));
        };
        ranking.iter().enumerate().try_for_each(|(place, ranked)| {
            let choice = cells[ranked.edit].choice;
            writeln!(out, "{}. {choice}: {}", place + 1, ranked.why)
        })
    })
}

impl Grid {
    fn of(args: &SweepArgs, profile: &CheckpointProfile) -> Result<Self> {
        // Around what the checkpoint takes to be right: for InstructPix2Pix 5, 7.5, 10 and 1.2, 1.5, 1.8.
        let around = |given: &[f64], middle: f64, share: f64| match given {
            [] => [1.0 - share, 1.0, 1.0 + share]
                .map(|factor| (middle * factor * 100.0).round() / 100.0)
                .to_vec(),
            given => given.to_vec(),
        };
        let grid = Self {
            text_scales: around(&args.text_scale, profile.text_scale, 1.0 / 3.0),
            image_scales: around(&args.image_scale, profile.image_scale, 0.2),
            seeds: args.seeds.clone(),
        };
        let cells = grid.text_scales.len() * grid.image_scales.len() * grid.seeds.len();
        if cells > MAX_CELLS {
            let expected = format!("at most {MAX_CELLS}");
            return Err(Error::setting("cells", expected, cells));
        }
        Ok(grid)
    }

    /// What is tried in each cell, in the order of the sheet.
    fn cells(&self) -> Vec<Choice> {
        let mut cells = Vec::new();
        for &seed in &self.seeds {
            for &text_scale in &self.text_scales {
                cells.extend(self.image_scales.iter().map(|&image_scale| Choice {
                    text_scale,
                    image_scale,
                    seed,
                }));
            }
        }
        cells
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            text_scale,
            image_scale,
            seed,
        } = self;
        write!(f, "text {text_scale} image {image_scale} seed {seed}")
    }
}

impl Choice {
    fn over(self, options: &EditOptions) -> EditOptions {
        let options = options.clone().with_seed(self.seed);
        let options = options.with_text_scale(self.text_scale);
        options.with_image_scale(self.image_scale)
    }
}

/// One photo and sentence, encoded, and what holds for all cells.
struct Sweep<'a> {
    args: &'a SweepArgs,
    editor: &'a Editor,
    prepared: &'a Prepared,
    options: &'a EditOptions,
    photo: &'a Photo,
    /// With --auto: where the sentence acts.
    map: Option<Mask>,
}

impl Sweep<'_> {
    /// The cells from the best on, if that was asked for; writes the best.
    fn rank(&self, cells: &[Done]) -> Result<Option<Vec<Ranked>>> {
        let changes: Option<Vec<_>> = cells.iter().map(|cell| cell.of_map).collect();
        let Some(changes) = changes.filter(|_| self.args.auto) else {
            return Ok(None);
        };
        let ranking = rank(&changes, self.args.most_outside / 100.0);
        if let (Some(path), Some(first)) = (&self.args.best, ranking.first()) {
            // The sheet has it small; made again it is the same to the byte.
            let options = cells[first.edit].choice.over(self.options);
            let mut edited = self.edit(&options, &mut |_, _| Ok(()))?;
            edited.record.input = Some(self.args.input.to_string_lossy().into_owned());
            edited.save(path)?;
        }
        Ok(Some(ranking))
    }

    /// One edit of what is encoded; `on_step` hears which step of how many is done.
    fn edit(
        &self,
        options: &EditOptions,
        on_step: &mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> Result<Edited> {
        let mut steps = self.editor.steps_from(self.prepared, options)?;
        for step in &mut steps {
            let step = step?;
            on_step(step.index + 1, step.steps)?;
        }
        // One request of one variation gives one picture.
        Ok(steps.finish()?.swap_remove(0))
    }

    fn edit_all(&self, grid: &Grid, progress: Progress, stop: &AtomicBool) -> Result<Vec<Done>> {
        let cells = grid.cells();
        let bar = progress.pictures(cells.len());
        let mut done = Vec::new();
        for choice in cells {
            let edited = self.edit(&choice.over(self.options), &mut |step, steps| {
                bar.set_message(format!("step {step} of {steps}"));
                if stop.load(Ordering::Relaxed) {
                    bar.abandon();
                    return Err(Error::Stopped);
                }
                Ok(())
            })?;
            done.push(self.done(choice, edited));
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(done)
    }

    fn done(&self, choice: Choice, edited: Edited) -> Done {
        let result = edited.photo.rgb();
        // In the compat modes the result has the model's size.
        let change = scaled(self.photo.rgb(), result.size()).difference(result);
        let of_map = self.map.as_ref().map(|map| {
            let map = map.resized(result.size());
            let photo = scaled(self.photo.rgb(), result.size());
            let [inside, outside] = map.change(&photo, result);
            Change { inside, outside }
        });
        let mut record = edited.record;
        record.input = Some(self.args.input.to_string_lossy().into_owned());
        Done {
            choice,
            change,
            of_map,
            picture: scaled(result, within(result.size(), self.args.cell)),
            record,
            warnings: edited.warnings,
        }
    }

    /// The sheet: the photo above, and below it the cells, each with its scales, its seed and how far it went.
    fn draw(&self, cells: &[Done], columns: usize) -> Result<Photo> {
        let (photo, side) = (self.photo.rgb(), self.args.cell);
        let before = from_photo(&scaled(photo, within(photo.size(), side)).into());
        let after: Vec<_> = cells
            .iter()
            .map(|cell| from_photo(&cell.picture.clone().into()))
            .collect();
        let mut drawn = vec![Cell {
            pictures: vec![&before],
            caption: self.args.instruction.clone(),
        }];
        drawn.resize_with(columns, Cell::default);
        drawn.extend(cells.iter().zip(&after).map(|(cell, picture)| Cell {
            pictures: vec![picture],
            caption: label(cell),
        }));
        to_photo(&sheet_of(&drawn, columns))
    }
}

fn label(cell: &Done) -> String {
    format!("{}: changes {:.1}%", cell.choice, cell.change * 100.0)
}

/// Warnings are of the sentence or the settings: those of one cell are mostly those of all, and told once.
fn tell_warnings(cells: &[Done]) {
    let warnings: BTreeSet<_> = cells.iter().flat_map(|cell| &cell.warnings).collect();
    for warning in warnings {
        exit::tell(&format!("warning: {warning}"));
    }
}

fn report(cell: &Done) -> CellReport<'_> {
    let Choice {
        text_scale,
        image_scale,
        seed,
    } = cell.choice;
    CellReport {
        text_scale,
        image_scale,
        seed,
        change: cell.change,
        settings: &cell.record,
        warnings: &cell.warnings,
    }
}
