//! Bars with the time left, on a terminal; nothing in a pipe.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Whether and where progress is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    shown: bool,
}

impl Progress {
    /// Drawn if standard error is a terminal and nobody asked for quiet.
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            shown: !quiet && std::io::stderr().is_terminal(),
        }
    }

    /// A bar over bytes.
    pub(crate) fn bytes(self, what: &'static str) -> ProgressBar {
        self.bar(what, "{msg:12} {wide_bar} {bytes}/{total_bytes} {eta} left")
    }

    /// A bar over steps.
    pub(crate) fn steps(self, what: &'static str) -> ProgressBar {
        self.bar(
            what,
            "{msg:12} {wide_bar} {pos}/{len} {elapsed} gone, {eta} left",
        )
    }

    /// A bar over pictures, with a word on the one under way.
    pub(crate) fn pictures(self, all: usize) -> ProgressBar {
        let bar = self.bar(
            "",
            "{msg:16} {wide_bar} {pos}/{len} {elapsed} gone, {eta} left",
        );
        bar.set_length(all as u64);
        if self.shown {
            bar.enable_steady_tick(Duration::from_secs(1));
        }
        bar
    }

    /// A line that moves while something of unknown length goes on.
    pub(crate) fn spinner(self, what: &'static str) -> ProgressBar {
        let bar = self.bar(what, "{msg:12} {spinner} {elapsed}");
        if self.shown {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        bar
    }

    fn bar(self, what: &'static str, template: &str) -> ProgressBar {
        let target = if self.shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let style =
            ProgressStyle::with_template(template).expect("the templates above are well formed");
        ProgressBar::with_draw_target(None, target)
            .with_style(style)
            .with_message(what)
    }
}
