//! Linear layers with weights of `bf16`, summed up in `f32` two terms at a time, or of whole numbers of 8 bits, four at a time.
//!
//! A task takes some of the rows of the input and some of the columns of the output. It rounds terms of its rows, and for a tile's width
//! of columns at a time puts the same terms of the weights side by side, which then fit the level-1 cache while all its rows are
//! multiplied with them.

mod gated;
mod numbers;
mod panel;
mod rows;
mod turned;

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{DType, Shape, Tensor, bf16};

use self::gated::Gated;
use self::numbers::ONE_PASS;
pub(super) use self::numbers::{ByteRow, Numbers};
use self::panel::{Panel, Rounded};
use self::rows::rows;
use self::turned::Turned;
use super::quantized::Quantized;
use super::scratch::Scratch;
use super::simd::{Kernel, MAX_LANES, Simd, dispatch};
use super::tile::{widest, width};
use super::{
    Target, contiguous, filled, fills_memory, for_tasks, holds, primitive, tensor, wanted, weights,
};
use crate::plain::in_f32;

/// The most rows of a task: as many words of them take 240 KB.
const ROWS: usize = 384;

/// Whether [`linear`] and [`linear_geglu`] have a body for such a layer.
pub(crate) fn multiplies<const D: usize>(
    x: &Tensor<D>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
) -> bool {
    let [terms, columns] = weight.dims();
    let word = match weight.dtype() {
        DType::BF16 if holds(weight) => <bf16 as Numbers>::WORD,
        DType::QFloat(_) if Quantized::matrix(weight).is_some() => <i8 as Numbers>::WORD,
        _ => return false,
    };
    terms.is_multiple_of(word) && terms.min(columns) > 0 && holds(x) && bias.is_none_or(holds)
}

/// `x · weight + bias` over the last axis, where it [`multiplies`].
pub(crate) fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    output(x, weight, bias, Output::Plain)
}

/// As [`crate::linear_geglu`], where it [`multiplies`].
pub(crate) fn linear_geglu(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
    output(x, weight, bias, Output::Gated)
}

/// Whether [`linear_turned`] and [`pointwise_turned`] have a body for an output of so many rows, where [`linear`] and [`pointwise`] have one.
pub(crate) fn multiplies_turned(rows: usize) -> bool {
    rows.is_multiple_of(MAX_LANES)
}

/// As [`crate::linear_turned`], where it [`multiplies`] and [`multiplies_turned`].
pub(crate) fn linear_turned(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
    output(x, weight, bias, Output::Turned)
}

/// Whether [`pointwise`] has a body for such a layer.
pub(crate) fn multiplies_pointwise<const D: usize>(
    x: &Tensor<D>,
    weight: &Tensor<4>,
    bias: Option<&Tensor<1>>,
) -> bool {
    let width = weight.dims()[1];
    x.dims()[D - 1] == width
        && width.is_multiple_of(<i8 as Numbers>::WORD)
        && holds(x)
        && bias.is_none_or(holds)
        && Quantized::pointwise(weight).is_some()
}

/// As [`crate::pointwise`], where it [`multiplies_pointwise`].
pub(crate) fn pointwise<const D: usize>(
    x: Tensor<D>,
    weight: &Tensor<4>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    pixels(x, weight, bias, Output::Plain)
}

/// As [`crate::pointwise_turned`], where it [`multiplies_pointwise`] and [`multiplies_turned`].
pub(crate) fn pointwise_turned(
    x: Tensor<3>,
    weight: &Tensor<4>,
    bias: Option<Tensor<1>>,
) -> Tensor<3> {
    pixels(x, weight, bias, Output::Turned)
}

/// What becomes of a product.
#[derive(Clone, Copy)]
enum Output {
    /// It is the output.
    Plain,
    /// Half of its columns are gated by the others.
    Gated,
    /// Its last two axes are swapped.
    Turned,
}

fn pixels<const D: usize>(
    x: Tensor<D>,
    weight: &Tensor<4>,
    bias: Option<Tensor<1>>,
    output: Output,
) -> Tensor<D> {
    let [columns, terms, ..] = weight.dims();
    let bias = bias.map_or_else(|| vec![0.0; columns], weights);
    let matrix = Quantized::pointwise(weight).expect("the caller has seen that it is one");
    let weight = Weight {
        numbers: matrix.bytes(),
        turned: false,
        scales: &matrix.scales,
    };
    product(x, weight, [terms, columns], &bias, output)
}

fn output<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    output: Output,
) -> Tensor<D> {
    let size = weight.dims();
    let bias = bias.map_or_else(|| vec![0.0; size[1]], weights);
    if let Some(matrix) = Quantized::matrix(&weight) {
        let weight = Weight {
            numbers: matrix.bytes(),
            turned: false,
            scales: &matrix.scales,
        };
        return product(x, weight, size, &bias, output);
    }
    let weight = primitive(weight);
    let turned = is_turned(&weight);
    let weight = if turned { weight } else { contiguous(weight) };
    let weight = Weight {
        numbers: weight.storage::<bf16>(),
        turned,
        scales: &[],
    };
    product(x, weight, size, &bias, output)
}

/// Whether the last two axes of up to three are swapped in memory that they fill.
fn is_turned(x: &FlexTensor) -> bool {
    let layout = x.layout();
    let [.., rows, _] = layout.shape()[..] else {
        return false;
    };
    layout.num_dims() <= 3
        && layout.strides().ends_with(&[1, rows.cast_signed()])
        && fills_memory(x)
}

