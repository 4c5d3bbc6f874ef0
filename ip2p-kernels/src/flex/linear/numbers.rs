//! The numbers that the weights of a linear layer are, and how they are multiplied.

use burn::tensor::bf16;

use crate::flex::quantized::{scale, sum_of_bytes};
use crate::flex::simd::{Simd, lanes, to_byte};
use crate::flex::tile::{Beside, LeftPairs, add_words, for_terms, multiply_pairs, width};

/// What the weights of a linear layer are, and what its input is rounded to.
pub(in crate::flex) trait Numbers: Copy + Send + Sync + 'static {
    /// How many numbers make a word, whose products are one instruction.
    const WORD: usize;

    /// What the products of a rounded row have to be told of it.
    type Row: Copy + Default + Send;

    /// How many words of `all` are multiplied at a time.
    fn words(all: usize) -> usize;

    /// Rounds the terms of a row, as many as there are words for.
    fn round<S: Simd>(simd: S, row: &[f32], target: &mut [u32]) -> Self::Row;

    /// A word of the numbers at `source` and in the rows that follow, `stride` from one to the next.
    ///
    /// # Safety
    ///
    /// They must be readable.
    unsafe fn word(source: *const Self, stride: usize) -> u32;

    /// As [`Self::word`], of a vector of columns.
    ///
    /// # Safety
    ///
    /// They must be readable.
    unsafe fn vector<S: Simd>(simd: S, source: *const Self, stride: usize) -> S::Words;

    /// The products of rounded rows with words of a tile's width, summed up, and the work beside them.
    ///
    /// # Safety
    ///
    /// Of the factors, the left one must be readable for `ROWS` rows, `stride` words from one to the next, of so many words, and the
    /// right one for as many words of a tile's width; `rows` for `ROWS`.
    unsafe fn multiply<S: Simd, const ROWS: usize, const VECTORS: usize>(
        simd: S,
        factors: [*const u32; 2],
        stride: usize,
        rows: *const Self::Row,
        words: usize,
        beside: &mut impl Beside<S>,
    ) -> [[S::Vector; VECTORS]; ROWS];

    /// The products, in the units of the output, added to `before`; `scales` are those of the columns, if they have any.
    ///
    /// # Safety
    ///
    /// As many scales must be readable as bits of `lanes` are set.
    unsafe fn add<S: Simd>(
        simd: S,
        products: S::Vector,
        before: S::Vector,
        row: Self::Row,
        scales: *const f32,
        lanes: u32,
    ) -> S::Vector;
}

/// How many words are multiplied at a time: 24 KB of a tile's width of columns with 512-bit vectors.
const WORDS: usize = 128;

/// Up to how many words are multiplied at once, since every pass over the sums reads and writes them: 30 KB, nearly a level-1 cache.
pub(super) const ONE_PASS: usize = 160;

impl Numbers for bf16 {
    const WORD: usize = 2;

    type Row = ();

    fn words(all: usize) -> usize {
        if all <= ONE_PASS { all } else { WORDS }
    }

    #[inline(always)]
    fn round<S: Simd>(simd: S, row: &[f32], target: &mut [u32]) {
        assert_eq!(row.len(), Self::WORD * target.len());
        let whole = row.len() - row.len() % S::LANES;
        for at in (0..whole).step_by(S::LANES) {
            // SAFETY: a word is two numbers of `bf16`, and there are as many numbers as in the row.
            unsafe {
                let target = target.as_mut_ptr().cast::<Self>();
                simd.narrow(row.as_ptr().add(at), target.add(at));
            }
        }
        let rest = row[whole..].as_chunks::<2>().0;
        for (word, rest) in target[whole / 2..].iter_mut().zip(rest) {
            *word = pair(rest.map(Self::from_f32));
        }
    }

    #[inline(always)]
    unsafe fn word(source: *const Self, stride: usize) -> u32 {
        // SAFETY: the caller's.
        unsafe { pair([*source, *source.add(stride)]) }
    }

    #[inline(always)]
    unsafe fn vector<S: Simd>(simd: S, source: *const Self, stride: usize) -> S::Words {
        // SAFETY: the caller's.
        unsafe { simd.zip_pairs(source.cast(), source.add(stride).cast()) }
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize, const VECTORS: usize>(
        simd: S,
        [left, right]: [*const u32; 2],
        stride: usize,
        _: *const (),
        words: usize,
        beside: &mut impl Beside<S>,
    ) -> [[S::Vector; VECTORS]; ROWS] {
        let left = LeftPairs {
            start: left.cast(),
            row_stride: 2 * stride,
            term_stride: 2,
        };
        let zeros = [[simd.splat(0.0); VECTORS]; ROWS];
        // SAFETY: the caller's.
        unsafe { multiply_pairs(simd, left, right, width::<S>(), words, zeros, beside) }
    }

    #[inline(always)]
    unsafe fn add<S: Simd>(
        simd: S,
        products: S::Vector,
        before: S::Vector,
        (): (),
        _: *const f32,
        _: u32,
    ) -> S::Vector {
        simd.add(products, before)
    }
}

/// Two numbers of `bf16`, the first in the low half.
#[inline(always)]
fn pair(numbers: [bf16; 2]) -> u32 {
    let [first, second] = numbers.map(|x| u32::from(x.to_bits()));
    first | second << 16
}

/// What makes a byte with a sign one without, in each byte of a word: 128 more.
const OFFSET: u32 = 0x8080_8080;

/// A row in bytes.
#[derive(Clone, Copy, Default)]
pub(in crate::flex) struct ByteRow {
    /// What 1 stands for.
    pub(in crate::flex) scale: f32,
    /// What the sums begin with: the row's products with weights that are each 128 too great, subtracted.
    begin: i32,
}

/// A scale for each row of the input and for each column of the weights. The products are of bytes with a sign and bytes without,
/// as the instructions of x86-64 are: the weights get 128 added, and the sums begin with what that adds to them.
impl Numbers for i8 {
    const WORD: usize = 4;

