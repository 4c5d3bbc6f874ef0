//! What is to be done: which photos, what to do with each, and where the results go.

use std::path::{Path, PathBuf};

use ip2p::{EditOptions, Error, PictureFormat, Result};
use serde::Serialize;

use crate::inputs;
use crate::names;

/// What a row does not say itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Defaults {
    /// The sentence: default none, so that each row must have one.
    pub instruction: Option<String>,
    /// The options of the edits. Unlike those of a single edit, their seed is 0 unless another is set: a batch that goes
    /// on must not draw new seeds.
    pub options: EditOptions,
    /// How many variations of each photo: default 1.
    pub count: usize,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            instruction: None,
            options: EditOptions::default(),
            count: 1,
        }
    }
}

impl Defaults {
    /// Sets the sentence of rows that have none.
    #[must_use]
    pub fn with_instruction(mut self, instruction: impl Into<String>) -> Self {
        self.instruction = Some(instruction.into());
        self
    }

    /// Sets the options that rows do not say.
    #[must_use]
    pub fn with_options(mut self, options: EditOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets how many variations there are of each photo.
    #[must_use]
    pub fn with_count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }
}

/// One photo and what to do with it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Job {
    /// Where it stands: a table and its line, or the photo's own path.
    pub place: String,
    /// The photo.
    pub input: PathBuf,
    /// The sentence.
    pub instruction: String,
    /// The options, with the first variation's seed.
    pub options: EditOptions,
    /// The picture of where the photo may change, if not everywhere.
    pub mask: Option<PathBuf>,
    /// Where the variations go, one for each, under the batch's folder and with `/` between names.
    pub outputs: Vec<String>,
}

/// What could not be done, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    /// Where the job stands: a table and its line, or the photo's own path.
    pub place: String,
    /// The pictures that are not made for it; none are known if the row itself makes no sense.
    pub outputs: Vec<String>,
    /// Why.
    pub reason: String,
    /// The photo of a row that makes no sense and has no name for its output: one is kept free for it.
    #[serde(skip)]
    pub(crate) unnamed: Option<PathBuf>,
}

impl Failure {
    pub(crate) fn new(place: &str, reason: impl Into<String>) -> Self {
        Self {
            place: place.to_owned(),
            outputs: Vec::new(),
            reason: reason.into(),
            unnamed: None,
        }
    }

    pub(crate) fn with_unnamed(mut self, input: Option<PathBuf>) -> Self {
        self.unnamed = input;
        self
    }

    pub(crate) fn with_outputs(mut self, outputs: Vec<String>) -> Self {
        self.outputs = outputs;
        self
    }
}

/// A row before its outputs have names.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) place: String,
    pub(crate) input: PathBuf,
    pub(crate) instruction: String,
    pub(crate) options: EditOptions,
    pub(crate) count: usize,
    /// The name that it asks for.
    pub(crate) output: Option<String>,
    pub(crate) mask: Option<PathBuf>,
}

/// The most variations of one row.
const MAX_COUNT: usize = 1000;

impl Row {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.instruction.trim().is_empty() {
            return Err("column instruction: there is no sentence that says what to change".into());
        }
        if !(1..=MAX_COUNT).contains(&self.count) {
            let got = self.count;
            return Err(format!(
                "column count: must be between 1 and {MAX_COUNT}, got {got}"
            ));
        }
        match &self.output {
            None => Ok(()),
            Some(output) => check_output(output).map_err(|why| format!("column output: {why}")),
        }
    }
}

/// Whether an output is a picture within the batch's folder.
fn check_output(output: &str) -> Result<(), String> {
    use std::path::Component;
    let path = Path::new(output);
    let within = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    if output.contains('\\') {
        return Err(format!("{output}: write / between the names of folders"));
    }
    if !path.components().all(within) {
        return Err(format!("{output} is not within the folder of the results"));
    }
    PictureFormat::of_output(path)
        .map(|_| ())
        .map_err(|error: Error| error.to_string())
}

/// A list of jobs.
///
/// A row that makes no sense is one of [`Jobs::rows`] as well: it is reported, and the others are done.
#[derive(Debug, Clone, PartialEq)]
pub struct Jobs {
    rows: Vec<Result<Job, Failure>>,
}

impl Jobs {
    /// Reads what these name: each a folder of photos, a photo, a pattern such as `photos/*.jpg`, or a table: a file
    /// whose name ends with `.csv`, `.jsonl` or `.ndjson`.
    ///
    /// Of a folder the files with a picture's ending are taken, in the order of their names, and none of its folders;
    /// a pattern can reach into these with `**`. A table has the fields `input`, relative to the table, `instruction`,
    /// `output`, relative to the batch's folder, `count`, `mask`, relative to the table, and those of [`EditOptions::NAMES`]; an empty one has its
    /// default. Where there is no output, it is named after the photo, as a PNG.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Image`] if something cannot be read, no photo is found, a table has a column that is not
    /// known, or two rows have the same output: all before anything is done. What is wrong with one row alone is an
    /// `Err` among [`Jobs::rows`].
    pub fn open(inputs: &[String], defaults: &Defaults) -> Result<Self> {
        let mut rows = Vec::new();
        for input in inputs {
            rows.extend(inputs::read(input, defaults)?);
        }
        Ok(Self {
            rows: names::assign(rows)?,
        })
    }

    /// The jobs, and the rows that are none.
    pub fn rows(&self) -> &[Result<Job, Failure>] {
        &self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_a_picture_within_the_folder() {
        for good in ["a.png", "b/c.jpg", "./a.webp"] {
            check_output(good).unwrap();
        }
        for bad in [
            "",
            "/a.png",
            "../a.png",
            "a/../b.png",
            "a",
            "a.gif",
            "a\\b.png",
        ] {
            assert!(check_output(bad).is_err(), "{bad}");
        }
    }
}
