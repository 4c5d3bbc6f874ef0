//! The chunks of a plan on their way through several devices: whose photos are read, who computes which, what is done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard};

/// How far a device may be beyond the first chunk that is not done yet, for each device: so much of what is made lies about
/// without its line in the manifest, and is lost with a kill.
const WINDOW: usize = 8;

/// Hands out chunks by their index, from the first on. `T` is what is read of one.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    chunks: usize,
}

#[derive(Debug)]
struct State<T> {
    /// The first chunk that nobody was ever given.
    next: usize,
    /// Those that a lost device had.
    again: BTreeSet<usize>,
    /// How many are being read.
    reading: usize,
    ready: BTreeMap<usize, T>,
    devices: Vec<Doing>,
    /// How many are computed and not done.
    finishing: usize,
    /// What is done: all before `first`, and these.
    first: usize,
    done: BTreeSet<usize>,
    stopped: bool,
}

/// What a device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Nothing,
    Computes(usize),
    /// It has none of the queue any more: it was lost, or has come to the end.
    Left,
}

impl<T> Queue<T> {
    pub(crate) fn new(chunks: usize, devices: usize) -> Self {
        Self {
            state: Mutex::new(State {
                next: 0,
                again: BTreeSet::new(),
                reading: 0,
                ready: BTreeMap::new(),
                devices: vec![Doing::Nothing; devices],
                finishing: 0,
                first: 0,
                done: BTreeSet::new(),
                stopped: false,
            }),
            changed: Condvar::new(),
            chunks,
        }
    }

    /// Reads a chunk ahead of the devices, with `read`; false if there is nothing more to read.
    pub(crate) fn read_next(&self, read: impl FnOnce(usize) -> T) -> bool {
        let Some(index) = self.wait_for(|state| state.reserve(self.chunks)) else {
            return false;
        };
        let value = read(index);
        let mut state = self.lock();
        state.reading -= 1;
        state.ready.insert(index, value);
        self.changed.notify_all();
        true
    }

    /// The next chunk for a device, with what was read of it; none if there is nothing more for it to do.
    pub(crate) fn take(&self, device: usize) -> Option<(usize, T)> {
        let taken = self.wait_for(|state| {
            if state.devices[device] == Doing::Left {
                return Some(None);
            }
            let (index, value) = state.ready.pop_first()?;
            state.devices[device] = Doing::Computes(index);
            Some(Some((index, value)))
        });
        self.changed.notify_all();
        taken.flatten()
    }

    /// Says that a device has computed what it took; false if it had been given up meanwhile, and what it made is not wanted.
    pub(crate) fn computed(&self, device: usize) -> bool {
        let mut state = self.lock();
        if state.devices[device] == Doing::Left {
            return false;
        }
        state.devices[device] = Doing::Nothing;
        state.finishing += 1;
        true
    }

    /// Gives a device up, and what it computes to the others; false if that was done before.
    pub(crate) fn leave(&self, device: usize) -> bool {
        let mut state = self.lock();
        let was = std::mem::replace(&mut state.devices[device], Doing::Left);
        if let Doing::Computes(index) = was {
            state.again.insert(index);
        }
        self.changed.notify_all();
        was != Doing::Left
    }

    /// Says that the pictures of a chunk are made, and gives those that are to be put in their places now, in their order.
    pub(crate) fn finish(&self, index: usize) -> std::ops::Range<usize> {
        let mut state = self.lock();
        state.finishing -= 1;
        state.done.insert(index);
        let from = state.first;
        while {
            let first = state.first;
            state.done.remove(&first)
        } {
            state.first += 1;
        }
        self.changed.notify_all();
        from..state.first
    }

    /// Lets nobody take or read anything more.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Whether the device computes at present.
    pub(crate) fn is_computing(&self, device: usize) -> bool {
        matches!(self.lock().devices[device], Doing::Computes(_))
    }

    /// How many devices are still there.
    pub(crate) fn devices_left(&self) -> usize {
        let state = self.lock();
        let left = state.devices.iter().filter(|doing| **doing != Doing::Left);
        left.count()
    }

    /// Whether all chunks are done.
    pub(crate) fn is_complete(&self) -> bool {
        self.lock().first == self.chunks
    }

