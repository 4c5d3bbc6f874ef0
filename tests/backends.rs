//! Every operator that the networks use, on the GPU backend against the CPU's.
//!
//! `IP2P_TEST_DEVICE=wgpu cargo test -p ip2p -p ip2p-testing --features ip2p/wgpu,ip2p-testing/wgpu`
#![cfg(feature = "wgpu")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use burn::nn::interpolate::{Interpolate2dConfig, InterpolateMode};
use burn::tensor::module::linear;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, FloatDType, Tensor};
use ip2p::kernels::{self, Activation};
use ip2p_testing::device;

/// Sums of a few dozen products in another order, and exponentials of another library.
const TOLERANCE: f32 = 2e-5;

/// The tensors of one operator: drawn once, on the CPU, and copied to the device that it runs on.
struct Inputs<'a> {
    device: &'a Device,
    drawn: &'a mut Vec<Vec<f32>>,
    next: usize,
}

impl Inputs<'_> {
    fn tensor<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        if self.next == self.drawn.len() {
            let drawn = Tensor::<D>::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex());
            self.drawn.push(drawn.into_data().try_into_vec().unwrap());
        }
        let numbers = self.drawn[self.next].clone();
        self.next += 1;
        Tensor::<1>::from_floats(numbers.as_slice(), self.device).reshape(shape)
    }
}

/// Runs an operator on the CPU and on the device, and compares.
fn assert_same<const D: usize>(name: &str, operator: impl Fn(&mut Inputs<'_>) -> Tensor<D>) {
    let mut drawn = Vec::new();
    let mut run = |device: &Device| -> Vec<f32> {
        let mut inputs = Inputs {
            device,
            drawn: &mut drawn,
            next: 0,
        };
        operator(&mut inputs).into_data().try_into_vec().unwrap()
    };
    let expected = run(&Device::flex());
    let actual = run(&device());
    let scale = expected.iter().fold(1.0_f32, |scale, x| scale.max(x.abs()));
    let error = expected.iter().zip(&actual).fold(0.0_f32, |error, (a, b)| {
        let difference = (a - b).abs();
        if difference.is_nan() {
            f32::INFINITY
        } else {
            error.max(difference)
        }
    });
    println!("{name}: {:.2e}", error / scale);
    assert!(error / scale <= TOLERANCE, "{name}: {}", error / scale);
}

#[test]
fn activations_and_norms() {
    assert_same("silu", |i| kernels::silu(i.tensor([2, 5, 3, 7])));
    assert_same("gelu", |i| kernels::gelu(i.tensor([2, 5, 3])));
    assert_same("quick_gelu", |i| kernels::quick_gelu(i.tensor([2, 5, 3])));
    assert_same("geglu", |i| kernels::geglu(i.tensor([2, 5, 16])));
    for activation in [Activation::None, Activation::Silu] {
        assert_same("group_norm", |i| {
            kernels::group_norm(
                i.tensor([2, 8, 3, 5]),
                4,
                i.tensor([8]),
                i.tensor([8]),
                1e-5,
                activation,
            )
        });
    }
    assert_same("layer_norm", |i| {
        kernels::layer_norm(i.tensor([2, 5, 16]), i.tensor([16]), i.tensor([16]), 1e-5)
    });
}

#[test]
fn attention_in_the_layout_of_the_networks() {
    for (queries, keys, causal) in [(6, 9, false), (7, 7, true)] {
        assert_same("attention", |i| {
            let [q, k, v] =
                [queries, keys, keys].map(|tokens| i.tensor([2, tokens, 3, 8]).swap_dims(1, 2));
            kernels::attention(q, k, v, 8.0_f64.powf(-0.5), causal)
        });
    }
}

#[test]
fn convolutions_and_linear_layers() {
    for (kernel, stride, padding) in [(3, 1, 1), (3, 2, 1), (1, 1, 0)] {
        assert_same("conv2d", |i| {
            let options = ConvOptions::new([stride, stride], [padding, padding], [1, 1], 1);
            kernels::conv2d(
                i.tensor([2, 4, 7, 6]),
                i.tensor([8, 4, kernel, kernel]),
                Some(i.tensor([8])),
                options,
            )
        });
    }
    assert_same("linear", |i| {
        linear(i.tensor([2, 5, 8]), i.tensor([8, 6]), Some(i.tensor([6])))
    });
    assert_same("upsample", |i| {
        let interpolate = Interpolate2dConfig::new()
            .with_output_size(Some([6, 10]))
            .with_mode(InterpolateMode::Nearest);
        interpolate.init().forward(i.tensor([1, 2, 3, 5]))
    });
    assert_same("concatenation", |i| {
        Tensor::cat(vec![i.tensor([2, 3, 4, 5]), i.tensor([2, 1, 4, 5])], 1)
    });
}

/// Not once for each product: a sum over 64 channels would be off by a hundredth.
#[test]
fn a_convolution_of_half_numbers_is_rounded_once() {
    let half = |x: Tensor<4>| x.cast(FloatDType::F16);
    let random = |shape: [usize; 4]| {
        let drawn = Tensor::<4>::random(shape, Distribution::Uniform(0.0, 1.0), &Device::flex());
        half(drawn).cast(FloatDType::F32)
    };
    let (x, weight) = (random([1, 64, 8, 8]), random([4, 64, 3, 3]));
    let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    let exact = kernels::conv2d(x.clone(), weight.clone(), None, options.clone());
    let [x, weight] = [x, weight].map(|x| half(x.to_device(&device())));
    let rounded = kernels::conv2d(x, weight, None, options).cast(FloatDType::F32);
    let difference = rounded.to_device(&Device::flex()) - exact.clone();
    let error = (difference.abs() / exact).max().into_scalar::<f32>();
    assert!(error <= 2.0_f32.powi(-11) * 1.01, "{error}");
}
