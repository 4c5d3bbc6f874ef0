//! Attention with the softmax computed as the keys go by (Milakov and Gimelshein 2018, <https://arxiv.org/abs/1805.02867>; Dao et al.
//! 2022, <https://arxiv.org/abs/2205.14135>), so that no score matrix is stored.
//!
//! Everything is transposed: a tile holds some keys down and a tile's width of queries across. The maximum and the sum over the keys
//! are then sums of whole vectors, one lane a query; the weights come out as the packed right factor of the second
//! product; and keys and values are read where they lie, whatever their strides, with nothing packed but the queries.

mod keys;
mod number;
mod turned;

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{DType, Shape, Tensor, bf16};
use rayon::prelude::*;

use self::keys::Seen;
use self::number::Number;
use self::turned::{from_lanes, to_lanes};
use super::simd::{Kernel, MAX_LANES, Simd, TILE_VECTORS, dispatch};
use super::tile::{Scratch, widest, width};
use super::{Target, filled, primitive, tensor};
use crate::plain::{in_f32, to_f32};

/// How many keys are scored before their values are summed up: the weights of so many keys fill a third of a level-1 cache.
const KEYS: usize = 64;

/// How many blocks of queries, each of a tile's width, one task takes.
const BLOCKS: usize = 4;

/// `softmax(q · kᵀ · scale) · v`, laid out as `[batch, queries, heads, head_dim]`.
pub(crate) fn attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    scale: f64,
    causal: bool,
) -> Tensor<4> {
    let pairs =
        k.dtype() == DType::BF16 && v.dtype() == DType::BF16 && k.dims()[3].is_multiple_of(2);
    let [k, v] = [k, v].map(|x| rows_in_order(primitive(if pairs { x } else { to_f32(x) })));
    in_f32(q, |q| {
        let q = rows_in_order(primitive(q));
        tensor(if pairs {
            attend::<bf16>(&q, &k, &v, scale, causal)
        } else {
            attend::<f32>(&q, &k, &v, scale, causal)
        })
    })
}

/// The tensor with its last axis in order; what strides the others have does not matter.
fn rows_in_order(x: FlexTensor) -> FlexTensor {
    let strides = x.layout().strides();
    if strides[3] == 1 && strides.iter().all(|&stride| stride >= 0) {
        x
    } else {
        x.to_contiguous()
    }
}

/// The four sizes of a tensor.
fn sizes(x: &FlexTensor) -> [usize; 4] {
    x.layout().shape().dims()
}

fn attend<N: Number>(
    q: &FlexTensor,
    k: &FlexTensor,
    v: &FlexTensor,
    scale: f64,
    causal: bool,
) -> FlexTensor {
    let [batch, heads, queries, head_dim] = sizes(q);
    let [_, _, keys, value_dim] = sizes(v);
    assert!(
        sizes(k) == [batch, heads, keys, head_dim] && sizes(v)[..2] == [batch, heads],
        "attention of queries {:?} cannot have keys {:?} and values {:?}",
        sizes(q),
        sizes(k),
        sizes(v)
    );
    let layout =
        Layout::contiguous(Shape::from([batch, queries, heads, value_dim])).transpose(1, 2);
    let row = heads * value_dim;
    // SAFETY: every batch, head and query is in one task.
    unsafe {
        filled(layout, |target| {
            (0..batch * heads).into_par_iter().for_each(|index| {
                let (batch, head) = (index / heads, index % heads);
                let output = target.at(batch * queries * row + head * value_dim);
                let head = Head {
                    q: Rows::of(q, batch, head),
                    k: Rows::<N>::of(k, batch, head),
                    v: Rows::<N>::of(v, batch, head),
                    output: Target(output),
                    output_stride: row,
                    queries,
                    keys,
                    dim: head_dim,
                    value_dim,
                    scale,
                    causal,
                };
                head.attend();
            });
        })
    }
}

