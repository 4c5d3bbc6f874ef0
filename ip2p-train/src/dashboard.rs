//! A training on a terminal, live: burn-train's own dashboard, driven step by step.
//!
//! It takes the whole of standard output while it is there: nothing else may be written to the terminal meanwhile. The key `q` asks
//! whether to stop.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use burn::train::Interrupter;
use burn::train::logger::TrainingProgressLogger as _;
use burn::train::metric::{
    MetricDefinition, MetricEntry, MetricId, NumericAttributes, NumericEntry, SerializedEntry,
};
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{MetricState, MetricsRenderer as _, MetricsRendererTraining as _};

use crate::trainer::StepReport;

/// How slowly the curve of the loss follows that of one step, which jumps with its noise levels.
const SMOOTHING: f64 = 0.98;

/// What is drawn: its name and its unit.
const METRICS: [(&str, Option<&str>); 5] = [
    ("Loss, smoothed", None),
    ("Loss", None),
    ("Gradient norm", None),
    ("Learning rate", None),
    ("Time of a step", Some("s")),
];

/// A dashboard, for as long as it lives.
pub struct Dashboard {
    /// None after the user has had burn-train kill it.
    renderer: Option<TuiMetricsRendererWrapper>,
    interrupter: Interrupter,
    loss: Option<f64>,
    last: Instant,
}

impl std::fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dashboard")
            .field("loss", &self.loss)
            .finish_non_exhaustive()
    }
}

impl Dashboard {
    /// Takes the terminal for a training of this many steps.
    ///
    /// # Panics
    ///
    /// If standard output is no terminal.
    #[must_use]
    pub fn new(label: &str, steps: u64) -> Self {
        let interrupter = Interrupter::new();
        let mut renderer = TuiMetricsRendererWrapper::new(interrupter.clone(), None);
        for (name, unit) in METRICS {
            renderer.register_metric(MetricDefinition {
                metric_id: id(name),
                name: Arc::new(name.to_owned()),
                description: None,
                attributes: NumericAttributes {
                    unit: unit.map(Into::into),
                    higher_is_better: false,
                }
                .into(),
            });
        }
        // One epoch, of all steps.
        let steps = usize::try_from(steps).unwrap_or(usize::MAX);
        renderer.start(1, 1, Some(steps), Some(label));
        Self {
            renderer: Some(renderer),
            interrupter,
            loss: None,
            last: Instant::now(),
        }
    }

    /// Shows a step; breaks if the user has asked to stop.
    pub fn show(&mut self, report: &StepReport) -> ControlFlow<()> {
        let time = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        let loss = self.loss.map_or(report.loss, |loss| {
            SMOOTHING * loss + (1.0 - SMOOTHING) * report.loss
        });
        self.loss = Some(loss);
        let values = [
            loss,
            report.loss,
            report.grad_norm,
            report.learning_rate,
            time,
        ];
        let Some(renderer) = &mut self.renderer else {
            return ControlFlow::Break(());
        };
        // Its answer to "stop immediately" is a panic in whoever tells it something next. To us it is a wish to stop.
        let shown = catch_unwind(AssertUnwindSafe(|| {
            for ((name, _), value) in METRICS.into_iter().zip(values) {
                let text = format!("{value:.6}");
                let entry = MetricEntry::new(id(name), SerializedEntry::new(text.clone(), text));
                let value = Some(NumericEntry::Value(value));
                renderer.update_train(MetricState::Numeric(entry, value));
            }
            renderer.update_split(usize::try_from(report.step + 1).unwrap_or(usize::MAX));
        }));
        if shown.is_err() {
            // It has given the terminal back, and its end would panic again.
            std::mem::forget(self.renderer.take());
            return ControlFlow::Break(());
        }
        if self.interrupter.should_stop() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

fn id(name: &str) -> MetricId {
    MetricId::new(Arc::new(name.to_owned()))
}
