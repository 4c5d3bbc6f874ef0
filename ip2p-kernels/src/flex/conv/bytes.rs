//! Right factors of bytes, with a scale for each column of them.

use crate::flex::quantized::scales;
use crate::flex::simd::Simd;

/// Makes bytes of the pairs of `bf16` numbers that `seen` is of so many channels, a row of `pitch` words two channels: a row four of them
/// then, each 128 more so that it has no sign, and behind them a row of what 1 stands for in each of the first `tiles` columns.
///
/// # Panics
///
/// If there are not as many words.
#[inline(always)]
pub(super) fn settle<S: Simd>(
    simd: S,
    seen: &mut [u32],
    channels: usize,
    pitch: usize,
    tiles: usize,
) {
    let pairs = channels / 2;
    assert!(seen.len() >= pairs.max(channels / 4 + 1) * pitch && tiles <= pitch);
    let seen = seen.as_mut_ptr();
    for tile in (0..tiles).step_by(S::LANES) {
        let mut most = simd.splat(0.0);
        for pair in 0..pairs {
            // SAFETY: as asserted.
            let pair = unsafe { simd.load_words(seen.add(pair * pitch + tile)) };
            for number in simd.halves(pair) {
                most = simd.max_magnitude(most, number);
            }
        }
        let [scale, inverse] = scales(simd, most);
        for word in 0..channels / 4 {
            // SAFETY: as asserted; a row is written to after it has been read.
            unsafe {
                let source = seen.add(2 * word * pitch + tile);
                let [a, b] = simd.halves(simd.load_words(source));
                let [c, d] = simd.halves(simd.load_words(source.add(pitch)));
                let bytes = simd.bytes([a, b, c, d], inverse);
                simd.store_words(seen.add(word * pitch + tile), bytes);
            }
        }
        // SAFETY: as asserted.
        unsafe { simd.store(seen.add(channels / 4 * pitch + tile).cast(), scale) };
    }
}
