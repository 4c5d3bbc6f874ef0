use burn::tensor::Device;

use super::*;
use crate::flex::simd::{assert_sets_agree, dispatch_each};

const TOKENS: usize = 151;
/// Of queries and keys: whole words, and no whole vectors.
const DIM: usize = 20;
const VALUE_DIM: usize = 22;
const SCALE: f64 = 0.2;

/// One head, attended to by each instruction set.
struct Whole<K, V> {
    queries: Rows<f32>,
    keys: K,
    values: V,
    causal: bool,
}

impl<K: Keys, V: Values> Kernel for Whole<K, V> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        let mut output = vec![0.0; TOKENS * VALUE_DIM];
        let head = Head {
            place: [0, 0],
            q: self.queries,
            k: self.keys,
            v: self.values,
            output: Target(output.as_mut_ptr()),
            output_stride: VALUE_DIM,
            queries: TOKENS,
            keys: TOKENS,
            dim: DIM,
            value_dim: VALUE_DIM,
            scale: SCALE,
            causal: self.causal,
        };
        let mut room = Room::new(width::<S>(), TOKENS, DIM, VALUE_DIM);
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
        causal: true,
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
        causal: true,
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
        causal: true,
    };
    assert_sets_agree(whole, 2e-2);
}

/// Attention by its formula, in `f64`.
#[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
fn formula(queries: &[f32], keys: &[f32], values: &[f32]) -> Vec<f32> {
    let mut output = Vec::new();
    for query in queries.chunks_exact(DIM) {
        let scores = keys.chunks_exact(DIM).map(|key| {
            let products = query
                .iter()
                .zip(key)
                .map(|(&q, &k)| f64::from(q) * f64::from(k));
            SCALE * products.sum::<f64>()
        });
        let scores: Vec<f64> = scores.collect();
        let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores
            .iter()
            .map(|score| (score - greatest).exp())
            .collect();
        let total: f64 = weights.iter().sum();
        output.extend((0..VALUE_DIM).map(|at| {
            let rows = values.chunks_exact(VALUE_DIM).zip(&weights);
            let sum: f64 = rows.map(|(row, weight)| weight * f64::from(row[at])).sum();
            (sum / total) as f32
        }));
    }
    output
}

#[test]
fn scores_that_grow_from_keys_to_keys_by_any_factor_are_taken_in() {
    // By how much scores grow: within what weights are told from, over it, and over what 2 to the power of is finite.
    for growth in [1.0_f32, 4.0, 40.0, 4000.0] {
        let [queries, mut keys, values] = numbers();
        let mut factor = 0.1;
        for some in keys.chunks_mut(KEYS * DIM) {
            for number in some {
                *number *= factor;
            }
            factor *= growth;
        }
        let short = rounded(&values);
        let check = |results: Vec<(&str, Vec<f32>)>, values: &[f32], bound: f32| {
            let expected = formula(&queries, &keys, values);
            for (set, result) in results {
                for (number, expected) in result.iter().zip(&expected) {
                    let difference = (number - expected).abs();
                    assert!(
                        difference < bound,
                        "{set}, by {growth}: {number}, not {expected}"
                    );
                }
            }
        };
        let results = dispatch_each(|| Whole {
            queries: rows(&queries),
            keys: rows(&keys),
            values: rows(&values),
            causal: false,
        });
        check(results, &values, 1e-3);
        let results = dispatch_each(|| Whole {
            queries: rows(&queries),
            keys: rows(&keys),
            values: rows(&short),
            causal: false,
        });
        let short: Vec<f32> = short.into_iter().map(bf16::to_f32).collect();
        check(results, &short, 1e-2);
    }
}
