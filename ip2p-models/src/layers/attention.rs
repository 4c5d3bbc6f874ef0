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
    /// `[batch, heads, context_tokens, width / heads]`, in the type of the weights, as are the values.
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
        match context {
            Some(context) => self.attend(x, self.keys_values(context)),
            None => self.attend_to_self(x),
        }
    }

    /// The keys and values of `context`, for [`Self::attend`].
    ///
    /// # Shapes
    ///
    /// - context: `[batch, context_tokens, cross_attention_dim]`
    #[must_use]
    pub fn keys_values(&self, context: &Tensor<3>) -> KeysValues {
        // In the type of the weights, which says what products are made in.
        let [keys, values] = [&self.to_k, &self.to_v].map(|layer| {
            let x = ops::linear(layer, context.clone());
            self.split_heads(x.cast(ops::product_dtype(layer)))
        });
        KeysValues { keys, values }
    }

    /// As [`Self::forward`], with the keys and values of what is attended to.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, tokens, query_dim]`
    /// - output: as `x`
    #[must_use]
    pub fn attend(&self, x: Tensor<3>, attended: KeysValues) -> Tensor<3> {
        let q = self.split_heads(ops::linear(&self.to_q, x));
        self.merge_heads(ops::attention(q, attended.keys, attended.values))
    }

    /// Attends to itself; where keys are made by weights of whole numbers, by whole numbers.
    fn attend_to_self(&self, x: Tensor<3>) -> Tensor<3> {
        if !ops::is_quantized(&self.to_k) {
            let attended = self.keys_values(&x);
            return self.attend(x, attended);
        }
        let layers = [&self.to_q, &self.to_k, &self.to_v];
        let [q, k, v] = layers.map(|layer| self.split_heads(ops::linear(layer, x.clone())));
        let v = v.cast(ops::product_dtype(&self.to_v));
        self.merge_heads(ops::quantized_attention(q, k, v))
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

    /// The output of heads, `[batch, heads, tokens, width / heads]`, as `[batch, tokens, width]`, after the last layer.
    fn merge_heads(&self, x: Tensor<4>) -> Tensor<3> {
        let [batch, heads, tokens, head_dim] = x.dims();
        let x = x.swap_dims(1, 2).reshape([batch, tokens, heads * head_dim]);
        ops::linear(&self.to_out[0], x)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    #[test]
    fn weights_of_whole_numbers_attend_to_a_large_picture_by_whole_numbers() {
        let device = Device::flex();
        let mut layer = AttentionConfig::new(64, 2).init(&device);
        let random = |shape, deviation| {
            Tensor::<3>::random(shape, Distribution::Normal(0.0, deviation), &device)
        };
        // So that some places matter more than others.
        for weight in [&mut layer.to_q.weight, &mut layer.to_k.weight] {
            *weight = weight
                .clone()
                .map(|_| random([1, 64, 64], 0.2).squeeze_dim(0));
        }
        let x = random([1, 600, 64], 1.0);
        let exact = layer.forward(x.clone(), None);
        for layer in [&mut layer.to_q, &mut layer.to_k, &mut layer.to_v] {
            layer.weight = layer.weight.clone().map(ip2p_kernels::quantize);
        }
        let found = layer.forward(x.clone(), None);
        let apart = |x: Tensor<3>| (x - exact.clone()).abs().max().into_scalar::<f32>();
        let most = exact.clone().abs().max().into_scalar::<f32>();
        assert!(
            apart(found.clone()) < 0.1 * most,
            "{} of {most}",
            apart(found)
        );
        // With keys of `bf16` it is another.
        let keys_values = layer.keys_values(&x);
        assert_ne!(apart(layer.attend(x, keys_values)), apart(found));
    }
}
