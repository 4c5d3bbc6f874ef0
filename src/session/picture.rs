//! From the latents of turns to the picture that is shown.

use std::sync::Arc;

use ip2p_core::{Error, FitPlan, Result};
use ip2p_io::{EditRecord, Photo, RgbPicture};

use super::{Session, Turn};
use crate::editor::{Edited, Editor, Given};
use crate::options::EditOptions;

impl Session {
    /// The picture after the turns that count, at the size that the session gives, with how it was made.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if no turn counts, or the editor's checkpoint is not the session's;
    /// [`Error::NotFinite`] if the numbers ran away.
    pub fn picture(&mut self, editor: &Editor) -> Result<Edited> {
        let path = self.path().to_vec();
        let record = self.record()?;
        let photo = self.draw(editor, &path)?;
        let warnings = self.turns().flat_map(|turn| turn.warnings.clone());
        Ok(Edited {
            record,
            photo,
            mask: self.everywhere_changed(&path).map(Arc::new),
            warnings: warnings.collect(),
            model_size: self.plan(editor)?.model,
        })
    }

    /// The picture after so many of the turns that count: after none the first photo.
    ///
    /// # Errors
    ///
    /// Those of [`Self::picture`]; [`Error::InvalidSetting`] if there are not so many.
    pub fn picture_after(&mut self, editor: &Editor, turns: usize) -> Result<Photo> {
        let path = self.path().to_vec();
        let Some(path) = path.get(..turns) else {
            let expected = format!("at most {}, as many as there are", path.len());
            return Err(Error::setting("turns", expected, turns));
        };
        self.draw(editor, path)
    }

    /// How the picture is made: the last turn, and in it those before.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if no turn counts.
    pub fn record(&self) -> Result<EditRecord> {
        let mut records: Vec<_> = self.turns().map(|turn| turn.record.clone()).collect();
        let Some(last) = records.pop() else {
            return Err(Error::setting("turns", "at least one", "none"));
        };
        Ok(EditRecord {
            earlier: records,
            ..last
        })
    }

    /// The picture after these turns; without any, the first photo.
    pub(super) fn draw(&mut self, editor: &Editor, path: &[u64]) -> Result<Photo> {
        self.check_model(editor)?;
        let plan = self.plan(editor)?;
        let (mut done, mut picture) = self.drawn_before(path, &plan)?;
        // What an unmasked turn gives hides all before it.
        let hidden = path
            .iter()
            .rposition(|turn| self.turns[turn].mask.is_none());
        done = done.max(hidden.unwrap_or(0));
        for number in &path[done..] {
            picture = self.draw_turn(editor, *number, &picture, &plan)?;
        }
        self.cache.picture = Some((path.to_vec(), picture.clone()));
        Ok(picture)
    }

    /// How many of the turns the picture that was drawn last has, if it can be gone on with, and that picture.
    fn drawn_before(&self, path: &[u64], plan: &FitPlan) -> Result<(usize, Photo)> {
        if let Some((drawn, picture)) = &self.cache.picture
            && path.starts_with(drawn)
        {
            return Ok((drawn.len(), picture.clone()));
        }
        let first = Given {
            options: &self.with_fixed(EditOptions::default()),
            photo: &self.photo,
            plan,
        };
        Ok((0, first.unedited()?.into_owned()))
    }

    /// The picture after one more turn.
    fn draw_turn(
        &mut self,
        editor: &Editor,
        number: u64,
        picture: &Photo,
        plan: &FitPlan,
    ) -> Result<Photo> {
        let Turn {
            latents,
            options,
            mask,
            found,
            ..
        } = self.turns[&number].clone();
        let after = editor.picture_of(&latents, &options)?;
        let photo = Arc::clone(&self.photo);
        let given = Given {
            options: &options,
            photo: &photo,
            plan,
        };
        let edited = given.edited(after, || self.before(editor, &options))?;
        match mask {
            None => Ok(edited),
            Some(mask) => given.within(&mask, found, picture, &edited),
        }
    }

    /// The first photo as the autoencoder gives it back, at the model's size.
    fn before(&mut self, editor: &Editor, options: &EditOptions) -> Result<&RgbPicture> {
        if self.cache.before.is_none() {
            self.cache.before = Some(editor.picture_of(&self.first, options)?);
        }
        Ok(self.cache.before.as_ref().expect("just put there"))
    }
}
