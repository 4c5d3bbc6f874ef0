//! Rows from CSV and JSONL.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ip2p::{EditOptions, Error, Result};
use serde_json::{Map, Value};

use crate::jobs::{Defaults, Failure, Row};

/// The fields that are not options of an edit.
const OWN: [&str; 5] = ["input", "instruction", "output", "count", "mask"];

/// Options of the command that a whole batch has in common.
const SHARED: [&str; 4] = ["model", "device", "precision", "from"];

/// The rows of a CSV file with a header.
///
/// # Errors
///
/// If the file cannot be read, or its header has a column that is not known, twice, or no `input`.
pub(crate) fn csv(path: &Path, defaults: &Defaults) -> Result<Vec<Result<Row, Failure>>> {
    let text = fs::read(path).map_err(|error| Error::io(path, error))?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_slice());
    let wrong = |why: String| Error::image(path, why);
    let header = reader
        .headers()
        .map_err(|error| wrong(format!("the header: {error}")))?;
    let columns: Vec<String> = header.iter().map(canonical).collect();
    check_columns(&columns).map_err(wrong)?;

    let mut rows = Vec::new();
    for record in reader.into_records() {
        let line = match &record {
            Ok(record) => record.position().map(csv::Position::line),
            Err(error) => error.position().map(csv::Position::line),
        };
        let place = place(path, line.unwrap_or_default());
        let row = record
            .map_err(|error| Failure::new(&place, explain(&error, &columns)))
            .and_then(|record| {
                let cells = columns.iter().map(String::as_str).zip(record.iter());
                row(&place, path, cells.clone(), defaults)
                    .map_err(|why| Failure::new(&place, why).with_unnamed(unnamed(path, &cells)))
            });
        rows.push(row);
    }
    not_empty(path, rows)
}

/// The rows of a file of JSON objects, one a line.
///
/// # Errors
///
/// If the file cannot be read.
pub(crate) fn jsonl(path: &Path, defaults: &Defaults) -> Result<Vec<Result<Row, Failure>>> {
    let text = fs::read(path).map_err(|error| Error::io(path, error))?;
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&text);
    let mut rows = Vec::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = place(path, index as u64 + 1);
        let row = fields(line)
            .map_err(|why| Failure::new(&place, why))
            .and_then(|fields| {
                let names: Vec<_> = fields.iter().map(|(name, _)| name.clone()).collect();
                let cells = fields.iter().map(|(name, text)| (&**name, &**text));
                check_columns(&names)
                    .and_then(|()| row(&place, path, cells.clone(), defaults))
                    .map_err(|why| Failure::new(&place, why).with_unnamed(unnamed(path, &cells)))
            });
        rows.push(row);
    }
    not_empty(path, rows)
}

fn place(path: &Path, line: u64) -> String {
    format!("{} line {line}", path.display())
}

fn not_empty(path: &Path, rows: Vec<Result<Row, Failure>>) -> Result<Vec<Result<Row, Failure>>> {
    if rows.is_empty() {
        return Err(Error::image(path, "has no rows"));
    }
    Ok(rows)
}

/// A column's name as we write it.
fn canonical(name: &str) -> String {
    name.trim().to_lowercase().replace(['-', ' '], "_")
}

fn check_columns(columns: &[String]) -> Result<(), String> {
    let known = |name: &&String| {
        OWN.contains(&name.as_str()) || EditOptions::NAMES.contains(&name.as_str())
    };
    let unknown: Vec<&str> = columns
        .iter()
        .filter(|name| !known(name))
        .map(String::as_str)
        .collect();
    if let Some(name) = unknown.iter().find(|name| SHARED.contains(name)) {
        return Err(format!(
            "column {name}: is the same for a whole batch and no column of it"
        ));
    }
    if !unknown.is_empty() {
        let known = [&OWN, EditOptions::NAMES].concat().join(", ");
        let unknown = unknown.join(", ");
        return Err(format!("unknown columns: {unknown}; known are {known}"));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = columns.iter().find(|name| !seen.insert(*name)) {
        return Err(format!("column {twice}: is there twice"));
    }
    if !seen.contains(&"input".to_owned()) {
        return Err("column input: is missing; it names the photos".into());
    }
    Ok(())
}

/// What is wrong with a record that is none, with the column where that is known.
fn explain(error: &csv::Error, columns: &[String]) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => {
            let column = columns.get(err.field()).map_or("?", String::as_str);
            format!("column {column}: is not UTF-8")
        }
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            let missing = columns.get(usize::try_from(*len).unwrap_or(usize::MAX));
            let from = missing.map_or(String::new(), |name| format!(", from column {name} on"));
            format!("has {len} cells where the header has {expected_len}{from}")
        }
        _ => error.to_string(),
    }
}

