//! The inner loop of every matrix product here: a tile of sums that stays in registers.

use burn::tensor::bf16;

use super::simd::{Kernel, Simd, TILE_VECTORS, dispatch};

/// Bytes of a cache line.
pub(crate) const LINE: usize = 64;

/// The left factor of a product: numbers at any distance from each other.
#[derive(Clone, Copy)]
pub(crate) struct Left<T = f32> {
    /// The first.
    pub(crate) start: *const T,
    /// From a row to the next.
    pub(crate) row_stride: usize,
    /// From a term of the sums to the next.
    pub(crate) term_stride: usize,
}

impl<T> Left<T> {
    /// The factor without its first `rows` rows.
    ///
    /// # Safety
    ///
    /// It must have as many.
    #[inline(always)]
    pub(crate) unsafe fn skip(self, rows: usize) -> Self {
        // SAFETY: the caller's.
        let start = unsafe { self.start.add(rows * self.row_stride) };
        Self { start, ..self }
    }
}

/// The numbers across a tile: the width of a packed right factor and of what it gives.
#[inline(always)]
pub(crate) const fn width<S: Simd>() -> usize {
    TILE_VECTORS * S::LANES
}

/// [`width`] with the widest vectors that this CPU has.
pub(crate) fn widest() -> usize {
    struct Widest;

    impl Kernel for Widest {
        type Output = usize;

        #[inline(always)]
        fn run<S: Simd>(self, _: S) -> usize {
            width::<S>()
        }
    }

    dispatch(Widest)
}

/// Adds `left · right` to `sums`: `ROWS` rows of [`width`] numbers, over `terms` terms.
///
/// The left factor is read one number at a time and needs no packing; the right has its [`width`] numbers of each term side by side.
///
/// # Safety
///
/// `left` must be readable for `ROWS` rows and `terms` terms, `right` for `terms · width` numbers.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd, const ROWS: usize>(
    simd: S,
    left: Left,
    right: *const f32,
    terms: usize,
    mut sums: [[S::Vector; TILE_VECTORS]; ROWS],
    beside: &mut impl Beside<S>,
) -> [[S::Vector; TILE_VECTORS]; ROWS] {
    for_terms(
        simd,
        terms,
        beside,
        #[inline(always)]
        |term| {
            // SAFETY: the caller's.
            let factors = unsafe { load_row(simd, right.add(term * width::<S>())) };
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's.
                let number = simd.splat(unsafe {
                    *left
                        .start
                        .add(row * left.row_stride + term * left.term_stride)
                });
                for (sum, factor) in sums.iter_mut().zip(factors) {
                    *sum = simd.mul_add(number, factor, *sum);
                }
            }
        },
    );
    sums
}

/// Work in pieces, of which one is done after each of the first terms of a product, so that either goes on while the other waits for its
/// last result.
pub(crate) trait Beside<S: Simd> {
    /// How many pieces there are; at most [`MOST_PIECES`].
    const PIECES: usize;

    /// Does a piece.
    ///
    /// # Safety
    ///
    /// There must be such a piece, which was not done yet.
    unsafe fn piece(&mut self, simd: S, index: usize);

    /// Does all pieces.
    ///
    /// # Safety
    ///
    /// None must be done yet.
    #[inline(always)]
    unsafe fn all(&mut self, simd: S) {
        for index in 0..Self::PIECES {
            // SAFETY: the caller's.
            unsafe { self.piece(simd, index) };
        }
    }
}

/// The most pieces that work beside a product may have.
const MOST_PIECES: usize = 6;

/// No work.
impl<S: Simd> Beside<S> for () {
    const PIECES: usize = 0;

    #[inline(always)]
    unsafe fn piece(&mut self, _: S, _: usize) {}
}

/// Does each of so many terms, and the work beside them.
#[inline(always)]
pub(crate) fn for_terms<S: Simd, B: Beside<S>>(
    simd: S,
    terms: usize,
    beside: &mut B,
    mut term: impl FnMut(usize),
) {
    const { assert!(B::PIECES <= MOST_PIECES) };
    if terms < B::PIECES {
        // SAFETY: none is done yet.
        unsafe { beside.all(simd) };
        return (0..terms).for_each(term);
    }
    // One by one, so that what the pieces are made of stays in registers: in a loop it would be in memory.
    macro_rules! pieces {
        ($($index:literal)*) => {$(
            if $index < B::PIECES {
                term($index);
                // SAFETY: such a piece, done once.
                unsafe { beside.piece(simd, $index) };
            }
        )*};
    }
    pieces!(0 1 2 3 4 5);
    for index in B::PIECES..terms {
        term(index);
    }
}

