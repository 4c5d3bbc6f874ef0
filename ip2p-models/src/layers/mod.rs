//! The layers that the networks share.
//!
//! They are named as in diffusers, and their fields as in its checkpoints. Linear layers and embeddings are burn's own;
//! convolutions are ours, for the operator behind them, and so are norms, since the checkpoints say `weight` and `bias`
//! where burn says `gamma` and `beta`, and since a norm and the activation after it are one pass over memory in
//! `ip2p-kernels`.
//!
//! [`Projection`] is an enum. Its variant is not part of the name of a weight: a load, or a listing of the weights, has
//! to skip the names of enum variants.

mod attention;
mod conv;
mod feed_forward;
mod norm;
pub(crate) mod ops;
mod projection;
mod resample;
mod resnet;
mod time;
mod transformer;

pub use attention::{Attention, AttentionConfig, KeysValues};
pub use conv::{Conv2d, Conv2dConfig};
pub use feed_forward::{FeedForward, FeedForwardConfig, GEGLU};
pub use norm::{GroupNorm, GroupNormConfig, LayerNorm, LayerNormConfig};
pub use projection::{Projection, ProjectionConfig};
pub use resample::{Downsample2D, Downsample2DConfig, Upsample2D, Upsample2DConfig};
pub use resnet::{ResnetBlock2D, ResnetBlock2DConfig};
pub use time::{TimestepEmbedding, TimestepEmbeddingConfig, Timesteps};
pub use transformer::{
    BasicTransformerBlock, Transformer2DModel, Transformer2DModelConfig, TransformerContext,
};
