//! Guidance whose scales are maps: where the photo attends to the words of the sentence, and how strongly.
//!
//! "Attention-Scoped Guidance" (2026), <https://arxiv.org/abs/2609.37492>: the cross-attention of the branch with the sentence,
//! which every step computes anyway, says how much of each place is about the sentence's words. There the text scale is the one
//! that was asked for and the image scale a high one; elsewhere the text scale is 0 and the image scale the one that was asked
//! for. Nothing is held or masked, and where the attention is about the same everywhere the scales are too.

use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, TensorData};
use ip2p_core::{Branch, Guidance, PlannedBranch, Result};
use ip2p_models::unet::TokenAttention;
use ip2p_sched::guide;

use super::Editor;
use super::network::Conditions;
use super::prepared::Image;
use crate::options::EditOptions;

/// How many steps the attention is summed up over, the first ones.
const STEPS: usize = 10;

/// How steep the way is from a place that is not the sentence's to one that is, and where it is half-way.
const SLOPE: f64 = 10.0;
const HALF_WAY: f64 = 0.5;

/// What keeps a map that is the same everywhere from a division by zero.
const EPSILON: f64 = 1e-6;

/// The greatest attention as a multiple of the mean, below which the scales are the same everywhere.
const STANDS_OUT: f64 = 1.5;

/// The text scale where the sentence does not act.
const TEXT_OUTSIDE: f64 = 0.0;

/// The image scale where it does.
const IMAGE_INSIDE: f64 = 3.0;

/// What is said where the attention is about the same everywhere.
const EVERYWHERE: &str =
    "the attention to the sentence's words is about the same everywhere: so are the scales";

/// Where the sentences of a batch act, as far as is known.
#[derive(Debug)]
pub(crate) struct Scope {
    /// 1 for the words of each image's sentence: `[images, context_tokens]`.
    words: Tensor<2>,
    /// `[images, 1, height, width]`, of half the latents' size.
    attention: Option<Tensor<4>>,
    /// The first step of the edit.
    first: Option<usize>,
}

impl Editor {
    /// What makes maps of the scales, if the options ask for it.
    pub(super) fn scope(
        &self,
        images: &[Image],
        conditions: &Conditions,
        options: &EditOptions,
    ) -> Result<Option<Scope>> {
        if !options.region.is_attention() {
            return Ok(None);
        }
        let words = |image: &Image| self.model.tokenizer.count(&image.instruction);
        let words = images.iter().map(words).collect::<Result<Vec<_>>>()?;
        let [_, tokens, _] = conditions.context.dims();
        Ok(Some(Scope::new(&words, tokens, &self.device)))
    }
}

impl Scope {
    /// Of images whose sentences have so many words each, the first `words` after the start of the context.
    pub(super) fn new(words: &[usize], context_tokens: usize, device: &Device) -> Self {
        let row = |&count: &usize| {
            (0..context_tokens).map(move |token| f32::from(u8::from((1..=count).contains(&token))))
        };
        let values: Vec<f32> = words.iter().flat_map(row).collect();
        let data = TensorData::new(values, [words.len(), context_tokens]);
        Self {
            words: Tensor::from_data(data, device),
            attention: None,
            first: None,
        }
    }

    /// The branches that the maps may give a weight to.
    pub(super) fn plan(guidance: &Guidance, step: usize) -> Vec<PlannedBranch> {
        let plans = guidances(guidance, step).map(|guidance| guidance.plan(0));
        let all = [Branch::TextAndImage, Branch::Image, Branch::Neither];
        let of = |branch| {
            plans
                .iter()
                .flatten()
                .any(|planned| planned.branch == branch)
        };
        let planned = |branch| PlannedBranch {
            branch,
            weight: 1.0,
        };
        // The first is looked at, whatever its weight.
        let counts = |&branch: &Branch| branch == Branch::TextAndImage || of(branch);
        all.into_iter().filter(counts).map(planned).collect()
    }

    /// What looks at the attention of a pass, if this step still counts.
    pub(super) fn look(&mut self, step: usize) -> Option<TokenAttention> {
        let first = *self.first.get_or_insert(step);
        (step - first < STEPS).then(|| TokenAttention::new(self.words.clone()))
    }

    /// Takes in what a pass attended to.
    pub(super) fn see(&mut self, seen: TokenAttention) {
        let seen = seen
            .map()
            .expect("each U-Net attends to its context at some level");
        self.attention = Some(match self.attention.take() {
            Some(attention) => attention + seen,
            None => seen,
        });
    }

    /// Mixes the branches, each image by its map.
    pub(super) fn guide(
        &self,
        outputs: &[(PlannedBranch, Tensor<4>)],
        guidance: &Guidance,
        step: usize,
    ) -> Tensor<4> {
        let [plain, outside, inside] =
            guidances(guidance, step).map(|guidance| mix(outputs, &guidance));
        let attention = self.attention.as_ref().expect("a pass was looked at");
        let [.., height, width] = plain.dims();
        let scope = enlarged(scope(attention), [height, width]);
        // By the maps the weights of the branches go straight from the ones to the others.
        let scoped = outside.clone() + (inside - outside) * scope;
        let stands_out = stands_out(attention);
        plain.clone() + (scoped - plain) * stands_out
    }

