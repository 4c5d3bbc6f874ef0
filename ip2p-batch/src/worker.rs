//! A device at work: its photos are computed on one thread and written on another, and a third sees whether it is still there.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ip2p::{EditRequest, Edited, Editor, Error, Result, device_answers};

use crate::jobs::Failure;
use crate::plan::{Chunk, Member, Plan, variation_of};
use crate::queue::Queue;
use crate::read::{Loaded, Read};
use crate::write::{Beside, Picture, Writer};

/// How often it is asked whether a device is still there, and how long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// After how many times without an answer, one after the other, a device is given up.
const SILENCES: usize = 3;

/// A device that takes part in a batch: an editor on it, and its name.
///
/// A clone shares the weights: one device that does two things at a time.
///
/// # Examples
///
/// ```no_run
/// use ip2p::{Editor, device_by_name};
/// use ip2p_batch::Worker;
///
/// let workers = ["cuda:0", "remote:192.168.1.7:3000"].map(|name| {
///     let editor = Editor::load("instruct-pix2pix", &device_by_name(name)?)?;
///     Ok::<_, ip2p::Error>(Worker::new(editor, name))
/// });
/// # Ok::<(), ip2p::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Worker {
    pub(crate) editor: Arc<Editor>,
    pub(crate) device: String,
    patience: Duration,
}

impl Worker {
    /// A device, by the name that [`device_by_name`](ip2p::device_by_name) knows and the pictures' records have.
    #[must_use]
    pub fn new(editor: Editor, device: impl Into<String>) -> Self {
        Self {
            editor: Arc::new(editor),
            device: device.into(),
            patience: PATIENCE,
        }
    }

    /// How often a device of another machine is asked whether it is still there, and how long it may take to answer: default
    /// 10 seconds. After three times without an answer it is given up.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// What the threads of the devices tell.
#[derive(Debug)]
pub(crate) enum Message {
    Begin(usize),
    Step {
        index: usize,
        steps: usize,
    },
    /// All of a chunk is made, or cannot be: in the order of the list.
    Made(usize, Vec<Result<Beside, Failure>>),
    /// A device does not compute any more, for this reason.
    Lost(usize, String),
    /// Nothing can be written any more.
    Broken(Error),
    /// The threads of a device have ended.
    Ended,
}

/// What became of a chunk's members before their pictures are written.
type Computed = (usize, Vec<Result<Picture, Failure>>);

/// Why a chunk was not computed.
enum Halt {
    Stopped,
    Lost(String),
}

/// A device's threads.
pub(crate) struct Threads {
    pub(crate) computing: JoinHandle<()>,
    pub(crate) writing: JoinHandle<()>,
    /// The watcher, which may be waiting for an answer, ends by itself when this is dropped.
    at_work: Sender<()>,
}

impl Threads {
    /// Waits until they have ended; those of a device that does not answer never might, and are left.
    pub(crate) fn join(self, is_lost: bool) {
        drop(self.at_work);
        if !is_lost {
            let _ = self.computing.join();
            let _ = self.writing.join();
        }
    }
}

/// A worker of a batch, by its place among them.
#[derive(Clone)]
pub(crate) struct Lane {
    pub(crate) index: usize,
    pub(crate) worker: Worker,
    pub(crate) plan: Arc<Plan>,
    pub(crate) queue: Arc<Queue<Vec<Loaded>>>,
    pub(crate) tell: Sender<Message>,
}

impl Lane {
    /// Puts the device to work.
    pub(crate) fn start(self, writer: Writer) -> Threads {
        let (hand_on, computed) = sync_channel(1);
        let (at_work, ended) = channel();
        let [computing, writing, watching] = std::array::from_fn(|_| self.clone());
        let name = |what: &str| thread::Builder::new().name(format!("{THREAD} {what}"));
        let started = "the system has room for a thread";
        name("watches")
            .spawn(move || watching.watch(&ended))
            .expect(started);
        Threads {
            computing: name("computes")
                .spawn(move || computing.compute_all(&hand_on))
                .expect(started),
            writing: name("writes")
                .spawn(move || writing.write_all(&writer, &computed))
                .expect(started),
            at_work,
        }
    }

