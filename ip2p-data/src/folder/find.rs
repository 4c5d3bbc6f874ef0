//! Which layout a data set has, and which of its files belong to a split.

use std::fs;
use std::path::{Path, PathBuf};

use ip2p_core::{Error, Result};

use super::options::Split;

/// The file that lists the records of the original layout.
pub(super) const SEEDS: &str = "seeds.json";

/// The names that files and folders of a split begin with.
const SPLITS: [(Split, &[&str]); 3] = [
    (Split::Train, &["train", "training"]),
    (
        Split::Validation,
        &["validation", "valid", "val", "dev", "eval"],
    ),
    (Split::Test, &["test", "testing"]),
];

/// A data set whose records are not listed yet.
#[derive(Debug)]
pub(super) enum Found {
    /// The folder with `seeds.json`.
    Original(PathBuf),
    Parquet(Vec<PathBuf>),
    Jsonl(Vec<PathBuf>),
}

/// The data set at a path: a folder or one of its files.
pub(super) fn in_path(path: &Path) -> Result<Found> {
    let kind = fs::metadata(path).map_err(|source| Error::io(path, source))?;
    if !kind.is_dir() {
        return in_files(&[path.to_owned()]);
    }
    if path.join(SEEDS).is_file() {
        return Ok(Found::Original(path.to_owned()));
    }
    let mut files = files_in(path)?;
    for folder in folders_in(path)? {
        files.extend(files_in(&folder)?);
    }
    files.sort();
    let of_kind = |extension| {
        let files = files.iter().filter(|file| has_extension(file, extension));
        files.cloned().collect::<Vec<_>>()
    };
    let (parquet, jsonl) = (of_kind("parquet"), of_kind("jsonl"));
    if !parquet.is_empty() {
        Ok(Found::Parquet(parquet))
    } else if !jsonl.is_empty() {
        Ok(Found::Jsonl(jsonl))
    } else {
        Err(not_data(format!("{} with none of them", path.display())))
    }
}

/// The data set of these files.
pub(super) fn in_files(files: &[PathBuf]) -> Result<Found> {
    let Some(first) = files.first() else {
        return Err(not_data("no file"));
    };
    let all = |extension| files.iter().all(|file| has_extension(file, extension));
    if all("parquet") {
        Ok(Found::Parquet(files.to_vec()))
    } else if all("jsonl") {
        Ok(Found::Jsonl(files.to_vec()))
    } else if files.len() == 1 && first.ends_with(SEEDS) {
        let folder = first.parent().unwrap_or(Path::new(""));
        Ok(Found::Original(folder.to_owned()))
    } else if files.len() == 1 {
        Err(not_data(first.display()))
    } else {
        Err(not_data(format!(
            "{} files that are not all of one kind, the first being {}",
            files.len(),
            first.display()
        )))
    }
}

/// The files of a split by their names, and the split of those files' records that is left to take by position: all where the names told.
pub(super) fn of_split(files: Vec<PathBuf>, split: Split) -> Result<(Vec<PathBuf>, Split)> {
    if split == Split::All {
        return Ok((files, Split::All));
    }
    if files.iter().all(|file| named_after(file).is_none()) {
        return Ok((files, split));
    }
    let (of_split, others): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|file| named_after(file).unwrap_or_default() == split);
    if of_split.is_empty() {
        let names: Vec<_> = others
            .iter()
            .take(3)
            .map(|file| file.display().to_string())
            .collect();
        let expected = format!("a data set with a file of the split {split}");
        let got = format!("{} of others: {} …", others.len(), names.join(", "));
        return Err(Error::setting("data", expected, got));
    }
    Ok((of_split, Split::All))
}

fn not_data(got: impl ToString) -> Error {
    let expected = format!(
        "a folder with {SEEDS} (the original repository's layout), *.parquet or *.jsonl files, or one of those files"
    );
    Error::setting("data", expected, got)
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension()
        .is_some_and(|own| own.eq_ignore_ascii_case(extension))
}

/// The split that the file's name begins with, or else its folder's.
fn named_after(file: &Path) -> Option<Split> {
    let folder = file.parent().and_then(Path::file_name);
    [file.file_name(), folder]
        .into_iter()
        .flatten()
        .find_map(|name| split_of(&name.to_string_lossy()))
}

/// The split that a name begins with, as a word.
fn split_of(name: &str) -> Option<Split> {
    let end = name
        .find(|c: char| !c.is_alphanumeric())
        .unwrap_or(name.len());
    let word = name[..end].to_lowercase();
    SPLITS
        .into_iter()
        .find(|(_, words)| words.contains(&word.as_str()))
        .map(|(split, _)| split)
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    entries(folder, Path::is_file)
}

/// The folders within that hold files of a data set.
fn folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = entries(folder, Path::is_dir)?;
    folders.retain(|folder| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        name == "data" || split_of(&name).is_some()
    });
    Ok(folders)
}

fn entries(folder: &Path, keep: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(|source| Error::io(folder, source))?;
    paths.retain(|path| keep(path));
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn names_of_files_and_folders_tell_the_split() {
        for (path, split) in [
            ("d/data/train-00000-of-00262-f1.parquet", Some(Split::Train)),
            ("d/val.jsonl", Some(Split::Validation)),
            ("d/test/metadata.jsonl", Some(Split::Test)),
            ("d/trainer.jsonl", None),
            ("d/metadata.jsonl", None),
        ] {
            assert_eq!(named_after(Path::new(path)), split, "{path}");
        }
    }

    #[test]
    fn where_names_tell_the_split_the_position_does_not() {
        let files = paths(&["test.jsonl", "train.jsonl", "more.jsonl"]);
        let of = |split| of_split(files.clone(), split);
        let (train, rest) = of(Split::Train).expect("two files");
        assert_eq!(train, paths(&["train.jsonl", "more.jsonl"]));
        assert_eq!(rest, Split::All);
        assert_eq!(of(Split::All).expect("all").0, files);
        let error = of(Split::Validation).expect_err("no file").to_string();
        assert!(
            error.contains("validation") && error.contains("test.jsonl"),
            "{error}"
        );
        let unnamed = of_split(paths(&["a.jsonl"]), Split::Test).expect("a file");
        assert_eq!(unnamed, (paths(&["a.jsonl"]), Split::Test));
    }
}
