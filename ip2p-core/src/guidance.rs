//! How strongly to follow the sentence and the picture.
//!
//! Every guidance formula of the InstructPix2Pix family is a weighted sum of predictions of the same network under
//! different conditions. Written as weights, a branch that does not count shows itself as a zero, and is not run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A condition under which the network predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Branch {
    /// The sentence and the picture.
    TextAndImage,
    /// The picture alone; the sentence is the empty or the negative one.
    Image,
    /// The sentence alone; the picture is zeros in latent space.
    Text,
    /// Neither.
    Neither,
}

impl Branch {
    /// Whether the branch reads the sentence.
    #[must_use]
    pub fn has_text(self) -> bool {
        matches!(self, Self::TextAndImage | Self::Text)
    }

    /// Whether the branch sees the picture.
    #[must_use]
    pub fn has_image(self) -> bool {
        matches!(self, Self::TextAndImage | Self::Image)
    }
}

/// How the branches are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GuidanceFormula {
    /// `none + s_I·(image − none) + s_T·(text_and_image − image)`: Brooks et al. (2023),
    /// <https://arxiv.org/abs/2211.09800>, eq. 3.
    #[default]
    Brooks,
    /// `½(image + text) + s_T·(text_and_image − image) + s_I·(text_and_image − text)`: Geng et al. (2023),
    /// <https://arxiv.org/abs/2309.03895>, whose training never drops both conditions.
    InstructDiffusion,
    /// `none + s_I·(image + s_T·(text_and_image − image) − none)`: ComfyUI's `DualCFGGuider`, style `nested`.
    Nested,
}

/// A scale that may change from step to step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ScaleSchedule {
    /// The same at each step.
    Constant(f64),
    /// One value for each step, the last one kept if there are more steps than values.
    PerStep(Vec<f64>),
}

impl ScaleSchedule {
    /// The scale at `step`, counted from 0.
    #[must_use]
    pub fn at(&self, step: usize) -> f64 {
        match self {
            Self::Constant(scale) => *scale,
            Self::PerStep(scales) => scales[step.min(scales.len() - 1)],
        }
    }

    /// # Errors
    ///
    /// If a value is not finite, or there is none.
    fn check(&self, name: &'static str) -> Result<()> {
        let scales = self.values();
        if scales.is_empty() {
            return Err(Error::setting(
                name,
                "one value or one for each step",
                "an empty list",
            ));
        }
        match scales.iter().find(|scale| !scale.is_finite()) {
            Some(scale) => Err(Error::setting(name, "a finite number", scale)),
            None => Ok(()),
        }
    }

    fn values(&self) -> &[f64] {
        match self {
            Self::Constant(scale) => std::slice::from_ref(scale),
            Self::PerStep(scales) => scales,
        }
    }
}

impl fmt::Display for ScaleSchedule {
    /// As [`FromStr`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scale) in self.values().iter().enumerate() {
            write!(f, "{}{scale}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for ScaleSchedule {
    type Err = Error;

    /// One scale, or one for each step: `9,7.5,3`.
    fn from_str(text: &str) -> Result<Self> {
        let numbers: Result<Vec<f64>, _> = text
            .split(',')
            .map(|number| number.trim().parse())
            .collect();
        match numbers.as_deref() {
            Ok([one]) => Ok((*one).into()),
            Ok(several) => Ok(several.to_vec().into()),
            Err(_) => {
                let expected = "a number, or several with commas between them";
                Err(Error::setting("scale", expected, text))
            }
        }
    }
}

impl From<f64> for ScaleSchedule {
    fn from(scale: f64) -> Self {
        Self::Constant(scale)
    }
}

impl From<Vec<f64>> for ScaleSchedule {
    fn from(scales: Vec<f64>) -> Self {
        Self::PerStep(scales)
    }
}

/// A branch that has to be run, and what its prediction is multiplied by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlannedBranch {
    /// The condition.
    pub branch: Branch,
    /// The weight of its prediction in the sum.
    pub weight: f64,
}

