//! How a training is shown: a dashboard or a bar on a terminal, lines elsewhere.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use ip2p_train::StepReport;
#[cfg(feature = "tui")]
use ip2p_train::dashboard::Dashboard;

use crate::args::TrainArgs;
use crate::exit::tell;

/// Steps from one line of a log to the next, where there is no terminal.
const LINE_EVERY: u64 = 50;

/// A training as its user sees it.
#[derive(Debug)]
pub(super) enum Shown {
    /// burn-train's, where standard output is a terminal.
    #[cfg(feature = "tui")]
    Dashboard(Dashboard),
    /// A bar on standard error, or lines if that is no terminal.
    Lines(Lines),
    /// Not at all.
    Quiet,
}

impl Shown {
    pub(super) fn new(args: &TrainArgs, steps: u64) -> Self {
        if args.quiet {
            return Self::Quiet;
        }
        #[cfg(feature = "tui")]
        if !args.no_tui && std::io::stdout().is_terminal() {
            return Self::Dashboard(Dashboard::new("training", steps));
        }
        Self::Lines(Lines::new(steps))
    }

    /// Shows a step; breaks if the user has asked to stop.
    pub(super) fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        match self {
            #[cfg(feature = "tui")]
            Self::Dashboard(dashboard) => return dashboard.show(report),
            Self::Lines(lines) => lines.step(report),
            Self::Quiet => {}
        }
        ControlFlow::Continue(())
    }
}

/// A bar, or lines.
#[derive(Debug)]
pub(super) struct Lines {
    bar: ProgressBar,
    steps: u64,
    /// When the first step of this run was done, and which it was.
    began: Option<(Instant, u64)>,
    /// What is shown is the mean since it was last shown: the loss of one step jumps with its noise levels.
    losses: (f64, f64),
}

impl Lines {
    fn new(steps: u64) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            let style = "{bar:24} {pos} of {len}, {per_sec}, {eta} left  {msg}";
            let style = ProgressStyle::with_template(style).expect("the template is well-formed");
            let bar = ProgressBar::new(steps).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        Self {
            bar,
            steps,
            began: None,
            losses: (0.0, 0.0),
        }
    }

    fn step(&mut self, report: &StepReport) {
        let done = report.step + 1;
        let (began, first) = *self.began.get_or_insert((Instant::now(), done));
        self.losses.0 += report.loss;
        self.losses.1 += 1.0;
        self.bar.set_position(done);
        if !done.is_multiple_of(LINE_EVERY) {
            return;
        }
        let line = format!(
            "loss {:.5}, gradient {:.2}, learning rate {:.1e}",
            self.losses.0 / self.losses.1,
            report.grad_norm,
            report.learning_rate
        );
        self.losses = (0.0, 0.0);
        if !self.bar.is_hidden() {
            self.bar.set_message(line);
            return;
        }
        let speed = speed(done - first, began.elapsed(), self.steps - done);
        tell(&format!("step {done} of {}: {line}{speed}", self.steps));
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.bar.abandon();
    }
}

/// The steps a second and the time left, once there are steps to tell them by.
fn speed(done: u64, time: Duration, left: u64) -> String {
    if done == 0 {
        return String::new();
    }
    let each = time.as_secs_f64() / done as f64;
    let left = Duration::from_secs_f64(each * left as f64);
    format!(
        ", {:.2} steps/s, {:#} left",
        each.recip(),
        HumanDuration(left)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_the_steps_left() {
        let said = speed(50, Duration::from_secs(100), 90);
        assert_eq!(said, ", 0.50 steps/s, 3m left");
        assert_eq!(speed(0, Duration::from_secs(1), 90), "");
    }
}
