//! Several edits of one photo, one after the other, without the loss that each would add.
//!
//! A photo that is edited, saved and edited again loses each time what eight bits a channel do not hold, and what an
//! autoencoder does not give back. A session goes through neither between its turns. (What the network itself changes
//! beside what it was asked for, only a mask keeps out.) What a turn leaves are latents; the next
//! one has them as its photo, as they are. Only what is shown is decoded: the difference between those latents and the first
//! photo's own, both decoded, is carried to the first photo at its own size, so that what no turn changed is that photo's
//! still. Outside a turn's mask the picture is that of the turn before to the byte, and outside every mask the first
//! photo.

mod compare;
mod file;
mod picture;
mod steps;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use ip2p_core::{Error, FitPlan, FitPolicy, Result, TargetSize};
use ip2p_io::{EditRecord, Photo, PhotoFile, RgbPicture};
use ip2p_region::Mask;
use serde::{Deserialize, Serialize};

pub use self::compare::Drift;
pub use self::steps::{TurnRequest, TurnSteps};
use self::tree::Branch;
use crate::editor::{Editor, Latents, Model};
use crate::options::{Compat, EditOptions, OutputSize};

/// The branch that a session begins on.
const FIRST_BRANCH: &str = "main";

/// A photo and the edits that were made of it in turn, with those that were taken back and those of other branches.
///
/// It holds no network: each call that needs one is given the [`Editor`], always of the same checkpoint. It is saved to
/// one file, in which the photo is too: see [`Session::save`].
///
/// The model is shown the whole photo at every turn, whatever [`EditOptions::focus`] says: the latents are of all of it.
///
/// # Examples
///
/// ```no_run
/// use ip2p::{EditOptions, Editor, PhotoFile, Session};
///
/// # fn main() -> ip2p::Result<()> {
/// let editor = Editor::load("instruct-pix2pix", &ip2p::device_by_name("flex")?)?;
/// let options = EditOptions::default().with_seed(42);
/// let mut session = Session::begin(&editor, PhotoFile::open("photo.jpg")?, &options)?;
/// session.edit(&editor, "make it snowy", &options)?;
/// session.branch("red")?;
/// session.edit(&editor, "turn the car red", &options)?;
/// session.undo();
/// session.edit(&editor, "turn the car orange", &options)?;
/// session.picture(&editor)?.save("orange.png")?;
/// session.save("photo.ip2p")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Session {
    file: PhotoFile,
    photo: Arc<Photo>,
    fixed: Fixed,
    model: ModelName,
    /// Those of the photo as it was.
    first: Latents,
    /// All turns of all branches, by their numbers.
    turns: BTreeMap<u64, Turn>,
    branches: BTreeMap<String, Branch>,
    current: String,
    /// The number of the next turn.
    next: u64,
    cache: Cache,
}

/// What all turns of a session have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Fixed {
    size: TargetSize,
    fit: FitPolicy,
    output_size: OutputSize,
}

/// The checkpoint that a session is made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ModelName {
    name: String,
    /// The folder that it was loaded from, if it was one.
    folder: Option<String>,
    /// Its fingerprint.
    hash: String,
}

/// What was decoded last.
#[derive(Debug, Clone, Default)]
struct Cache {
    /// The first photo as the autoencoder gives it back.
    before: Option<RgbPicture>,
    /// The picture after these turns.
    picture: Option<(Vec<u64>, Photo)>,
}

/// One edit of a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Turn {
    /// How it was made; [`EditRecord::earlier`] is empty here.
    pub record: EditRecord,
    /// Where the photo could change, at its size, if not everywhere.
    pub mask: Option<Arc<Mask>>,
    /// What a user should know, such as words that were cut.
    pub warnings: Vec<String>,
    /// Whether the mask is where the sentence acts, as the model showed it.
    found: bool,
    latents: Latents,
    options: EditOptions,
}

impl Session {
    /// Begins a session of a photo; the first photo goes through the autoencoder here.
    ///
    /// `size`, `fit` and `output_size` of the options hold for all turns; what else they say is each turn's own.
    ///
    /// # Errors
    ///
    /// Those of [`PhotoFile::decode`] and [`Editor::edit`]; [`Error::InvalidSetting`] if the options ask for a compat mode:
    /// those tools have no turns.
    pub fn begin(editor: &Editor, file: PhotoFile, options: &EditOptions) -> Result<Self> {
        Self::check(editor.model(), options)?;
        let photo = Arc::new(file.decode()?);
        let plan = editor.model().plan(photo.size(), options)?;
        Ok(Self {
            fixed: Fixed::of(editor.model(), options)?,
            model: ModelName::of(editor),
            first: editor.first_latents(&photo, plan, options)?,
            file,
            photo,
            turns: BTreeMap::new(),
            branches: BTreeMap::from([(FIRST_BRANCH.to_owned(), Branch::default())]),
            current: FIRST_BRANCH.to_owned(),
            next: 1,
            cache: Cache::default(),
        })
    }