/// How strongly to follow the sentence and the picture.
///
/// # Examples
///
/// ```
/// use ip2p_core::Guidance;
///
/// assert_eq!(Guidance::new(7.5, 1.5).plan(0).len(), 3);
/// // At an image scale of 1 the branch without the picture weighs nothing: a third of the work is saved.
/// assert_eq!(Guidance::new(7.5, 1.0).plan(0).len(), 2);
/// assert_eq!(Guidance::new(1.0, 1.0).plan(0).len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guidance {
    /// How strongly to follow the sentence: default 7.5.
    pub text_scale: ScaleSchedule,
    /// How closely to keep the picture: default 1.5.
    pub image_scale: ScaleSchedule,
    /// How the branches are combined.
    pub formula: GuidanceFormula,
    /// How far the result's standard deviation is pulled to that of the text-and-image branch, 0 to 1: default 0, not
    /// at all. Lin et al. (2023), <https://arxiv.org/abs/2305.08891>, eq. 15 and 16.
    pub rescale: f64,
}

impl Default for Guidance {
    fn default() -> Self {
        Self::new(7.5, 1.5)
    }
}

impl Guidance {
    /// Guidance by the formula of the paper, with the same scales at each step.
    #[must_use]
    pub fn new(
        text_scale: impl Into<ScaleSchedule>,
        image_scale: impl Into<ScaleSchedule>,
    ) -> Self {
        Self {
            text_scale: text_scale.into(),
            image_scale: image_scale.into(),
            formula: GuidanceFormula::Brooks,
            rescale: 0.0,
        }
    }

    /// Combines the branches by `formula`.
    #[must_use]
    pub fn with_formula(mut self, formula: GuidanceFormula) -> Self {
        self.formula = formula;
        self
    }

    /// Pulls the result's standard deviation to that of the text-and-image branch by the share `rescale`.
    #[must_use]
    pub fn with_rescale(mut self, rescale: f64) -> Self {
        self.rescale = rescale;
        self
    }

    /// Whether the settings make sense.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] if a scale is not finite or a list of them is empty, or if `rescale` is not in 0 to 1.
    pub fn check(&self) -> Result<()> {
        self.text_scale.check("text_scale")?;
        self.image_scale.check("image_scale")?;
        if (0.0..=1.0).contains(&self.rescale) {
            Ok(())
        } else {
            Err(Error::setting(
                "guidance_rescale",
                "between 0 and 1",
                self.rescale,
            ))
        }
    }

    /// The branches to run at `step`, counted from 0: those whose weight is not 0, in the order in which the original
    /// repository batches them.
    ///
    /// With `rescale` the text-and-image branch is always among them, for its standard deviation is needed. The
    /// weights sum to 1 in the formulas of Brooks et al. and ComfyUI, and in InstructDiffusion's too.
    #[must_use]
    pub fn plan(&self, step: usize) -> Vec<PlannedBranch> {
        self.weights(step)
            .into_iter()
            .filter(|planned| {
                planned.weight != 0.0
                    || (self.rescale > 0.0 && planned.branch == Branch::TextAndImage)
            })
            .collect()
    }

