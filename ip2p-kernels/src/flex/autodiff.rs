//! The fast bodies under autodiff: the operators forwards as they are, and their gradients by operators of the same kind.
//!
//! The gradient of a convolution's pictures is a convolution with the kernels turned around, by the same fast body; that of
//! its kernels has a body of its own.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Shape, Tensor};

use super::norm_backward::group_norm_backward;
use super::{primitive, tensor};
use crate::Activation;

/// Whether tensors on these devices are on flex, and one of them may be tracked.
pub(crate) fn tracks(devices: &[Device]) -> bool {
    let flex = Device::flex();
    devices.iter().all(|device| *device == flex) && devices.iter().any(Device::is_autodiff)
}

/// As [`super::conv2d`], in `f32`, with gradients.
pub(crate) fn tracked_conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let [channels, ..] = weight.dims();
    let bias = bias.unwrap_or_else(|| Tensor::zeros([channels], &x.device()));
    let [x, weight] = [x, weight].map(Tensor::into_dispatch);
    let bias = bias.into_dispatch();
    Tensor::from_dispatch(<Dispatch as Differentiable>::fast_conv2d(
        x, weight, bias, options,
    ))
}

/// As [`super::group_norm`], in `f32`, with gradients.
pub(crate) fn tracked_group_norm(
    x: Tensor<4>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
    activation: Activation,
) -> Tensor<4> {
    let x = x.into_dispatch();
    let [weight, bias] = [weight, bias].map(Tensor::into_dispatch);
    let settings = GroupNormSettings {
        groups,
        eps,
        activation,
    };
    Tensor::from_dispatch(<Dispatch as Differentiable>::fast_group_norm(
        x, weight, bias, settings,
    ))
}

/// What a group normalisation is told besides its tensors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupNormSettings {
    groups: usize,
    eps: f64,
    activation: Activation,
}

/// The operators whose gradients are ours.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait Differentiable: Backend {
    /// See [`tracked_conv2d`].
    fn fast_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self>;

    /// See [`tracked_group_norm`].
    fn fast_group_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        settings: GroupNormSettings,
    ) -> FloatTensor<Self>;
}

impl Differentiable for Flex {
    fn fast_conv2d(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        options: ConvOptions<2>,
    ) -> FlexTensor {
        primitive(super::conv2d(
            tensor(x),
            tensor(weight),
            Some(tensor(bias)),
            &options,
        ))
    }

    fn fast_group_norm(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        settings: GroupNormSettings,
    ) -> FlexTensor {
        let GroupNormSettings {
            groups,
            eps,
            activation,
        } = settings;
        primitive(super::group_norm(
            tensor(x),
            groups,
            tensor(weight),
            tensor(bias),
            eps,
            activation,
        ))
    }
}

