//! Parts with every instruction set.

use super::gated::Gated;
use super::*;
use crate::flex::simd::{self, dispatch_each};

/// A whole product as one task.
struct Whole<'a>(&'a Product<'a>);

impl Kernel for Whole<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self(product) = self;
        let mut output = vec![f32::NAN; product.rows * product.columns];
        let part = Part {
            product,
            target: Target(output.as_mut_ptr()),
            first_row: 0,
            rows: product.rows,
            first_column: 0,
            columns: product.columns,
        };
        part.run(simd);
        output
    }
}

/// A whole gated product as one task, and the product that it gates.
struct WholeGated<'a>(&'a Product<'a>);

impl Kernel for WholeGated<'_> {
    type Output = [Vec<f32>; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [Vec<f32>; 2] {
        let Self(product) = self;
        let columns = product.columns / 2;
        let mut output = vec![f32::NAN; product.rows * columns];
        let gated = Gated {
            product,
            target: Target(output.as_mut_ptr()),
            first_row: 0,
            rows: product.rows,
            first_column: 0,
            columns,
        };
        gated.run(simd);
        let mut expected = Vec::new();
        for row in Whole(product).run(simd).chunks_exact(product.columns) {
            let (values, gates) = row.split_at(columns);
            for (value, gate) in values.iter().zip(gates) {
                let gate = simd::gelu(simd, simd.splat(*gate));
                let mut lanes = [0.0; simd::MAX_LANES];
                // SAFETY: `LANES` is at most `MAX_LANES`.
                unsafe { simd.store(lanes.as_mut_ptr(), gate) };
                expected.push(value * lanes[0]);
            }
        }
        [output, expected]
    }
}

#[test]
fn a_gated_product_is_the_product_gated_with_every_instruction_set() {
    // One pass over the terms and several; a rest of rows, of columns and of lanes.
    for (rows, terms, columns) in [(13, 300, 2 * 101), (9, 700, 2 * 50), (2, 2, 2)] {
        let number = |index: usize| (index as f32 * 0.7).sin();
        let input: Vec<f32> = (0..rows * terms).map(number).collect();
        let weight = (0..terms * columns).map(|index| bf16::from_f32(number(3 * index)));
        let weight: Vec<bf16> = weight.collect();
        let bias: Vec<f32> = (0..columns).map(number).collect();
        let product = Product {
            input: &input,
            weight: &weight,
            bias: &bias,
            rows,
            terms,
            columns,
        };
        for (set, [found, expected]) in dispatch_each(|| WholeGated(&product)) {
            assert!(found.iter().all(|number| number.is_finite()));
            assert_eq!(found, expected, "{set}, {terms} terms");
        }
    }
}

#[test]
fn instruction_sets_agree() {
    // More terms than are rounded at a time, and a rest of rows, of columns and of lanes.
    let (rows, terms, columns) = (13, 300, 101);
    let numbers: Vec<f32> = (0_u16..31_000)
        .map(|index| (f32::from(index) * 0.7).sin())
        .collect();
    let weight: Vec<bf16> = numbers.iter().map(|x| bf16::from_f32(*x)).collect();
    let product = Product {
        input: &numbers[7..][..rows * terms],
        weight: &weight[..terms * columns],
        bias: &numbers[..columns],
        rows,
        terms,
        columns,
    };
    let mut results = dispatch_each(|| Whole(&product)).into_iter();
    let (_, portable) = results.next().expect("the portable one always runs");
    assert!(portable.iter().all(|number| number.is_finite()));
    for (set, result) in results {
        for (number, portable) in result.iter().zip(&portable) {
            let difference = (number - portable).abs();
            assert!(difference < 1e-3, "{set}: {number}, not {portable}");
        }
    }
}
