//! Attention with the softmax computed as the keys go by (Milakov and Gimelshein 2018, <https://arxiv.org/abs/1805.02867>; Dao et al.
//! 2022, <https://arxiv.org/abs/2205.14135>), so that no score matrix is stored.
//!
//! Everything is transposed: a tile holds some keys down and a tile's width of queries across. The maximum and the sum over the keys
//! are then sums of whole vectors, one lane a query; the weights come out as the packed right factor of the second
//! product; and keys and values are read where they lie, whatever their strides, with nothing packed but the queries; of
//! `bf16` the values too, and keys of bytes are rounded beforehand.
//!
//! Only of the first keys the greatest score is looked for. Of the others, weights are told from that one as soon as there is a score, between
//! the products of the keys after; where a total becomes too great, some keys are begun anew from the greatest score that they have.

mod bytes;
mod keys;
mod step;
mod values;

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{DType, Shape, Tensor, bf16};

use self::bytes::{RoundedKeys, WORD};
use self::keys::Keys;
use self::step::Seen;
use self::values::Values;
use super::scratch::Scratch;
use super::simd::{Kernel, MAX_LANES, Simd, TILE_VECTORS, dispatch};
use super::tile::{widest, width};
use super::turned::{from_lanes, to_lanes};
use super::{Target, filled, for_tasks, primitive, tensor};
use crate::plain::{in_f32, to_f32};

/// How many keys are scored before their values are summed up: the weights of so many keys fill a third of a level-1 cache.
const KEYS: usize = 64;

/// The fewest keys that are worth rounding to bytes, as measured with `AVX512_VNNI`: to 256 of 160 numbers it is 5 % slower, to 1024 of 80 it is 8 % faster.
const FEWEST: usize = 512;

/// Up to how many numbers all keys and values of a picture are few: as many of `bf16` fill a quarter of a level-2 cache of 1 MB.
const FEW: usize = 128 * 1024;

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
        let call = Call::new(&q, &k, &v, scale, causal);
        tensor(if pairs {
            call.attend(
                heads(k.layout(), k.storage::<bf16>()),
                heads(v.layout(), v.storage::<bf16>()),
            )
        } else {
            call.attend(
                heads(k.layout(), k.storage::<f32>()),
                heads(v.layout(), v.storage::<f32>()),
            )
        })
    })
}

/// Whether [`quantized_attention`] has a body for such keys and values.
pub(crate) fn quantizes(k: &Tensor<4>, v: &Tensor<4>) -> bool {
    let [.., keys, dim] = k.dims();
    keys >= FEWEST && dim > 0 && dim.is_multiple_of(WORD) && v.dtype() == DType::BF16
}

