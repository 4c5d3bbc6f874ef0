//! Jobs side by side, each with its share of the threads.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Runs the jobs of a step side by side.
///
/// Each lane is a pool with its share of the threads, and its jobs run inside it. In a pool that all share, every operation of every
/// job is handed from one thread to another and back: half of what a small network does cannot be divided, and the two cores that
/// `ip2p-tiny` was trained on were idle for a sixth of the time.
#[derive(Debug)]
pub(crate) struct Lanes {
    jobs: usize,
    pools: Vec<ThreadPool>,
}

impl Lanes {
    /// For this many jobs: as many lanes as there are threads or `devices`, and no more than there are jobs.
    ///
    /// # Panics
    ///
    /// If the system gives no threads.
    pub(crate) fn new(jobs: usize, devices: usize) -> Self {
        let jobs = jobs.max(1);
        let threads = rayon::current_num_threads();
        let lanes = jobs.min(threads.max(devices));
        let pool = |lane: usize| {
            let share = (threads + lanes - 1 - lane) / lanes;
            let pool = ThreadPoolBuilder::new().num_threads(share.max(1));
            pool.build().expect("the system gives threads")
        };
        // One lane is whatever pool it is called in.
        let pools = if lanes == 1 { 0..0 } else { 0..lanes };
        Self {
            jobs,
            pools: pools.map(pool).collect(),
        }
    }

    /// What each job gives, in their order.
    pub(crate) fn run<T: Send>(&self, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let lanes = self.pools.len();
        if lanes == 0 {
            return (0..self.jobs).map(job).collect();
        }
        let of_lane = |lane| {
            let jobs = (lane..self.jobs).step_by(lanes);
            jobs.map(|number| (number, job(number))).collect()
        };
        let of_lane = &of_lane;
        let mut given: Vec<(usize, T)> = std::thread::scope(|scope| {
            let pools = self.pools.iter().enumerate();
            let lanes: Vec<_> = pools
                .map(|(lane, pool)| scope.spawn(move || pool.install(|| of_lane(lane))))
                .collect();
            let jobs = |lane: ScopedJoinHandle<'_, Vec<_>>| {
                lane.join().unwrap_or_else(|panic| resume_unwind(panic))
            };
            lanes.into_iter().flat_map(jobs).collect()
        });
        given.sort_by_key(|(job, _)| *job);
        given.into_iter().map(|(_, value)| value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_given_in_their_order_and_the_threads_are_shared_out() {
        let pool = ThreadPoolBuilder::new().num_threads(5).build().unwrap();
        let of = |jobs, devices| {
            pool.install(|| Lanes::new(jobs, devices))
                .run(|job| (job, rayon::current_num_threads()))
        };
        assert_eq!(of(3, 1), [(0, 2), (1, 2), (2, 1)]);
        assert_eq!(of(2, 1), [(0, 3), (1, 2)]);
        let many = of(17, 1);
        assert_eq!(many, (0..17).map(|job| (job, 1)).collect::<Vec<_>>());
        assert_eq!(of(7, 6), (0..7).map(|job| (job, 1)).collect::<Vec<_>>());
    }

    #[test]
    fn one_job_has_the_threads_of_its_caller() {
        let pool = ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(
            pool.install(|| Lanes::new(1, 4).run(|job| (job, rayon::current_num_threads()))),
            [(0, 3)]
        );
    }
}
