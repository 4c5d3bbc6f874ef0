//! Parquet files, as on the Hugging Face hub.
//!
//! A picture's column is a structure of `bytes` and `path`, the bytes alone, or a path. Only footers are kept. A record is read
//! through the readers of its columns, which pass over the pages before it by their headers and decode none but its own; with the row
//! groups of 100 records and pages of a megabyte that the hub's own writer makes, that is a few megabytes.
//!
//! The files come from anywhere, and the decoders below are not made for damaged ones: bytes changed at random make parquet 60.1 panic
//! in three places (a negative offset of a column, a dictionary that is missing, a page without the header of its kind). Those are errors here.

mod column;
mod table;

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;

use ip2p_core::{Error, Result};
use parquet::file::metadata::ParquetMetaDataReader;

use super::options::FolderOptions;
use super::picture::Picture;
use super::{Layout, RawRecord};
use column::{Column, PictureReader, guarded};
use table::Table;

/// How many records a byte of a file may stand for, before the file is taken to be damaged.
const RECORDS_PER_BYTE: u64 = 64;

#[derive(Debug)]
pub(super) struct Parquet {
    files: Vec<Table>,
    groups: Vec<Group>,
    records: usize,
}

/// A row group of a file, and the records of the data set that are in it.
#[derive(Debug)]
struct Group {
    file: usize,
    number: usize,
    /// The row of its file at which it begins.
    row: usize,
    records: Range<usize>,
}

impl Parquet {
    pub(super) fn open(files: &[PathBuf], options: &FolderOptions) -> Result<Self> {
        let mut all = Self {
            files: Vec::new(),
            groups: Vec::new(),
            records: 0,
        };
        for path in files {
            let file = File::open(path).map_err(|source| Error::io(path, source))?;
            let not_usable = |reason: String| {
                let expected = format!(
                    "whole parquet files of pictures and instructions, and {} is not",
                    path.display()
                );
                Error::setting("data", expected, reason)
            };
            let table = guarded(|| Ok(ParquetMetaDataReader::new().parse_and_finish(&file)?))
                .and_then(|metadata| Table::new(path, metadata, options))
                .map_err(not_usable)?;
            let length = file
                .metadata()
                .map_err(|source| Error::io(path, source))?
                .len();
            all.add(table, length).map_err(not_usable)?;
        }
        Ok(all)
    }

    /// Lists the records of a file of `length` bytes.
    fn add(&mut self, table: Table, length: u64) -> Result<(), String> {
        let most = length.saturating_mul(RECORDS_PER_BYTE);
        let mut row = 0;
        for (number, group) in table.metadata.row_groups().iter().enumerate() {
            let rows = u64::try_from(group.num_rows()).unwrap_or(u64::MAX);
            if rows > most {
                return Err(format!("{rows} rows in {length} bytes"));
            }
            let rows = usize::try_from(rows).map_err(|error| error.to_string())?;
            self.groups.push(Group {
                file: self.files.len(),
                number,
                row,
                records: self.records..self.records + rows,
            });
            row += rows;
            self.records += rows;
        }
        self.files.push(table);
        Ok(())
    }

    /// The number of the row group that record `index` is in.
    fn group_of(&self, index: usize) -> usize {
        self.groups
            .partition_point(|group| group.records.end <= index)
    }
}

impl Layout for Parquet {
    fn len(&self) -> usize {
        self.records
    }

    fn name(&self, index: usize) -> String {
        let group = &self.groups[self.group_of(index)];
        let row = group.row + index - group.records.start;
        format!("{}, row {row}", self.files[group.file].path.display())
    }

    fn read(&self, index: usize, _pick: u64) -> Result<RawRecord, String> {
        let group = &self.groups[self.group_of(index)];
        let table = &self.files[group.file];
        let row = index - group.records.start;
        guarded(|| {
            let file = table.open()?;
            let mut instruction = Column::new(table, group.number, table.instruction, &file)?;
            let instruction = instruction.get(row)?.ok_or("the instruction is null")?;
            let instruction = String::from_utf8(instruction)
                .map_err(|_| "the instruction is not a text in UTF-8")?;
            let picture = |column| PictureReader::new(table, group.number, column, &file)?.get(row);
            Ok(RawRecord {
                pair: None,
                input: picture(&table.input)?,
                edited: picture(&table.edited)?,
                instruction,
            })
        })
    }

    fn inputs(
        &self,
        range: Range<usize>,
    ) -> Box<dyn Iterator<Item = Result<Picture, String>> + '_> {
        let mut open: Option<(usize, PictureReader<'_>)> = None;
        Box::new(range.map(move |index| {
            let number = self.group_of(index);
            let group = &self.groups[number];
            let table = &self.files[group.file];
            // Taken out, so that after an error the next record begins with a new reader.
            let reader = open.take().filter(|(of, _)| *of == number);
            let (picture, reader) = guarded(|| {
                let mut reader = match reader {
                    Some((_, reader)) => reader,
                    None => PictureReader::new(table, group.number, &table.input, &table.open()?)?,
                };
                Ok((reader.get(index - group.records.start)?, reader))
            })?;
            open = Some((number, reader));
            Ok(picture)
        }))
    }
}
