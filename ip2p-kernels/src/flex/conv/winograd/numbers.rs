//! The numbers that the weights of a filtered convolution are, and how they are multiplied.

use burn::tensor::bf16;

use super::algorithm::Algorithm;
use super::kernels::Group;
use crate::flex::conv::bytes::settle;
use crate::flex::conv::weight::Weight;
use crate::flex::quantized::{scale, sum_of_bytes};
use crate::flex::simd::Simd;
use crate::flex::tile::add_words;

/// What the weights of a filtered convolution are.
pub(in super::super) trait Numbers: Copy + Send + Sync + 'static {
    /// What the right factors are made of first, when the tiles see the input.
    type Seen: Weight;

    /// How many input channels make a word of the factors.
    const WORD: usize;

    /// How many words behind those of the channels say more of a left factor's row.
    const MORE: usize;

    /// A sum of products.
    type Sum<S: Simd>: Copy;

    /// Transforms the kernels of a group.
    fn transform<A: Algorithm, S: Simd>(simd: S, group: &Group<'_, A, Self>);

    /// Makes the right factors of a product of what `tiles` tiles have seen, `pitch` of them a row, in its place.
    fn settle<S: Simd>(simd: S, seen: &mut [u32], channels: usize, pitch: usize, tiles: usize);

    /// What the sums of a row begin with.
    ///
    /// # Safety
    ///
    /// The words that say more of the row must be readable from `more` on.
    unsafe fn begin<S: Simd>(simd: S, more: *const u32) -> Self::Sum<S>;

    /// The sum, and the products of a word of the right factors with one of the left, in each lane.
    ///
    /// # Safety
    ///
    /// Both must be readable, `right` for `VECTORS` vectors.
    unsafe fn add_products<S: Simd, const ROWS: usize, const VECTORS: usize>(
        simd: S,
        left: [*const u32; ROWS],
        right: *const u32,
        sums: &mut [[Self::Sum<S>; VECTORS]; ROWS],
    );

    /// The sum as numbers; `of_tiles` is what stands behind the right factors.
    ///
    /// # Safety
    ///
    /// As [`Self::begin`]; if the right factors are settled, a vector must be readable from `of_tiles` on.
    unsafe fn finish<S: Simd>(
        simd: S,
        sum: Self::Sum<S>,
        more: *const u32,
        of_tiles: *const u32,
    ) -> S::Vector;
}

impl<W: Weight> Numbers for W {
    type Seen = W;

    const WORD: usize = W::CHANNELS;

    const MORE: usize = 0;

    type Sum<S: Simd> = S::Vector;

    #[inline(always)]
    fn transform<A: Algorithm, S: Simd>(simd: S, group: &Group<'_, A, Self>) {
        group.transform_words(simd);
    }

    #[inline(always)]
    fn settle<S: Simd>(_: S, _: &mut [u32], _: usize, _: usize, _: usize) {}

    #[inline(always)]
    unsafe fn begin<S: Simd>(simd: S, _: *const u32) -> S::Vector {
        simd.splat(0.0)
    }

    #[inline(always)]
    unsafe fn add_products<S: Simd, const ROWS: usize, const VECTORS: usize>(
        simd: S,
        left: [*const u32; ROWS],
        right: *const u32,
        sums: &mut [[S::Vector; VECTORS]; ROWS],
    ) {
        // SAFETY: the caller's.
        unsafe { <W as Weight>::add_products(simd, left, right, sums) };
    }

    #[inline(always)]
    unsafe fn finish<S: Simd>(_: S, sum: S::Vector, _: *const u32, _: *const u32) -> S::Vector {
        sum
    }
}

/// Kernels have a scale for each product and output channel, the right factors one for each product and tile. The products are of
/// bytes with a sign and bytes without, as the instructions of x86-64 are: the right factors get 128 added, and the sums begin with
/// what that adds to them, subtracted.
///
/// Two words say more of a row: the scale, and what the sums begin with. Behind the right factors there is a row of scales.
impl Numbers for i8 {
    type Seen = bf16;

    const WORD: usize = 4;

    const MORE: usize = 2;

    type Sum<S: Simd> = S::Words;

    #[inline(always)]
    fn transform<A: Algorithm, S: Simd>(simd: S, group: &Group<'_, A, Self>) {
        group.transform_bytes(simd);
    }

    #[inline(always)]
    fn settle<S: Simd>(simd: S, seen: &mut [u32], channels: usize, pitch: usize, tiles: usize) {
        settle(simd, seen, channels, pitch, tiles);
    }

    #[inline(always)]
    unsafe fn begin<S: Simd>(simd: S, more: *const u32) -> S::Words {
        // SAFETY: the caller's.
        simd.splat_word(unsafe { *more.add(1) })
    }

    #[inline(always)]
    unsafe fn add_products<S: Simd, const ROWS: usize, const VECTORS: usize>(
        simd: S,
        left: [*const u32; ROWS],
        right: *const u32,
        sums: &mut [[S::Words; VECTORS]; ROWS],
    ) {
        // SAFETY: the caller's.
        unsafe { add_words(simd, left, right, sums) };
    }

    #[inline(always)]
    unsafe fn finish<S: Simd>(
        simd: S,
        sum: S::Words,
        more: *const u32,
        of_tiles: *const u32,
    ) -> S::Vector {
        // SAFETY: the caller's.
        unsafe {
            let scale = simd.mul(
                simd.splat(f32::from_bits(*more)),
                simd.load(of_tiles.cast()),
            );
            simd.mul(simd.to_numbers(sum), scale)
        }
    }
}

/// What is said of a row of bytes, times `unit`, of which the greatest magnitude was this before it was rounded.
#[inline(always)]
pub(super) fn more<S: Simd>(simd: S, bytes: &[i8], greatest: f32, unit: f32) -> [u32; 2] {
    let begin = -128 * sum_of_bytes(simd, bytes);
    [(unit * scale(greatest).0).to_bits(), begin.cast_unsigned()]
}
