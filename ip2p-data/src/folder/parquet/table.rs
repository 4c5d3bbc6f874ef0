//! What is known of a parquet file before any of its records is read.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ip2p_core::Result;
use parquet::basic::{Compression, ConvertedType, LogicalType, Type};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::column::Refusal;
use crate::folder::options::{FolderOptions, Role};

/// A file, opened for each read: handles of one opening share their place in the file.
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) metadata: ParquetMetaData,
    pub(super) input: PictureColumn,
    pub(super) instruction: usize,
    pub(super) edited: PictureColumn,
}

/// A column with pictures, by the numbers of its leaves.
#[derive(Debug, Clone)]
pub(super) struct PictureColumn {
    pub(super) name: String,
    pub(super) bytes: Option<usize>,
    pub(super) path: Option<usize>,
}

impl Table {
    pub(super) fn new(
        path: &Path,
        metadata: ParquetMetaData,
        options: &FolderOptions,
    ) -> Result<Self, String> {
        let schema = metadata.file_metadata().schema_descr();
        let input = picture_column(schema, options, Role::Input)?;
        let edited = picture_column(schema, options, Role::Edited)?;
        let name = column_name(schema, options, Role::Instruction)?;
        let instruction = leaf(schema, &[&name])?
            .ok_or_else(|| format!("the column `{name}` is not one of texts"))?;
        let table = Self {
            path: path.to_owned(),
            input,
            instruction,
            edited,
            metadata,
        };
        table.check_groups()?;
        Ok(table)
    }

    fn leaves(&self) -> impl Iterator<Item = usize> {
        [&self.input, &self.edited]
            .into_iter()
            .flat_map(|column| [column.bytes, column.path])
            .flatten()
            .chain([self.instruction])
    }

    /// Refuses files that are damaged, or compressed in a way that is not read here.
    fn check_groups(&self) -> Result<(), String> {
        let columns = self.metadata.file_metadata().schema_descr().num_columns();
        for group in self.metadata.row_groups() {
            if group.num_columns() != columns {
                return Err(format!(
                    "a row group of {} columns where the schema has {columns}",
                    group.num_columns()
                ));
            }
            for leaf in self.leaves() {
                check_compression(group.column(leaf).compression())?;
            }
        }
        Ok(())
    }

    pub(super) fn open(&self) -> Result<Arc<File>, Refusal> {
        Ok(Arc::new(File::open(&self.path)?))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("path", &self.path)
            .field("input", &self.input)
            .field("instruction", &self.instruction)
            .field("edited", &self.edited)
            .finish_non_exhaustive()
    }
}

/// The name of the column that has this role.
fn column_name(
    schema: &SchemaDescriptor,
    options: &FolderOptions,
    role: Role,
) -> Result<String, String> {
    let fields = schema.root_schema().get_fields();
    let has = |name: &&str| fields.iter().any(|field| field.name() == *name);
    let names = options.names(role);
    names
        .iter()
        .copied()
        .find(has)
        .map(str::to_owned)
        .ok_or_else(|| {
            let columns: Vec<_> = fields.iter().map(|field| field.name()).collect();
            format!(
                "one without a column for {}: it has {}, and none is called {}",
                role.describe(),
                columns.join(", "),
                names.join(" or ")
            )
        })
}

fn picture_column(
    schema: &SchemaDescriptor,
    options: &FolderOptions,
    role: Role,
) -> Result<PictureColumn, String> {
    let name = column_name(schema, options, role)?;
    let (mut bytes, mut path) = (
        leaf(schema, &[&name, "bytes"])?,
        leaf(schema, &[&name, "path"])?,
    );
    if let Some(alone) = leaf(schema, &[&name])? {
        if is_text(&schema.column(alone)) {
            path = Some(alone);
        } else {
            bytes = Some(alone);
        }
    }
    if bytes.is_none() && path.is_none() {
        return Err(format!(
            "the column `{name}` is not one of pictures: bytes, a path, or a structure of both"
        ));
    }
    Ok(PictureColumn { name, bytes, path })
}

/// The number of the leaf of byte strings at this path.
fn leaf(schema: &SchemaDescriptor, path: &[&str]) -> Result<Option<usize>, String> {
    let Some(number) = schema
        .columns()
        .iter()
        .position(|column| column.path().parts() == path)
    else {
        return Ok(None);
    };
    let column = schema.column(number);
    if column.max_rep_level() != 0 {
        return Err(format!("the column `{}` is one of lists", path.join(".")));
    }
    if column.physical_type() != Type::BYTE_ARRAY {
        return Err(format!(
            "the column `{}` is one of {}",
            path.join("."),
            column.physical_type()
        ));
    }
    Ok(Some(number))
}

/// Refuses what this build does not read: zstd's decoder is C, and so has to be asked for.
fn check_compression(compression: Compression) -> Result<(), String> {
    match compression {
        Compression::UNCOMPRESSED
        | Compression::SNAPPY
        | Compression::GZIP(_)
        | Compression::LZ4
        | Compression::LZ4_RAW => Ok(()),
        Compression::ZSTD(_) if cfg!(feature = "zstd") => Ok(()),
        Compression::ZSTD(_) => Err(
            "one compressed with zstd, which needs the cargo feature `zstd` of ip2p-data"
                .to_owned(),
        ),
        other => Err(format!("one compressed with {other:?}, which is not read")),
    }
}

fn is_text(column: &ColumnDescriptor) -> bool {
    column.converted_type() == ConvertedType::UTF8
        || matches!(column.logical_type_ref(), Some(LogicalType::String))
}
