//! What `ip2p bench` prints.

use std::io::Write;
use std::time::Duration;

use ip2p::{Bytes, Cost};
use serde::Serialize;

use crate::budget::Kept;

/// The whole.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) model: String,
    pub(super) device: String,
    pub(super) precision: &'static str,
    pub(super) width: u32,
    pub(super) height: u32,
    /// How many threads share the work on the CPU.
    pub(super) threads: usize,
    /// What a large product reaches on the device in this precision, in 10⁹ operations a second.
    pub(super) peak_gflops: f64,
    pub(super) parts: Vec<Part>,
    /// Null without a budget.
    pub(super) memory: Option<Kept>,
    /// What the edit is told beforehand to take.
    pub(super) estimated_memory_bytes: Bytes,
    /// Null where the system does not tell.
    pub(super) peak_memory_bytes: Option<u64>,
}

/// A part of an edit: its times in seconds, and what it costs.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    name: &'static str,
    median_s: f64,
    min_s: f64,
    max_s: f64,
    /// How often it was timed.
    times: usize,
    /// Null where there is nothing to compute.
    flops: Option<u64>,
    /// Weights and activations, each counted once for each product that it is in.
    numbers: Option<u64>,
}

impl Part {
    /// Of these times, at least one.
    pub(super) fn new(name: &'static str, times: &[Duration], cost: Option<Cost>) -> Self {
        let mut times: Vec<_> = times.iter().map(Duration::as_secs_f64).collect();
        times.sort_by(f64::total_cmp);
        let middle = times.len() / 2;
        let median_s = if times.len().is_multiple_of(2) {
            f64::midpoint(times[middle - 1], times[middle])
        } else {
            times[middle]
        };
        Self {
            name,
            median_s,
            min_s: times[0],
            max_s: times[times.len() - 1],
            times: times.len(),
            flops: cost.map(|cost| cost.flops()),
            numbers: cost.map(|cost| cost.weights + cost.activations),
        }
    }
}

impl Report {
    /// A table for people.
    pub(super) fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let Self {
            model,
            device,
            precision,
            width,
            height,
            threads,
            peak_gflops,
            ..
        } = self;
        writeln!(
            out,
            "{model}, {width}x{height}, {precision} on {device}, {threads} threads; a large product: {peak_gflops:.0} GFLOP/s\n"
        )?;
        writeln!(
            out,
            "{:<9} {:>10} {:>10} {:>10} {:>6} {:>10} {:>9} {:>6} {:>10}",
            "part", "median", "least", "most", "times", "GFLOP", "GFLOP/s", "share", "10⁹ numbers"
        )?;
        for part in &self.parts {
            write!(
                out,
                "{:<9} {:>8.3} s {:>8.3} s {:>8.3} s {:>6}",
                part.name, part.median_s, part.min_s, part.max_s, part.times
            )?;
            if let (Some(flops), Some(numbers)) = (part.flops, part.numbers) {
                let gflop = flops as f64 / 1e9;
                let rate = gflop / part.median_s;
                let share = 100.0 * rate / peak_gflops;
                write!(
                    out,
                    " {gflop:>10.2} {rate:>9.1} {share:>4.0} % {:>10.3}",
                    numbers as f64 / 1e9
                )?;
            }
            writeln!(out)?;
        }
        let estimate = self.estimated_memory_bytes;
        match self.peak_memory_bytes {
            Some(bytes) => {
                let peak = bytes as f64 / 1e9;
                writeln!(out, "\npeak memory {peak:.2} GB, estimated {estimate}")
            }
            None => writeln!(out, "\nestimated memory {estimate}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_times_in_order() {
        let part = |times: &[u64]| {
            let times: Vec<_> = times.iter().map(|&s| Duration::from_secs(s)).collect();
            Part::new("step", &times, None).median_s
        };
        assert_eq!(part(&[9, 1, 2]), 2.0);
        assert_eq!(part(&[9, 1, 2, 4]), 3.0);
        assert_eq!(part(&[7]), 7.0);
    }
}
