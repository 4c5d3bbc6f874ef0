//! Under autodiff these operators are their compositions. Those with gradients of our own, convolution and group norm, are
//! compared in `src/flex/autodiff.rs`.

use crate::reference::{numbers, random};
use burn::tensor::Tensor;
use ip2p_kernels::{
    Activation, attention, geglu, gelu, group_norm, layer_norm, plain, quick_gelu, silu,
};

/// The gradient by `x` of a sum over the result in which no two numbers weigh the same.
fn gradient<const D: usize>(x: &Tensor<D>, of: impl Fn(Tensor<D>) -> Tensor<D>) -> Vec<f64> {
    let x = x.clone().autodiff().require_grad();
    let result = of(x.clone());
    let weights = random(result.dims(), 99);
    let gradients = (result * weights.autodiff()).sum().backward();
    numbers(x.grad(&gradients).expect("the sum depends on x"))
}

fn assert_same<const D: usize>(
    name: &str,
    x: &Tensor<D>,
    ours: impl Fn(Tensor<D>) -> Tensor<D>,
    composed: impl Fn(Tensor<D>) -> Tensor<D>,
) {
    let ours = gradient(x, ours);
    assert!(ours.iter().any(|&number| number != 0.0), "{name}");
    assert_eq!(ours, gradient(x, composed), "{name}");
}

#[test]
fn gradients_are_those_of_the_compositions() {
    let x = random([2, 3, 8], 1);
    assert_same("silu", &x, silu, plain::silu);
    assert_same("gelu", &x, gelu, plain::gelu);
    assert_same("quick_gelu", &x, quick_gelu, plain::quick_gelu);
    assert_same("geglu", &x, geglu, plain::geglu);
    let ones = Tensor::<1>::ones([8], &x.device());
    assert_same(
        "layer_norm",
        &x,
        |x| layer_norm(x, ones.clone(), ones.clone(), 1e-5),
        |x| plain::layer_norm(x, ones.clone(), ones.clone(), 1e-5),
    );
    let x = random([2, 8, 3, 4], 2);
    assert_same(
        "attention",
        &x,
        |x| attention(x.clone(), x.clone(), x, 0.5, true),
        |x| plain::attention(x.clone(), x.clone(), x, 0.5, true),
    );
}

#[test]
fn a_gradient_reaches_a_weight_whose_input_has_none() {
    let x = random([2, 8, 3, 4], 3);
    let weight = random([8], 4).autodiff().require_grad();
    let bias = random([8], 5);
    let result = group_norm(x, 2, weight.clone(), bias, 1e-5, Activation::None);
    let gradients = (result.square()).sum().backward();
    assert!(weight.grad(&gradients).is_some());
}