    type Row = ByteRow;

    fn words(all: usize) -> usize {
        // As many each time, since each has a scale of the input of its own.
        all.div_ceil(all.div_ceil(ONE_PASS))
    }

    #[inline(always)]
    fn round<S: Simd>(simd: S, row: &[f32], target: &mut [u32]) -> ByteRow {
        assert_eq!(row.len(), Self::WORD * target.len());
        let (scale, inverse) = scale(greatest(simd, row));
        let bytes = target.as_mut_ptr().cast::<Self>();
        let whole = row.len() - row.len() % S::LANES;
        let factor = simd.splat(inverse);
        for at in (0..whole).step_by(S::LANES) {
            // SAFETY: there are as many bytes as numbers in the row.
            unsafe {
                let numbers = simd.mul(factor, simd.load(row.as_ptr().add(at)));
                simd.store_bytes(bytes.add(at), numbers);
            }
        }
        for (at, number) in row.iter().enumerate().skip(whole) {
            // SAFETY: as above.
            unsafe { *bytes.add(at) = to_byte((inverse * number).round_ties_even()) };
        }
        ByteRow {
            scale,
            // SAFETY: the bytes of the words.
            begin: -128
                * sum_of_bytes(simd, unsafe {
                    std::slice::from_raw_parts(bytes, row.len())
                }),
        }
    }

    #[inline(always)]
    unsafe fn word(source: *const Self, stride: usize) -> u32 {
        // SAFETY: the caller's.
        let rows = [0, 1, 2, 3].map(|row| unsafe { *source.add(row * stride) });
        u32::from_le_bytes(rows.map(Self::cast_unsigned)) ^ OFFSET
    }

    #[inline(always)]
    unsafe fn vector<S: Simd>(simd: S, source: *const Self, stride: usize) -> S::Words {
        // SAFETY: the caller's.
        let rows = [0, 1, 2, 3].map(|row| unsafe { source.add(row * stride).cast() });
        // SAFETY: the caller's.
        simd.xor(unsafe { simd.zip_bytes(rows) }, simd.splat_word(OFFSET))
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize, const VECTORS: usize>(
        simd: S,
        [left, right]: [*const u32; 2],
        stride: usize,
        rows: *const ByteRow,
        words: usize,
        beside: &mut impl Beside<S>,
    ) -> [[S::Vector; VECTORS]; ROWS] {
        let mut sums = [[simd.splat_word(0); VECTORS]; ROWS];
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's.
            let begin = unsafe { (*rows.add(row)).begin };
            *sums = [simd.splat_word(begin.cast_unsigned()); VECTORS];
        }
        for_terms(
            simd,
            words,
            beside,
            #[inline(always)]
            |word| {
                let mut rows = [left; ROWS];
                // SAFETY: the caller's.
                unsafe {
                    for (row, word_of) in rows.iter_mut().enumerate() {
                        *word_of = left.add(row * stride + word);
                    }
                    add_words(simd, rows, right.add(word * width::<S>()), &mut sums);
                }
            },
        );
        let mut products = [[simd.splat(0.0); VECTORS]; ROWS];
        for (products, sums) in products.iter_mut().zip(sums) {
            for (product, sum) in products.iter_mut().zip(sums) {
                *product = simd.to_numbers(sum);
            }
        }
        products
    }

    #[inline(always)]
    unsafe fn add<S: Simd>(
        simd: S,
        products: S::Vector,
        before: S::Vector,
        row: ByteRow,
        scales: *const f32,
        lanes: u32,
    ) -> S::Vector {
        // SAFETY: the caller's.
        let scales = unsafe { simd.load_where(scales, lanes) };
        simd.mul_add(products, simd.mul(scales, simd.splat(row.scale)), before)
    }
}

/// The greatest magnitude of a row; NaN if a number is.
#[inline(always)]
fn greatest<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let mut most = simd.splat(0.0);
    // Of whole vectors no load has a mask: with one for each the search takes twice as long.
    let vectors = row.chunks_exact(S::LANES);
    let rest = vectors.remainder();
    for vector in vectors {
        // SAFETY: a vector of numbers.
        most = simd.max_magnitude(most, unsafe { simd.load(vector.as_ptr()) });
    }
    // SAFETY: as many numbers as there are.
    let rest = unsafe { simd.load_where(rest.as_ptr(), lanes::<S>(rest.len())) };
    simd.greatest(simd.max_magnitude(most, rest))
}