    /// Whether nothing more is to come: nobody is left to compute, and what was computed is made.
    pub(crate) fn is_at_end(&self) -> bool {
        let state = self.lock();
        let all_left = state.devices.iter().all(|doing| *doing == Doing::Left);
        state.first == self.chunks || (all_left && state.finishing == 0)
    }

    /// Waits until there is something, or nothing more can come.
    fn wait_for<R>(&self, mut next: impl FnMut(&mut State<T>) -> Option<R>) -> Option<R> {
        let mut state = self.lock();
        loop {
            let nobody = state.devices.iter().all(|doing| *doing == Doing::Left);
            if state.stopped || nobody || state.first == self.chunks {
                return None;
            }
            if let Some(found) = next(&mut state) {
                return Some(found);
            }
            state = self.changed.wait(state).expect(UNBROKEN);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect(UNBROKEN)
    }
}

const UNBROKEN: &str = "nothing panics while it holds the state";

impl<T> State<T> {
    /// The next chunk to read: as many ahead as there are devices.
    fn reserve(&mut self, chunks: usize) -> Option<usize> {
        let devices = self.devices.len();
        if self.ready.len() + self.reading >= devices {
            return None;
        }
        let index = if let Some(index) = self.again.pop_first() {
            index
        } else {
            let most = chunks.min(self.first + WINDOW * devices);
            if self.next >= most {
                return None;
            }
            self.next += 1;
            self.next - 1
        };
        self.reading += 1;
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads as many as may be read ahead.
    fn read(queue: &Queue<usize>, count: usize) {
        for _ in 0..count {
            assert!(queue.read_next(|index| index * 10));
        }
    }

    #[test]
    fn chunks_are_handed_out_in_order_and_put_in_place_in_order() {
        let queue = Queue::new(3, 2);
        read(&queue, 2);
        assert_eq!(queue.take(0), Some((0, 0)));
        assert_eq!(queue.take(1), Some((1, 10)));
        read(&queue, 1);
        assert!(queue.computed(1));
        assert_eq!(queue.finish(1), 0..0);
        assert_eq!(queue.take(1), Some((2, 20)));
        assert!(queue.computed(0) && queue.computed(1));
        assert_eq!(queue.finish(0), 0..2);
        assert!(!queue.is_at_end());
        assert_eq!(queue.finish(2), 2..3);
        assert!(queue.is_at_end());
        assert_eq!(queue.take(0), None);
        assert!(!queue.read_next(|index| index));
    }

    #[test]
    fn what_a_lost_device_had_goes_to_another() {
        let queue = Queue::new(2, 2);
        read(&queue, 2);
        assert_eq!(queue.take(0), Some((0, 0)));
        assert!(queue.leave(0));
        assert!(!queue.leave(0));
        assert_eq!(queue.devices_left(), 1);
        // What it computes all the same is not wanted.
        assert!(!queue.computed(0));
        assert_eq!(queue.take(0), None);
        assert_eq!(queue.take(1), Some((1, 10)));
        assert!(queue.computed(1));
        read(&queue, 1);
        assert_eq!(queue.take(1), Some((0, 0)));
        assert!(queue.computed(1));
        assert_eq!(queue.finish(1), 0..0);
        assert_eq!(queue.finish(0), 0..2);
    }

    #[test]
    fn without_devices_there_is_an_end_once_what_was_computed_is_made() {
        let queue = Queue::new(2, 1);
        read(&queue, 1);
        assert_eq!(queue.take(0), Some((0, 0)));
        assert!(queue.computed(0));
        assert!(queue.leave(0));
        assert!(!queue.is_at_end());
        assert_eq!(queue.finish(0), 0..1);
        assert!(queue.is_at_end());
        assert!(!queue.read_next(|index| index));
    }

    #[test]
    fn a_device_does_not_run_far_ahead_of_another() {
        let queue = Queue::new(1000, 2);
        read(&queue, 1);
        assert_eq!(queue.take(0), Some((0, 0)));
        let mut others = 0;
        while others < 2 * WINDOW - 1 {
            read(&queue, 1);
            assert!(queue.take(1).is_some());
            assert!(queue.computed(1));
            others += 1;
            queue.finish(others);
        }
        let waits = queue.lock().reserve(queue.chunks);
        assert_eq!(waits, None);
    }
}
