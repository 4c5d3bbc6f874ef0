//! What the results are called.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use ip2p::{Error, Result};

use crate::jobs::{Failure, Job, Row};

/// The file itself for one picture; for several `out-1.png`, `out-2.png`, …
///
/// # Examples
///
/// ```
/// use std::path::Path;
///
/// let files = ip2p_batch::numbered(Path::new("a/b.png"), 2);
/// assert_eq!(files, [Path::new("a/b-1.png"), Path::new("a/b-2.png")]);
/// ```
#[must_use]
pub fn numbered(first: &Path, count: usize) -> Vec<PathBuf> {
    if count == 1 {
        return vec![first.to_owned()];
    }
    let stem = first.file_stem().unwrap_or_default().to_string_lossy();
    let ending = first
        .extension()
        .map(|ending| format!(".{}", ending.to_string_lossy()))
        .unwrap_or_default();
    (1..=count)
        .map(|number| first.with_file_name(format!("{stem}-{number}{ending}")))
        .collect()
}

/// The outputs that have an owner.
#[derive(Default)]
struct Taken {
    /// Each with its row's place: in lower case, for some file systems know no other.
    outputs: BTreeMap<String, String>,
    /// How many names have been tried for each photo's name and number of variations.
    tried: BTreeMap<(String, usize), usize>,
}

/// Gives each row its outputs: those it asks for, then for the others names that are free.
///
/// The names depend on the list alone, never on what lies in a folder: so a run that goes on finds its own.
///
/// # Errors
///
/// If two rows ask for the same output.
pub(crate) fn assign(rows: Vec<Result<Row, Failure>>) -> Result<Vec<Result<Job, Failure>>> {
    let mut taken = Taken::default();
    let mut asked = Vec::new();
    for row in rows.iter().flatten() {
        let Some(output) = &row.output else { continue };
        let outputs = variations(Path::new(output), row.count);
        for output in &outputs {
            if let Some(other) = taken
                .outputs
                .insert(output.to_lowercase(), row.place.clone())
            {
                let got = format!("{output} for {other} and for {}", row.place);
                return Err(Error::setting("output", "another for each row", got));
            }
        }
        asked.push(outputs);
    }
    let mut asked = asked.into_iter();
    let jobs = rows.into_iter().map(|row| {
        let row = row.inspect_err(|failure| {
            // A row that is put right later takes nobody's name.
            if let Some(input) = &failure.unnamed {
                free(input, 1, &failure.place, &mut taken);
            }
        })?;
        let outputs = match &row.output {
            Some(_) => asked.next().expect("one was put there for each such row"),
            None => free(&row.input, row.count, &row.place, &mut taken),
        };
        Ok(Job {
            place: row.place,
            input: row.input,
            instruction: row.instruction,
            options: row.options,
            mask: row.mask,
            outputs,
        })
    });
    Ok(jobs.collect())
}

/// `photo.png`, or the first of `photo-b.png`, `photo-c.png`, … that nobody has, after 26 `photo-27.png`.
fn free(input: &Path, count: usize, place: &str, taken: &mut Taken) -> Vec<String> {
    let stem = input.file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy().replace('\\', "_");
    let name = |attempt: usize| match u8::try_from(attempt) {
        Ok(0) => format!("{stem}.png"),
        Ok(letter @ 1..26) => format!("{stem}-{}.png", char::from(b'a' + letter)),
        _ => format!("{stem}-{}.png", attempt + 1),
    };
    let tried = taken.tried.entry((stem.to_lowercase(), count)).or_default();
    loop {
        let outputs = variations(Path::new(&name(*tried)), count);
        *tried += 1;
        let has_owner = |output: &String| taken.outputs.contains_key(&output.to_lowercase());
        if !outputs.iter().any(has_owner) {
            let owned = outputs.iter().map(|output| output.to_lowercase());
            let place = std::iter::repeat(place.to_owned());
            taken.outputs.extend(owned.zip(place));
            return outputs;
        }
    }
}

/// The variations' outputs, with `/` between names.
fn variations(first: &Path, count: usize) -> Vec<String> {
    let text = |path: PathBuf| {
        let names = path.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        });
        names.collect::<Vec<_>>().join("/")
    };
    numbered(first, count).into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(place: &str, input: &str, output: Option<&str>, count: usize) -> Row {
        Row {
            place: place.into(),
            input: input.into(),
            instruction: "make it snowy".into(),
            options: ip2p::EditOptions::default(),
            count,
            output: output.map(ToOwned::to_owned),
            mask: None,
        }
    }

    fn outputs(rows: Vec<Row>) -> Vec<Vec<String>> {
        let bad = Failure::new("bad", "no row");
        let rows = rows.into_iter().map(Ok).chain([Err(bad)]);
        let jobs = assign(rows.collect()).unwrap();
        jobs.into_iter().flatten().map(|job| job.outputs).collect()
    }

    #[test]
    fn several_pictures_are_numbered() {
        assert_eq!(numbered(Path::new("a/b.png"), 1), [Path::new("a/b.png")]);
        assert_eq!(
            numbered(Path::new("a/b.c.png"), 2),
            [Path::new("a/b.c-1.png"), Path::new("a/b.c-2.png")]
        );
    }

    #[test]
    fn a_row_without_an_output_is_named_after_its_photo_and_never_as_another() {
        let rows = vec![
            row("1", "in/a.jpg", None, 1),
            row("2", "in/a.png", None, 1),
            row("3", "other/A.jpg", None, 2),
            row("4", "in/b.jpg", Some("./x/a-b.jpg"), 1),
            row("5", "in/c.jpg", Some("a-b.png"), 1),
            row("7", "in/a.jpg", None, 1),
        ];
        assert_eq!(
            outputs(rows),
            [
                vec!["a.png"],
                vec!["a-c.png"],
                vec!["A-1.png", "A-2.png"],
                vec!["x/a-b.jpg"],
                vec!["a-b.png"],
                vec!["a-d.png"],
            ]
        );
    }

    #[test]
    fn names_never_run_out() {
        let rows = (0..40)
            .map(|i| row(&i.to_string(), "a.jpg", None, 1))
            .collect();
        let names = outputs(rows);
        assert_eq!(names[25], ["a-z.png"]);
        assert_eq!(names[26], ["a-27.png"]);
    }

    #[test]
    fn two_rows_with_one_output_are_named() {
        for (first, second) in [
            (("a.png", 1), ("A.png", 1)),
            (("a-2.png", 1), ("a.png", 3)),
            (("x/a.png", 1), ("./x//a.png", 1)),
        ] {
            let rows = vec![
                row("jobs.csv line 2", "a.jpg", Some(first.0), first.1),
                row("jobs.csv line 9", "b.jpg", Some(second.0), second.1),
            ];
            let error = assign(rows.into_iter().map(Ok).collect())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("jobs.csv line 2") && error.contains("jobs.csv line 9"),
                "{error}"
            );
        }
    }
}