/// The fields of a JSON object, as text.
fn fields(line: &[u8]) -> Result<Vec<(String, String)>, String> {
    let object: Map<String, Value> =
        serde_json::from_slice(line).map_err(|error| format!("is not a JSON object: {error}"))?;
    object
        .iter()
        .map(|(name, value)| {
            let name = canonical(name);
            let text = text(value).ok_or_else(|| {
                format!(
                    "column {name}: must be a text, a number, true or false, or a list of numbers"
                )
            })?;
            Ok((name, text))
        })
        .collect()
}

/// A value as a cell of CSV would have it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(values) => values
            .iter()
            .map(|value| value.is_number().then(|| value.to_string()))
            .collect::<Option<Vec<_>>>()
            .map(|numbers| numbers.join(",")),
        Value::Object(_) => None,
    }
}

/// The photo of a row without a name for its output.
fn unnamed<'a>(
    table: &Path,
    cells: &(impl Iterator<Item = (&'a str, &'a str)> + Clone),
) -> Option<PathBuf> {
    let cell = |column| {
        let mut given = cells.clone().filter(|(_, text)| !text.trim().is_empty());
        given
            .find(|(name, _)| *name == column)
            .map(|(_, text)| text)
    };
    match cell("output") {
        Some(_) => None,
        None => Some(table.parent().unwrap_or(Path::new("")).join(cell("input")?)),
    }
}

