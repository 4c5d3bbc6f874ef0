//! The numbers that a convolution's weights are, and how they are multiplied with tiles.

use burn::tensor::bf16;

use crate::flex::simd::{Simd, lanes};
use crate::flex::tile::zip_rows;

/// What the weights of a convolution are, and what of the input they are multiplied with.
pub(super) trait Weight: Copy + Send + Sync + 'static {
    /// How many channels of the input make one of the copy.
    const CHANNELS: usize;
    /// Nothing.
    const ZERO: Self;

    /// The number.
    #[cfg(test)]
    fn to_f32(self) -> f32;

    /// The nearest to a number.
    #[cfg(test)]
    fn from_f32(number: f32) -> Self;

    /// Copies so many numbers of the channels as 32-bit words, the lanes of a whole vector at a time: zeros where there are none.
    ///
    /// # Safety
    ///
    /// `count` numbers must be readable from each source, and whole vectors writable to `target`.
    #[inline(always)]
    unsafe fn copy<S: Simd>(simd: S, channels: [*const f32; 2], target: *mut u32, count: usize) {
        for at in (0..count).step_by(S::LANES) {
            let mut words = [simd.splat(0.0); 2];
            for (word, channel) in words.iter_mut().zip(channels).take(Self::CHANNELS) {
                // SAFETY: the caller's; lanes beyond `count` are not read.
                *word = unsafe { simd.load_where(channel.add(at), lanes::<S>(count - at)) };
            }
            // SAFETY: the caller's.
            unsafe { Self::store_words(simd, words, target.add(at)) };
        }
    }

    /// Writes a word of the copy in each lane.
    ///
    /// # Safety
    ///
    /// A whole vector must be writable.
    unsafe fn store_words<S: Simd>(simd: S, channels: [S::Vector; 2], target: *mut u32);

    /// 3x3 kernels of `LANES` words of channels: the numbers of each position, of the channels of a word apart.
    ///
    /// # Safety
    ///
    /// `9 · CHANNELS · LANES` numbers must be readable.
    unsafe fn kernels<S: Simd>(simd: S, source: *const Self) -> [[S::Vector; 2]; 9];

    /// The left factor of some rows and terms; it may be put into `packed`, which has room for it and a vector more.
    fn left<S: Simd>(simd: S, weight: &[Self], terms: &Terms, packed: &mut [u32]) -> Rows;

    /// The sum, and the products of a word of the copy with one of the weights, in each lane.
    ///
    /// # Safety
    ///
    /// Both must be readable, `right` for `VECTORS` vectors.
    unsafe fn add_products<S: Simd, const ROWS: usize, const VECTORS: usize>(
        simd: S,
        left: [*const u32; ROWS],
        right: *const u32,
        sums: &mut [[S::Vector; VECTORS]; ROWS],
    );
}

/// Some terms of some rows of the weights.
pub(super) struct Terms {
    /// The first, in the weights.
    pub(super) first: usize,
    /// From a row to the next.
    pub(super) row_stride: usize,
    pub(super) rows: usize,
    /// Channels of the copy.
    pub(super) planes: usize,
    /// Positions of the kernel.
    pub(super) positions: usize,
}

/// Rows of words.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) start: *const u32,
    pub(super) stride: usize,
}

impl Weight for f32 {
    const CHANNELS: usize = 1;
    const ZERO: Self = 0.0;

    #[cfg(test)]
    fn to_f32(self) -> f32 {
        self
    }

    #[cfg(test)]
    fn from_f32(number: f32) -> Self {
        number
    }

    #[inline(always)]
    unsafe fn store_words<S: Simd>(simd: S, [channel, _]: [S::Vector; 2], target: *mut u32) {
        // SAFETY: the caller's.
        unsafe { simd.store(target.cast(), channel) };
    }

    #[inline(always)]
    unsafe fn kernels<S: Simd>(simd: S, source: *const Self) -> [[S::Vector; 2]; 9] {
        let mut kernels = [[simd.splat(0.0); 2]; 9];
        // SAFETY: the caller's.
        let ninths = unsafe { simd.ninths(source) };
        for (kernels, ninth) in kernels.iter_mut().zip(ninths) {
            kernels[0] = ninth;
        }
        kernels
    }

