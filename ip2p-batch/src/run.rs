//! Doing what is planned: photos are decoded and pictures written beside the work, not between.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

use ip2p::region::Mask;
use ip2p::{EditRequest, Edited, Editor, Error, Photo, PhotoFile, Result};

use crate::jobs::Failure;
use crate::manifest::{Made, Manifest};
use crate::plan::{Chunk, Member, Plan, Planned, mask_in, variation_of};
use crate::write::{Picture, Staging, Writer};

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

/// What is read of a job.
struct Read {
    photo: Photo,
    mask: Option<Mask>,
    /// SHA-256 of the photo's file.
    sum: String,
}

/// The same, or why there is none.
type Loaded = Result<Read, String>;

/// What became of a picture.
pub(crate) type Written = Result<Made, Failure>;

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

    /// Does what is planned.
    ///
    /// `device` is the name that the pictures' records give it. `on_event` hears what happens; where it breaks, the
    /// batch under way is dropped after its step, and what is made stays.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if `on_event` broke; [`Error::Io`] if a picture or the manifest cannot be written, such as on a
    /// full disk; [`Error::Image`] if another process is at work in the folder; [`Error::Checkpoint`] if the editor is not of
    /// the model of the plan. What concerns one job alone is among [`Done::failures`].
    pub fn run(self, editor: &Editor, device: Option<&str>, on_event: OnEvent<'_>) -> Result<Done> {
        if editor.fingerprint() != self.model_hash || editor.precision() != self.precision {
            let reason = "is another checkpoint, or in another precision, than the one that was planned with";
            let folder = editor.model().folder().unwrap_or("memory".as_ref());
            return Err(Error::checkpoint(folder, reason));
        }
        let done = self.without_work();
        if self.chunks.is_empty() {
            return Ok(done);
        }
        let mut manifest = Manifest::open(&self.folder, self.shard)?;
        // Only who has the manifest may touch what is not finished; it is let go last.
        let staging = Staging::new(&self.folder, self.shard)?;
        let writer = Writer::new(&self, &staging, &mut manifest, device)?;
        thread::scope(|scope| {
            let (load, loaded) = sync_channel(1);
            let (write, to_write) = sync_channel(1);
            let (wrote, written) = channel();
            scope.spawn(|| load_all(&self, load));
            let writing = scope.spawn(move || writer.run(&to_write, &wrote));
            let mut work = Work {
                plan: &self,
                editor,
                write,
                written,
                done,
                on_event,
            };
            let outcome = work.run(&loaded);
            // The loader ends when nobody listens any more, the writer when all is written.
            drop(loaded);
            let (done, outcome) = work.finish(outcome);
            match writing.join() {
                Ok(Ok(())) => outcome.map(|()| done),
                // It is why the work could not go on.
                Ok(Err(error)) => Err(error),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

/// Reads the photos of each chunk, one chunk ahead of the work.
#[expect(
    clippy::needless_pass_by_value,
    reason = "dropped at the end: there is nothing more to come"
)]
fn load_all(plan: &Plan, send: SyncSender<Vec<Loaded>>) {
    for chunk in &plan.chunks {
        let load = |member: &Member| {
            let job = &plan.jobs[member.job].job;
            let file = PhotoFile::open(&job.input)?;
            Ok(Read {
                photo: file.decode()?,
                mask: job.mask.as_deref().map(mask_in).transpose()?,
                sum: file.sha256(),
            })
        };
        let photos = chunk
            .members
            .iter()
            .map(|member| load(member).map_err(|error: Error| error.with_causes()))
            .collect();
        if send.send(photos).is_err() {
            return;
        }
    }
}

/// The work under way.
struct Work<'a> {
    plan: &'a Plan,
    editor: &'a Editor,
    write: SyncSender<Picture>,
    written: Receiver<Written>,
    done: Done,
    on_event: OnEvent<'a>,
}

impl Work<'_> {
    fn run(&mut self, loaded: &Receiver<Vec<Loaded>>) -> Result<()> {
        for chunk in &self.plan.chunks {
            let photos = loaded.recv().expect("the loader sends each chunk");
            self.chunk(chunk, photos)?;
        }
        Ok(())
    }

    /// Waits for what is still being written, and tells of it.
    fn finish(self, outcome: Result<()>) -> (Done, Result<()>) {
        let Self {
            write,
            written,
            mut done,
            on_event,
            ..
        } = self;
        drop(write);
        for one in written {
            // A stop that comes when all is made is none.
            let _ = tell(&mut done, on_event, one);
        }
        (done, outcome)
    }

    fn chunk(&mut self, chunk: &Chunk, photos: Vec<Loaded>) -> Result<()> {
        let mut ready = Vec::new();
        for (member, photo) in chunk.members.iter().zip(photos) {
            match photo {
                Ok(read) => ready.push((*member, read)),
                Err(reason) => self.fail(*member, &reason)?,
            }
        }
        // If the numbers ran away for one photo, the others are done all the same: by halves.
        let mut groups = VecDeque::from([ready]);
        while let Some(mut group) = groups.pop_front() {
            let Err(error) = self.edit(&group) else {
                continue;
            };
            match group.as_slice() {
                _ if matches!(error, Error::Stopped) => return Err(error),
                [] => {}
                [(member, ..)] => self.fail(*member, &error.with_causes())?,
                _ => {
                    let rest = group.split_off(group.len() / 2);
                    groups.push_front(rest);
                    groups.push_front(group);
                }
            }
        }
        Ok(())
    }

    /// Edits photos that run together, and hands on the pictures that are wanted.
    fn edit(&mut self, group: &[(Member, Read)]) -> Result<()> {
        let Some((first, ..)) = group.first() else {
            return Ok(());
        };
        let plan = self.plan;
        let requests: Vec<_> = group
            .iter()
            .map(|(member, read)| {
                let job = &plan.jobs[member.job].job;
                let seed = variation_of(&job.options, member.first).seed;
                let mut request = EditRequest::new(&read.photo, &job.instruction)
                    .with_variations(member.count)
                    .with_seed(seed);
                request.mask = read.mask.as_ref();
                request
            })
            .collect();
        let pictures = group.iter().map(|(member, ..)| member.count).sum();
        self.tell(Event::Begin { pictures })?;
        let options = &plan.jobs[first.job].job.options;
        let mut steps = self.editor.steps_of(&requests, options)?;
        for step in &mut steps {
            let step = step?;
            let (index, steps) = (step.index, step.steps);
            self.tell(Event::Step { index, steps })?;
            self.hear()?;
        }
        let edited = steps.finish()?;
        self.hand_on(group, edited)
    }

    fn hand_on(&mut self, group: &[(Member, Read)], edited: Vec<Edited>) -> Result<()> {
        let mut edited = edited.into_iter();
        for (member, read) in group {
            let planned = &self.plan.jobs[member.job];
            for (variation, edited) in member.variations().zip(edited.by_ref()) {
                if !planned.to_make[variation] {
                    continue;
                }
                let picture = Picture {
                    job: member.job,
                    variation,
                    photo: read.sum.clone(),
                    edited,
                };
                // The writer has given up: its error is told when it is joined.
                self.write.send(picture).map_err(|_| Error::Stopped)?;
            }
        }
        Ok(())
    }

    /// Says that a member's pictures cannot be made.
    fn fail(&mut self, member: Member, reason: &str) -> Result<()> {
        let failure = failure(&self.plan.jobs[member.job], member.variations(), reason);
        tell(&mut self.done, self.on_event, Err(failure))
    }

    /// Tells what has been written meanwhile.
    fn hear(&mut self) -> Result<()> {
        while let Ok(one) = self.written.try_recv() {
            tell(&mut self.done, self.on_event, one)?;
        }
        Ok(())
    }

    fn tell(&mut self, event: Event<'_>) -> Result<()> {
        match (self.on_event)(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Stopped),
        }
    }
}

fn failure(planned: &Planned, variations: impl Iterator<Item = usize>, reason: &str) -> Failure {
    let outputs = variations
        .filter(|&variation| planned.to_make[variation])
        .map(|variation| planned.job.outputs[variation].clone())
        .collect();
    Failure::new(&planned.job.place, reason).with_outputs(outputs)
}

fn tell(done: &mut Done, on_event: OnEvent<'_>, one: Written) -> Result<()> {
    let flow = match one {
        Ok(made) => {
            let flow = on_event(Event::Made(&made));
            done.made.push(made);
            flow
        }
        Err(failure) => {
            let flow = on_event(Event::Failed(&failure));
            done.failures.push(failure);
            flow
        }
    };
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Stopped),
    }
}
