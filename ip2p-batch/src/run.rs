//! Doing what is planned: photos are decoded and pictures written beside the work, not between, on as many devices as there are.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use ip2p::{Error, Result};

use crate::jobs::Failure;
use crate::manifest::{Made, Manifest};
use crate::plan::Plan;
use crate::queue::Queue;
use crate::read::{Loaded, read};
use crate::worker::{Lane, Message, THREAD, Threads, Worker};
use crate::write::{Beside, Staging, Writer};

/// What happens while a batch runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// So many pictures begin together.
    Begin {
        /// How many.
        pictures: usize,
    },
    /// They are one step further.
    Step {
        /// The step, counted from 0.
        index: usize,
        /// How many there are in all.
        steps: usize,
    },
    /// A picture lies in its place, and its line in the manifest.
    Made(&'a Made),
    /// A job cannot be done, as was not known before; the others are.
    Failed(&'a Failure),
    /// A device does not compute any more; its photos go to the others.
    Lost {
        /// The device, by its name.
        device: &'a str,
        /// Why.
        reason: &'a str,
        /// How many devices are left.
        left: usize,
    },
}

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Done {
    /// The pictures that it made.
    pub made: Vec<Made>,
    /// What could not be done, [`Plan::failures`] first.
    pub failures: Vec<Failure>,
    /// How many pictures were there already.
    pub already: usize,
}

/// What the caller hears of, and says whether to go on.
type OnEvent<'a> = &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>;

impl Plan {
    /// What there is if nothing is done: all, for a plan with nothing to make.
    #[must_use]
    pub fn without_work(&self) -> Done {
        Done {
            made: Vec::new(),
            failures: self.failures.clone(),
            already: self.already(),
        }
    }

    /// Does what is planned, on these devices: each takes the next photos of the list when it is done with the last.
    ///
    /// Pictures get their places and their lines in the order of the list, whichever device makes them. A device that fails is
    /// left out, and what it had goes to the others; a panic in a backend, which is what many do without memory or
    /// network, is the photo's failure if the device still computes, and else the device's. A device of another machine that
    /// does not answer any more is given up after [`Worker::with_patience`]. `on_event` hears what happens; where it breaks, the
    /// batches under way are dropped after their step, and what is made stays.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if `on_event` broke; [`Error::Device`] if all devices are gone before all is done, which says
    /// what is left; [`Error::Io`] if a picture or the manifest cannot be written, such as on a
    /// full disk; [`Error::Image`] if another process is at work in the folder; [`Error::Checkpoint`] if an editor is not of
    /// the model of the plan; [`Error::InvalidSetting`] if there is no device. What concerns one job alone is among
    /// [`Done::failures`].
    pub fn run(self, workers: &[Worker], on_event: OnEvent<'_>) -> Result<Done> {
        self.check(workers)?;
        let done = self.without_work();
        if self.chunks.is_empty() {
            return Ok(done);
        }
        let mut manifest = Manifest::open(&self.folder, self.shard)?;
        // Only who has the manifest may touch what is not finished; it is let go last.
        let staging = Staging::new(&self.folder, self.shard)?;
        let plan = Arc::new(self);
        let queue = Arc::new(Queue::new(plan.chunks.len(), workers.len()));
        let (tell, told) = channel();
        let record = Some(names(workers));
        let mut threads = Vec::new();
        for (index, worker) in workers.iter().enumerate() {
            let writer = Writer::new(&plan, &staging, index, record.clone())?;
            let lane = Lane {
                index,
                worker: worker.clone(),
                plan: Arc::clone(&plan),
                queue: Arc::clone(&queue),
                tell: tell.clone(),
            };
            threads.push(lane.start(writer));
        }
        drop(tell);
        let readers: Vec<_> = workers.iter().map(|_| reader(&plan, &queue)).collect();
        let mut work = Work {
            workers,
            plan: &plan,
            queue: &queue,
            manifest: &mut manifest,
            made: BTreeMap::new(),
            lost: vec![false; workers.len()],
            done,
            on_event,
        };
        let outcome = work.run(&told);
        queue.stop();
        let (done, lost) = (work.done, work.lost);
        end(threads, &lost);
        for reader in readers {
            let _ = reader.join();
        }
        outcome.map(|()| done)
    }

    /// Whether the editors are those that the plan was made for.
    fn check(&self, workers: &[Worker]) -> Result<()> {
        if workers.is_empty() {
            return Err(Error::setting("device", "at least one", "none"));
        }
        for worker in workers {
            let editor = &worker.editor;
            if editor.fingerprint() != self.model_hash || editor.precision() != self.precision {
                let reason = "is another checkpoint, or in another precision, than the one that was planned with";
                let folder = editor.model().folder().unwrap_or("memory".as_ref());
                return Err(Error::checkpoint(folder, reason));
            }
        }
        Ok(())
    }
}

/// What the records of a batch's pictures call its devices: each name once, so that a picture is the same whichever made it.
fn names(workers: &[Worker]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for worker in workers {
        if !names.contains(&worker.device.as_str()) {
            names.push(&worker.device);
        }
    }
    names.join(",")
}

/// A thread that reads photos ahead of the devices.
fn reader(plan: &Arc<Plan>, queue: &Arc<Queue<Vec<Loaded>>>) -> thread::JoinHandle<()> {
    let (plan, queue) = (Arc::clone(plan), Arc::clone(queue));
    let reading = move || while queue.read_next(|index| read(&plan, &plan.chunks[index])) {};
    let thread = thread::Builder::new().name(format!("{THREAD} reads"));
    thread
        .spawn(reading)
        .expect("the system has room for a thread")
}

fn end(threads: Vec<Threads>, lost: &[bool]) {
    for (threads, &is_lost) in threads.into_iter().zip(lost) {
        threads.join(is_lost);
    }
}

/// The work under way.
struct Work<'a> {
    workers: &'a [Worker],
    plan: &'a Plan,
    queue: &'a Queue<Vec<Loaded>>,
    manifest: &'a mut Manifest,
    /// What is made of chunks before which others are not done.
    made: BTreeMap<usize, Vec<Result<Beside, Failure>>>,
    lost: Vec<bool>,
    done: Done,
    on_event: OnEvent<'a>,
}

