//! One file, from the hub to the cache.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ip2p_core::{Error, Result};
use ureq::http::HeaderMap;

use crate::cache::{Cache, length, make_folder, try_lock};
use crate::client::{Client, Failure, Request, nap, text};
use crate::digest::Sum;

/// Bytes that are read, summed up and written at a time.
const CHUNK: usize = 1 << 18;

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubProgress<'a> {
    /// The file under way.
    pub file: &'a str,
    /// Bytes of all files that have arrived.
    pub done_bytes: u64,
    /// Bytes of all files, as far as the hub tells.
    pub total_bytes: u64,
}

/// Hears how far a download is, and says whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(&HubProgress<'_>) -> ControlFlow<()>;

/// A file that is to be fetched.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Its path in the model.
    pub(crate) name: String,
    /// Its name among the blobs.
    pub(crate) etag: String,
    /// Its length, if the hub tells.
    pub(crate) bytes: Option<u64>,
    /// Where it is.
    pub(crate) url: String,
    /// Where it goes.
    pub(crate) blob: PathBuf,
    /// Who writes it holds this.
    pub(crate) lock: PathBuf,
    /// Where it is looked for.
    pub(crate) pointer: PathBuf,
}

/// Why a file is not there.
pub(crate) enum Problem {
    /// The hub or the way to it.
    Hub(Failure),
    /// The disk, or the caller's wish.
    Other(Error),
    /// What arrived is not what was promised, or has no place on the disk.
    Said(String),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Stopped => Self::Other(Error::Stopped),
            failure => Self::Hub(failure),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Wanted {
    /// Whether it is in the cache, as long as it should be.
    pub(crate) fn is_there(&self) -> bool {
        self.pointer.is_file() && self.fits(&self.pointer)
    }

    fn fits(&self, path: &Path) -> bool {
        self.bytes.is_none_or(|bytes| length(path) == bytes)
    }

    /// Fetches it, unless it is there; `heard` is told how many of its bytes are.
    pub(crate) fn fetch(
        &self,
        client: &Client,
        heard: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), Problem> {
        if self.is_there() {
            return Ok(());
        }
        let _lock = self.lock(heard)?;
        // Who held the lock may have been at the same file.
        if self.is_there() {
            return Ok(());
        }
        let is_new = !(self.blob.is_file() && self.fits(&self.blob));
        if is_new {
            self.download(client, heard)?;
        }
        Cache::link(&self.blob, &self.pointer, is_new)?;
        Ok(())
    }

    /// Waits for whoever is at the same file.
    fn lock(&self, heard: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<File, Problem> {
        loop {
            if let Some(lock) = try_lock(&self.lock)? {
                return Ok(lock);
            }
            let arrived = length(&self.incomplete());
            nap(std::time::Duration::from_millis(200), &mut || {
                heard(arrived)
            })?;
        }
    }

    /// Where what has arrived is kept until it is whole.
    fn incomplete(&self) -> PathBuf {
        self.blob.with_added_extension("incomplete")
    }

    fn download(
        &self,
        client: &Client,
        heard: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), Problem> {
        make_folder(&self.blob)?;
        let mut part = Part::open(self)?;
        let resumed = part.arrived > 0;
        let answers = part.fill(client, heard)?;
        let mut checked = part.check();
        if checked.is_err() && (resumed || answers > 1) {
            // The pieces may not be of one file: once more, in one.
            part.begin_again()?;
            part.fill(client, heard)?;
            checked = part.check();
        }
        if let Err(wrong) = checked {
            part.discard()?;
            return Err(wrong);
        }
        let path = part.path;
        // A full disk or a lost share may show only now.
        part.file
            .sync_all()
            .map_err(|error| Error::io(&path, error))?;
        drop(part.file);
        fs::rename(&path, &self.blob).map_err(|error| Error::io(&self.blob, error))?;
        Ok(())
    }
}

/// The part of a file that has arrived.
struct Part<'a> {
    wanted: &'a Wanted,
    path: PathBuf,
    file: File,
    arrived: u64,
    sum: Sum,
}

impl<'a> Part<'a> {
    /// Goes on with what is there, whose sum is computed first.
    fn open(wanted: &'a Wanted) -> Result<Self> {
        let path = wanted.incomplete();
        let failed = |error| Error::io(&path, error);
        let mut options = OpenOptions::new();
        let file = options.create(true).read(true).append(true).open(&path);
        let mut part = Self {
            wanted,
            file: file.map_err(failed)?,
            path: path.clone(),
            arrived: 0,
            sum: Sum::new(&wanted.etag, wanted.bytes),
        };
        let there = length(&path);
        if wanted.bytes.is_none_or(|bytes| there > bytes) {
            part.begin_again()?;
            return Ok(part);
        }
        let mut buffer = vec![0; CHUNK];
        let mut earlier = (&part.file).take(there);
        loop {
            let read = earlier.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                return Ok(part);
            }
            part.sum.update(&buffer[..read]);
            part.arrived += read as u64;
        }
    }

