//! Evaluations of the network that an edit does without: see [`EditOptions::deep_cache`] and
//! [`EditOptions::adaptive_guidance`].
//!
//! [`EditOptions::deep_cache`]: crate::EditOptions::deep_cache
//! [`EditOptions::adaptive_guidance`]: crate::EditOptions::adaptive_guidance

use burn::tensor::{FloatDType, Tensor};
use ip2p_core::{Branch, PlannedBranch};
use ip2p_models::unet::DeepFeatures;

use crate::settings::Settings;

/// What is known for short cuts after some steps of an edit.
#[derive(Debug)]
pub(crate) struct ShortCuts {
    /// Every such step runs the whole network: 1 for each.
    deep_cache: usize,
    /// The deep features of the last whole pass of each branch.
    kept: Vec<(Branch, DeepFeatures)>,
    /// The likeness of the branches with the sentence and without from which on one is enough.
    adaptive_guidance: Option<f64>,
    /// Which images were as alike at a step before this one, and at this one.
    alike: Vec<bool>,
    next_alike: Vec<bool>,
}

impl ShortCuts {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            deep_cache: settings.deep_cache,
            kept: Vec::new(),
            adaptive_guidance: settings.options.adaptive_guidance,
            alike: Vec::new(),
            next_alike: Vec::new(),
        }
    }

    /// Begins a step, the `index`th that is made: the first and every Nth after it are whole.
    pub(super) fn begin_step(&mut self, index: usize) {
        if index.is_multiple_of(self.deep_cache) {
            self.kept.clear();
        }
        self.alike.clone_from(&self.next_alike);
    }

    /// The branches to run, of those that guidance asks for: one, once that is enough for every image.
    pub(super) fn plan(&self, guided: Vec<PlannedBranch>) -> Vec<PlannedBranch> {
        if self.alike.is_empty() || self.alike.contains(&false) {
            return guided;
        }
        let (branch, weight) = (Branch::TextAndImage, 1.0);
        vec![PlannedBranch { branch, weight }]
    }

    /// What was guided, of the images for which one branch is enough what that branch predicts.
    pub(super) fn guided(
        &self,
        guided: Tensor<4>,
        outputs: &[(PlannedBranch, Tensor<4>)],
    ) -> Tensor<4> {
        let with_both = prediction(outputs, Branch::TextAndImage);
        let Some(alone) = with_both.filter(|_| self.alike.contains(&true)) else {
            return guided;
        };
        let images = self.alike.iter().enumerate();
        let images = images.map(|(image, &alike)| {
            let of = if alike { &alone } else { &guided };
            of.clone().narrow(0, image, 1)
        });
        Tensor::cat(images.collect(), 0)
    }

    /// Whether whole passes are to keep their features.
    pub(super) fn keeps(&self) -> bool {
        self.deep_cache > 1
    }

    /// The features of these branches, if this step is not a whole one and all of them were run since the last that was.
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

    /// Takes in what the branches of a step predict, for the steps after it.
    pub(super) fn see(&mut self, outputs: &[(PlannedBranch, Tensor<4>)]) {
        let with = prediction(outputs, Branch::TextAndImage);
        let without = prediction(outputs, Branch::Image);
        let (Some(threshold), Some(with), Some(without)) = (self.adaptive_guidance, with, without)
        else {
            return;
        };
        let likeness = likeness(&with, &without);
        self.next_alike.resize(likeness.len(), false);
        for (alike, likeness) in self.next_alike.iter_mut().zip(likeness) {
            *alike |= likeness > threshold;
        }
    }
}

/// Which steps are shallow, told without running them: where guidance does not end by itself.
#[derive(Debug)]
pub(super) struct ShallowSteps {
    deep_cache: usize,
    kept: Vec<Branch>,
}

impl ShallowSteps {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            deep_cache: settings.deep_cache,
            kept: Vec::new(),
        }
    }

    /// Whether the next step, the `index`th that is made, is shallow; it runs these branches.
    pub(super) fn next(&mut self, index: usize, plan: &[PlannedBranch]) -> bool {
        if index.is_multiple_of(self.deep_cache) {
            self.kept.clear();
        }
        let shallow = plan
            .iter()
            .all(|planned| self.kept.contains(&planned.branch));
        self.kept.extend(plan.iter().map(|planned| planned.branch));
        shallow
    }
}

/// What a branch predicts, if it was run.
fn prediction(outputs: &[(PlannedBranch, Tensor<4>)], branch: Branch) -> Option<Tensor<4>> {
    let found = outputs.iter().find(|(planned, _)| planned.branch == branch);
    found.map(|(_, output)| output.clone().cast(FloatDType::F32))
}

/// The cosine between two predictions, of each image.
fn likeness(a: &Tensor<4>, b: &Tensor<4>) -> Vec<f64> {
    let product = |a: &Tensor<4>, b: &Tensor<4>| (a.clone() * b.clone()).sum_dims(&[1, 2, 3]);
    let cosine = product(a, b) / (product(a, a) * product(b, b)).sqrt();
    let cosine = cosine.into_data().try_into_vec::<f32>();
    // No two are more than alike, whatever the rounding says.
    let cosine = cosine.expect("they were cast to f32").into_iter();
    cosine.map(|cosine| f64::from(cosine).min(1.0)).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn likeness_is_the_cosine_of_each_image() {
        let device = Device::flex();
        let of = |numbers: [[f32; 2]; 2]| {
            Tensor::<2>::from_floats(numbers, &device).reshape([2, 2, 1, 1])
        };
        let a = of([[1.0, 0.0], [2.0, 2.0]]);
        let b = of([[3.0, 4.0], [5.0, 5.0]]);
        let found = likeness(&a, &b);
        assert!((found[0] - 0.6).abs() < 1e-6 && (found[1] - 1.0).abs() < 1e-6 && found[1] <= 1.0);
    }
}