/// The rows of one head, each in order, at any distance from each other.
#[derive(Clone, Copy)]
struct Rows<N> {
    start: *const N,
    stride: usize,
}

// SAFETY: the numbers are only read.
unsafe impl<N> Send for Rows<N> {}
// SAFETY: as above.
unsafe impl<N> Sync for Rows<N> {}

impl<N: Number> Rows<N> {
    fn of(x: &FlexTensor, batch: usize, head: usize) -> Self {
        let [b, h, row, _] = *x.layout().strides() else {
            unreachable!("a tensor of four axes")
        };
        let [b, h, stride] = [b, h, row].map(isize::cast_unsigned);
        let offset = x.layout().start_offset() + batch * b + head * h;
        Self {
            start: N::numbers(x)[offset..].as_ptr(),
            stride,
        }
    }
}

impl<N> Rows<N> {
    /// The address of a row.
    ///
    /// # Safety
    ///
    /// There must be such a row.
    #[inline(always)]
    unsafe fn at(&self, row: usize) -> *const N {
        // SAFETY: the caller's.
        unsafe { self.start.add(row * self.stride) }
    }
}

/// One head of one picture, with keys and values of type `N`.
struct Head<N> {
    q: Rows<f32>,
    k: Rows<N>,
    v: Rows<N>,
    output: Target,
    output_stride: usize,
    queries: usize,
    keys: usize,
    dim: usize,
    value_dim: usize,
    scale: f64,
    causal: bool,
}

impl<N: Number> Head<N> {
    fn attend(&self) {
        let step = BLOCKS * widest();
        (0..self.queries.div_ceil(step))
            .into_par_iter()
            .for_each(|task| {
                let first = task * step;
                dispatch(Part {
                    head: self,
                    first,
                    count: step.min(self.queries - first),
                });
            });
    }
}

/// Some queries of a head.
struct Part<'a, N> {
    head: &'a Head<N>,
    first: usize,
    count: usize,
}

/// A block of queries, one a lane: what is known of them after some of the keys.
struct Block<N: Number> {
    /// `[head_dim, width]`, in units of which 2 to the power is taken; packed.
    queries: Scratch<N::Packed>,
    /// `[value_dim, width]`: the sum of values so far, each times its weight.
    sums: Scratch,
    /// The greatest score so far.
    greatest: [f32; TILE_VECTORS * MAX_LANES],
    /// The sum of weights so far.
    total: [f32; TILE_VECTORS * MAX_LANES],
}

impl<N: Number> Kernel for Part<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let head = self.head;
        let width = width::<S>();
        // No closure: it would be compiled without the instructions.
        let mut blocks: Vec<Block<N>> = Vec::with_capacity(self.count.div_ceil(width));
        for offset in (0..self.count).step_by(width) {
            blocks.push(self.block(simd, offset));
        }
        let mut scores = Scratch::new(KEYS * width);
        let mut room = N::room(KEYS, width, head.value_dim);
        for first_key in (0..head.keys).step_by(KEYS) {
            let keys = KEYS.min(head.keys - first_key);
            // SAFETY: so many keys are left.
            unsafe { N::prepare(simd, head, first_key, keys, &mut room) };
            for (index, block) in blocks.iter_mut().enumerate() {
                let first_query = self.first + index * width;
                let seen = Seen {
                    first_key,
                    keys,
                    // The first query sees so many of these keys, each further one a key more.
                    visible: head.causal.then(|| {
                        (first_query + head.keys + 1).cast_signed()
                            - (head.queries + first_key).cast_signed()
                    }),
                };
                seen.extend(simd, head, block, &mut scores, &mut room);
            }
        }
        for (index, block) in blocks.iter().enumerate() {
            self.store(simd, index * width, block);
        }
    }
}