    /// Computes chunks until there are no more.
    fn compute_all(&self, hand_on: &SyncSender<Computed>) {
        while let Some((index, photos)) = self.queue.take(self.index) {
            match self.chunk(&self.plan.chunks[index], photos) {
                Ok(pictures) => {
                    if !self.queue.computed(self.index) || hand_on.send((index, pictures)).is_err()
                    {
                        return;
                    }
                }
                Err(Halt::Stopped) => break,
                Err(Halt::Lost(reason)) => return self.lose(reason),
            }
        }
        self.queue.leave(self.index);
    }

    fn lose(&self, reason: String) {
        if self.queue.leave(self.index) {
            self.send(Message::Lost(self.index, reason));
        }
    }

    fn send(&self, message: Message) {
        // Nobody listens after a panic alone.
        let _ = self.tell.send(message);
    }

    /// Writes what is computed until nothing more is.
    fn write_all(&self, writer: &Writer, computed: &Receiver<Computed>) {
        for (index, pictures) in computed {
            let written = pictures.into_iter().map(|picture| match picture {
                Ok(picture) => self.write(writer, picture),
                Err(failure) => Ok(Err(failure)),
            });
            match written.collect() {
                Ok(made) => self.send(Message::Made(index, made)),
                Err(error) => {
                    self.send(Message::Broken(error));
                    break;
                }
            }
        }
        self.send(Message::Ended);
    }

    /// Writes a picture; an encoder that panics is one picture's affair.
    fn write(&self, writer: &Writer, picture: Picture) -> Result<Result<Beside, Failure>> {
        let (job, variation) = (&self.plan.jobs[picture.job].job, picture.variation);
        let written = catch_unwind(AssertUnwindSafe(|| writer.write(picture)));
        written.unwrap_or_else(|panic| {
            let failure = Failure::new(&job.place, said(panic.as_ref()));
            Ok(Err(
                failure.with_outputs(vec![job.outputs[variation].clone()])
            ))
        })
    }

    /// Gives the device up if it does not answer while it computes.
    fn watch(&self, ended: &Receiver<()>) {
        let mut silences = 0;
        while ended.recv_timeout(self.worker.patience) == Err(RecvTimeoutError::Timeout) {
            if !self.queue.is_computing(self.index) {
                silences = 0;
                continue;
            }
            match self.silent() {
                None => silences = 0,
                Some(_) if silences + 1 < SILENCES => silences += 1,
                Some(reason) => return self.lose(reason),
            }
        }
    }

    /// Edits a chunk's photos; what cannot be done of them is said, and the others are done all the same.
    fn chunk(
        &self,
        chunk: &Chunk,
        photos: Vec<Loaded>,
    ) -> Result<Vec<Result<Picture, Failure>>, Halt> {
        let mut pictures = Vec::new();
        let mut ready = Vec::new();
        for (member, photo) in chunk.members.iter().zip(photos) {
            match photo {
                Ok(read) => ready.push((*member, read)),
                Err(reason) => pictures.push(Err(self.failure(*member, &reason))),
            }
        }
        // If the numbers ran away for one photo, the others are done by halves.
        let mut groups = VecDeque::from([ready]);
        while let Some(mut group) = groups.pop_front() {
            let reason = match self.edit(&group)? {
                Ok(edited) => {
                    pictures.extend(self.pictures(&group, edited));
                    continue;
                }
                Err(reason) => reason,
            };
            self.check_device(&reason)?;
            if let [(member, ..)] = group.as_slice() {
                pictures.push(Err(self.failure(*member, &reason)));
            } else {
                let rest = group.split_off(group.len() / 2);
                groups.push_front(rest);
                groups.push_front(group);
            }
        }
        Ok(pictures)
    }

