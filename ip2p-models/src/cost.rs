//! What a pass through a network costs, and how much it holds at once, counted from its shape: no weights, no device.
//!
//! Only products are counted, those of convolutions, linear layers and attention: nearly all of the arithmetic, and what
//! PyTorch's `FlopCounterMode` counts too, with which the tests compare.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Div};

/// The cost of the products of a pass.
///
/// # Examples
///
/// ```
/// use ip2p_models::unet::UNet2DConditionConfig;
///
/// let unet = UNet2DConditionConfig::from_json(r#"{"in_channels": 8, "cross_attention_dim": 768}"#)?;
/// let cost = unet.cost(1, [64, 64], 77);
/// assert_eq!(cost.macs / 1_000_000_000, 401);
/// # Ok::<(), ip2p_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Multiplications, each with an addition.
    pub macs: u64,
    /// Weights: numbers that are read, each at least once.
    pub weights: u64,
    /// What goes into and comes out of the products: numbers that are read or written, each at least once.
    pub activations: u64,
}

impl Cost {
    /// Floating-point operations: a multiplication and an addition are two.
    #[must_use]
    pub fn flops(&self) -> u64 {
        2 * self.macs
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            macs: self.macs + other.macs,
            weights: self.weights + other.weights,
            activations: self.activations + other.activations,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Div<u64> for Cost {
    type Output = Self;

    fn div(self, parts: u64) -> Self {
        Self {
            macs: self.macs / parts,
            weights: self.weights / parts,
            activations: self.activations / parts,
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

/// Counts a pass of `batch` pictures or sentences, layer by layer; it knows how large the picture is by now, and what is held
/// for later layers.
#[derive(Debug)]
pub(crate) struct Pass {
    batch: usize,
    /// Height and width.
    size: [usize; 2],
    cost: Cost,
    /// Numbers that wait for later layers.
    held: usize,
    /// The most numbers that were there at once.
    live: usize,
}

impl Pass {
    pub(crate) fn new(batch: usize, size: [usize; 2]) -> Self {
        Self {
            batch,
            size,
            cost: Cost::default(),
            held: 0,
            live: 0,
        }
    }

    pub(crate) fn cost(self) -> Cost {
        self.cost
    }

    /// The most numbers that are there at once: what goes into and comes out of a layer, and what is held for later ones.
    pub(crate) fn live(self) -> u64 {
        self.live as u64
    }

    /// Does `layers` while a picture of so many channels, of the size that it has before, waits for what follows.
    pub(crate) fn holding(&mut self, channels: usize, layers: impl FnOnce(&mut Self)) {
        let numbers = self.hold(channels);
        layers(self);
        self.held -= numbers;
    }

    /// Holds a picture of so many channels: as many numbers, to be given to [`Self::release`].
    pub(crate) fn hold(&mut self, channels: usize) -> usize {
        let numbers = self.batch * self.pixels() * channels;
        self.held += numbers;
        numbers
    }

    pub(crate) fn release(&mut self, numbers: usize) {
        self.held -= numbers;
    }

    /// An operation that is no product, over pixels with so many numbers that go in and come out.
    pub(crate) fn touch(&mut self, channels: usize) {
        self.see(self.batch * self.pixels() * channels);
    }

    fn see(&mut self, numbers: usize) {
        self.live = self.live.max(self.held + numbers);
    }

    /// Height and width of the picture by now.
    pub(crate) fn size(&self) -> [usize; 2] {
        self.size
    }

    pub(crate) fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// A convolution that keeps the size.
    pub(crate) fn conv(&mut self, [from, to]: [usize; 2], kernel: usize) {
        let pixels = self.pixels();
        self.conv_between([from, to], kernel, [pixels, pixels]);
    }

    /// A 3×3 convolution that halves the size; rounding up where zeros lie all around the picture.
    pub(crate) fn halve(&mut self, channels: usize, padding: usize) {
        let before = self.pixels();
        let half = |side: usize| {
            if padding == 0 {
                side / 2
            } else {
                side.div_ceil(2)
            }
        };
        self.size = self.size.map(half);
        self.conv_between([channels; 2], 3, [before, self.pixels()]);
    }

    /// A larger picture, each pixel several times.
    pub(crate) fn grow_to(&mut self, size: [usize; 2]) {
        self.size = size;
    }

    fn conv_between(&mut self, [from, to]: [usize; 2], kernel: usize, pixels: [usize; 2]) {
        let weights = from * to * kernel * kernel;
        self.add(
            self.batch * pixels[1] * weights,
            weights,
            self.batch * (pixels[0] * from + pixels[1] * to),
        );
    }

    /// A linear layer over `rows` rows of each picture or sentence.
    pub(crate) fn linear(&mut self, rows: usize, [from, to]: [usize; 2]) {
        let (rows, weights) = (self.batch * rows, from * to);
        self.add(rows * weights, weights, rows * (from + to));
    }

    /// Attention of `queries` rows to `keys` rows, all heads together `width` wide: scores, and sums of values.
    pub(crate) fn attention(&mut self, width: usize, [queries, keys]: [usize; 2]) {
        let moved = 2 * self.batch * (queries + keys) * width;
        self.add(2 * self.batch * queries * keys * width, 0, moved);
    }

    /// The layers of an attention of `queries` rows of this width to rows of another, projections included.
    pub(crate) fn attend(&mut self, width: usize, queries: usize, [keys, from]: [usize; 2]) {
        self.linear(queries, [width; 2]);
        self.linear(keys, [from, width]);
        self.linear(keys, [from, width]);
        self.attention(width, [queries, keys]);
        self.linear(queries, [width; 2]);
    }

    /// A [`ResnetBlock2D`](crate::layers::ResnetBlock2D).
    pub(crate) fn resnet(&mut self, [from, to]: [usize; 2], time_embed_dim: Option<usize>) {
        self.holding(from, |pass| {
            pass.conv([from, to], 3);
            if let Some(width) = time_embed_dim {
                pass.linear(1, [width, to]);
            }
            pass.conv([to, to], 3);
            if from != to {
                pass.conv([from, to], 1);
            }
        });
    }

    fn add(&mut self, macs: usize, weights: usize, activations: usize) {
        self.see(activations);
        self.cost += Cost {
            macs: macs as u64,
            weights: weights as u64,
            activations: activations as u64,
        };
    }
}
