//! Evaluations of the network that an edit does without: see [`EditOptions::deep_cache`] and
//! [`EditOptions::adaptive_guidance`].
//!
//! [`EditOptions::deep_cache`]: crate::EditOptions::deep_cache
//! [`EditOptions::adaptive_guidance`]: crate::EditOptions::adaptive_guidance

use burn::tensor::{FloatDType, Tensor};
use ip2p_core::{Branch, Guidance, PlannedBranch};
use ip2p_models::unet::DeepFeatures;

use crate::options::EditOptions;

/// What is known for short cuts after some steps of an edit.
#[derive(Debug)]
pub(crate) struct ShortCuts {
    /// Every such step runs the whole network: 1 for each.
    deep_cache: usize,
    /// The deep features of the last whole pass of each branch.
    kept: Vec<(Branch, DeepFeatures)>,
    /// The likeness of the branches with the sentence and without from which on one is enough.
    adaptive_guidance: Option<f64>,
    /// Whether they were as alike.
    alike: bool,
}

impl ShortCuts {
    pub(super) fn new(options: &EditOptions) -> Self {
        Self {
            deep_cache: options.deep_cache,
            kept: Vec::new(),
            adaptive_guidance: options.adaptive_guidance,
            alike: false,
        }
    }

    /// Begins a step, the `index`th that is made: the first and every Nth after it are whole.
    pub(super) fn begin_step(&mut self, index: usize) {
        if index.is_multiple_of(self.deep_cache) {
            self.kept.clear();
        }
    }

    /// The branches to run at a step of the schedule.
    pub(super) fn plan(&self, guidance: &Guidance, step: usize) -> Vec<PlannedBranch> {
        if self.alike {
            let (branch, weight) = (Branch::TextAndImage, 1.0);
            return vec![PlannedBranch { branch, weight }];
        }
        guidance.plan(step)
    }

    /// Whether whole passes are to keep their features.
    pub(super) fn keeps(&self) -> bool {
        self.deep_cache > 1
    }

    /// The features of these branches, if this step is not a whole one and all of them were run at the last that was.
    pub(super) fn features(&self, plan: &[PlannedBranch]) -> Option<DeepFeatures> {
        let of = |planned: &PlannedBranch| {
            let mut kept = self.kept.iter();
            let found = kept.find(|(branch, _)| *branch == planned.branch);
            found.map(|(_, features)| features)
        };
        let all: Option<Vec<_>> = plan.iter().map(of).collect();
        all.map(DeepFeatures::join)
    }

    /// Keeps the features of a whole pass over these branches for the steps until the next whole one.
    pub(super) fn keep(&mut self, plan: &[PlannedBranch], features: &DeepFeatures) {
        for (planned, features) in plan.iter().zip(features.split(plan.len())) {
            self.kept.retain(|(branch, _)| *branch != planned.branch);
            self.kept.push((planned.branch, features));
        }
    }

    /// Takes in what the branches of a step predict.
    pub(super) fn see(&mut self, outputs: &[(PlannedBranch, Tensor<4>)]) {
        let of = |branch| {
            let mut outputs = outputs.iter();
            let found = outputs.find(|(planned, _)| planned.branch == branch);
            found.map(|(_, output)| output.clone().cast(FloatDType::F32))
        };
        let both = (of(Branch::TextAndImage), of(Branch::Image));
        if let (Some(threshold), (Some(with), Some(without))) = (self.adaptive_guidance, both) {
            self.alike |= likeness(&with, &without) > threshold;
        }
    }
}

/// The cosine between the predictions of each image, of the image for which it is least.
fn likeness(a: &Tensor<4>, b: &Tensor<4>) -> f64 {
    let product = |a: &Tensor<4>, b: &Tensor<4>| (a.clone() * b.clone()).sum_dims(&[1, 2, 3]);
    let cosine = product(a, b) / (product(a, a) * product(b, b)).sqrt();
    f64::from(cosine.min().into_scalar::<f32>())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn likeness_is_the_cosine_of_the_least_alike_image() {
        let device = Device::flex();
        let of = |numbers: [[f32; 2]; 2]| {
            Tensor::<2>::from_floats(numbers, &device).reshape([2, 2, 1, 1])
        };
        let a = of([[1.0, 0.0], [2.0, 2.0]]);
        let b = of([[3.0, 4.0], [5.0, 5.0]]);
        assert!((likeness(&a, &b) - 0.6).abs() < 1e-6);
    }
}