impl<C: CheckpointStrategy> Differentiable for Autodiff<Flex, C> {
    fn fast_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let guards = [x.node(), weight.node(), bias.node()];
        let [own_x, own_weight, own_bias] =
            [&x, &weight, &bias].map(|tensor| tensor.primitive().clone());
        let output = Flex::fast_conv2d(own_x, own_weight, own_bias, options.clone());
        match Conv2dBackward
            .prepare::<C>(guards)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight), options);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn fast_group_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        settings: GroupNormSettings,
    ) -> FloatTensor<Self> {
        let guards = [x.node(), weight.node(), bias.node()];
        let [own_x, own_weight, own_bias] =
            [&x, &weight, &bias].map(|tensor| tensor.primitive().clone());
        let output = Flex::fast_group_norm(own_x, own_weight, own_bias, settings);
        match GroupNormBackward
            .prepare::<C>(guards)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let nodes = [&x, &weight, &bias].map(|tensor| prep.checkpoint(tensor));
                prep.finish((nodes, settings), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

#[derive(Debug)]
struct Conv2dBackward;

impl Backward<Flex, 3> for Conv2dBackward {
    type State = (NodeId, NodeId, ConvOptions<2>);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let (x, weight, options) = ops.state;
        let x: FlexTensor = checkpointer.retrieve_node_output(x);
        let weight: FlexTensor = checkpointer.retrieve_node_output(weight);
        let [of_x, of_weight, of_bias] = ops.parents;
        let [_, _, height, width]: [usize; 4] = weight.layout().shape().dims();
        let padding = options.padding_begin();
        let turns = options.stride == [1, 1]
            && !options.is_asymmetric()
            && padding[0] < height
            && padding[1] < width;
        if let Some(node) = of_x {
            let (x, weight, gradient) = (x.clone(), weight.clone(), gradient.clone());
            let of_x = if turns {
                conv2d_x_backward(weight, gradient, &options)
            } else {
                Flex::conv2d_x_backward(x, weight, gradient, options.clone())
            };
            grads.register::<Flex>(node.id, of_x);
        }
        if let Some(node) = of_weight {
            let (x, gradient) = (tensor(x), tensor(gradient.clone()));
            let of_weight =
                super::conv::conv2d_weight_backward(x, gradient, [height, width], &options);
            grads.register::<Flex>(node.id, primitive(of_weight));
        }
        if let Some(node) = of_bias {
            let [_, channels, ..]: [usize; 4] = gradient.layout().shape().dims();
            // By pictures and channels first: their numbers lie side by side.
            let sums = [3, 2, 0].into_iter().fold(gradient, Flex::float_sum_dim);
            let of_bias = Flex::float_reshape(sums, Shape::from([channels]));
            grads.register::<Flex>(node.id, of_bias);
        }
    }
}

/// The gradient of the pictures of a convolution of stride 1: a convolution with the kernels turned around.
fn conv2d_x_backward(
    weight: FlexTensor,
    gradient: FlexTensor,
    options: &ConvOptions<2>,
) -> FlexTensor {
    let weight: Tensor<4> = tensor(weight);
    let [_, _, height, width] = weight.dims();
    let [(top, _), (left, _)] = options.padding;
    let turned = weight.swap_dims(0, 1).flip([2, 3]);
    let options = ConvOptions::new([1, 1], [height - 1 - top, width - 1 - left], [1, 1], 1);
    primitive(super::conv2d(tensor(gradient), turned, None, &options))
}

#[derive(Debug)]
struct GroupNormBackward;

impl Backward<Flex, 3> for GroupNormBackward {
    type State = ([NodeId; 3], GroupNormSettings);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let (nodes, settings) = ops.state;
        let [x, weight, bias] =
            nodes.map(|node| checkpointer.retrieve_node_output::<FlexTensor>(node));
        let found = group_norm_backward(
            tensor(x),
            tensor(gradient),
            settings.groups,
            tensor(weight),
            tensor(bias),
            settings.eps,
            settings.activation,
        );
        let [of_x, of_weight, of_bias] = ops.parents;
        if let Some(node) = of_x {
            grads.register::<Flex>(node.id, primitive(found.x));
        }
        if let Some(node) = of_weight {
            grads.register::<Flex>(node.id, primitive(found.weight));
        }
        if let Some(node) = of_bias {
            grads.register::<Flex>(node.id, primitive(found.bias));
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, TensorData, module};

    use super::*;
    use crate::{conv2d, group_norm, plain};

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
    }

    fn tracked<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
        x.clone().autodiff().require_grad()
    }

    /// Compares output and gradients of two bodies of an operator of a picture, a weight and a bias.
    fn assert_alike<const W: usize>(
        (x, weight, bias): (&Tensor<4>, &Tensor<W>, &Tensor<1>),
        ours: impl Fn(Tensor<4>, Tensor<W>, Tensor<1>) -> Tensor<4>,
        plain: impl Fn(Tensor<4>, Tensor<W>, Tensor<1>) -> Tensor<4>,
    ) {
        let run = |body: &dyn Fn(Tensor<4>, Tensor<W>, Tensor<1>) -> Tensor<4>| {
            let (x, weight, bias) = (tracked(x), tracked(weight), tracked(bias));
            let output = body(x.clone(), weight.clone(), bias.clone());
            // A loss whose gradient differs from number to number.
            let gradients = (output.clone() * output.clone().sin()).sum().backward();
            let gradient = |found: Option<Vec<f32>>| found.expect("it is tracked");
            let numbers = |data: TensorData| data.as_slice::<f32>().expect("in f32").to_vec();
            [
                numbers(output.inner().into_data()),
                gradient(x.grad(&gradients).map(|g| numbers(g.into_data()))),
                gradient(weight.grad(&gradients).map(|g| numbers(g.into_data()))),
                gradient(bias.grad(&gradients).map(|g| numbers(g.into_data()))),
            ]
        };
        for (found, expected) in run(&ours).into_iter().zip(run(&plain)) {
            assert_eq!(found.len(), expected.len());
            // Rounding grows with what is summed up, not with what is left of it.
            let scale = expected.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
            for (found, expected) in found.into_iter().zip(expected) {
                let error = (found - expected).abs() / scale;
                assert!(error < 3e-6, "{found}, not {expected}, of {scale} at most");
            }
        }
    }

    #[test]
    fn the_gradients_of_a_convolution_are_those_of_burn() {
        for (size, kernel, stride, padding) in [
            ([8, 9], 3, [1, 1], [1, 1]),
            ([8, 9], 3, [2, 2], [1, 1]),
            ([5, 4], 1, [1, 1], [0, 0]),
            ([6, 6], 3, [1, 1], [0, 0]),
            ([6, 6], 1, [1, 1], [1, 1]),
        ] {
            let options = ConvOptions::new(stride, padding, [1, 1], 1);
            let x = random([3, 5, size[0], size[1]]);
            let weight = random([19, 5, kernel, kernel]);
            assert_alike(
                (&x, &weight, &random([19])),
                |x, weight, bias| conv2d(x, weight, Some(bias), options.clone()),
                |x, weight, bias| module::conv2d(x, weight, Some(bias), options.clone()),
            );
        }
    }

    #[test]
    fn the_gradients_of_a_group_norm_are_those_of_its_formula() {
        for (shape, groups) in [([2, 6, 5, 7], 3), ([3, 8, 4, 4], 8), ([1, 4, 1, 1], 1)] {
            for activation in [Activation::None, Activation::Silu] {
                let (weight, bias) = (random([shape[1]]), random([shape[1]]));
                assert_alike(
                    (&random(shape), &weight, &bias),
                    |x, weight, bias| group_norm(x, groups, weight, bias, 1e-5, activation),
                    |x, weight, bias| plain::group_norm(x, groups, weight, bias, 1e-5, activation),
                );
            }
        }
    }

    #[test]
    fn what_is_not_tracked_gets_no_gradient() {
        let (x, weight) = (random([1, 2, 4, 4]), random([3, 2, 3, 3]));
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let weight = tracked(&weight);
        let output = conv2d(x.autodiff(), weight.clone(), None, options);
        let gradients = output.sum().backward();
        assert!(weight.grad(&gradients).is_some());
    }
}
