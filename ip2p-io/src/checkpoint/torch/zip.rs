//! The archive that PyTorch saves into: a ZIP file whose entries are stored as they are.
//!
//! Only what `torch.save` writes is understood: no compression, no encryption, one volume; 64-bit sizes where the file needs them.
//! Layout from PKWARE's APPNOTE 6.3.10, §4.3.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

/// Where the bytes of an entry lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// Why an archive cannot be read.
#[derive(Debug)]
pub(super) enum Wrong {
    Io(io::Error),
    Reason(String),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Self::Reason("ends within its archive; it was not fetched whole".into())
            }
            _ => Self::Io(error),
        }
    }
}

impl From<String> for Wrong {
    fn from(reason: String) -> Self {
        Self::Reason(reason)
    }
}

const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";

/// Bytes of the record that ends an archive, without its comment, and the longest comment.
const END_BYTES: u64 = 22;
const COMMENT_BYTES: u64 = 65_535;

/// The most bytes that the list of entries may have: a checkpoint has some thousands of them.
const MAX_DIRECTORY_BYTES: u64 = 64 << 20;

/// Lists the entries of an archive of `length` bytes.
pub(super) fn entries(
    file: &mut (impl Read + Seek),
    length: u64,
) -> Result<BTreeMap<String, Entry>, Wrong> {
    let (start, bytes) = directory(file, length)?;
    if bytes > MAX_DIRECTORY_BYTES || start.checked_add(bytes).is_none_or(|end| end > length) {
        return Err(format!(
            "states a list of entries of {bytes} bytes at byte {start}, which it does not hold"
        )
        .into());
    }
    let directory = read_at(file, start, bytes)?;
    let mut entries = BTreeMap::new();
    let mut at = Bytes(&directory);
    while at.0.starts_with(&CENTRAL) {
        let (name, stated) = central(&mut at)?;
        let entry = locate(file, length, &name, stated)?;
        if entries.insert(name.clone(), entry).is_some() {
            return Err(format!("lists the entry {name} twice").into());
        }
    }
    Ok(entries)
}

/// Where the list of entries starts, and how many bytes it has.
fn directory(file: &mut (impl Read + Seek), length: u64) -> Result<(u64, u64), Wrong> {
    let tail_start = length.saturating_sub(END_BYTES + COMMENT_BYTES);
    let tail = read_at(file, tail_start, length - tail_start)?;
    let at = tail.windows(END.len()).rposition(|window| window == END);
    let at =
        at.ok_or_else(|| "has no list of entries at its end; it was not fetched whole".to_owned())?;
    let mut end = Bytes(&tail[at..]);
    end.skip(12)?;
    let (bytes, start) = (u64::from(end.u32()?), u64::from(end.u32()?));
    let comment = end.u16()?;
    end.skip(comment.into())?;
    let locator = (tail_start + at as u64).checked_sub(20);
    let Some(locator) = locator else {
        return Ok((start, bytes));
    };
    let locator = read_at(file, locator, 20)?;
    if !locator.starts_with(&LOCATOR_64) {
        return Ok((start, bytes));
    }
    let record = Bytes(&locator[8..]).u64()?;
    if record.checked_add(56).is_none_or(|end| end > length) {
        return Err(format!("states a record at byte {record}, which it does not hold").into());
    }
    let record = read_at(file, record, 56)?;
    if !record.starts_with(&END_64) {
        return Err("has a damaged list of entries".to_owned().into());
    }
    let mut record = Bytes(&record[40..]);
    let (bytes, start) = (record.u64()?, record.u64()?);
    Ok((start, bytes))
}

/// What the list says of an entry: where its own header lies, and how long it is.
fn central(at: &mut Bytes<'_>) -> Result<(String, Entry), Wrong> {
    at.skip(10)?;
    let method = at.u16()?;
    at.skip(8)?;
    let (packed, mut bytes) = (at.u32()?, u64::from(at.u32()?));
    let (name_bytes, extra_bytes, comment_bytes) = (at.u16()?, at.u16()?, at.u16()?);
    at.skip(8)?;
    let mut offset = u64::from(at.u32()?);
    let name = String::from_utf8_lossy(at.take(name_bytes.into())?).into_owned();
    let mut extra = Bytes(at.take(extra_bytes.into())?);
    at.skip(comment_bytes.into())?;
    if method != 0 {
        return Err(
            format!("has the entry {name} compressed; PyTorch stores entries as they are").into(),
        );
    }
    // §4.5.3: the fields that do not fit into 32 bits, in this order.
    while let (Ok(kind), Ok(length)) = (extra.u16(), extra.u16()) {
        let mut field = Bytes(extra.take(length.into())?);
        if kind == 1 {
            if bytes == u64::from(u32::MAX) {
                bytes = field.u64()?;
            }
            if packed == u32::MAX {
                field.u64()?;
            }
            if offset == u64::from(u32::MAX) {
                offset = field.u64()?;
            }
        }
    }
    Ok((name, Entry { offset, bytes }))
}

/// Where the bytes of an entry lie, behind its own header.
fn locate(
    file: &mut (impl Read + Seek),
    length: u64,
    name: &str,
    stated: Entry,
) -> Result<Entry, Wrong> {
    let wrong = || {
        format!(
            "states the entry {name} at byte {}, where it is not",
            stated.offset
        )
    };
    if stated.offset.checked_add(30).is_none_or(|end| end > length) {
        return Err(wrong().into());
    }
    let header = read_at(file, stated.offset, 30)?;
    if !header.starts_with(&LOCAL) {
        return Err(wrong().into());
    }
    let mut lengths = Bytes(&header[26..]);
    let offset = stated.offset + 30 + u64::from(lengths.u16()?) + u64::from(lengths.u16()?);
    match offset.checked_add(stated.bytes) {
        Some(end) if end <= length => Ok(Entry { offset, ..stated }),
        _ => Err(format!("ends within the entry {name}; it was not fetched whole").into()),
    }
}

pub(super) fn read_at(
    file: &mut (impl Read + Seek),
    offset: u64,
    bytes: u64,
) -> Result<Vec<u8>, Wrong> {
    file.seek(SeekFrom::Start(offset))?;
    let mut read = Vec::new();
    file.take(bytes).read_to_end(&mut read)?;
    if read.len() as u64 == bytes {
        Ok(read)
    } else {
        Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
    }
}

/// Bytes that are read from their start.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| "ends too early: it is damaged".to_owned())?;
        self.0 = rest;
        Ok(taken)
    }

    fn skip(&mut self, count: usize) -> Result<(), String> {
        self.take(count).map(|_| ())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self.take(N)?;
        Ok(*taken.first_chunk().expect("as many bytes were taken"))
    }

    pub(super) fn u16(&mut self) -> Result<u16, String> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }
}
