//! `ip2p session`.

mod command;
mod input;
mod line;
mod settings;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ip2p::{
    Bytes, EditOptions, Editor, Error, MemoryEdit, Photo, PhotoFile, Result, Session, Size, Turn,
    TurnRequest,
};
use ip2p_data::{Cell, sheet_of};
use ip2p_train::pictures::{from_photo, to_photo};

use self::command::{Command, HELP};
use self::input::Input;
use self::settings::Settings;
use self::store::Store;
use crate::args::SessionArgs;
use crate::budget::Budget;
use crate::chain::apart;
use crate::edit::{apply, device_name, load, new_seed, walk};
use crate::model::{ModelChoice, open_model};
use crate::progress::Progress;
use crate::sheet::{scaled, within};
use crate::{exit, output};

/// How large a picture of a comparison is shown, at most, and how many stand side by side.
const CELL: u32 = 384;
const COLUMNS: usize = 3;

/// A session under way.
struct Desk<'a> {
    editor: Editor,
    session: Session,
    store: Store,
    settings: Settings,
    max_memory: Option<Bytes>,
    device: String,
    progress: Progress,
    quiet: bool,
    interrupt: &'a Interrupt,
}

/// What Ctrl-C does: at the prompt it ends the command, within a turn it ends the turn.
#[derive(Default)]
struct Interrupt {
    busy: AtomicBool,
    stop: AtomicBool,
}

impl Interrupt {
    fn new() -> Arc<Self> {
        let interrupt = Arc::new(Self::default());
        let handled = Arc::clone(&interrupt);
        // Without a handler Ctrl-C ends the process at once, which leaves nothing half-written either.
        let _ = ctrlc::set_handler(move || {
            let first = !handled.stop.swap(true, Ordering::Relaxed);
            if !first || !handled.busy.load(Ordering::Relaxed) {
                std::process::exit(130);
            }
            exit::tell("stopping this turn; once more ends the command");
        });
        interrupt
    }

    fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.stop.store(false, Ordering::Relaxed);
        self.busy.store(true, Ordering::Relaxed);
        let done = work();
        self.busy.store(false, Ordering::Relaxed);
        done
    }
}

/// The model of the command line, or else that with which the session was begun.
fn model_choice(args: &SessionArgs, begun: Option<&Session>) -> Result<ModelChoice> {
    // All turns have one model; those that were taken back know it too.
    let turn = begun.and_then(|session| session.turns().chain(session.undone()).next());
    let mut choice = ModelChoice::of(&args.shared, turn.map(|turn| &turn.record))?;
    let folder = || begun?.model_folder().map(Into::into);
    choice.path = choice.path.or_else(folder);
    Ok(choice)
}

/// Runs the command.
pub(crate) fn run(args: &SessionArgs) -> Result<()> {
    let interrupt = Interrupt::new();
    let progress = Progress::new(args.quiet);
    let mut store = Store::new(&args.file);
    // What was begun is read before the weights are: it may be no session.
    let begun = store.read()?;
    let photo = args.photo.as_ref().map(PhotoFile::open).transpose()?;
    check_photo(args, begun.as_ref(), photo.as_ref())?;
    let last = begun.as_ref().and_then(|session| session.turns().last());
    let precision = (args.shared.precision).or(last.map(|turn| turn.record.precision));
    let mut options = match last {
        Some(turn) => EditOptions::from_record(&turn.record)?,
        None => EditOptions::default(),
    };
    if let Some(session) = &begun {
        options = session.with_fixed(options);
    }
    apply(&mut options, &args.shared);
    let model = open_model(
        &model_choice(args, begun.as_ref())?,
        args.quiet,
        &interrupt.stop,
    )?;
    Session::check(&model, &options)?;
    let device = device_name(&args.shared);
    let precision = precision.unwrap_or_default();
    let size = match (&begun, &photo) {
        (Some(session), _) => session.photo().size(),
        (None, Some(photo)) => photo.size()?,
        (None, None) => unreachable!("checked above"),
    };
    let budget = Budget {
        bytes: args.shared.max_memory,
        device: &device,
        precision,
        quiet: args.quiet,
    };
    let (model, _) = budget.keep(model, &[edit_of(size, &options)])?;
    let editor = load(model, &device, precision, progress)?;
    let session = match (begun, photo) {
        (Some(session), _) => session,
        (None, Some(photo)) => Session::begin(&editor, photo, &options)?,
        (None, None) => unreachable!("checked above"),
    };
    let mut desk = Desk {
        editor,
        session,
        store,
        settings: Settings::new(options),
        max_memory: args.shared.max_memory,
        device,
        progress,
        quiet: args.quiet,
        interrupt: &interrupt,
    };
    desk.store.write(&desk.session)?;
    let said = desk
        .session
        .turns()
        .map(|turn| turn.record.instruction.clone());
    let mut input = Input::new(said);
    desk.talk(&mut input)
}

