//! The transformer over the pixels of a picture.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{
    Attention, AttentionConfig, FeedForward, FeedForwardConfig, GroupNorm, GroupNormConfig,
    KeysValues, LayerNorm, LayerNormConfig, Projection, ProjectionConfig,
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

/// A context as each block of a [`Transformer2DModel`] sees it: computed once, it serves for every picture.
#[derive(Debug, Clone)]
pub struct TransformerContext(Vec<BlockContext>);

/// A context as the attentions of one block see it.
#[derive(Debug, Clone)]
struct BlockContext {
    /// If the first attention is to the context too.
    first: Option<KeysValues>,
    second: KeysValues,
}

impl Transformer2DModel {
    /// The context as the blocks see it, for [`Self::forward`].
    ///
    /// # Shapes
    ///
    /// - context: `[batch, context_tokens, cross_attention_dim]`
    #[must_use]
    pub fn context(&self, context: &Tensor<3>) -> TransformerContext {
        let blocks = self.transformer_blocks.iter();
        TransformerContext(blocks.map(|block| block.context(context)).collect())
    }

    /// Applies the transformer, and shows `watch` each attention to the context with the tokens that attend and what they attend
    /// to.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, channels, height, width]`
    /// - output: as `x`
    ///
    /// # Panics
    ///
    /// If the context is another transformer's, of more or fewer blocks.
    #[must_use]
    pub fn forward(
        &self,
        x: Tensor<4>,
        context: &TransformerContext,
        watch: &mut dyn FnMut(&Attention, &Tensor<3>, &KeysValues),
    ) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let contexts = &context.0;
        assert_eq!(contexts.len(), self.transformer_blocks.len(), "one a block");
        let mut tokens = self.proj_in.to_tokens(self.norm.forward(x.clone()));
        for (block, context) in self.transformer_blocks.iter().zip(contexts) {
            tokens = block.forward(tokens, context, watch);
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

    fn context(&self, context: &Tensor<3>) -> BlockContext {
        let first = self.only_cross_attention.then_some(&self.attn1);
        BlockContext {
            first: first.map(|attention| attention.keys_values(context)),
            second: self.attn2.keys_values(context),
        }
    }

    /// Applies the block to `[batch, tokens, channels]`.
    fn forward(
        &self,
        x: Tensor<3>,
        context: &BlockContext,
        watch: &mut dyn FnMut(&Attention, &Tensor<3>, &KeysValues),
    ) -> Tensor<3> {
        let attending = self.norm1.forward(x.clone());
        let x = x + match &context.first {
            Some(context) => self.attn1.attend(attending, context.clone()),
            None => self.attn1.forward(attending, None),
        };
        let attending = self.norm2.forward(x.clone());
        watch(&self.attn2, &attending, &context.second);
        let x = x + self.attn2.attend(attending, context.second.clone());
        x.clone() + self.ff.forward(self.norm3.forward(x))
    }
}