    /// Edits photos that run together; or says what came in between, a panic included.
    fn edit(&self, group: &[(Member, Read)]) -> Result<Result<Vec<Edited>, String>, Halt> {
        if group.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        // Backends panic where a device is out of memory or gone. What is left of the edit is dropped.
        match catch_unwind(AssertUnwindSafe(|| self.steps(group))) {
            Ok(Ok(edited)) => Ok(Ok(edited)),
            Ok(Err(Error::Stopped)) => Err(Halt::Stopped),
            Ok(Err(error)) => Ok(Err(error.with_causes())),
            Err(panic) => Ok(Err(said(panic.as_ref()))),
        }
    }

    fn steps(&self, group: &[(Member, Read)]) -> Result<Vec<Edited>> {
        let jobs = &self.plan.jobs;
        let requests: Vec<_> = group
            .iter()
            .map(|(member, read)| {
                let job = &jobs[member.job].job;
                let seed = variation_of(&job.options, member.first).seed;
                let mut request = EditRequest::new(&read.photo, &job.instruction)
                    .with_variations(member.count)
                    .with_seed(seed);
                request.mask = read.mask.as_ref();
                request
            })
            .collect();
        let options = &jobs[group[0].0.job].job.options;
        self.send(Message::Begin(
            group.iter().map(|(member, ..)| member.count).sum(),
        ));
        let mut steps = self.worker.editor.steps_of(&requests, options)?;
        for step in &mut steps {
            let step = step?;
            let (index, steps) = (step.index, step.steps);
            self.send(Message::Step { index, steps });
            if self.queue.is_stopped() {
                return Err(Error::Stopped);
            }
        }
        steps.finish()
    }

    /// The pictures that are wanted of those that were made.
    fn pictures(
        &self,
        group: &[(Member, Read)],
        edited: Vec<Edited>,
    ) -> Vec<Result<Picture, Failure>> {
        let mut edited = edited.into_iter();
        let mut pictures = Vec::new();
        for (member, read) in group {
            let planned = &self.plan.jobs[member.job];
            for (variation, edited) in member.variations().zip(edited.by_ref()) {
                if planned.to_make[variation] {
                    pictures.push(Ok(Picture {
                        job: member.job,
                        variation,
                        photo: read.sum.clone(),
                        edited,
                    }));
                }
            }
        }
        pictures
    }

    /// Whether it was the device that failed, and not what it was to do.
    fn check_device(&self, reason: &str) -> Result<(), Halt> {
        match catch_unwind(AssertUnwindSafe(|| self.worker.editor.check_device())) {
            Ok(Ok(())) => Ok(()),
            // What a backend says of a connection that is gone is less than that nobody is there.
            Ok(Err(_)) | Err(_) => Err(Halt::Lost(self.silent().unwrap_or(reason.to_owned()))),
        }
    }

    /// Why the device seems not to be there any more, if it does not answer.
    fn silent(&self) -> Option<String> {
        let answers = device_answers(&self.worker.device, self.worker.patience);
        answers.err().map(|error| match error {
            Error::Device { reason, .. } => reason,
            other => other.with_causes(),
        })
    }

    fn failure(&self, member: Member, reason: &str) -> Failure {
        let planned = &self.plan.jobs[member.job];
        let outputs = member
            .variations()
            .filter(|&variation| planned.to_make[variation])
            .map(|variation| planned.job.outputs[variation].clone())
            .collect();
        Failure::new(&planned.job.place, reason).with_outputs(outputs)
    }
}

/// How the names of a batch's threads begin: a panic on one is told as the failure of a photo or a device, and a panic hook
/// need not tell it.
pub const THREAD: &str = "ip2p batch";

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "for no reason that it gave".into());
    format!("it panicked: {}", text.lines().next().unwrap_or_default())
}
