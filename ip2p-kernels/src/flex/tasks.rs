//! Work in parallel.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many numbers a task should have at least: half of a core's level-2 cache of 256 KB or more.
const TASK: usize = 16 * 1024;

/// How many tasks there should be for each thread, so that none waits long for the last.
const TASKS_PER_THREAD: usize = 4;

/// How many tasks work should be cut into, if it is enough for them.
pub(super) fn wanted() -> usize {
    rayon::current_num_threads() * TASKS_PER_THREAD
}

/// Calls `run` with each of `tasks` and the memory that its thread has made with `room`, in parallel.
///
/// Each thread has a share of neighbours, and takes tasks from the other shares when its own is done, so that none waits long for
/// the last.
pub(super) fn for_tasks<R>(
    tasks: usize,
    room: impl Fn() -> R + Sync,
    run: impl Fn(&mut R, usize) + Sync,
) {
    let threads = rayon::current_num_threads().min(tasks);
    let first = |share: usize| tasks * share / threads;
    let nexts: Vec<AtomicUsize> = (0..threads).map(|share| first(share).into()).collect();
    let work = |thread: usize| {
        let mut mine = None;
        for share in (thread..threads).chain(0..thread) {
            let next = || nexts[share].fetch_add(1, Ordering::Relaxed);
            let mut task = next();
            while task < first(share + 1) {
                run(mine.get_or_insert_with(&room), task);
                task = next();
            }
        }
    };
    rayon::scope(|scope| {
        let work = &work;
        for thread in 0..threads {
            scope.spawn(move |_| work(thread));
        }
    });
}

/// Calls `body` with ranges of at least about [`TASK`] numbers in whole rows, in parallel, until all `rows` of `width` numbers are done.
pub(super) fn for_rows(rows: usize, width: usize, body: impl Fn(Range<usize>) + Sync) {
    let step = (TASK / width.max(1)).max(1);
    if rows <= step {
        return body(0..rows);
    }
    for_tasks(
        rows.div_ceil(step),
        || (),
        |(), task| {
            let first = task * step;
            body(first..rows.min(first + step));
        },
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_task_is_done_once_and_each_thread_makes_memory_once() {
        for threads in 1..=4 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                for tasks in [0, 1, 2, 3, 7, 100] {
                    let rooms = AtomicUsize::new(0);
                    let done: Vec<AtomicUsize> = (0..tasks).map(|_| 0.into()).collect();
                    let room = || rooms.fetch_add(1, Ordering::Relaxed);
                    for_tasks(tasks, room, |_, task| {
                        // One that takes long, so that others take what is left of its thread's share.
                        if task == 0 {
                            std::thread::sleep(Duration::from_millis(2));
                        }
                        done[task].fetch_add(1, Ordering::Relaxed);
                    });
                    let done: Vec<usize> = done.into_iter().map(AtomicUsize::into_inner).collect();
                    assert_eq!(done, vec![1; tasks]);
                    assert!(rooms.into_inner() <= threads.min(tasks));
                }
            });
        }
    }
}
