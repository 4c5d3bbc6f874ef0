//! From numbers to the quantised formats that are written.
//!
//! `quantize_row_q8_0_ref` and `quantize_row_q4_0_ref` of `ggml-quants.c`, with the rounding of ggml's package `gguf` for Python,
//! whose blocks these equal to the bit.

use half::f16;

use super::Quant;

/// Appends blocks of whole numbers of eight bits: the number of the greatest magnitude becomes 127 or -127.
///
/// - `numbers`: as many as fill whole blocks
///
/// Says whether all scales are finite; if not, the numbers are too large for the format.
pub(crate) fn append_q8_0(numbers: &[f32], out: &mut Vec<u8>) -> bool {
    let mut all_finite = true;
    for block in numbers.chunks_exact(Quant::Q8_0.numbers()) {
        let most = block.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let scale = most / 127.0;
        all_finite &= append_scale(scale, out);
        let inverse = inverse(scale);
        // `as` keeps what is too large within the type, and rounding is that of C's `roundf`.
        #[expect(clippy::cast_possible_truncation, reason = "-127 to 127")]
        out.extend(
            block
                .iter()
                .map(|x| ((x * inverse).round() as i8).cast_unsigned()),
        );
    }
    all_finite
}

/// Appends blocks of whole numbers of four bits: the number of the greatest magnitude becomes -8.
///
/// As [`append_q8_0`].
pub(crate) fn append_q4_0(numbers: &[f32], out: &mut Vec<u8>) -> bool {
    let mut all_finite = true;
    for block in numbers.chunks_exact(Quant::Q4_0.numbers()) {
        // The first of the greatest magnitude, with its sign.
        let most = block.iter().fold(
            0.0_f32,
            |most, &x| {
                if x.abs() > most.abs() { x } else { most }
            },
        );
        let scale = most / -8.0;
        all_finite &= append_scale(scale, out);
        let inverse = f64::from(inverse(scale));
        // The sum is rounded once, as a fused multiplication and addition does it.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 16"
        )]
        let four = |x: f32| ((f64::from(x) * inverse + 8.5) as f32 as u8).min(15);
        let (low, high) = block.split_at(block.len() / 2);
        out.extend(
            low.iter()
                .zip(high)
                .map(|(&low, &high)| four(low) | four(high) << 4),
        );
    }
    all_finite
}

fn append_scale(scale: f32, out: &mut Vec<u8>) -> bool {
    let scale = f16::from_f32(scale);
    out.extend(scale.to_le_bytes());
    scale.is_finite()
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Append = fn(&[f32], &mut Vec<u8>) -> bool;

    const APPENDS: [(&str, Append); 2] = [("Q8_0", append_q8_0), ("Q4_0", append_q4_0)];

    fn back(quant: Quant, blocks: &[u8]) -> Vec<f32> {
        let mut numbers = Vec::new();
        quant.append(blocks, &mut numbers);
        numbers
    }

    #[test]
    fn blocks_are_those_of_ggml() {
        let file = std::fs::read(ip2p_testing::fixture("single/quantized.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&file).unwrap();
        let (numbers, _) = file.tensor("numbers").unwrap().data().as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|&x| f32::from_le_bytes(x)).collect();
        for (name, append) in APPENDS {
            let mut blocks = Vec::new();
            assert!(append(&numbers, &mut blocks));
            assert_eq!(blocks, file.tensor(name).unwrap().data(), "{name}");
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        for (quant, append) in [
            (Quant::Q8_0, append_q8_0 as fn(&[f32], &mut Vec<u8>) -> bool),
            (Quant::Q4_0, append_q4_0),
        ] {
            let mut blocks = Vec::new();
            assert!(append(&[0.0; 64], &mut blocks));
            assert_eq!(blocks.len(), 2 * quant.bytes());
            assert_eq!(back(quant, &blocks), [0.0; 64]);
        }
    }

    #[test]
    fn what_is_too_large_for_the_scale_is_told() {
        let mut numbers = [0.0; 32];
        numbers[3] = 8.0 * 65504.0;
        assert!(append_q4_0(&numbers, &mut Vec::new()));
        numbers[3] = 127.0 * 65504.0;
        assert!(append_q8_0(&numbers, &mut Vec::new()));
        assert!(!append_q4_0(&numbers, &mut Vec::new()));
        numbers[3] *= 1.1;
        assert!(!append_q8_0(&numbers, &mut Vec::new()));
    }

    proptest! {
        #[test]
        fn numbers_come_back_within_half_a_step(numbers in proptest::collection::vec(-10_f32..10.0, 32)) {
            let most = numbers.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let mut blocks = Vec::new();
            append_q8_0(&numbers, &mut blocks);
            for (a, b) in back(Quant::Q8_0, &blocks).iter().zip(&numbers) {
                // Half a step, and what rounding the scale to 16 bits moves the greatest number by.
                prop_assert!((a - b).abs() <= most * (0.5 / 127.0 + 1.0 / 1024.0));
            }
            blocks.clear();
            append_q4_0(&numbers, &mut blocks);
            for (a, b) in back(Quant::Q4_0, &blocks).iter().zip(&numbers) {
                // On the other side of zero there are but seven steps.
                prop_assert!((a - b).abs() <= most * (1.0 / 8.0 + 1.0 / 1024.0));
            }
        }
    }
}
