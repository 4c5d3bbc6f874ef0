//! Values of a row group, read in the order of their rows.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use ip2p_core::Result;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::serialized_reader::SerializedPageReader;

use super::table::{PictureColumn, Table};
use crate::folder::picture::Picture;

/// Pictures of a row group, read in the order of their rows.
pub(super) struct PictureReader<'a> {
    table: &'a Table,
    name: &'a str,
    bytes: Option<Column>,
    path: Option<Column>,
}

impl<'a> PictureReader<'a> {
    pub(super) fn new(
        table: &'a Table,
        group: usize,
        column: &'a PictureColumn,
        file: &Arc<File>,
    ) -> Result<Self, Refusal> {
        let reader = |leaf: Option<usize>| {
            leaf.map(|leaf| Column::new(table, group, leaf, file))
                .transpose()
        };
        Ok(Self {
            table,
            name: &column.name,
            bytes: reader(column.bytes)?,
            path: reader(column.path)?,
        })
    }

    /// The picture of a row that is not before the one read last.
    pub(super) fn get(&mut self, row: usize) -> Result<Picture, Refusal> {
        if let Some(column) = &mut self.bytes
            && let Some(bytes) = column.get(row)?
        {
            return Ok(Picture::bytes(format!("`{}`", self.name), bytes));
        }
        if let Some(column) = &mut self.path
            && let Some(path) = column.get(row)?
        {
            let path = String::from_utf8(path)
                .map_err(|_| format!("`{}` has a path that is not UTF-8", self.name))?;
            let folder = self.table.path.parent().unwrap_or(Path::new(""));
            return Ok(Picture::file(folder.join(path)));
        }
        Err(format!("`{}` is null", self.name).into())
    }
}

/// The values of a leaf in a row group, read in the order of their rows.
pub(super) struct Column {
    reader: ColumnReaderImpl<ByteArrayType>,
    /// The definition level of a value that is not null.
    defined: i16,
    /// The row that the reader is at.
    next: usize,
}

impl Column {
    pub(super) fn new(
        table: &Table,
        group: usize,
        leaf: usize,
        file: &Arc<File>,
    ) -> Result<Self, Refusal> {
        let group = table.metadata.row_group(group);
        let rows = usize::try_from(group.num_rows()).map_err(|error| error.to_string())?;
        let pages = SerializedPageReader::new(Arc::clone(file), group.column(leaf), rows, None)?;
        let descriptor = table.metadata.file_metadata().schema_descr().column(leaf);
        Ok(Self {
            defined: descriptor.max_def_level(),
            reader: ColumnReaderImpl::new(descriptor, Box::new(pages)),
            next: 0,
        })
    }

    pub(super) fn get(&mut self, row: usize) -> Result<Option<Vec<u8>>, Refusal> {
        let skip = row - self.next;
        let (mut levels, mut values): (Vec<i16>, Vec<ByteArray>) = (Vec::new(), Vec::new());
        let skipped = self.reader.skip_records(skip)?;
        let (read, ..) = self
            .reader
            .read_records(1, Some(&mut levels), None, &mut values)?;
        if skipped != skip || read != 1 {
            return Err("its row group ends before it".to_owned().into());
        }
        self.next = row + 1;
        let null = self.defined > 0 && levels.first() != Some(&self.defined);
        Ok(if null {
            None
        } else {
            values.first().map(|value| value.data().to_vec())
        })
    }
}

/// Why something of a parquet file cannot be had.
pub(super) struct Refusal(String);

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self(reason.to_owned())
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self(format!("its file cannot be read: {error}"))
    }
}

impl From<ParquetError> for Refusal {
    fn from(error: ParquetError) -> Self {
        Self(format!("its file is damaged: {error}"))
    }
}

/// Does what may panic in a decoder.
pub(super) fn guarded<T>(read: impl FnOnce() -> Result<T, Refusal>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|Refusal(reason)| reason),
        Err(_) => Err("its file is damaged: the decoder panicked".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_decoder_is_an_error() {
        let panics = || -> Result<(), Refusal> { panic!("as the decoder does on a damaged file") };
        assert!(guarded(panics).is_err_and(|reason| reason.contains("damaged")));
        assert!(guarded(|| Ok(())).is_ok());
    }
}