/// The left factor of a product of pairs: each term is two `bf16` numbers side by side, and strides count single numbers.
pub(crate) type LeftPairs = Left<u16>;

/// Adds `left · right` in `bf16` to `sums` in `f32`: `ROWS` rows of `VECTORS` vectors, over `pairs` terms, each a pair.
///
/// The right factor has its numbers of each pair of terms side by side, `right_stride` pairs from one to the next.
///
/// # Safety
///
/// `left` must be readable for `ROWS` rows and `pairs` terms, `right` for as many rows of `VECTORS` vectors of pairs.
#[inline(always)]
pub(crate) unsafe fn multiply_pairs<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    left: LeftPairs,
    right: *const u32,
    right_stride: usize,
    pairs: usize,
    mut sums: [[S::Vector; VECTORS]; ROWS],
    beside: &mut impl Beside<S>,
) -> [[S::Vector; VECTORS]; ROWS] {
    for_terms(
        simd,
        pairs,
        beside,
        #[inline(always)]
        |pair| {
            let mut factors = [simd.splat_word(0); VECTORS];
            for (index, factor) in factors.iter_mut().enumerate() {
                // SAFETY: the caller's.
                *factor =
                    unsafe { simd.load_words(right.add(pair * right_stride + index * S::LANES)) };
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's; a pair of an odd row stride begins at an odd number.
                let number = simd.splat_word(unsafe {
                    left.start
                        .add(row * left.row_stride + pair * left.term_stride)
                        .cast::<u32>()
                        .read_unaligned()
                });
                for (sum, factor) in sums.iter_mut().zip(factors) {
                    *sum = simd.dot(number, factor, *sum);
                }
            }
        },
    );
    sums
}

/// The sums, and the products of a word of right factors with one of the left, whose bytes have signs, in each lane.
///
/// # Safety
///
/// Both must be readable, `right` for `VECTORS` vectors.
#[inline(always)]
pub(crate) unsafe fn add_words<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    left: [*const u32; ROWS],
    right: *const u32,
    sums: &mut [[S::Words; VECTORS]; ROWS],
) {
    let mut factors = [simd.splat_word(0); VECTORS];
    for (index, factor) in factors.iter_mut().enumerate() {
        // SAFETY: the caller's.
        *factor = unsafe { simd.load_words(right.add(index * S::LANES)) };
    }
    for (sums, left) in sums.iter_mut().zip(left) {
        // SAFETY: the caller's.
        let bytes = simd.splat_word(unsafe { left.read_unaligned() });
        for (sum, factor) in sums.iter_mut().zip(factors) {
            *sum = simd.dot_bytes(factor, bytes, *sum);
        }
    }
}

/// The factors of a product of matrices, the right one of a tile's width.
pub(crate) trait Factors: Copy {
    /// The factors without the first `rows` rows of the left one.
    ///
    /// # Safety
    ///
    /// It must have as many.
    unsafe fn skip(self, rows: usize) -> Self;

    /// Adds `ROWS` rows of their product to `sums`, and does the work beside it.
    ///
    /// # Safety
    ///
    /// The left one must have as many, and both be as long as they say.
    unsafe fn multiply<S: Simd, const ROWS: usize>(
        self,
        simd: S,
        sums: [[S::Vector; TILE_VECTORS]; ROWS],
        beside: &mut impl Beside<S>,
    ) -> [[S::Vector; TILE_VECTORS]; ROWS];
}

/// Factors of `f32`.
#[derive(Clone, Copy)]
pub(crate) struct Plain {
    pub(crate) left: Left,
    pub(crate) right: *const f32,
    pub(crate) terms: usize,
}