    #[inline(always)]
    fn left<S: Simd>(_: S, weight: &[Self], terms: &Terms, _: &mut [u32]) -> Rows {
        Rows {
            start: weight[terms.first..].as_ptr().cast(),
            stride: terms.row_stride,
        }
    }

    #[inline(always)]
    unsafe fn add_products<S: Simd, const ROWS: usize, const VECTORS: usize>(
        simd: S,
        left: [*const u32; ROWS],
        right: *const u32,
        sums: &mut [[S::Vector; VECTORS]; ROWS],
    ) {
        let mut factors = [simd.splat(0.0); VECTORS];
        for (index, factor) in factors.iter_mut().enumerate() {
            // SAFETY: the caller's.
            *factor = unsafe { simd.load(right.add(index * S::LANES).cast()) };
        }
        for (sums, left) in sums.iter_mut().zip(left) {
            // SAFETY: the caller's.
            let number = simd.splat(unsafe { *left.cast() });
            for (sum, factor) in sums.iter_mut().zip(factors) {
                *sum = simd.mul_add(number, factor, *sum);
            }
        }
    }
}

impl Weight for bf16 {
    const CHANNELS: usize = 2;
    const ZERO: Self = Self::ZERO;

    #[cfg(test)]
    fn to_f32(self) -> f32 {
        Self::to_f32(self)
    }

    #[cfg(test)]
    fn from_f32(number: f32) -> Self {
        Self::from_f32(number)
    }

    #[inline(always)]
    unsafe fn store_words<S: Simd>(simd: S, [first, second]: [S::Vector; 2], target: *mut u32) {
        // SAFETY: the caller's.
        unsafe { simd.store_words(target, simd.pair(first, second)) };
    }

    #[inline(always)]
    unsafe fn kernels<S: Simd>(simd: S, source: *const Self) -> [[S::Vector; 2]; 9] {
        // SAFETY: the caller's.
        unsafe { simd.ninths_of_pairs(source) }
    }

    #[inline(always)]
    fn left<S: Simd>(simd: S, weight: &[Self], terms: &Terms, packed: &mut [u32]) -> Rows {
        let positions = terms.positions;
        let stride = terms.planes * positions;
        for row in 0..terms.rows {
            for plane in 0..terms.planes {
                let place = terms.first + row * terms.row_stride + 2 * plane * positions;
                let target = &mut packed[row * stride + plane * positions..];
                let vectors = positions.next_multiple_of(S::LANES);
                if place + positions + vectors > weight.len() {
                    let (first, second) = weight[place..][..2 * positions].split_at(positions);
                    zip_rows(simd, first, second, &mut target[..positions]);
                    continue;
                }
                assert!(vectors <= target.len());
                for at in (0..positions).step_by(S::LANES) {
                    // SAFETY: both have as many more; what is beyond the positions is written over by the next channels.
                    unsafe {
                        let first = weight.as_ptr().add(place + at).cast();
                        let second = weight.as_ptr().add(place + positions + at).cast();
                        let pairs = simd.zip_pairs(first, second);
                        simd.store_words(target.as_mut_ptr().add(at), pairs);
                    }
                }
            }
        }
        Rows {
            start: packed.as_ptr(),
            stride,
        }
    }

    #[inline(always)]
    unsafe fn add_products<S: Simd, const ROWS: usize, const VECTORS: usize>(
        simd: S,
        left: [*const u32; ROWS],
        right: *const u32,
        sums: &mut [[S::Vector; VECTORS]; ROWS],
    ) {
        let mut factors = [simd.splat_word(0); VECTORS];
        for (index, factor) in factors.iter_mut().enumerate() {
            // SAFETY: the caller's.
            *factor = unsafe { simd.load_words(right.add(index * S::LANES)) };
        }
        for (sums, left) in sums.iter_mut().zip(left) {
            // SAFETY: the caller's.
            let pair = simd.splat_word(unsafe { *left });
            for (sum, factor) in sums.iter_mut().zip(factors) {
                *sum = simd.dot(pair, factor, *sum);
            }
        }
    }
}