/// As [`crate::quantized_attention`], where it [`quantizes`].
pub(crate) fn quantized_attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    scale: f64,
) -> Tensor<4> {
    let [k, v] = [to_f32(k), v].map(|x| rows_in_order(primitive(x)));
    in_f32(q, |q| {
        let q = rows_in_order(primitive(q));
        let call = Call::new(&q, &k, &v, scale, false);
        let keys = RoundedKeys::of(&k);
        tensor(call.attend(
            |batch, head| keys.head(batch, head),
            heads(v.layout(), v.storage::<bf16>()),
        ))
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

/// Attention to keys and values of whatever type.
struct Call<'a> {
    q: &'a FlexTensor,
    /// `[keys, value_dim]`.
    attended: [usize; 2],
    scale: f64,
    causal: bool,
}

impl<'a> Call<'a> {
    fn new(q: &'a FlexTensor, k: &FlexTensor, v: &FlexTensor, scale: f64, causal: bool) -> Self {
        let [batch, heads, _, head_dim] = sizes(q);
        let [_, _, keys, value_dim] = sizes(v);
        assert!(
            sizes(k) == [batch, heads, keys, head_dim] && sizes(v)[..2] == [batch, heads],
            "attention of queries {:?} cannot have keys {:?} and values {:?}",
            sizes(q),
            sizes(k),
            sizes(v)
        );
        Self {
            q,
            attended: [keys, value_dim],
            scale,
            causal,
        }
    }

    /// The result, where these are the keys and the values of a picture's head.
    fn attend<K: Keys, V: Values>(
        &self,
        k: impl Fn(usize, usize) -> K + Sync,
        v: impl Fn(usize, usize) -> V + Sync,
    ) -> FlexTensor {
        let [batch, heads, queries, dim] = sizes(self.q);
        let [keys, value_dim] = self.attended;
        let layout = Layout::contiguous(Shape::from([batch, queries, heads, value_dim]));
        let row = heads * value_dim;
        let step = BLOCKS * widest();
        let parts = queries.div_ceil(step);
        let tasks = if value_dim == 0 {
            0
        } else {
            batch * heads * parts
        };
        // The heads of a query lie side by side. Where the keys of all of them stay in a cache, those of a time see the same queries,
        // elsewhere the same keys.
        let few = heads * keys * (dim + value_dim) <= FEW;
        // SAFETY: every batch, head and query is in one task.
        unsafe {
            filled(layout.transpose(1, 2), |target| {
                let run = |room: &mut Room<K, V>, task: usize| {
                    let (index, head, part) = if few {
                        (task / heads / parts, task % heads, task / heads % parts)
                    } else {
                        (task / parts / heads, task / parts % heads, task % parts)
                    };
                    let output = target.at(index * queries * row + head * value_dim);
                    let head = Head {
                        place: [index, head],
                        q: Rows::of(self.q.layout(), self.q.storage(), index, head),
                        k: k(index, head),
                        v: v(index, head),
                        output: Target(output),
                        output_stride: row,
                        queries,
                        keys,
                        dim,
                        value_dim,
                        scale: self.scale,
                        causal: self.causal,
                    };
                    let first = part * step;
                    dispatch(Part {
                        head: &head,
                        room,
                        first,
                        count: step.min(queries - first),
                    });
                };
                for_tasks(tasks, || Room::new(widest(), keys, dim, value_dim), run);
            })
        }
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

impl<N> Rows<N> {
    /// The rows of a head of a tensor that has such numbers.
    fn of(layout: &Layout, numbers: &[N], batch: usize, head: usize) -> Self {
        let [b, h, row, _] = *layout.strides() else {
            unreachable!("a tensor of four axes")
        };
        let [b, h, stride] = [b, h, row].map(isize::cast_unsigned);
        let offset = layout.start_offset() + batch * b + head * h;
        Self {
            start: numbers[offset..].as_ptr(),
            stride,
        }
    }

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

    /// A row of so many numbers.
    ///
    /// # Safety
    ///
    /// There must be such a row, which nobody writes to.
    #[inline(always)]
    unsafe fn slice<'a>(&self, row: usize, length: usize) -> &'a [N] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts(self.at(row), length) }
    }
}

/// The rows of each head of a tensor that has such numbers.
fn heads<N: Sync>(layout: &Layout, numbers: &[N]) -> impl Fn(usize, usize) -> Rows<N> + Sync {
    |batch, head| Rows::of(layout, numbers, batch, head)
}

/// One head of one picture.
struct Head<K, V> {
    /// Which picture, and which head.
    place: [usize; 2],
    q: Rows<f32>,
    k: K,
    v: V,
    output: Target,
    output_stride: usize,
    queries: usize,
    keys: usize,
    dim: usize,
    value_dim: usize,
    scale: f64,
    causal: bool,
}

/// Some queries of a head.
struct Part<'a, K: Keys, V: Values> {
    head: &'a Head<K, V>,
    room: &'a mut Room<K, V>,
    first: usize,
    count: usize,
}

/// The memory of a task, which the next one uses again.
struct Room<K: Keys, V: Values> {
    /// `[head_dim, width]`.
    queries: Scratch,
    blocks: [Block<K>; BLOCKS],
    /// `[KEYS, width]`.
    scores: Scratch,
    values: V::Room,
    /// The [`Head::place`] whose values are ready.
    ready: Option<[usize; 2]>,
}

impl<K: Keys, V: Values> Room<K, V> {
    fn new(width: usize, keys: usize, dim: usize, value_dim: usize) -> Self {
        Self {
            queries: Scratch::new(dim * width),
            blocks: std::array::from_fn(|_| Block {
                queries: K::room(dim, width),
                sums: Scratch::new(value_dim * width),
                base: [0.0; TILE_VECTORS * MAX_LANES],
                total: [0.0; TILE_VECTORS * MAX_LANES],
            }),
            scores: Scratch::new(KEYS * width),
            values: V::room(keys, value_dim, [KEYS, width]),
            ready: None,
        }
    }
}

/// A block of queries, one a lane: what is known of them after some of the keys.
struct Block<K: Keys> {
    /// `[head_dim, width]`, in units of [`Values::OCTAVE`]; packed.
    queries: K::Queries,
    /// `[value_dim, width]`: the sum of values so far, each times its weight.
    sums: Scratch,
    /// What weights are told from: a score of a key so far, at first the greatest.
    base: [f32; TILE_VECTORS * MAX_LANES],
    /// The sum of weights so far.
    total: [f32; TILE_VECTORS * MAX_LANES],
}

impl<K: Keys, V: Values> Kernel for Part<'_, K, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            head,
            room,
            first,
            count,
        } = self;
        let width = width::<S>();
        assert_eq!(
            room.scores.len(),
            KEYS * width,
            "the room is for other vectors"
        );
        let queries = |block| [first + block * width, width.min(count - block * width)];
        let blocks = &mut room.blocks[..count.div_ceil(width)];
        if room.ready.replace(head.place) != Some(head.place) {
            // SAFETY: there are so many keys, and the room is for as many.
            unsafe { (head.v).prepare(simd, head.keys, head.value_dim, &mut room.values) };
        }
        for (index, block) in blocks.iter_mut().enumerate() {
            head.begin(simd, queries(index), &mut room.queries, block);
        }
        for first_key in (0..head.keys).step_by(KEYS) {
            let keys = KEYS.min(head.keys - first_key);
            for (index, block) in blocks.iter_mut().enumerate() {
                let [first_query, _] = queries(index);
                let seen = Seen {
                    first_key,
                    keys,
                    // The first query sees so many of these keys, each further one a key more.
                    visible: head.causal.then(|| {
                        (first_query + head.keys + 1).cast_signed()
                            - (head.queries + first_key).cast_signed()
                    }),
                };
                seen.extend(simd, head, block, &mut room.scores, &mut room.values);
            }
        }
        for (index, block) in blocks.iter().enumerate() {
            head.store(simd, queries(index), block);
        }
    }
}

