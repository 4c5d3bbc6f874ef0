//! The numbers of an evaluation, and their table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ip2p_data::{Family, Phrasing};

use super::EvalOptions;

/// How many of some cases succeeded, with the model and with the unchanged input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    /// Cases.
    pub count: u32,
    /// Of them with the model.
    pub model: u32,
    /// Of them with the unchanged input.
    pub unchanged: u32,
}

impl Rate {
    pub(super) fn add(&mut self, model: bool, unchanged: bool) {
        self.count += 1;
        self.model += u32::from(model);
        self.unchanged += u32::from(unchanged);
    }

    /// The share with the model, 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        f64::from(self.model) / f64::from(self.count.max(1))
    }
}

/// The numbers of a family, as sums.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FamilyRow {
    count: u32,
    followed: u32,
    psnr: f64,
    unchanged: f64,
    kept: (f64, u32),
}

impl FamilyRow {
    pub(super) fn add(&mut self, followed: bool, psnr: f64, unchanged: f64) {
        // An equal picture would make every mean infinite.
        const MOST: f64 = 60.0;
        self.count += 1;
        self.followed += u32::from(followed);
        self.psnr += psnr.min(MOST);
        self.unchanged += unchanged.min(MOST);
    }

    pub(super) fn keep(&mut self, psnr: f64) {
        self.kept.0 += psnr;
        self.kept.1 += 1;
    }

    /// The mean PSNR to the target, in dB.
    #[must_use]
    pub fn psnr(&self) -> f64 {
        self.psnr / f64::from(self.count.max(1))
    }

    /// The same of the unchanged input.
    #[must_use]
    pub fn unchanged(&self) -> f64 {
        self.unchanged / f64::from(self.count.max(1))
    }

    /// What the model gains over it, in dB.
    #[must_use]
    pub fn gain(&self) -> f64 {
        self.psnr() - self.unchanged()
    }

    /// The mean PSNR to the input outside the mask, in dB, of local edits.
    #[must_use]
    pub fn keeping(&self) -> Option<f64> {
        (self.kept.1 > 0).then(|| self.kept.0 / f64::from(self.kept.1))
    }
}

/// A mean at one guidance scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScaleRow {
    /// The scale.
    pub scale: f64,
    /// The mean.
    pub mean: f64,
}

impl ScaleRow {
    pub(super) fn new(scale: f64, mean: f64) -> Self {
        Self { scale, mean }
    }
}

/// All that was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    options: EvalOptions,
    families: BTreeMap<(bool, Family), FamilyRow>,
    rates: BTreeMap<(bool, bool), Rate>,
    pub(super) place: Rate,
    /// Of the sentence whole.
    pub(super) chained: Rate,
    /// Of the sentence taken apart.
    pub(super) chained_apart: Rate,
    pub(super) image_scale: Vec<ScaleRow>,
    pub(super) text_scale: Vec<ScaleRow>,
}

impl Evaluation {
    pub(super) fn new(options: EvalOptions) -> Self {
        Self {
            options,
            families: BTreeMap::new(),
            rates: BTreeMap::new(),
            place: Rate::default(),
            chained: Rate::default(),
            chained_apart: Rate::default(),
            image_scale: Vec::new(),
            text_scale: Vec::new(),
        }
    }

    pub(super) fn family(&mut self, on_photos: bool, family: Family) -> &mut FamilyRow {
        self.families.entry((on_photos, family)).or_default()
    }

    pub(super) fn following(&mut self, on_photos: bool, phrasing: Phrasing) -> &mut Rate {
        let held_out = phrasing == Phrasing::HeldOut;
        self.rates.entry((on_photos, held_out)).or_default()
    }

    /// The whole as Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = String::from(
            "| measure | on | at least | reached | unchanged input | cases |\n| --- | --- | --- | --- | --- | --- |\n",
        );
        for (&(on_photos, held_out), rate) in &self.rates {
            let (measure, least) = if held_out {
                ("following, sentences never seen", 80)
            } else {
                ("following", 90)
            };
            push_rate(&mut text, measure, on(on_photos), least, rate);
        }
        for on_photos in [false, true] {
            self.push_worst_gain(&mut text, on_photos);
        }
        self.push_keeping(&mut text);
        push_rate(&mut text, "place", "scenes", 85, &self.place);
        for (measure, rate) in [
            (
                "two edits in one sentence, the command",
                &self.chained_apart,
            ),
            ("two edits in one sentence, `--at-once`", &self.chained),
        ] {
            push_rate(&mut text, measure, "scenes", 60, rate);
        }
        self.push_families(&mut text);
        push_scales(
            &mut text,
            "image scale",
            "PSNR to the input, dB",
            &self.image_scale,
        );
        push_scales(
            &mut text,
            "text scale",
            "way from the input to the target",
            &self.text_scale,
        );
        text
    }

    fn push_worst_gain(&self, text: &mut String, on_photos: bool) {
        let rows = self
            .families
            .iter()
            .filter(|((photos, _), _)| *photos == on_photos);
        let Some(((_, family), row)) = rows.min_by(|a, b| a.1.gain().total_cmp(&b.1.gain())) else {
            return;
        };
        let _ = writeln!(
            text,
            "| gain, least of all families ({family}) | {} | 5 dB | {:.1} dB | 0 dB | {} |",
            on(on_photos),
            row.gain(),
            row.count
        );
    }

    fn push_keeping(&self, text: &mut String) {
        let rows = self.families.values().filter(|row| row.kept.1 > 0);
        let (sum, count) = rows.fold((0.0, 0), |(sum, count), row| {
            (sum + row.kept.0, count + row.kept.1)
        });
        let mean = sum / f64::from(count.max(1));
        let _ = writeln!(
            text,
            "| keeping | scenes | 28 dB | {mean:.1} dB | ∞ | {count} |"
        );
    }

    fn push_families(&self, text: &mut String) {
        text.push_str(
            "\n| family | on | PSNR to the target | unchanged input | gain | followed | keeping | cases |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for ((on_photos, family), row) in &self.families {
            let keeping = row
                .keeping()
                .map_or("–".into(), |kept| format!("{kept:.1} dB"));
            let _ = writeln!(
                text,
                "| {family} | {} | {:.1} dB | {:.1} dB | {:.1} dB | {} of {} | {keeping} | {} |",
                on(*on_photos),
                row.psnr(),
                row.unchanged(),
                row.gain(),
                row.followed,
                row.count,
                row.count
            );
        }
    }

    /// What it was measured on.
    #[must_use]
    pub fn options(&self) -> &EvalOptions {
        &self.options
    }
}

fn on(photos: bool) -> &'static str {
    if photos { "photos" } else { "scenes" }
}

fn push_rate(text: &mut String, measure: &str, on: &str, least: u32, rate: &Rate) {
    let unchanged = f64::from(rate.unchanged) / f64::from(rate.count.max(1));
    let _ = writeln!(
        text,
        "| {measure} | {on} | {least} % | {:.0} % | {:.0} % | {} |",
        100.0 * rate.share(),
        100.0 * unchanged,
        rate.count
    );
}

fn push_scales(text: &mut String, name: &str, what: &str, rows: &[ScaleRow]) {
    let _ = write!(text, "\n| {name} |");
    for row in rows {
        let _ = write!(text, " {} |", row.scale);
    }
    let _ = write!(text, "\n| --- |{}\n| {what} |", " --- |".repeat(rows.len()));
    for row in rows {
        let _ = write!(text, " {:.2} |", row.mean);
    }
    text.push('\n');
}