    fn weights(&self, step: usize) -> [PlannedBranch; 3] {
        let (text, image) = (self.text_scale.at(step), self.image_scale.at(step));
        let of = |branch, weight| PlannedBranch { branch, weight };
        match self.formula {
            GuidanceFormula::Brooks => [
                of(Branch::TextAndImage, text),
                of(Branch::Image, image - text),
                of(Branch::Neither, 1.0 - image),
            ],
            GuidanceFormula::InstructDiffusion => [
                of(Branch::TextAndImage, text + image),
                of(Branch::Image, 0.5 - text),
                of(Branch::Text, 0.5 - image),
            ],
            GuidanceFormula::Nested => [
                of(Branch::TextAndImage, image * text),
                of(Branch::Image, image * (1.0 - text)),
                of(Branch::Neither, 1.0 - image),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn combine(guidance: &Guidance, value: impl Fn(Branch) -> f64) -> f64 {
        guidance
            .plan(0)
            .iter()
            .map(|planned| planned.weight * value(planned.branch))
            .sum()
    }

    fn branches(guidance: &Guidance) -> Vec<Branch> {
        guidance
            .plan(0)
            .iter()
            .map(|planned| planned.branch)
            .collect()
    }

    #[test]
    fn a_scale_is_a_number_or_a_list() {
        for (text, expected) in [
            ("7.5", 7.5.into()),
            ("-1", (-1.0).into()),
            ("9, 3", vec![9.0, 3.0].into()),
        ] {
            let scale: ScaleSchedule = text.parse().unwrap();
            assert_eq!(scale, expected);
            assert_eq!(scale.to_string().parse::<ScaleSchedule>().unwrap(), scale);
        }
        for text in ["", "x", "1,,2", "1;2"] {
            assert!(text.parse::<ScaleSchedule>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_branches_that_count_are_run() {
        use Branch::{Image, Neither, Text, TextAndImage};
        let brooks = Guidance::new;
        assert_eq!(branches(&brooks(7.5, 1.5)), [TextAndImage, Image, Neither]);
        assert_eq!(branches(&brooks(7.5, 1.0)), [TextAndImage, Image]);
        assert_eq!(branches(&brooks(1.5, 1.5)), [TextAndImage, Neither]);
        assert_eq!(branches(&brooks(1.0, 1.0)), [TextAndImage]);
        assert_eq!(branches(&brooks(0.0, 1.0)), [Image]);
        assert_eq!(branches(&brooks(0.0, 0.0)), [Neither]);
        let instruct = brooks(5.0, 1.25).with_formula(GuidanceFormula::InstructDiffusion);
        assert_eq!(branches(&instruct), [TextAndImage, Image, Text]);
    }

    #[test]
    fn rescale_needs_the_text_and_image_branch_even_at_weight_zero() {
        let guidance = Guidance::new(0.0, 1.0).with_rescale(0.7);
        assert_eq!(branches(&guidance), [Branch::TextAndImage, Branch::Image]);
    }

    #[test]
    fn scales_that_are_no_numbers_are_refused() {
        for scale in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Guidance::new(scale, 1.5).check().is_err());
            assert!(Guidance::new(7.5, scale).check().is_err());
            assert!(Guidance::default().with_rescale(scale).check().is_err());
        }
        assert!(Guidance::new(vec![], 1.5).check().is_err());
        assert!(Guidance::new(0.0, 0.9).check().is_ok());
    }

    #[test]
    fn a_per_step_scale_keeps_its_last_value() {
        let schedule = ScaleSchedule::PerStep(vec![9.0, 3.0]);
        assert_eq!([0, 1, 7].map(|step| schedule.at(step)), [9.0, 3.0, 3.0]);
    }

    proptest! {
        #[test]
        fn the_plan_equals_the_formula(
            text in -10.0..10.0_f64, image in -10.0..10.0_f64, p in -3.0..3.0_f64, m in -3.0..3.0_f64, q in -3.0..3.0_f64, n in -3.0..3.0_f64,
        ) {
            let value = |branch| match branch {
                Branch::TextAndImage => p,
                Branch::Image => m,
                Branch::Text => q,
                Branch::Neither => n,
            };
            let expected = [
                (GuidanceFormula::Brooks, n + image * (m - n) + text * (p - m)),
                (GuidanceFormula::InstructDiffusion, 0.5 * (m + q) + text * (p - m) + image * (p - q)),
                (GuidanceFormula::Nested, n + image * (m + text * (p - m) - n)),
            ];
            for (formula, expected) in expected {
                let got = combine(&Guidance::new(text, image).with_formula(formula), value);
                prop_assert!((got - expected).abs() < 1e-10 * (1.0 + expected.abs()), "{formula:?}: {got} {expected}");
            }
        }

        #[test]
        fn the_weights_sum_to_one(text in -10.0..10.0_f64, image in -10.0..10.0_f64) {
            for formula in [GuidanceFormula::Brooks, GuidanceFormula::InstructDiffusion, GuidanceFormula::Nested] {
                let sum = combine(&Guidance::new(text, image).with_formula(formula), |_| 1.0);
                prop_assert!((sum - 1.0).abs() < 1e-12);
            }
        }
    }
}
