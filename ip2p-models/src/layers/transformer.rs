//! The transformer over the pixels of a picture.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{
    Attention, AttentionConfig, FeedForward, FeedForwardConfig, GroupNorm, GroupNormConfig,
    LayerNorm, LayerNormConfig, Projection, ProjectionConfig,
};

/// What the norm before a transformer adds to the variance; no config of diffusers says it.
const NORM_EPS: f64 = 1e-6;

/// Configuration of a [`Transformer2DModel`].
#[derive(Config, Debug)]
pub struct Transformer2DModelConfig {
    /// The channels of the picture.
    pub channels: usize,
    /// The number of attention heads, which divides the channels.
    pub heads: usize,
    /// The width of the context.
    pub cross_attention_dim: usize,
    /// How many blocks there are; default 1.
    #[config(default = 1)]
    pub num_layers: usize,
    /// How many groups the norm divides the channels into; default 32.
    #[config(default = 32)]
    pub norm_groups: usize,
    /// Whether the projections are linear layers, not convolutions; default false.
    #[config(default = false)]
    pub use_linear_projection: bool,
    /// Whether the first attention of a block is to the context too; default false.
    #[config(default = false)]
    pub only_cross_attention: bool,
}

/// Transformer blocks over the pixels of a picture, around a residual: Rombach et al. (2022),
/// <https://arxiv.org/abs/2112.10752>, as diffusers' class of the same name.
#[derive(Module, Debug)]
pub struct Transformer2DModel {
    norm: GroupNorm,
    proj_in: Projection,
    transformer_blocks: Vec<BasicTransformerBlock>,
    proj_out: Projection,
}

impl Transformer2DModelConfig {
    /// Makes the transformer.
    ///
    /// # Panics
    ///
    /// If the heads or the groups do not divide the channels.
    #[must_use]
    pub fn init(&self, device: &Device) -> Transformer2DModel {
        let projection = || {
            ProjectionConfig::new(self.channels, self.channels)
                .with_linear(self.use_linear_projection)
                .init(device)
        };
        Transformer2DModel {
            norm: GroupNormConfig::new(self.norm_groups, self.channels)
                .with_epsilon(NORM_EPS)
                .init(device),
            proj_in: projection(),
            transformer_blocks: (0..self.num_layers)
                .map(|_| BasicTransformerBlock::new(self, device))
                .collect(),
            proj_out: projection(),
        }
    }
}

impl Transformer2DModel {
    /// Applies the transformer.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, channels, height, width]`
    /// - context: `[batch, context_tokens, cross_attention_dim]`
    /// - output: as `x`
    #[must_use]
    pub fn forward(&self, x: Tensor<4>, context: &Tensor<3>) -> Tensor<4> {
        self.forward_watched(x, context, &mut |_, _| ())
    }

    /// Applies the transformer, and shows `watch` each attention to the context with the tokens that attend.
    pub(crate) fn forward_watched(
        &self,
        x: Tensor<4>,
        context: &Tensor<3>,
        watch: &mut dyn FnMut(&Attention, &Tensor<3>),
    ) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let mut tokens = self.proj_in.to_tokens(self.norm.forward(x.clone()));
        for block in &self.transformer_blocks {
            tokens = block.forward_watched(tokens, context, watch);
        }
        x + self.proj_out.to_picture(tokens, [height, width])
    }
}

/// Self-attention, attention to the context, and a feed-forward part, each after a norm and around a residual.
#[derive(Module, Debug)]
pub struct BasicTransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    ff: FeedForward,
    only_cross_attention: bool,
}

impl BasicTransformerBlock {
    fn new(config: &Transformer2DModelConfig, device: &Device) -> Self {
        let norm = || LayerNormConfig::new(config.channels).init(device);
        let attention = |cross: bool| {
            AttentionConfig::new(config.channels, config.heads)
                .with_cross_attention_dim(cross.then_some(config.cross_attention_dim))
                .init(device)
        };
        Self {
            norm1: norm(),
            attn1: attention(config.only_cross_attention),
            norm2: norm(),
            attn2: attention(true),
            norm3: norm(),
            ff: FeedForwardConfig::new(config.channels).init(device),
            only_cross_attention: config.only_cross_attention,
        }
    }

    /// Applies the block.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, tokens, channels]`
    /// - context: `[batch, context_tokens, cross_attention_dim]`
    /// - output: as `x`
    #[must_use]
    pub fn forward(&self, x: Tensor<3>, context: &Tensor<3>) -> Tensor<3> {
        self.forward_watched(x, context, &mut |_, _| ())
    }

    fn forward_watched(
        &self,
        x: Tensor<3>,
        context: &Tensor<3>,
        watch: &mut dyn FnMut(&Attention, &Tensor<3>),
    ) -> Tensor<3> {
        let first = self.only_cross_attention.then_some(context);
        let x = x.clone() + self.attn1.forward(self.norm1.forward(x), first);
        let attending = self.norm2.forward(x.clone());
        watch(&self.attn2, &attending);
        let x = x + self.attn2.forward(attending, Some(context));
        x.clone() + self.ff.forward(self.norm3.forward(x))
    }
}