    fn begin_again(&mut self) -> Result<()> {
        self.file
            .set_len(0)
            .map_err(|error| Error::io(&self.path, error))?;
        self.arrived = 0;
        self.sum = Sum::new(&self.wanted.etag, self.wanted.bytes);
        Ok(())
    }

    /// Asks until all has arrived: how many answers that took. Failures that pass are waited out, and count anew when
    /// something has arrived.
    fn fill(
        &mut self,
        client: &Client,
        heard: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<u32, Problem> {
        let retries = client.options().retries;
        let (mut attempt, mut answers) = (0, 0);
        while self.wanted.bytes != Some(self.arrived) {
            let before = self.arrived;
            let request = Request::Rest(&self.wanted.url, before);
            let answer = client.ask(request, retries, &mut || heard(before))?;
            answers += 1;
            let status = answer.response.status().as_u16();
            let continues = self.continues(status, answer.response.headers());
            if !continues {
                // The whole file, or one of another length: nothing of it can be appended.
                self.begin_again()?;
            }
            let cut = if continues || status == 200 {
                self.append(answer.response.into_body().into_reader(), heard)?
            } else {
                Some("other bytes came than were asked for".to_owned())
            };
            let Some(cut) = cut else {
                return Ok(answers);
            };
            attempt = if self.arrived > before {
                0
            } else {
                attempt + 1
            };
            if attempt > retries {
                let name = &self.wanted.name;
                let reason = format!("{name} was cut off after {} bytes: {cut}", self.arrived);
                return Err(Failure::Away(reason).into());
            }
            let arrived = self.arrived;
            nap(client.backoff(attempt), &mut || heard(arrived))?;
        }
        Ok(answers)
    }

    /// Whether an answer goes on where the part ends.
    fn continues(&self, status: u16, headers: &HeaderMap) -> bool {
        let begin = || {
            let range = text(headers, "content-range")?.strip_prefix("bytes ")?;
            range.split_once('-')?.0.parse::<u64>().ok()
        };
        match status {
            206 => begin() == Some(self.arrived),
            200 => self.arrived == 0,
            _ => false,
        }
    }

    /// Appends what an answer holds: the reason why it ended early, if it did.
    fn append(
        &mut self,
        mut body: impl Read,
        heard: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Option<String>, Problem> {
        let mut buffer = vec![0; CHUNK];
        loop {
            if heard(self.arrived).is_break() {
                return Err(Error::Stopped.into());
            }
            let read = match body.read(&mut buffer) {
                Ok(read) => read,
                Err(error) => return Ok(Some(error.to_string())),
            };
            let missing = self.wanted.bytes.is_some_and(|bytes| self.arrived < bytes);
            if read == 0 {
                return Ok(missing.then(|| "the connection was closed".into()));
            }
            self.write(&buffer[..read])?;
            self.sum.update(&buffer[..read]);
            self.arrived += read as u64;
            if self.wanted.bytes.is_some_and(|bytes| self.arrived > bytes) {
                return Ok(None);
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.file.write_all(bytes).map_err(|error| {
            let (name, path) = (&self.wanted.name, self.path.display());
            Problem::Said(format!(
                "{name} cannot be written to {path}: {error}; make room, and the next call goes on where this ended"
            ))
        })
    }

    /// Whether what has arrived is what was promised.
    fn check(&mut self) -> Result<(), Problem> {
        let Wanted {
            name, etag, bytes, ..
        } = self.wanted;
        if let Some(bytes) = bytes.filter(|bytes| *bytes != self.arrived) {
            let wrong = format!(
                "{name} has {} bytes, where the hub lists {bytes}",
                self.arrived
            );
            return Err(Problem::Said(wrong));
        }
        let sum = std::mem::replace(&mut self.sum, Sum::new(etag, *bytes)).finish();
        match sum {
            Some(sum) if !sum.eq_ignore_ascii_case(etag) => Err(Problem::Said(format!(
                "{name} arrived damaged: its sum is {sum}, where the hub lists {etag}"
            ))),
            _ => Ok(()),
        }
    }

    /// Removes what is of no use.
    fn discard(&self) -> Result<()> {
        fs::remove_file(&self.path).map_err(|error| Error::io(&self.path, error))
    }
}