    /// Says of an image that its scales are the same everywhere, if they are.
    pub(super) fn tell(&self, index: usize, image: &mut Image) {
        if !self.is_map(index) {
            image.warnings.push(EVERYWHERE.to_owned());
        }
    }

    /// Whether the attention of an image stands out anywhere, so that its scales are maps.
    fn is_map(&self, image: usize) -> bool {
        let attention = self.attention.as_ref();
        attention.is_some_and(|attention| {
            let of_image = stands_out(attention).narrow(0, image, 1);
            of_image.into_scalar::<f32>() > 0.5
        })
    }
}

/// What was asked for, and the scales outside and inside.
fn guidances(guidance: &Guidance, step: usize) -> [Guidance; 3] {
    let (text, image) = (guidance.text_scale.at(step), guidance.image_scale.at(step));
    [
        Guidance::new(text, image),
        Guidance::new(TEXT_OUTSIDE, image),
        Guidance::new(text, IMAGE_INSIDE),
    ]
}

fn mix(outputs: &[(PlannedBranch, Tensor<4>)], guidance: &Guidance) -> Tensor<4> {
    let of = |planned: PlannedBranch| {
        let mut outputs = outputs.iter();
        let found = outputs.find(|(run, _)| run.branch == planned.branch);
        let (_, output) = found.expect("all branches that count are run");
        (planned, output.clone())
    };
    let outputs: Vec<_> = guidance.plan(0).into_iter().map(of).collect();
    guide(&outputs, guidance)
}

/// Between 0 and 1: how much each place is the sentence's.
fn scope(attention: &Tensor<4>) -> Tensor<4> {
    let least = attention.clone().min_dims(&[2, 3]);
    let most = attention.clone().max_dims(&[2, 3]);
    let share = (attention.clone() - least.clone()) / (most - least + EPSILON);
    burn::tensor::activation::sigmoid((share - HALF_WAY) * SLOPE)
}

/// 1 for images whose attention stands out somewhere, 0 for the others: `[images, 1, 1, 1]`.
fn stands_out(attention: &Tensor<4>) -> Tensor<4> {
    let most = attention.clone().max_dims(&[2, 3]);
    let mean = attention.clone().mean_dims(&[2, 3]);
    most.greater_equal(mean * STANDS_OUT).float()
}

fn enlarged(map: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let options = InterpolateOptions::new(InterpolateMode::Bilinear)
        .with_align_corners(false)
        .with_output_size(size);
    interpolate(map, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attention(values: &[f32]) -> Tensor<4> {
        let data = TensorData::new(values.to_vec(), [values.len() / 4, 1, 2, 2]);
        Tensor::from_data(data, &Device::flex())
    }

    fn outputs(values: [f32; 3]) -> Vec<(PlannedBranch, Tensor<4>)> {
        let plan = Scope::plan(&Guidance::default(), 0);
        let of = |(planned, value): (PlannedBranch, f32)| {
            (planned, Tensor::full([2, 1, 2, 2], value, &Device::flex()))
        };
        plan.into_iter().zip(values).map(of).collect()
    }

    #[test]
    fn a_flat_map_gives_the_plain_scales_and_another_those_of_each_place() {
        // The first image attends to one corner, the second everywhere alike.
        let mut scope = Scope::new(&[2, 2], 77, &Device::flex());
        scope.attention = Some(attention(&[0.0, 0.0, 0.0, 9.0, 5.0, 5.0, 5.0, 5.0]));
        assert!(scope.is_map(0) && !scope.is_map(1));
        let guided = scope.guide(&outputs([1.0, 10.0, 100.0]), &Guidance::new(7.5, 1.5), 0);
        let guided: Vec<f32> = guided.into_data().try_into_vec().unwrap();
        let plain = |text: f32, image: f32| 100.0 + image * (10.0 - 100.0) + text * (1.0 - 10.0);
        // σ(±5) is 0.0067 from 0 and from 1.
        let near = |value: f32, of: f32| {
            (value - of).abs() < 0.01 * (plain(0.0, 1.5) - plain(7.5, 3.0)).abs()
        };
        assert!(near(guided[0], plain(0.0, 1.5)), "{guided:?}");
        assert!(near(guided[3], plain(7.5, 3.0)), "{guided:?}");
        for value in &guided[4..] {
            assert!((value - plain(7.5, 1.5)).abs() < 1e-3, "{guided:?}");
        }
    }

    #[test]
    fn an_attention_of_nothing_is_no_division_by_zero() {
        let mut scope = Scope::new(&[0, 1], 77, &Device::flex());
        scope.attention = Some(attention(&[0.0; 8]));
        let guided = scope.guide(&outputs([1.0, 2.0, 3.0]), &Guidance::default(), 0);
        let values: Vec<f32> = guided.into_data().try_into_vec().unwrap();
        assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
    }

    #[test]
    fn no_more_branches_are_run_than_at_the_models_own_scales() {
        let branches = |guidance: &Guidance| Scope::plan(guidance, 0).len();
        assert_eq!(branches(&Guidance::new(7.5, 1.5)), 3);
        assert_eq!(branches(&Guidance::new(1.0, 1.0)), 3);
    }

    #[test]
    fn only_the_first_steps_are_looked_at() {
        let mut scope = Scope::new(&[1], 77, &Device::flex());
        assert!(scope.look(5).is_some() && scope.look(5 + STEPS - 1).is_some());
        assert!(scope.look(5 + STEPS).is_none());
    }
}
