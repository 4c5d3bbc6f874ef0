//! From what a user names to rows.

use std::fs;
use std::path::{Path, PathBuf};

use ip2p::{Error, PictureFormat, Result};

use crate::jobs::{Defaults, Failure, Row};
use crate::table;

/// The rows that one argument stands for.
///
/// # Errors
///
/// If it cannot be read or stands for nothing.
pub(crate) fn read(input: &str, defaults: &Defaults) -> Result<Vec<Result<Row, Failure>>> {
    let path = Path::new(input);
    let ending = path
        .extension()
        .map(|ending| ending.to_string_lossy().to_lowercase());
    match (ending.as_deref(), path.is_dir()) {
        (_, true) => photos(folder(path)?, defaults),
        (Some("csv"), _) => table::csv(path, defaults),
        (Some("jsonl" | "ndjson"), _) => table::jsonl(path, defaults),
        // A name may have a pattern's letters in it.
        _ if path.exists() => photos(vec![path.to_owned()], defaults),
        _ => photos(pattern(input)?, defaults),
    }
}

fn photos(paths: Vec<PathBuf>, defaults: &Defaults) -> Result<Vec<Result<Row, Failure>>> {
    let Some(instruction) = &defaults.instruction else {
        let expected = "a sentence that says what to change; only a table has one for each photo";
        return Err(Error::setting("instruction", expected, "none"));
    };
    let row = |input: PathBuf| {
        let place = input.display().to_string();
        let row = Row {
            place: place.clone(),
            input,
            instruction: instruction.clone(),
            options: defaults.options.clone(),
            count: defaults.count,
            output: None,
            mask: None,
        };
        row.check()
            .map(|()| row)
            .map_err(|why| Failure::new(&place, why))
    };
    Ok(paths.into_iter().map(row).collect())
}

/// The pictures in a folder, by name.
fn folder(path: &Path) -> Result<Vec<PathBuf>> {
    let cannot = |error| Error::io(path, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(cannot)? {
        let file = entry.map_err(cannot)?.path();
        if is_picture(&file) && file.is_file() {
            found.push(file);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(Error::image(path, "is a folder without pictures"));
    }
    Ok(found)
}

/// What a pattern matches, by name.
fn pattern(pattern: &str) -> Result<Vec<PathBuf>> {
    let wrong = |error: glob::PatternError| Error::image(pattern, format!("no pattern: {error}"));
    let options = glob::MatchOptions {
        require_literal_leading_dot: true,
        ..glob::MatchOptions::new()
    };
    let mut found = Vec::new();
    for entry in glob::glob_with(pattern, options).map_err(wrong)? {
        let cannot = |error: glob::GlobError| {
            let path = error.path().to_owned();
            Error::io(path, error.into())
        };
        let file = entry.map_err(cannot)?;
        if is_picture(&file) && file.is_file() {
            found.push(file);
        }
    }
    if found.is_empty() {
        let reason = "there is no such file, and as a pattern it matches no picture";
        return Err(Error::image(pattern, reason));
    }
    Ok(found)
}

/// Whether a file is one of pictures, by its name; hidden files, which some systems put beside each photo, are not.
fn is_picture(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let ending = path
        .extension()
        .map(|ending| ending.to_string_lossy().to_lowercase());
    !hidden
        && ending.is_some_and(|ending| {
            PictureFormat::ALL
                .iter()
                .any(|format| format.endings().contains(&ending.as_str()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rows: Vec<Result<Row, Failure>>) -> Vec<String> {
        rows.into_iter()
            .map(|row| {
                let input = row.unwrap().input;
                input.file_name().unwrap().to_string_lossy().into_owned()
            })
            .collect()
    }

    #[test]
    fn a_folder_and_a_pattern_give_their_pictures_by_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        for name in ["b.JPG", "a.png", "._a.png", "notes.txt", "in/c.webp"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let defaults = Defaults::default().with_instruction("make it snowy");
        let rows = |input: &str| {
            let input = folder.path().join(input);
            names(read(input.to_str().unwrap(), &defaults).unwrap())
        };
        assert_eq!(rows(""), ["a.png", "b.JPG"]);
        assert_eq!(rows("*"), ["a.png", "b.JPG"]);
        assert_eq!(rows("**/*.[pw]*"), ["a.png", "c.webp"]);
        assert_eq!(rows("a.png"), ["a.png"]);
    }

    #[test]
    fn what_stands_for_nothing_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let defaults = Defaults::default().with_instruction("make it snowy");
        for input in ["", "missing.jpg", "*.png", "jobs.csv", "a***b"] {
            let input = folder.path().join(input);
            let error = read(input.to_str().unwrap(), &defaults).unwrap_err();
            let named = folder.path().to_string_lossy().into_owned();
            assert!(error.to_string().contains(&named), "{error}");
        }
    }

    #[test]
    fn photos_need_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.png"), "").unwrap();
        let error = read(folder.path().to_str().unwrap(), &Defaults::default()).unwrap_err();
        assert!(
            error.to_string().starts_with("instruction must be"),
            "{error}"
        );
    }
}
