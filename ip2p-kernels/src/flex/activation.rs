//! Activations, element by element.

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Shape, Tensor};

use super::simd::{self, Kernel, Simd, dispatch, map};
use super::{Target, contiguous, filled, fills_memory, for_rows, primitive, tensor};
use crate::geglu_width;
use crate::plain::in_f32;

/// An activation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Function {
    Silu,
    Gelu,
    QuickGelu,
}

/// An activation of each element of a tensor, in place where nobody else holds it.
pub(crate) fn elementwise<const D: usize>(x: Tensor<D>, function: Function) -> Tensor<D> {
    in_f32(x, |x| tensor(apply(primitive(x), function)))
}

fn apply(x: FlexTensor, function: Function) -> FlexTensor {
    // The order of axes does not matter here, and is kept.
    let mut x = if fills_memory(&x) {
        x
    } else {
        x.to_contiguous()
    };
    let length = x.layout().num_elements();
    let run = |source: *const f32, target: Target| {
        let source = Target(source.cast_mut());
        for_rows(length, 1, |range| {
            // SAFETY: both memories hold `length` numbers, and each range is given out once.
            let (source, target) = unsafe { (source.at(range.start), target.at(range.start)) };
            dispatch(Map {
                function,
                source,
                target,
                length: range.len(),
            });
        });
    };
    if let Some(numbers) = x.try_storage_mut::<f32>() {
        let target = Target(numbers.as_mut_ptr());
        run(target.0, target);
        return x;
    }
    let source = x.storage::<f32>();
    // SAFETY: the ranges cover all.
    unsafe { filled(x.layout().clone(), |target| run(source.as_ptr(), target)) }
}

struct Map {
    function: Function,
    source: *const f32,
    target: *mut f32,
    length: usize,
}

impl Kernel for Map {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (sources, target, length) = ([self.source], self.target, self.length);
        // SAFETY: `apply` hands out ranges of memory that is the source's or its own.
        unsafe {
            match self.function {
                Function::Silu => map(
                    simd,
                    sources,
                    target,
                    length,
                    #[inline(always)]
                    |[x]| simd::silu(simd, x),
                ),
                Function::Gelu => map(
                    simd,
                    sources,
                    target,
                    length,
                    #[inline(always)]
                    |[x]| simd::gelu(simd, x),
                ),
                Function::QuickGelu => map(
                    simd,
                    sources,
                    target,
                    length,
                    #[inline(always)]
                    |[x]| simd::quick_gelu(simd, x),
                ),
            }
        }
    }
}

/// The first half of the last axis times the exact GELU of the second.
pub(crate) fn geglu(x: Tensor<3>) -> Tensor<3> {
    let [batch, tokens, doubled] = x.dims();
    let width = geglu_width(x.dims());
    in_f32(x, |x| {
        let x = contiguous(primitive(x));
        let source = x.storage::<f32>();
        let layout = Layout::contiguous(Shape::from([batch, tokens, width]));
        // SAFETY: the rows cover all.
        tensor(unsafe {
            filled(layout, |target| {
                for_rows(batch * tokens, width, |rows| {
                    dispatch(Gated {
                        source: &source[rows.start * doubled..rows.end * doubled],
                        target: target.at(rows.start * width),
                        width,
                    });
                });
            })
        })
    })
}

struct Gated<'a> {
    source: &'a [f32],
    target: *mut f32,
    width: usize,
}

impl Kernel for Gated<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (row, source) in self.source.chunks_exact(2 * self.width.max(1)).enumerate() {
            let (values, gates) = source.split_at(self.width);
            // SAFETY: as many rows of the target as of the source are this kernel's.
            unsafe {
                map(
                    simd,
                    [values.as_ptr(), gates.as_ptr()],
                    self.target.add(row * self.width),
                    self.width,
                    #[inline(always)]
                    |[value, gate]| simd.mul(value, simd::gelu(simd, gate)),
                );
            }
        }
    }
}