impl<N: Number> Part<'_, N> {
    /// The block of the queries from `offset` on, before any key.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
    fn block<S: Simd>(&self, simd: S, offset: usize) -> Block<N> {
        let (head, width) = (self.head, width::<S>());
        let mut queries = Scratch::new(head.dim * width);
        let unit = (head.scale * std::f64::consts::LOG2_E) as f32;
        for lane in (0..width.min(self.count - offset)).step_by(S::LANES) {
            let first = self.first + offset + lane;
            let size = (S::LANES.min(self.count - offset - lane), head.dim);
            // SAFETY: these are the head's queries, and there is a row of the tile for each of their numbers.
            unsafe {
                let source = (head.q.at(first), head.q.stride);
                let target = (queries[lane..].as_mut_ptr(), width);
                to_lanes(simd, source, size, simd.splat(unit), target);
            }
        }
        Block {
            queries: N::pack(simd, queries),
            sums: Scratch::new(head.value_dim * width),
            greatest: [f32::NEG_INFINITY; TILE_VECTORS * MAX_LANES],
            total: [0.0; TILE_VECTORS * MAX_LANES],
        }
    }

    /// Writes the block's result, a query a row.
    #[inline(always)]
    fn store<S: Simd>(&self, simd: S, offset: usize, block: &Block<N>) {
        let (head, width) = (self.head, width::<S>());
        for lane in (0..width.min(self.count - offset)).step_by(S::LANES) {
            let first = self.first + offset + lane;
            let size = (S::LANES.min(self.count - offset - lane), head.value_dim);
            // SAFETY: the block has such a vector of totals, and a row of sums for each number of a value; the rows of output are the
            // head's and this task's alone.
            unsafe {
                let totals = simd.load(block.total[lane..][..S::LANES].as_ptr());
                let factors = simd.div(simd.splat(1.0), totals);
                let source = (block.sums[lane..].as_ptr(), width);
                let stride = head.output_stride;
                let target = (head.output.at(first * stride), stride);
                from_lanes(simd, source, size, factors, target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flex::simd::assert_sets_agree;

    /// One head, attended to by each instruction set.
    struct Whole<'a, N> {
        queries: &'a [f32],
        numbers: &'a [N],
        tokens: usize,
        dim: usize,
    }

    impl<N: Number> Kernel for Whole<'_, N> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let (tokens, dim) = (self.tokens, self.dim);
            let mut output = vec![0.0; tokens * dim];
            let rows = |index: usize| Rows {
                start: self.numbers[index * tokens * dim..].as_ptr(),
                stride: dim,
            };
            let head = Head {
                q: Rows {
                    start: self.queries.as_ptr(),
                    stride: dim,
                },
                k: rows(0),
                v: rows(1),
                output: Target(output.as_mut_ptr()),
                output_stride: dim,
                queries: tokens,
                keys: tokens,
                dim,
                value_dim: dim,
                scale: 0.2,
                causal: true,
            };
            let part = Part {
                head: &head,
                first: 0,
                count: tokens,
            };
            part.run(simd);
            output
        }
    }

    fn assert_sets_agree_on<N: Number>(tolerance: f32, of: impl Fn(f32) -> N) {
        let (tokens, dim) = (151, 22);
        let numbers: Vec<f32> = (0_u16..)
            .map(|index| (f32::from(index) * 0.7).sin() * 3.0)
            .take(3 * tokens * dim)
            .collect();
        let (queries, rest) = numbers.split_at(tokens * dim);
        let rest: Vec<N> = rest.iter().map(|x| of(*x)).collect();
        let whole = || Whole {
            queries,
            numbers: &rest,
            tokens,
            dim,
        };
        assert_sets_agree(whole, tolerance);
    }

    #[test]
    fn instruction_sets_agree() {
        assert_sets_agree_on(2e-5, |x| x);
    }

    #[test]
    fn instruction_sets_agree_on_keys_and_values_of_bf16() {
        // The weights are rounded too, and which way may hang on the last bit of a sum.
        assert_sets_agree_on(2e-2, bf16::from_f32);
    }
}