/// The weights of a product.
#[derive(Clone, Copy)]
struct Weight<'a, N> {
    numbers: &'a [N],
    /// Whether the terms of a column lie side by side, not those of a row: of numbers of `bf16`.
    turned: bool,
    /// What 1 stands for in each column of weights that are whole numbers.
    scales: &'a [f32],
}

fn product<N: Numbers, const D: usize>(
    x: Tensor<D>,
    weight: Weight<'_, N>,
    [terms, columns]: [usize; 2],
    bias: &[f32],
    output: Output,
) -> Tensor<D> {
    in_f32(x, |x| {
        let mut shape = x.dims();
        shape[D - 1] = columns;
        let piece = shape[..D - 1].last().copied().unwrap_or(1);
        let x = primitive(x);
        let turned = piece.is_multiple_of(MAX_LANES) && is_turned(&x);
        let x = if turned { x } else { contiguous(x) };
        let product = Product {
            input: x.storage::<f32>(),
            piece: turned.then_some(piece),
            weight,
            bias,
            rows: shape[..D - 1].iter().product(),
            terms,
            columns,
        };
        tensor(match output {
            Output::Plain => {
                let run = |part: Part<'_, N>| dispatch(Plain(part));
                product.in_parts(shape, columns, ROWS, run)
            }
            Output::Gated => {
                let run = |part: Part<'_, N>| dispatch(Gated(part));
                shape[D - 1] = columns / 2;
                product.in_parts(shape, columns / 2, rows(terms), run)
            }
            Output::Turned => {
                let run = |part: Part<'_, N>| dispatch(Turned { part, piece });
                shape.swap(D - 2, D - 1);
                product.in_parts(shape, columns, rows(terms), run)
            }
        })
    })
}

/// The factors, `[rows, terms] · [terms, columns]`.
#[derive(Clone, Copy)]
struct Product<'a, N> {
    input: &'a [f32],
    /// Of an input whose last two axes are swapped in memory, how many rows lie beside each other: whole vectors.
    piece: Option<usize>,
    weight: Weight<'a, N>,
    bias: &'a [f32],
    rows: usize,
    terms: usize,
    columns: usize,
}

/// Some rows of some columns of the output.
struct Part<'a, N> {
    product: &'a Product<'a, N>,
    target: Target,
    first_row: usize,
    rows: usize,
    first_column: usize,
    columns: usize,
}

impl<N: Numbers> Product<'_, N> {
    /// A tensor of `shape`, whose parts `fill` fills in parallel.
    fn in_parts<const D: usize>(
        &self,
        shape: [usize; D],
        all_columns: usize,
        most_rows: usize,
        fill: impl Fn(Part<'_, N>) + Sync,
    ) -> FlexTensor {
        let step = widest();
        let blocks = self.rows.div_ceil(most_rows);
        let splits = wanted()
            .div_ceil(blocks.max(1))
            .min(all_columns.div_ceil(step))
            .max(1);
        let columns = all_columns.div_ceil(splits).next_multiple_of(step);
        let splits = all_columns.div_ceil(columns);
        // SAFETY: each row of each column is in one task.
        unsafe {
            filled(Layout::contiguous(Shape::from(shape)), |target| {
                let run = |(): &mut (), task| {
                    let first_row = task / splits * most_rows;
                    let first_column = task % splits * columns;
                    fill(Part {
                        product: self,
                        target,
                        first_row,
                        rows: most_rows.min(self.rows - first_row),
                        first_column,
                        columns: columns.min(all_columns - first_column),
                    });
                };
                for_tasks(blocks * splits, || (), run);
            })
        }
    }
}

/// A part of an output that is the product itself.
struct Plain<'a, N>(Part<'a, N>);

impl<N: Numbers> Kernel for Plain<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(part) = self;
        let (product, width) = (part.product, width::<S>());
        let mut rounded = Rounded::new(part.rows, ONE_PASS);
        let mut joined = Scratch::<u32>::new(ONE_PASS * width);
        for [first_term, words] in passes::<N>(product.terms) {
            rounded.fill(simd, product, part.first_row, [first_term, words]);
            for offset in (0..part.columns).step_by(width) {
                let column = part.first_column + offset;
                let panel = Panel {
                    product,
                    // SAFETY: within the output.
                    target: Target(unsafe {
                        part.target.at(part.first_row * product.columns + column)
                    }),
                    stride: product.columns,
                    column,
                    columns: width.min(part.columns - offset),
                    first_term,
                    words,
                    next: if offset + width < part.columns {
                        [first_term, column + width]
                    } else {
                        [first_term + N::WORD * words, part.first_column]
                    },
                };
                panel.join(simd, &mut joined);
                // SAFETY: the output has these rows and columns, and they are this task's alone.
                unsafe { panel.multiply(simd, &rounded, &joined) };
            }
        }
    }
}

/// The terms that are multiplied at a time: the first, and how many words.
fn passes<N: Numbers>(terms: usize) -> impl Iterator<Item = [usize; 2]> {
    let all = terms / N::WORD;
    let most = N::words(all);
    let firsts = (0..all).step_by(most);
    firsts.map(move |first| [first * N::WORD, most.min(all - first)])
}

#[cfg(test)]
mod tests;
