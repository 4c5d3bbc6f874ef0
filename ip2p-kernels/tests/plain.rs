//! The composed operators against formulas in `f64`.

use burn::tensor::{Device, Tensor};
use ip2p_kernels::{Activation, plain};

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec().expect("f32")
}

fn assert_close(actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    for (index, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(actual) - expected).abs();
        assert!(
            error <= tolerance,
            "number {index}: {actual}, not {expected}"
        );
    }
}

#[test]
fn quick_gelu_is_the_sigmoid_approximation() {
    let x = [-3.0_f32, -0.5, 0.0, 0.5, 3.0];
    let expected = x.map(|x| f64::from(x) / (1.0 + (-1.702 * f64::from(x)).exp()));
    let x = Tensor::<1>::from_data(x, &Device::flex());
    assert_close(&numbers(plain::quick_gelu(x)), &expected, 1e-6);
}

#[test]
fn group_norm_scales_each_channel_of_a_normalised_group() {
    let device = Device::flex();
    let x = Tensor::<4>::from_data([[[[1.0, 3.0]], [[5.0, 7.0]]]], &device);
    let weight = Tensor::<1>::from_data([1.0, 2.0], &device);
    let bias = Tensor::<1>::from_data([0.0, 10.0], &device);
    let actual = plain::group_norm(x, 1, weight, bias, 0.0, Activation::None);
    let unit = 5.0_f64.sqrt();
    let expected = [
        -3.0 / unit,
        -1.0 / unit,
        10.0 + 2.0 / unit,
        10.0 + 6.0 / unit,
    ];
    assert_close(&numbers(actual), &expected, 1e-6);
}

#[test]
#[should_panic(expected = "geglu needs an even last axis, got 3")]
fn geglu_of_an_odd_axis_panics() {
    let _ = plain::geglu(Tensor::zeros([1, 1, 3], &Device::flex()));
}
