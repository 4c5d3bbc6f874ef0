//! Data sets as they lie on disks.

mod files;
mod loading;
mod original;

use std::fs;
use std::path::Path;

use super::*;
use testing::{Row, Style, gradient, jpeg, png, write_original, write_parquet};

fn all() -> FolderOptions {
    FolderOptions::default().with_split(Split::All)
}

fn open(path: &Path) -> Folder {
    Folder::open(path, &all()).expect("a data set")
}

fn refusal(path: &Path, options: &FolderOptions) -> String {
    Folder::open(path, options)
        .expect_err("no data set")
        .to_string()
}

/// The reason why a record cannot be used, which is named by where it is.
fn reason(folder: &Folder, index: usize) -> String {
    let broken = folder.record(index, 0).expect_err("a broken record");
    assert_eq!(broken.index, index);
    assert!(broken.name.starts_with(&folder.name(index)), "{broken}");
    broken.reason
}

#[test]
fn what_is_no_data_set_is_told_what_would_be_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = refusal(folder.path(), &all());
    for part in [
        "seeds.json",
        "*.parquet",
        "*.jsonl",
        &folder.path().display().to_string(),
    ] {
        assert!(error.contains(part), "{error}");
    }
    fs::write(folder.path().join("a.csv"), "a").expect("a file");
    assert!(refusal(&folder.path().join("a.csv"), &all()).contains("a.csv"));
    let missing = folder.path().join("missing");
    assert!(
        matches!(Folder::open(&missing, &all()), Err(Error::Io { path, .. }) if path == missing)
    );
    assert!(Folder::open_files(&[], &all()).is_err());
    let mixed = ["a.parquet".into(), "b.jsonl".into()];
    let error = Folder::open_files(&mixed, &all())
        .expect_err("two kinds")
        .to_string();
    assert!(
        error.contains("2 files that are not all of one kind"),
        "{error}"
    );
}

#[test]
fn a_split_without_records_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    write_original(folder.path(), &[&[1], &[2]]);
    let validation = FolderOptions::default().with_split(Split::Validation);
    let error = refusal(folder.path(), &validation);
    assert!(
        error.contains("validation") && error.contains("2 records in all"),
        "{error}"
    );
}

#[test]
fn broken_records_become_errors_of_the_workspace() {
    let broken = Broken {
        index: 3,
        name: "a.jsonl, line 4".to_owned(),
        reason: "is not a JSON object".to_owned(),
    };
    let error = Error::from(broken);
    let cause = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    assert_eq!(cause, "a.jsonl, line 4: is not a JSON object");
}
