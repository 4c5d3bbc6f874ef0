//! The quantised formats of ggml: blocks of small numbers with a scale.
//!
//! Layouts and formulas from `ggml-common.h` and `ggml-quants.c` of ggml-org/ggml. A block's numbers are the product of its scale,
//! which is 16 bits wide, and whole numbers of a few bits; the K formats have a scale of their own for each 16 or 32 numbers, and some
//! an offset.

use half::f16;

/// A quantised format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quant {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
}

impl Quant {
    /// Every format, with the number by which ggml knows it.
    const NUMBERS: [(u32, Self); 10] = [
        (2, Self::Q4_0),
        (3, Self::Q4_1),
        (6, Self::Q5_0),
        (7, Self::Q5_1),
        (8, Self::Q8_0),
        (10, Self::Q2K),
        (11, Self::Q3K),
        (12, Self::Q4K),
        (13, Self::Q5K),
        (14, Self::Q6K),
    ];

    /// The format of a type number of ggml.
    pub(super) fn of(number: u32) -> Option<Self> {
        let mut known = Self::NUMBERS.into_iter();
        known.find_map(|(own, quant)| (own == number).then_some(quant))
    }

    /// The type number of the format in ggml.
    pub(super) fn number(self) -> u32 {
        let known = Self::NUMBERS.iter().find(|(_, quant)| *quant == self);
        known.expect("every format has a number").0
    }

    /// The name, as ggml spells it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// Numbers in a block.
    pub(crate) const fn numbers(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q2K => 84,
            Self::Q3K => 110,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// Appends the numbers of whole blocks.
    pub(crate) fn append(self, blocks: &[u8], out: &mut Vec<f32>) {
        for block in blocks.chunks_exact(self.bytes()) {
            match self {
                Self::Q4_0 => halves(block, 2, out, |q| (q - 8.0) * scale(block, 0)),
                Self::Q4_1 => {
                    let (d, m) = (scale(block, 0), scale(block, 2));
                    halves(block, 4, out, |q| q * d + m);
                }
                Self::Q5_0 => {
                    let d = scale(block, 0);
                    fives(block, 2, out, |q| (q - 16.0) * d);
                }
                Self::Q5_1 => {
                    let (d, m) = (scale(block, 0), scale(block, 2));
                    fives(block, 4, out, |q| q * d + m);
                }
                Self::Q8_0 => {
                    let d = scale(block, 0);
                    out.extend(block[2..].iter().map(|&q| f32::from(q.cast_signed()) * d));
                }
                Self::Q2K => q2_k(block, out),
                Self::Q3K => q3_k(block, out),
                Self::Q4K => q45_k(block, None, out),
                Self::Q5K => q45_k(block, Some(&block[16..48]), out),
                Self::Q6K => q6_k(block, out),
            }
        }
    }
}

/// A number of 16 bits, `at` so many bytes.
fn scale(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// 16 bytes from `at`: first the lower halves of all, then the upper ones.
fn halves(block: &[u8], at: usize, out: &mut Vec<f32>, number: impl Fn(f32) -> f32) {
    let bytes = &block[at..at + 16];
    out.extend(bytes.iter().map(|byte| number(f32::from(byte & 15))));
    out.extend(bytes.iter().map(|byte| number(f32::from(byte >> 4))));
}

/// 32 fifth bits from `at`, then the lower four of each.
fn fives(block: &[u8], at: usize, out: &mut Vec<f32>, number: impl Fn(f32) -> f32) {
    let high = |i: usize| (block[at + i / 8] >> (i % 8) & 1) << 4;
    let bytes = &block[at + 4..at + 20];
    let low = bytes.iter().enumerate();
    out.extend(
        low.clone()
            .map(|(i, byte)| number(f32::from(byte & 15 | high(i)))),
    );
    out.extend(low.map(|(i, byte)| number(f32::from(byte >> 4 | high(i + 16)))));
}

/// 16 pairs of scale and offset, 64 bytes of four numbers of two bits, and the scales of these.
fn q2_k(block: &[u8], out: &mut Vec<f32>) {
    let (d, m) = (scale(block, 80), scale(block, 82));
    for group in 0..16 {
        let pair = block[group];
        let (d, m) = (d * f32::from(pair & 15), m * f32::from(pair >> 4));
        let (start, shift) = twos(group);
        let bytes = &block[16 + start..16 + start + 16];
        out.extend(
            bytes
                .iter()
                .map(|byte| d * f32::from(byte >> shift & 3) - m),
        );
    }
}

/// 32 bytes of third bits, 64 of the lower two, 12 with 16 scales of six bits, and the scale of these.
fn q3_k(block: &[u8], out: &mut Vec<f32>) {
    let d = scale(block, 108);
    let packed = &block[96..108];
    for group in 0..16 {
        let low = if group < 8 {
            packed[group] & 15
        } else {
            packed[group - 8] >> 4
        };
        let high = packed[8 + group % 4] >> (2 * (group / 4)) & 3;
        let d = d * (f32::from(low | high << 4) - 32.0);
        let (start, shift) = twos(group);
        let bit = 1 << (group / 2);
        let at = 16 * (group % 2);
        for i in 0..16 {
            let low = f32::from(block[32 + start + i] >> shift & 3);
            let offset = if block[at + i] & bit == 0 { 4.0 } else { 0.0 };
            out.push(d * (low - offset));
        }
    }
}

/// Where the two bits of a group of 16 numbers lie: the first byte, and how far up.
fn twos(group: usize) -> (usize, usize) {
    let (half, within) = (group / 8, group % 8);
    (32 * half + 16 * (within % 2), 2 * (within / 2))
}

/// Scale and offset of the scales, 12 bytes with 8 of each in six bits, perhaps 32 bytes of fifth bits, and 128 of the lower four.
fn q45_k(block: &[u8], fifth: Option<&[u8]>, out: &mut Vec<f32>) {
    let (d, m) = (scale(block, 0), scale(block, 2));
    let packed = &block[4..16];
    let low = &block[block.len() - 128..];
    for group in 0..8 {
        let (scale, offset) = if group < 4 {
            (packed[group] & 63, packed[group + 4] & 63)
        } else {
            (
                packed[group + 4] & 15 | packed[group - 4] >> 6 << 4,
                packed[group + 4] >> 4 | packed[group] >> 6 << 4,
            )
        };
        let (d, m) = (d * f32::from(scale), m * f32::from(offset));
        for i in 0..32 {
            let four = low[32 * (group / 2) + i] >> (4 * (group % 2)) & 15;
            let high = fifth.map_or(0, |bits| (bits[i] >> group & 1) << 4);
            out.push(d * f32::from(four | high) - m);
        }
    }
}

/// 128 bytes of the lower four bits, 64 of the upper two, 16 scales of eight, and the scale of these.
fn q6_k(block: &[u8], out: &mut Vec<f32>) {
    let d = scale(block, 208);
    for i in 0..256 {
        let (half, within) = (i / 128, i % 128);
        let (part, l) = (within / 32, within % 32);
        let low = block[64 * half + 32 * (part % 2) + l] >> (4 * (part / 2)) & 15;
        let high = block[128 + 32 * half + l] >> (2 * part) & 3;
        let scale = f32::from(block[192 + i / 16].cast_signed());
        out.push(d * scale * (f32::from(low | high << 4) - 32.0));
    }
}
