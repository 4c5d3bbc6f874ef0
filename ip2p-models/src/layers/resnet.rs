//! The convolutional block.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::{Conv2d, Conv2dConfig, GroupNorm, GroupNormConfig, ops};

/// Configuration of a [`ResnetBlock2D`].
#[derive(Config, Debug)]
pub struct ResnetBlock2DConfig {
    /// How many channels come in.
    pub in_channels: usize,
    /// How many channels go out.
    pub out_channels: usize,
    /// The width of the time embedding; default none, as in an autoencoder.
    pub time_embed_dim: Option<usize>,
    /// How many groups the norms divide the channels into; default 32.
    #[config(default = 32)]
    pub norm_groups: usize,
    /// What the norms add to the variance; default 1e-6.
    #[config(default = 1e-6)]
    pub norm_eps: f64,
    /// What the sum of the input and the block's change to it is divided by; default 1.
    #[config(default = 1.0)]
    pub output_scale_factor: f64,
}

/// Two convolutions around a residual: He et al. (2015), <https://arxiv.org/abs/1512.03385>, with norms and the time
/// embedding as in Ho et al. (2020), <https://arxiv.org/abs/2006.11239>.
#[derive(Module, Debug)]
pub struct ResnetBlock2D {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
    output_scale_factor: f64,
}

impl ResnetBlock2DConfig {
    /// Makes the block.
    ///
    /// # Panics
    ///
    /// If the groups do not divide the channels.
    #[must_use]
    pub fn init(&self, device: &Device) -> ResnetBlock2D {
        let [i, o] = [self.in_channels, self.out_channels];
        let norm = |channels| {
            GroupNormConfig::new(self.norm_groups, channels)
                .with_epsilon(self.norm_eps)
                .init(device)
        };
        ResnetBlock2D {
            norm1: norm(i),
            conv1: Conv2dConfig::same(i, o, 3).init(device),
            time_emb_proj: self
                .time_embed_dim
                .map(|width| LinearConfig::new(width, o).init(device)),
            norm2: norm(o),
            conv2: Conv2dConfig::same(o, o, 3).init(device),
            conv_shortcut: (i != o).then(|| Conv2dConfig::same(i, o, 1).init(device)),
            output_scale_factor: self.output_scale_factor,
        }
    }
}

impl ResnetBlock2D {
    /// What the block adds to its channels at a time, for [`Self::forward`].
    ///
    /// # Shapes
    ///
    /// - temb: `[batch, time_embed_dim]`, after the SiLU that is the same for all blocks
    /// - output: `[batch, out_channels]`
    ///
    /// # Panics
    ///
    /// If the block was made without a time embedding.
    #[must_use]
    pub fn time_shift(&self, temb: &Tensor<2>) -> Tensor<2> {
        let proj = self.time_emb_proj.as_ref();
        ops::linear(proj.expect("made with a time embedding"), temb.clone())
    }

    /// Applies the block.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, in_channels, height, width]`
    /// - `time_shift`: `[batch, out_channels]`, or `[1, out_channels]` for all: [`Self::time_shift`]
    /// - output: `[batch, out_channels, height, width]`
    ///
    /// # Panics
    ///
    /// If the block was made with a time embedding and is given none, or the other way round.
    #[must_use]
    pub fn forward(&self, x: Tensor<4>, time_shift: Option<&Tensor<2>>) -> Tensor<4> {
        let h = self.conv1.forward(self.norm1.forward_silu(x.clone()));
        let h = match (&self.time_emb_proj, time_shift) {
            (Some(_), Some(shift)) => h + shift.clone().unsqueeze_dims(&[2, 3]),
            (None, None) => h,
            _ => panic!("a block has a time embedding exactly when it was made for one"),
        };
        let h = self.conv2.forward(self.norm2.forward_silu(h));

        let shortcut = match &self.conv_shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        };
        let x = shortcut + h;
        if self.output_scale_factor == 1.0 {
            x
        } else {
            x / self.output_scale_factor
        }
    }
}
