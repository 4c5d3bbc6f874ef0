//! Multi-head attention.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, FloatDType, Tensor, activation};

use super::{GroupNorm, GroupNormConfig, ops};

/// Configuration of an [`Attention`].
#[derive(Config, Debug)]
pub struct AttentionConfig {
    /// The width of what attends, and of the output.
    pub query_dim: usize,
    /// The number of heads, which divides the width.
    pub heads: usize,
    /// The width of what is attended to; default that of what attends.
    pub cross_attention_dim: Option<usize>,
    /// Whether queries, keys and values have a bias; default false.
    #[config(default = false)]
    pub bias: bool,
    /// The norm before it, where it is a block of its own; default none.
    pub group_norm: Option<GroupNormConfig>,
}

/// Attention: Vaswani et al. (2017), <https://arxiv.org/abs/1706.03762>.
#[derive(Module, Debug)]
pub struct Attention {
    group_norm: Option<GroupNorm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    /// One layer; a list because the checkpoint calls it `to_out.0`. Number 1 there is a dropout.
    to_out: Vec<Linear>,
    heads: usize,
}

/// What an [`Attention`] attends to, as its heads see it: computed once, it serves for every picture that attends to the same.
#[derive(Debug, Clone)]
pub struct KeysValues {
    /// `[batch, heads, context_tokens, width / heads]`, in the type of the weights, as are the values. Those of layers of whole numbers
    /// are rounded when they are attended to, and the values of such are of `bf16`.
    keys: Tensor<4>,
    values: Tensor<4>,
}

impl KeysValues {
    /// Those of the first `count` of the batch.
    #[must_use]
    pub(crate) fn first(&self, count: usize) -> Self {
        let first = |x: &Tensor<4>| x.clone().narrow(0, 0, count);
        Self {
            keys: first(&self.keys),
            values: first(&self.values),
        }
    }
}

impl AttentionConfig {
    /// Makes the layer.
    ///
    /// # Panics
    ///
    /// If the heads do not divide the width.
    #[must_use]
    pub fn init(&self, device: &Device) -> Attention {
        let width = self.query_dim;
        assert!(
            width.is_multiple_of(self.heads),
            "{} heads do not divide a width of {width}",
            self.heads
        );
        let linear = |from| {
            LinearConfig::new(from, width)
                .with_bias(self.bias)
                .init(device)
        };
        let attended = self.cross_attention_dim.unwrap_or(width);
        Attention {
            group_norm: self.group_norm.as_ref().map(|norm| norm.init(device)),
            to_q: linear(width),
            to_k: linear(attended),
            to_v: linear(attended),
            to_out: vec![LinearConfig::new(width, width).init(device)],
            heads: self.heads,
        }
    }
}

impl Attention {
    /// Attends to `context`, or to `x` itself where there is none.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, tokens, query_dim]`
    /// - context: `[batch, context_tokens, cross_attention_dim]`
    /// - output: as `x`
    #[must_use]
    pub fn forward(&self, x: Tensor<3>, context: Option<&Tensor<3>>) -> Tensor<3> {
        let attended = self.keys_values(context.unwrap_or(&x));
        self.attend(x, attended)
    }

    /// The keys and values of `context`, for [`Self::attend`].
    ///
    /// # Shapes
    ///
    /// - context: `[batch, context_tokens, cross_attention_dim]`
    #[must_use]
    pub fn keys_values(&self, context: &Tensor<3>) -> KeysValues {
        let of = |layer| self.split_heads(ops::linear(layer, context.clone()));
        let [keys, values] = [&self.to_k, &self.to_v].map(of);
        if self.is_quantized() {
            let values = values.cast(FloatDType::BF16);
            return KeysValues { keys, values };
        }
        // In the type of the weights, which says what products are made in.
        let dtype = self.to_k.weight.val().dtype();
        let [keys, values] = [keys, values].map(|x| x.cast(dtype));
        KeysValues { keys, values }
    }

    /// Whether keys are made by weights of whole numbers.
    fn is_quantized(&self) -> bool {
        ops::is_quantized(&self.to_k)
    }

    /// As [`Self::forward`], with the keys and values of what is attended to.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, tokens, query_dim]`
    /// - output: as `x`
    #[must_use]
    pub fn attend(&self, x: Tensor<3>, attended: KeysValues) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        let q = self.split_heads(ops::linear(&self.to_q, x));
        let KeysValues { keys, values } = attended;

        // [batch, heads, tokens, width / heads]
        let x = if self.is_quantized() {
            ops::quantized_attention(q, keys, values)
        } else {
            ops::attention(q, keys, values)
        };
        let x = x.swap_dims(1, 2).reshape([batch, tokens, width]);
        ops::linear(&self.to_out[0], x)
    }

    /// How much of what each token of `x` takes in comes from each token of the context: the weights of [`Self::attend`], in
    /// `f32`, of each head.
    ///
    /// For a look at them alone: the forward pass does not hold them.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, tokens, query_dim]`
    /// - output: `[batch, heads, tokens, context_tokens]`
    #[must_use]
    pub fn weights(&self, x: Tensor<3>, attended: &KeysValues) -> Tensor<4> {
        let q = self.split_heads(ops::linear(&self.to_q, x));
        let [q, k] = [q, attended.keys.clone()].map(|x| x.cast(FloatDType::F32));
        let [.., head_dim] = q.dims();
        let scores = q.matmul(k.swap_dims(2, 3)) / (head_dim as f64).sqrt();
        activation::softmax(scores, 3)
    }

    /// Normalises a picture, lets its pixels attend to each other, and adds the result to it: the attention block of an
    /// autoencoder.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, query_dim, height, width]`
    /// - output: as `x`
    ///
    /// # Panics
    ///
    /// If the layer was made without a norm.
    #[must_use]
    pub fn forward_spatial(&self, x: Tensor<4>) -> Tensor<4> {
        let shape = x.dims();
        let norm = self.group_norm.as_ref().expect("made with a norm");
        let pixels = norm.forward(x.clone()).flatten::<3>(2, 3).swap_dims(1, 2); // [batch, height * width, query_dim]
        let pixels = self.forward(pixels, None);
        x + pixels.swap_dims(1, 2).reshape(shape)
    }

    /// `[batch, tokens, width]` as `[batch, heads, tokens, width / heads]`, where it lies.
    fn split_heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, tokens, width] = x.dims();
        x.reshape([batch, tokens, self.heads, width / self.heads])
            .swap_dims(1, 2)
    }
}
