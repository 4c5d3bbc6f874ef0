//! The fast bodies on burn's CPU backend, flex.
//!
//! A result takes the memory of its input where nobody else holds it, as burn's own operations do; fresh memory is never
//! filled with zeros first. Half inputs are widened to `f32` and the result is rounded.

mod activation;
mod attention;
#[cfg(feature = "autodiff")]
mod autodiff;
mod conv;
mod linear;
mod norm;
#[cfg(feature = "autodiff")]
mod norm_backward;
mod quantized;
mod scratch;
mod simd;
mod tasks;
mod tile;
mod turned;

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::{
    BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, Flex,
};
use burn::tensor::{Bytes, DType, Tensor};

pub(crate) use activation::{Function, elementwise, geglu};
pub(crate) use attention::{attention, quantized_attention, quantizes};
#[cfg(feature = "autodiff")]
pub(crate) use autodiff::{tracked_conv2d, tracked_group_norm, tracks};
pub(crate) use conv::{conv2d, upsample_conv2d, upsamples};
pub(crate) use linear::{
    linear, linear_geglu, linear_turned, multiplies, multiplies_pointwise, multiplies_turned,
    pointwise, pointwise_turned,
};
pub(crate) use norm::{group_norm, layer_norm};
pub(crate) use quantized::{quantize, quantize_turned};
use tasks::{for_rows, for_tasks, wanted};

/// Whether a tensor is on flex, of a type that we compute, and not tracked by autodiff.
pub(crate) fn holds<const D: usize>(x: &Tensor<D>) -> bool {
    let DispatchTensor { kind, autodiff } = x.clone().into_dispatch();
    let on_flex = matches!(kind, DispatchTensorKind::Flex(BackendTensor::Float(_)));
    on_flex
        && autodiff == DispatchAutodiffContext::Disabled
        && matches!(x.dtype(), DType::F32 | DType::F16 | DType::BF16)
}

/// Whether a tensor [`holds`], or is of whole numbers and on flex.
pub(crate) fn holds_weight<const D: usize>(x: &Tensor<D>) -> bool {
    let DispatchTensor { kind, .. } = x.clone().into_dispatch();
    let quantized = matches!(kind, DispatchTensorKind::Flex(BackendTensor::Quantized(_)));
    quantized || holds(x)
}

/// The flex tensor inside one that [`holds`].
fn primitive<const D: usize>(x: Tensor<D>) -> FlexTensor {
    x.try_into_primitive::<Flex>()
        .expect("the caller has seen that it is on flex")
}

fn tensor<const D: usize>(x: FlexTensor) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(x)
}

/// The numbers of a vector of weights.
fn weights(x: Tensor<1>) -> Vec<f32> {
    let x = contiguous(primitive(crate::plain::to_f32(x)));
    x.as_slice::<f32>()
        .expect("contiguous and cast to f32")
        .to_vec()
}

/// The tensor with its elements in order and nothing else in its memory.
fn contiguous(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() && fills_memory(&x) {
        x
    } else {
        x.to_contiguous()
    }
}

/// Whether the memory of a tensor holds each element once, in any order of axes, and nothing else.
fn fills_memory(x: &FlexTensor) -> bool {
    let layout = x.layout();
    let mut axes: Vec<(isize, usize)> = layout
        .strides()
        .iter()
        .zip(layout.shape().iter())
        .map(|(&stride, &size)| (stride, size))
        .filter(|&(_, size)| size != 1)
        .collect();
    axes.sort_unstable();
    let mut expected = 1;
    let dense = axes.iter().all(|&(stride, size)| {
        let fits = stride == expected;
        expected *= size.cast_signed();
        fits
    });
    dense
        && layout.start_offset() == 0
        && x.bytes().len() == layout.num_elements() * x.dtype().size()
}

/// Memory that several threads write to, each its own part.
#[derive(Clone, Copy)]
struct Target(*mut f32);

// SAFETY: only an address; what is done with it is for each user to justify.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// The address of a number.
    ///
    /// # Safety
    ///
    /// `offset` must be within the memory.
    #[inline(always)]
    unsafe fn at(self, offset: usize) -> *mut f32 {
        // SAFETY: the caller's.
        unsafe { self.0.add(offset) }
    }
}

/// A tensor of `f32` in new memory.
///
/// # Safety
///
/// `fill` must write to every number of the memory that it is given, of as many numbers as `layout` has elements.
unsafe fn filled(layout: Layout, fill: impl FnOnce(Target)) -> FlexTensor {
    let length = layout.num_elements();
    let mut numbers = Vec::with_capacity(length);
    fill(Target(numbers.as_mut_ptr()));
    // SAFETY: of that capacity, and all written to.
    unsafe { numbers.set_len(length) };
    FlexTensor::new(Bytes::from_elems(numbers), layout, DType::F32)
}