/// A turn of a photo of this size, beside the photo and the picture before.
fn edit_of(photo: Size, options: &EditOptions) -> MemoryEdit<'_> {
    MemoryEdit::new(photo, options).with_beside(2)
}

/// # Errors
///
/// If there is neither a session nor a photo to begin one with, or both, and the photo is another.
fn check_photo(
    args: &SessionArgs,
    begun: Option<&Session>,
    photo: Option<&PhotoFile>,
) -> Result<()> {
    match (begun, photo) {
        (None, None) => {
            let expected = "given after the file, which does not exist yet";
            Err(Error::setting("photo", expected, "nothing"))
        }
        (Some(session), Some(photo)) if session.photo_file().sha256() != photo.sha256() => {
            let reason = format!(
                "is a session of another photo than {}; give another file to begin one",
                photo.path().display()
            );
            Err(Error::session(&args.file, reason))
        }
        _ => Ok(()),
    }
}

impl Desk<'_> {
    /// Does what is said until nothing more is.
    ///
    /// At a terminal an error is told and the next line read. In a pipe it ends the command: what follows was meant for
    /// what failed.
    fn talk(&mut self, input: &mut Input) -> Result<()> {
        if input.is_terminal() {
            say(&self.listed())?;
            say("a sentence edits the photo; help lists what else there is")?;
        }
        loop {
            let known = self.known();
            let Some(line) = input.line(self.session.current_branch(), &known)? else {
                break;
            };
            let done = match Command::parse(&line) {
                Ok(None) => continue,
                Ok(Some(Command::Quit)) => break,
                Ok(Some(command)) => {
                    let interrupt = self.interrupt;
                    interrupt.during(|| self.obey(command))
                }
                Err(error) => Err(error),
            };
            match done {
                Err(error) if input.is_terminal() => {
                    exit::tell(&format!("error: {}", error.with_causes()));
                }
                done => done?,
            }
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Edit(sentence) => return self.edit(&sentence),
            Command::Set(name, value) => return self.set(&name, &value),
            Command::Settings => return say(&self.settings.to_string()),
            Command::Save(path) => return self.save(&path),
            Command::Compare(sheet) => return self.compare(sheet.as_deref()),
            Command::List => return say(&self.listed()),
            Command::Help => return say(HELP),
            Command::Undo => match self.session.undo() {
                Some(turn) => say(&format!("took back: {}", turn.record.instruction))?,
                None => return Err(Error::setting("undo", "after an edit", "none before it")),
            },
            Command::Redo => match self.session.redo() {
                Some(turn) => say(&format!("made again: {}", turn.record.instruction))?,
                None => return Err(Error::setting("redo", "after undo", "nothing taken back")),
            },
            Command::Branch(name) => self.session.branch(&name)?,
            Command::Switch(name) => {
                self.session.switch(&name)?;
                say(&self.listed())?;
            }
            Command::Unset(name) => return self.settings.unset(&name),
            Command::Quit => {}
        }
        self.store.write(&self.session)
    }

    /// Makes the edits of a sentence in turn, each of which is in the file before the next begins.
    fn edit(&mut self, sentence: &str) -> Result<()> {
        let syntax = self.settings.options()?.prompt_syntax;
        let parts = apart(sentence, syntax, self.quiet, "");
        let mask = self.settings.mask()?.mask(self.session.photo())?;
        let seed = self.settings.seed().unwrap_or_else(new_seed);
        for (turn, part) in parts.iter().enumerate() {
            let mut request = TurnRequest::new(part);
            request.mask = mask.as_ref();
            let options = self.settings.options()?;
            let options = options.with_seed(seed.wrapping_add(turn as u64));
            self.check_budget(&options)?;
            let mut steps = self.session.steps(&self.editor, request, &options)?;
            let count = steps.steps();
            walk(&mut steps, count, self.progress, &self.interrupt.stop)?;
            let turn = self.session.add(steps)?;
            if !self.quiet {
                for warning in &turn.warnings {
                    exit::tell(&format!("warning: {warning}"));
                }
            }
            self.store.write(&self.session)?;
            say(&self.last())?;
        }
        Ok(())
    }

    /// Whether an edit with these options keeps within the budget, if there is one.
    fn check_budget(&self, options: &EditOptions) -> Result<()> {
        let budget = Budget {
            bytes: self.max_memory,
            device: &self.device,
            precision: self.editor.precision(),
            quiet: self.quiet,
        };
        let edit = edit_of(self.session.photo().size(), options);
        budget.check(self.editor.model(), &edit)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        self.settings.set(name, value)?;
        let checked = Session::check(self.editor.model(), &self.settings.options()?);
        checked.inspect_err(|_| self.settings.forget(name))
    }

    fn save(&mut self, path: &str) -> Result<()> {
        ip2p::check_output(path)?;
        let spinner = self.progress.spinner("decoding");
        let edited = self.session.picture(&self.editor);
        spinner.finish_and_clear();
        let mut edited = edited?;
        let input = self.session.photo_file().path();
        edited.record.input = Some(input.to_string_lossy().into_owned());
        edited.record.device = Some(self.device.clone());
        for warning in edited.save(path)? {
            exit::tell(&format!("warning: {warning}"));
        }
        say(path)
    }

    /// How far each turn went from the first photo, in words, and in a picture if that is wanted.
    fn compare(&mut self, sheet: Option<&str>) -> Result<()> {
        let spinner = self.progress.spinner("decoding");
        let compared = self.compared();
        let drawn = compared.and_then(|lines| {
            if let Some(path) = sheet {
                self.draw(&lines)?.save(path, None)?;
            }
            Ok(lines)
        });
        spinner.finish_and_clear();
        for line in drawn? {
            say(&line)?;
        }
        sheet.map_or(Ok(()), say)
    }

    /// A line for each turn.
    fn compared(&mut self) -> Result<Vec<String>> {
        let drifts = self.session.compare(&self.editor, None)?;
        let decibels = |psnr: f64| match psnr {
            psnr if psnr.is_infinite() => "the photo to the byte".to_owned(),
            psnr => format!("{psnr:.1} dB"),
        };
        let line = |((number, turn), drift): ((usize, &Turn), ip2p::Drift)| {
            let outside = match drift.outside {
                Some(psnr) => format!("outside the masks {}", decibels(psnr)),
                None => "no mask".to_owned(),
            };
            let (what, whole) = (&turn.record.instruction, decibels(drift.whole));
            format!("{number}  {what}: {whole}, {outside}")
        };
        let turns = (1..).zip(self.session.turns());
        Ok(turns.zip(drifts).map(line).collect())
    }

    /// A sheet of the photo and the picture after each turn, with these lines below.
    fn draw(&mut self, lines: &[String]) -> Result<Photo> {
        let mut pictures = Vec::new();
        for turns in 0..=lines.len() {
            let picture = self.session.picture_after(&self.editor, turns)?;
            let rgb = picture.rgb();
            let small = scaled(rgb, within(rgb.size(), CELL));
            pictures.push(from_photo(&small.into()));
        }
        let captions = std::iter::once("the photo").chain(lines.iter().map(String::as_str));
        let cells: Vec<_> = pictures
            .iter()
            .zip(captions)
            .map(|(picture, caption)| Cell {
                pictures: vec![picture],
                caption: caption.to_owned(),
            })
            .collect();
        to_photo(&sheet_of(&cells, cells.len().min(COLUMNS)))
    }

    /// What a line may begin with.
    fn known(&self) -> Vec<String> {
        let branches = self.session.branches();
        let switch = branches.map(|(name, _)| format!("switch {name}"));
        let settings =
            Settings::names().flat_map(|name| [format!("set {name}"), format!("unset {name}")]);
        let words = command::WORDS.iter().map(ToString::to_string);
        words.chain(switch).chain(settings).collect()
    }

    fn last(&self) -> String {
        let count = self.session.turns().len();
        let last = self.session.turns().last();
        last.map_or_else(String::new, |turn| described(count, turn))
    }

    /// The branches, and the turns of this one.
    fn listed(&self) -> String {
        let current = self.session.current_branch();
        let branches = self.session.branches().map(|(name, turns)| {
            let mark = if name == current { '*' } else { ' ' };
            let s = if turns == 1 { "" } else { "s" };
            format!("{mark} {name}: {turns} turn{s}")
        });
        let turns = (1..).zip(self.session.turns());
        let turns = turns.map(|(number, turn)| format!("  {}", described(number, turn)));
        let undone = (self.session.undone())
            .map(|turn| format!("  (taken back: {})", turn.record.instruction));
        branches
            .chain(turns)
            .chain(undone)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn described(number: usize, turn: &Turn) -> String {
    let masked = if turn.mask.is_some() { ", masked" } else { "" };
    let record = &turn.record;
    format!(
        "{number}  {} (seed {}{masked})",
        record.instruction, record.seed
    )
}

/// Writes a line to standard output.
fn say(line: &str) -> Result<()> {
    output::write(|out| writeln!(out, "{line}"))
}