impl Work<'_> {
    /// Hears what the devices tell until nothing more is to come.
    fn run(&mut self, told: &Receiver<Message>) -> Result<()> {
        let mut outcome = Ok(());
        while !self.queue.is_at_end() {
            let Ok(message) = told.recv() else {
                break;
            };
            let heard = self.hear(message);
            if heard.is_err() && outcome.is_ok() {
                outcome = heard;
                self.queue.stop();
            }
            if matches!(outcome, Err(Error::Io { .. })) {
                return outcome;
            }
        }
        let complete = self.queue.is_complete();
        // What was made beyond a gap is not lost.
        for (_, made) in std::mem::take(&mut self.made) {
            let _ = self.put(made)?;
        }
        match outcome {
            // A stop that comes when all is made is none.
            Err(Error::Stopped) | Ok(()) if complete => Ok(()),
            Ok(()) => Err(self.all_gone()),
            Err(error) => Err(error),
        }
    }

    fn hear(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Begin(pictures) => self.tell(Event::Begin { pictures }),
            Message::Step { index, steps } => self.tell(Event::Step { index, steps }),
            Message::Made(index, made) => {
                self.made.insert(index, made);
                let mut flow = ControlFlow::Continue(());
                for index in self.queue.finish(index) {
                    let made = self.made.remove(&index).expect("it is done");
                    flow = first_break(flow, self.put(made)?);
                }
                stopped(flow)
            }
            Message::Lost(device, reason) => {
                self.lost[device] = true;
                let left = self.queue.devices_left();
                let device = &self.workers[device].device;
                let reason = &reason;
                self.tell(Event::Lost {
                    device,
                    reason,
                    left,
                })
            }
            Message::Broken(error) => Err(error),
            Message::Ended => Ok(()),
        }
    }

    /// Puts pictures in their places, and tells of them.
    fn put(&mut self, made: Vec<Result<Beside, Failure>>) -> Result<ControlFlow<()>> {
        let mut flow = ControlFlow::Continue(());
        for one in made {
            let next = match one {
                Ok(beside) => {
                    let made = beside.put(self.manifest)?;
                    let flow = (self.on_event)(Event::Made(&made));
                    self.done.made.push(made);
                    flow
                }
                Err(failure) => {
                    let flow = (self.on_event)(Event::Failed(&failure));
                    self.done.failures.push(failure);
                    flow
                }
            };
            flow = first_break(flow, next);
        }
        Ok(flow)
    }

    fn tell(&mut self, event: Event<'_>) -> Result<()> {
        stopped((self.on_event)(event))
    }

    /// Why not all is done.
    fn all_gone(&self) -> Error {
        let made = self.done.made.len();
        let failed: usize = self.done.failures[self.plan.failures.len()..]
            .iter()
            .map(|failure| failure.outputs.len())
            .sum();
        let left = self.plan.to_make() - made - failed;
        Error::Device {
            device: names(self.workers),
            reason: format!(
                "none is left that computes; {made} pictures were made, and {left} are still to make: the same command goes on"
            ),
        }
    }
}

fn first_break(flow: ControlFlow<()>, next: ControlFlow<()>) -> ControlFlow<()> {
    if flow.is_break() { flow } else { next }
}

fn stopped(flow: ControlFlow<()>) -> Result<()> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Stopped),
    }
}
