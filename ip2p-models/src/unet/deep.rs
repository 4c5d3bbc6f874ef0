//! Passes that keep their deep features, and passes that use those of another.

use burn::tensor::{Tensor, assert_shape};

use super::model::Mode;
use super::{Conditioning, UNet2DConditionModel};

/// How many layers of the last block run in every pass: those that join what the first layer made and what came in.
pub(super) const SHALLOW_LAYERS: usize = 2;

/// What enters the last two layers of a U-Net's last block: all that its deeper layers have to say.
///
/// From one step of an edit to the next it changes little, so that a pass may take that of an earlier one: DeepCache, Ma et
/// al. (2023), <https://arxiv.org/abs/2312.00858>, section 3.2.
///
/// Made by [`UNet2DConditionModel::forward_keeping`].
#[derive(Debug, Clone)]
pub struct DeepFeatures(Tensor<4>);

impl DeepFeatures {
    /// # Shapes
    ///
    /// - features: `[batch, channels, height, width]`, at the latents' size, with the channels of the last block or of the level
    ///   below it
    pub(super) fn new(features: Tensor<4>) -> Self {
        Self(features)
    }

    /// The features of a pass over so many latents.
    pub(super) fn check(&self, batch: usize) -> Tensor<4> {
        let features = self.0.clone();
        assert_shape!(features, [batch, _, _, _]);
        features
    }

    /// Those of equal parts of the batch, in their order.
    ///
    /// # Panics
    ///
    /// If the batch is not a multiple of `parts`.
    #[must_use]
    pub fn split(&self, parts: usize) -> Vec<Self> {
        let [batch, ..] = self.0.dims();
        assert!(
            parts > 0 && batch.is_multiple_of(parts),
            "{batch} latents are not {parts} equal parts"
        );
        let parts = self.0.clone().chunk(parts, 0);
        parts.into_iter().map(Self).collect()
    }

    /// Those of one batch of all, one after the other.
    ///
    /// # Panics
    ///
    /// If there is none, or they are of latents of different sizes.
    #[must_use]
    pub fn join<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let all = all.into_iter().map(|features| features.0.clone());
        Self(Tensor::cat(all.collect(), 0))
    }
}

impl UNet2DConditionModel {
    /// As [`Self::forward_conditioned`], and gives the deep features as well, for [`Self::forward_shallow`].
    ///
    /// # Panics
    ///
    /// As [`Self::forward_conditioned`].
    #[must_use]
    pub fn forward_keeping(
        &self,
        x: Tensor<4>,
        timestep: f64,
        conditioning: &Conditioning,
    ) -> (Tensor<4>, DeepFeatures) {
        let mut kept = None;
        let output = self.pass_at(x, timestep, conditioning, Mode::Keeping(&mut kept));
        (output, kept.expect("each such pass keeps them"))
    }

    /// Predicts with the deep features of another pass: runs the first convolution, the first layer of the first block, the
    /// last two layers of the last one and the last convolution alone.
    ///
    /// With the features of a pass over the same input it predicts what that pass does.
    ///
    /// # Shapes
    ///
    /// Those of [`Self::forward_conditioned`]; `deep` is of as many latents of the same size.
    ///
    /// # Panics
    ///
    /// As [`Self::forward_conditioned`], and if `deep` is of another batch or size.
    #[must_use]
    pub fn forward_shallow(
        &self,
        x: Tensor<4>,
        timestep: f64,
        conditioning: &Conditioning,
        deep: &DeepFeatures,
    ) -> Tensor<4> {
        self.pass_at(x, timestep, conditioning, Mode::Shallow(deep))
    }
}