impl<K: Keys, V: Values> Head<K, V> {
    /// Makes a block of `count` queries from `first` on, before any key.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
    fn begin<S: Simd>(
        &self,
        simd: S,
        [first, count]: [usize; 2],
        queries: &mut Scratch,
        block: &mut Block<K>,
    ) {
        let width = width::<S>();
        let unit = (self.scale * std::f64::consts::LOG2_E) as f32 * V::OCTAVE;
        for lane in (0..width).step_by(S::LANES) {
            let size = (S::LANES.min(count.saturating_sub(lane)), self.dim);
            // SAFETY: these are the head's queries, and there is a row of the tile for each of their numbers.
            unsafe {
                let source = (
                    (self.q.start).wrapping_add((first + lane) * self.q.stride),
                    self.q.stride,
                );
                let target = (queries[lane..].as_mut_ptr(), width);
                to_lanes(simd, source, size, simd.splat(unit), target);
            }
        }
        K::pack(simd, queries, &mut block.queries);
        block.sums.fill(0.0);
        block.base = [f32::NEG_INFINITY; TILE_VECTORS * MAX_LANES];
        block.total = [0.0; TILE_VECTORS * MAX_LANES];
    }

    /// Writes the result of a block of `count` queries from `first` on, a query a row.
    #[inline(always)]
    fn store<S: Simd>(&self, simd: S, [first, count]: [usize; 2], block: &Block<K>) {
        let width = width::<S>();
        for lane in (0..count).step_by(S::LANES) {
            let size = (S::LANES.min(count - lane), self.value_dim);
            // SAFETY: the block has such a vector of totals, and a row of sums for each number of a value; the rows of output are the
            // head's and this task's alone.
            unsafe {
                let totals = simd.load(block.total[lane..][..S::LANES].as_ptr());
                let factors = simd.div(simd.splat(1.0), totals);
                let source = (block.sums[lane..].as_ptr(), width);
                let stride = self.output_stride;
                let target = (self.output.at((first + lane) * stride), stride);
                from_lanes(simd, source, size, factors, target);
            }
        }
    }
}

#[cfg(test)]
mod tests;