/// A row from its cells; an empty cell has its default.
fn row<'a>(
    place: &str,
    table: &Path,
    cells: impl Iterator<Item = (&'a str, &'a str)>,
    defaults: &Defaults,
) -> Result<Row, String> {
    let mut row = Row {
        place: place.to_owned(),
        input: PathBuf::new(),
        instruction: defaults.instruction.clone().unwrap_or_default(),
        options: defaults.options.clone(),
        count: defaults.count,
        output: None,
        mask: None,
    };
    let folder = table.parent().unwrap_or(Path::new(""));
    for (name, text) in cells.filter(|(_, text)| !text.trim().is_empty()) {
        match name {
            "input" => row.input = folder.join(text),
            "instruction" => text.clone_into(&mut row.instruction),
            "output" => row.output = Some(text.to_owned()),
            "mask" => row.mask = Some(folder.join(text)),
            "count" => {
                row.count = text
                    .parse()
                    .map_err(|_| format!("column count: must be a whole number, got {text}"))?;
            }
            _ => row
                .options
                .set(name, text)
                .map_err(|error| format!("column {name}: {error}"))?,
        }
    }
    if row.input.as_os_str().is_empty() {
        return Err("column input: is empty".into());
    }
    row.check()?;
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &[u8]) -> Result<Vec<Result<Row, Failure>>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let defaults = Defaults::default();
        if name == "jobs.csv" {
            csv(&path, &defaults)
        } else {
            jsonl(&path, &defaults)
        }
    }

    fn reasons(rows: &[Result<Row, Failure>]) -> Vec<String> {
        let failed = rows.iter().filter_map(|row| row.as_ref().err());
        failed
            .map(|failure| {
                let (_, line) = failure.place.rsplit_once(" line ").unwrap();
                format!("{line}: {}", failure.reason)
            })
            .collect()
    }

    #[test]
    fn both_tables_say_the_same() {
        let csv = b"\xEF\xBB\xBFinput, instruction,Text-Scale,seed,count,Mask,where,output\r\n\
            a.jpg,\"snow, and ice\",\"9,3\",7,2,m.png,auto left,b/a.webp\r\n\
            c.jpg,night,,,,,,\r\n";
        let jsonl = br#"{"input": "a.jpg", "instruction": "snow, and ice", "text_scale": [9, 3], "seed": 7, "count": 2, "mask": "m.png", "where": "auto left", "output": "b/a.webp"}

{"input": "c.jpg", "instruction": "night", "seed": null}"#;
        let [csv, jsonl] = [("jobs.csv", &csv[..]), ("jobs.jsonl", &jsonl[..])]
            .map(|(name, text)| read(name, text).unwrap());
        assert_eq!(csv.len(), 2);
        for (a, b) in csv.iter().zip(&jsonl) {
            let (a, b) = (a.as_ref().unwrap(), b.as_ref().unwrap());
            assert_eq!(a.input.file_name(), b.input.file_name());
            assert_eq!(a.instruction, b.instruction);
            assert_eq!(a.options, b.options);
            assert_eq!((a.count, &a.output), (b.count, &b.output));
            assert_eq!(a.mask.is_some(), b.mask.is_some());
        }
        let first = csv[0].as_ref().unwrap();
        assert_eq!(first.options.text_scale, Some(vec![9.0, 3.0].into()));
        assert_eq!(first.options.seed, 7);
        assert_eq!(first.options.region.to_string(), "auto left");
        assert!(first.mask.as_ref().unwrap().ends_with("m.png"));
        assert_eq!(first.input.file_name(), PathBuf::from("a.jpg").file_name());
    }

    #[test]
    fn a_bad_row_is_named_with_its_column_and_the_rest_is_read() {
        let text = b"input,instruction,steps,count\n\
            a.jpg,night,many,1\n\
            b.jpg,night,5,1\n\
            ,night,5,1\n\
            c.jpg,,5,1\n\
            d.jpg,night,5,0\n\
            e.jpg,night\n\
            f.jpg,\"two\nlines\",5,1\n\
            g.jpg,\xFF,5,1\n\
            h.jpg,night,5,1\n";
        let rows = read("jobs.csv", text).unwrap();
        assert_eq!(
            reasons(&rows),
            [
                "2: column steps: steps must be a whole number, got many",
                "4: column input: is empty",
                "5: column instruction: there is no sentence that says what to change",
                "6: column count: must be between 1 and 1000, got 0",
                "7: has 2 cells where the header has 4, from column steps on",
                "10: column instruction: is not UTF-8",
            ]
        );
        assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 3);
    }

    #[test]
    fn a_bad_line_is_named_with_its_column_and_the_rest_is_read() {
        let text = b"{\"input\": \"a.jpg\", \"instruction\": \"night\"}\n\
            {\"input\": \"a.jpg\"\n\
            [1]\n\
            {\"input\": \"b.jpg\", \"instruction\": {}}\n\
            {\"input\": \"b.jpg\", \"instruction\": \"night\", \"prompt\": 1}\n\
            {\"instruction\": \"night\"}\n";
        let rows = read("jobs.jsonl", text).unwrap();
        let reasons = reasons(&rows);
        assert_eq!(reasons.len(), 5, "{reasons:?}");
        assert!(reasons[0].starts_with("2: is not a JSON object"));
        assert!(reasons[1].starts_with("3: is not a JSON object"));
        assert!(reasons[2].starts_with("4: column instruction: must be a text"));
        assert!(reasons[3].starts_with("5: unknown columns: prompt; known are input"));
        assert!(reasons[4].starts_with("6: column input: is missing"));
    }

    #[test]
    fn a_header_that_is_not_understood_is_refused_before_anything_is_done() {
        for (header, expected) in [
            (
                "input,prompt,Style",
                "unknown columns: prompt, style; known",
            ),
            ("input,model", "column model: is the same for a whole batch"),
            ("input,seed,Seed", "column seed: is there twice"),
            ("instruction", "column input: is missing"),
        ] {
            let error = read("jobs.csv", format!("{header}\n").as_bytes()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        for name in ["jobs.csv", "jobs.jsonl"] {
            assert!(read(name, b"").is_err());
        }
    }
}