    /// Whether options make sense for a session with this model.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] that names the first option that does not.
    pub fn check(model: &Model, options: &EditOptions) -> Result<()> {
        if options.compat != Compat::None {
            let expected = "none where edits are made in turn";
            return Err(Error::setting("compat", expected, options.compat));
        }
        model.settings(options).map(|_| ())
    }

    /// The photo before any edit.
    #[must_use]
    pub fn photo(&self) -> &Photo {
        &self.photo
    }

    /// The file that the photo was read from, as the session holds it.
    #[must_use]
    pub fn photo_file(&self) -> &PhotoFile {
        &self.file
    }

    /// The folder of the checkpoint that the session is made with, if it was one.
    #[must_use]
    pub fn model_folder(&self) -> Option<&str> {
        self.model.folder.as_deref()
    }

    /// These options with those of the session where all turns have the same.
    #[must_use]
    pub fn with_fixed(&self, options: EditOptions) -> EditOptions {
        let Fixed {
            size,
            fit,
            output_size,
        } = self.fixed.clone();
        let options = options.with_size(size).with_fit(fit);
        options.with_output_size(output_size)
    }

    /// Whether an editor and options are the session's.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] that says what differs.
    fn check_same(&self, editor: &Editor, options: &EditOptions) -> Result<()> {
        Self::check(editor.model(), options)?;
        self.check_model(editor)?;
        self.fixed.check(&Fixed::of(editor.model(), options)?)
    }

    fn check_model(&self, editor: &Editor) -> Result<()> {
        let own = ModelName::of(editor);
        if own.hash != self.model.hash {
            let ModelName { name, hash, .. } = &self.model;
            let expected = format!("{name} ({hash:.12}), with which the session was begun");
            let got = format!("{} ({:.12})", own.name, own.hash);
            return Err(Error::setting("model", expected, got));
        }
        let shape = editor.model().latents_shape(self.plan(editor)?.model);
        match self.latents().find(|latents| latents.shape != shape) {
            None => Ok(()),
            Some(latents) => {
                let got = format!("{:?}", latents.shape);
                Err(Error::setting("latents", format!("{shape:?}"), got))
            }
        }
    }

    /// How the photo is fitted to the model's size.
    fn plan(&self, editor: &Editor) -> Result<FitPlan> {
        let options = self.with_fixed(EditOptions::default());
        editor.model().plan(self.photo.size(), &options)
    }

    /// All latents there are.
    fn latents(&self) -> impl Iterator<Item = &Latents> {
        let of_turns = self.turns.values().map(|turn| &turn.latents);
        std::iter::once(&self.first).chain(of_turns)
    }
}

impl Fixed {
    fn of(model: &Model, options: &EditOptions) -> Result<Self> {
        let settings = model.settings(options)?;
        Ok(Self {
            size: settings.size,
            fit: settings.fit,
            output_size: options.output_size,
        })
    }

    /// # Errors
    ///
    /// [`Error::InvalidSetting`] that names the first setting that differs.
    fn check(&self, other: &Self) -> Result<()> {
        let differs = |name, was: String, is: String| {
            let expected = format!("{was}, as the session was begun with");
            Err(Error::setting(name, expected, is))
        };
        if self.size != other.size {
            return differs("size", self.size.to_string(), other.size.to_string());
        }
        if self.fit != other.fit {
            return differs("fit", self.fit.to_string(), other.fit.to_string());
        }
        let keeps = |fixed: &Self| (fixed.output_size == OutputSize::Model).to_string();
        if self.output_size != other.output_size {
            return differs("keep_model_size", keeps(self), keeps(other));
        }
        Ok(())
    }
}

impl ModelName {
    fn of(editor: &Editor) -> Self {
        Self {
            name: editor.model().profile().name.clone(),
            folder: editor.model().source(),
            hash: editor.fingerprint().to_owned(),
        }
    }
}
