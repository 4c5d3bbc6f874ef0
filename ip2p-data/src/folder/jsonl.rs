//! Lines of JSON that name two pictures and give the instruction.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ip2p_core::{Error, Result};
use serde_json::{Map, Value};

use super::options::{FolderOptions, Role};
use super::picture::Picture;
use super::{Layout, RawRecord};

/// The longest line that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// What some editors begin a file with.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[derive(Debug)]
pub(super) struct Jsonl {
    options: FolderOptions,
    files: Vec<PathBuf>,
    lines: Vec<Line>,
}

/// A line that is not blank. Its text stays in its file.
#[derive(Debug)]
struct Line {
    file: usize,
    /// From 1, as editors count.
    number: usize,
    /// Where it begins, in bytes.
    begin: u64,
}

impl Jsonl {
    pub(super) fn open(files: &[PathBuf], options: &FolderOptions) -> Result<Self> {
        let mut lines = Vec::new();
        for (file, path) in files.iter().enumerate() {
            let found = lines_of(path).map_err(|source| Error::io(path, source))?;
            lines.extend(found.into_iter().map(|(number, begin)| Line {
                file,
                number,
                begin,
            }));
        }
        Ok(Self {
            options: options.clone(),
            files: files.to_vec(),
            lines,
        })
    }

    fn fields(&self, index: usize) -> Result<Map<String, Value>, String> {
        let line = &self.lines[index];
        let text = line_at(&self.files[line.file], line.begin)
            .map_err(|error| format!("cannot be read: {error}"))?;
        if text.len() as u64 > LONGEST {
            return Err(format!("is longer than {LONGEST} bytes"));
        }
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
        serde_json::from_slice(text).map_err(|error| format!("is not a JSON object: {error}"))
    }

    /// The text of the field that has this role.
    fn text<'a>(&self, fields: &'a Map<String, Value>, role: Role) -> Result<&'a str, String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.options.names(role) {
            names.push(name.to_owned());
            if role != Role::Instruction {
                names.push(format!("{name}_file_name"));
            }
        }
        if role == Role::Input {
            names.push("file_name".to_owned());
        }
        let Some((name, value)) = names
            .iter()
            .find_map(|name| fields.get(name).map(|value| (name, value)))
        else {
            return Err(format!(
                "has no field with {}: none of {}",
                role.describe(),
                names.join(", ")
            ));
        };
        value
            .as_str()
            .ok_or_else(|| format!("`{name}` is not a text"))
    }

    fn picture(
        &self,
        index: usize,
        fields: &Map<String, Value>,
        role: Role,
    ) -> Result<Picture, String> {
        let folder = self.files[self.lines[index].file]
            .parent()
            .unwrap_or(Path::new(""));
        Ok(Picture::file(folder.join(self.text(fields, role)?)))
    }
}

impl Layout for Jsonl {
    fn len(&self) -> usize {
        self.lines.len()
    }

    fn name(&self, index: usize) -> String {
        let line = &self.lines[index];
        format!("{}, line {}", self.files[line.file].display(), line.number)
    }

    fn read(&self, index: usize, _pick: u64) -> Result<RawRecord, String> {
        let fields = self.fields(index)?;
        Ok(RawRecord {
            pair: None,
            input: self.picture(index, &fields, Role::Input)?,
            edited: self.picture(index, &fields, Role::Edited)?,
            instruction: self.text(&fields, Role::Instruction)?.to_owned(),
        })
    }

    fn inputs(
        &self,
        range: Range<usize>,
    ) -> Box<dyn Iterator<Item = Result<Picture, String>> + '_> {
        Box::new(range.map(|index| self.picture(index, &self.fields(index)?, Role::Input)))
    }
}

/// The numbers, from 1, and the beginnings of the lines that are not blank.
fn lines_of(path: &Path) -> std::io::Result<Vec<(usize, u64)>> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut lines, mut number, mut begin, mut blank) = (Vec::new(), 1, 0, true);
    let mut at = 0;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        for &byte in chunk {
            at += 1;
            blank &= byte.is_ascii_whitespace();
            if byte == b'\n' {
                if !blank {
                    lines.push((number, begin));
                }
                (number, begin, blank) = (number + 1, at, true);
            }
        }
        let read = chunk.len();
        reader.consume(read);
    }
    if !blank {
        lines.push((number, begin));
    }
    Ok(lines)
}

/// The line that begins there, or a little more than [`LONGEST`] of it.
fn line_at(path: &Path, begin: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(begin))?;
    let mut line = Vec::new();
    BufReader::new(file.take(LONGEST + 1)).read_until(b'\n', &mut line)?;
    Ok(line)
}