impl Factors for Plain {
    #[inline(always)]
    unsafe fn skip(self, rows: usize) -> Self {
        // SAFETY: the caller's.
        let left = unsafe { self.left.skip(rows) };
        Self { left, ..self }
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize>(
        self,
        simd: S,
        sums: [[S::Vector; TILE_VECTORS]; ROWS],
        beside: &mut impl Beside<S>,
    ) -> [[S::Vector; TILE_VECTORS]; ROWS] {
        // SAFETY: the caller's.
        unsafe { multiply(simd, self.left, self.right, self.terms, sums, beside) }
    }
}

/// Factors of pairs of `bf16`.
#[derive(Clone, Copy)]
pub(crate) struct Paired {
    pub(crate) left: LeftPairs,
    pub(crate) right: *const u32,
    pub(crate) pairs: usize,
}

impl Factors for Paired {
    #[inline(always)]
    unsafe fn skip(self, rows: usize) -> Self {
        // SAFETY: the caller's.
        let left = unsafe { self.left.skip(rows) };
        Self { left, ..self }
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize>(
        self,
        simd: S,
        sums: [[S::Vector; TILE_VECTORS]; ROWS],
        beside: &mut impl Beside<S>,
    ) -> [[S::Vector; TILE_VECTORS]; ROWS] {
        let width = width::<S>();
        // SAFETY: the caller's.
        unsafe { multiply_pairs(simd, self.left, self.right, width, self.pairs, sums, beside) }
    }
}

/// Puts each number of a row beside that of another row.
#[inline(always)]
pub(crate) fn zip_rows<S: Simd>(simd: S, first: &[bf16], second: &[bf16], target: &mut [u32]) {
    let whole = target.len() - target.len() % S::LANES;
    assert!(first.len() == target.len() && second.len() == target.len());
    for at in (0..whole).step_by(S::LANES) {
        // SAFETY: `at + LANES` is at most the length of all three.
        unsafe {
            let [first, second] = [first, second].map(|row| row.as_ptr().add(at).cast());
            let pairs = simd.zip_pairs(first, second);
            simd.store_words(target.as_mut_ptr().add(at), pairs);
        }
    }
    for at in whole..target.len() {
        let [first, second] = [first[at], second[at]].map(|x| u32::from(x.to_bits()));
        target[at] = first | second << 16;
    }
}

/// One row of a tile from memory.
///
/// # Safety
///
/// [`width`] numbers must be readable.
#[inline(always)]
pub(crate) unsafe fn load_row<S: Simd>(simd: S, source: *const f32) -> [S::Vector; TILE_VECTORS] {
    let mut row = [simd.splat(0.0); TILE_VECTORS];
    for (index, vector) in row.iter_mut().enumerate() {
        // SAFETY: the caller's.
        *vector = unsafe { simd.load(source.add(index * S::LANES)) };
    }
    row
}

/// Fetches the memory that a row of a tile will soon be written to, valid or not: a store that misses the caches holds up those behind it.
#[inline(always)]
pub(crate) fn prefetch_row<S: Simd>(simd: S, target: *const f32) {
    for line in (0..width::<S>()).step_by(LINE / size_of::<f32>()) {
        simd.prefetch(target.wrapping_add(line));
    }
    // Of a row that begins within a line.
    simd.prefetch(target.wrapping_add(width::<S>() - 1));
}

/// One row of a tile to memory.
///
/// # Safety
///
/// [`width`] numbers must be writable.
#[inline(always)]
pub(crate) unsafe fn store_row<S: Simd>(simd: S, target: *mut f32, row: [S::Vector; TILE_VECTORS]) {
    for (index, vector) in row.into_iter().enumerate() {
        // SAFETY: the caller's.
        unsafe { simd.store(target.add(index * S::LANES), vector) };
    }
}

/// Calls `$tile::<S, ROWS>` over `$rows` rows, in the tallest tiles that the registers hold and then in ever lower ones.
///
/// `$first` is the row that a tile begins with.
macro_rules! for_tiles {
    ($simd:ty, $rows:expr, |$first:ident| $tile:ident($($argument:expr),* $(,)?)) => {{
        let rows: usize = $rows;
        let mut $first = 0;
        if <$simd>::TILE_ROWS == 8 {
            while $first + 8 <= rows {
                $tile::<$simd, 8>($($argument),*);
                $first += 8;
            }
        }
        $crate::flex::tile::for_low_tiles!($simd, rows, $first, $tile($($argument),*));
    }};
}

/// As [`for_tiles`], from row `$first` on and in tiles of at most four rows.
macro_rules! for_low_tiles {
    ($simd:ty, $rows:expr, $first:ident, $tile:ident($($argument:expr),* $(,)?)) => {
        while $first + 4 <= $rows {
            $tile::<$simd, 4>($($argument),*);
            $first += 4;
        }
        if $first + 2 <= $rows {
            $tile::<$simd, 2>($($argument),*);
            $first += 2;
        }
        if $first < $rows {
            $tile::<$simd, 1>($($argument),*);
        }
    };
}
pub(crate) use {for_low_tiles, for_tiles};
