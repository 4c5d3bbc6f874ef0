use burn::tensor::Device;

use super::*;
use crate::flex::simd::assert_sets_agree;

const TOKENS: usize = 151;
/// Of queries and keys: whole words, and no whole vectors.
const DIM: usize = 20;
const VALUE_DIM: usize = 22;

/// One head, attended to by each instruction set.
struct Whole<K, V> {
    queries: Rows<f32>,
    keys: K,
    values: V,
}

impl<K: Keys, V: Values> Kernel for Whole<K, V> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        let mut output = vec![0.0; TOKENS * VALUE_DIM];
        let head = Head {
            q: self.queries,
            k: self.keys,
            v: self.values,
            output: Target(output.as_mut_ptr()),
            output_stride: VALUE_DIM,
            queries: TOKENS,
            keys: TOKENS,
            dim: DIM,
            value_dim: VALUE_DIM,
            scale: 0.2,
            causal: true,
        };
        let mut room = Room::new(width::<S>(), DIM, VALUE_DIM);
        let step = BLOCKS * width::<S>();
        for first in (0..TOKENS).step_by(step) {
            let part = Part {
                head: &head,
                room: &mut room,
                first,
                count: step.min(TOKENS - first),
            };
            part.run(simd);
        }
        output
    }
}

/// Queries, keys and values.
fn numbers() -> [Vec<f32>; 3] {
    [0, 1, 2].map(|of| {
        let length = TOKENS * if of == 2 { VALUE_DIM } else { DIM };
        let number = |at| ((of * TOKENS * DIM + at) as f32 * 0.7).sin() * 3.0;
        (0..length).map(number).collect()
    })
}

fn rows<N>(numbers: &[N]) -> Rows<N> {
    Rows {
        start: numbers.as_ptr(),
        stride: numbers.len() / TOKENS,
    }
}

fn rounded(numbers: &[f32]) -> Vec<bf16> {
    numbers.iter().copied().map(bf16::from_f32).collect()
}

#[test]
fn instruction_sets_agree() {
    let [queries, keys, values] = &numbers();
    let whole = || Whole {
        queries: rows(queries),
        keys: rows(keys),
        values: rows(values),
    };
    assert_sets_agree(whole, 2e-5);
}

#[test]
fn instruction_sets_agree_on_keys_and_values_of_bf16() {
    let [queries, keys, values] = &numbers();
    let [keys, values] = [keys, values].map(|x| rounded(x));
    let whole = || Whole {
        queries: rows(queries),
        keys: rows(&keys),
        values: rows(&values),
    };
    // The weights are rounded too, and which way may hang on the last bit of a sum.
    assert_sets_agree(whole, 2e-2);
}

#[test]
fn instruction_sets_agree_on_keys_of_bytes() {
    let [queries, keys, values] = &numbers();
    let keys = Tensor::<1>::from_floats(keys.as_slice(), &Device::flex());
    let keys = RoundedKeys::of(&primitive(keys.reshape([1, 1, TOKENS, DIM])));
    let values = rounded(values);
    let whole = || Whole {
        queries: rows(queries),
        keys: keys.head(0, 0),
        values: rows(&values),
    };
    assert_sets_agree(whole, 2e-2);
}
