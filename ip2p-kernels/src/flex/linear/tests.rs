//! Parts with every instruction set.

use super::*;
use crate::flex::simd::{self, assert_sets_agree, dispatch_each, to_byte};

/// A whole product as one task.
struct Whole<'a, N>(&'a Product<'a, N>);

impl<N: Numbers> Kernel for Whole<'_, N> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self(product) = self;
        let mut output = vec![f32::NAN; product.rows * product.columns];
        Plain(part(product, product.columns, &mut output)).run(simd);
        output
    }
}

/// A whole gated product as one task, and the product that it gates.
struct WholeGated<'a, N>(&'a Product<'a, N>);

impl<N: Numbers> Kernel for WholeGated<'_, N> {
    type Output = [Vec<f32>; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [Vec<f32>; 2] {
        let Self(product) = self;
        let columns = product.columns / 2;
        let mut output = vec![f32::NAN; product.rows * columns];
        Gated(part(product, columns, &mut output)).run(simd);
        let mut expected = Vec::new();
        for row in Whole(product).run(simd).chunks_exact(product.columns) {
            let (values, gates) = row.split_at(columns);
            for (value, gate) in values.iter().zip(gates) {
                let gate = simd::gelu(simd, simd.splat(*gate));
                let mut lanes = [0.0; MAX_LANES];
                // SAFETY: `LANES` is at most `MAX_LANES`.
                unsafe { simd.store(lanes.as_mut_ptr(), gate) };
                expected.push(value * lanes[0]);
            }
        }
        [output, expected]
    }
}

/// The part that is all of an output of so many columns.
fn part<'a, N>(product: &'a Product<'a, N>, columns: usize, output: &mut [f32]) -> Part<'a, N> {
    Part {
        product,
        target: Target(output.as_mut_ptr()),
        first_row: 0,
        rows: product.rows,
        first_column: 0,
        columns,
    }
}

/// The factors of a product of these sizes.
struct Factors<N> {
    input: Vec<f32>,
    weight: Vec<N>,
    scales: Vec<f32>,
    bias: Vec<f32>,
    size: [usize; 3],
}

impl<N> Factors<N> {
    fn new([rows, terms, columns]: [usize; 3], weight: impl Fn(f32) -> N) -> Self {
        let number = |index: usize| (index as f32 * 0.7).sin();
        let weights = (0..terms * columns).map(|index| weight(number(3 * index)));
        Self {
            input: (0..rows * terms).map(number).collect(),
            weight: weights.collect(),
            scales: (0..columns)
                .map(|index| 1.0 + number(index).abs())
                .collect(),
            bias: (0..columns).map(number).collect(),
            size: [rows, terms, columns],
        }
    }

    fn product(&self) -> Product<'_, N> {
        let [rows, terms, columns] = self.size;
        Product {
            input: &self.input,
            piece: None,
            weight: Weight {
                numbers: &self.weight,
                turned: false,
                scales: &self.scales,
            },
            bias: &self.bias,
            rows,
            terms,
            columns,
        }
    }
}

/// The same numbers with the last two of three axes swapped.
fn turned<T: Copy>(numbers: &[T], [rows, columns]: [usize; 2]) -> Vec<T> {
    let pieces = numbers.chunks_exact(rows * columns);
    let turn = |piece: &[T]| {
        let places = (0..columns).flat_map(|column| (0..rows).map(move |row| (row, column)));
        let turned = places.map(|(row, column)| piece[row * columns + column]);
        turned.collect::<Vec<T>>()
    };
    pieces.flat_map(turn).collect()
}

/// A whole product as one task, with the last two axes of its output swapped.
struct WholeTurned<'a, N>(&'a Product<'a, N>, usize);

impl<N: Numbers> Kernel for WholeTurned<'_, N> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self(product, piece) = self;
        let mut output = vec![f32::NAN; product.rows * product.columns];
        let part = part(product, product.columns, &mut output);
        Turned { part, piece }.run(simd);
        output
    }
}

/// Pieces of as many rows as the widest vectors have lanes, and of more.
fn assert_turns<N: Numbers>([terms, columns]: [usize; 2], weight: impl Fn(f32) -> N + Copy) {
    for piece in [MAX_LANES, 3 * MAX_LANES] {
        let factors = Factors::new([2 * piece, terms, columns], weight);
        let product = factors.product();
        let input = turned(product.input, [piece, terms]);
        let turned_input = Product {
            input: &input,
            piece: Some(piece),
            ..product
        };
        let expected = dispatch_each(|| Whole(&product));
        for ((set, expected), (_, found)) in
            (expected.iter()).zip(dispatch_each(|| Whole(&turned_input)))
        {
            assert_eq!(&found, expected, "{set}, a turned input");
        }
        for ((set, expected), (_, found)) in
            (expected.iter()).zip(dispatch_each(|| WholeTurned(&product, piece)))
        {
            assert_eq!(
                found,
                turned(expected, [piece, columns]),
                "{set}, a turned output"
            );
        }
    }
}

#[test]
fn a_turned_input_or_output_is_the_plain_one_with_every_instruction_set() {
    // One pass over the terms and several; a rest of columns and of lanes.
    for size in [[300, 101], [700, 48], [4, 1]] {
        assert_turns(size, bf16::from_f32);
        assert_turns(size, byte);
    }
}

#[test]
fn turned_weights_are_the_plain_ones_with_every_instruction_set() {
    for size in [[13, 300, 101], [9, 700, 48], [2, 4, 1]] {
        let factors = Factors::new(size, bf16::from_f32);
        let product = factors.product();
        let [_, terms, columns] = size;
        let numbers = turned(&factors.weight, [terms, columns]);
        let weight = Weight {
            numbers: &numbers,
            turned: true,
            ..product.weight
        };
        let with_turned = Product { weight, ..product };
        for ((set, expected), (_, found)) in
            (dispatch_each(|| Whole(&product)).iter()).zip(dispatch_each(|| Whole(&with_turned)))
        {
            assert_eq!(&found, expected, "{set}, {size:?}");
        }
    }
}

fn byte(number: f32) -> i8 {
    to_byte(127.0 * number)
}

fn assert_is_gated<N: Numbers>(size: [usize; 3], weight: impl Fn(f32) -> N) {
    let factors = Factors::new(size, weight);
    let product = factors.product();
    for (set, [found, expected]) in dispatch_each(|| WholeGated(&product)) {
        assert!(found.iter().all(|number| number.is_finite()));
        assert_eq!(found, expected, "{set}, {size:?}");
    }
}

#[test]
fn a_gated_product_is_the_product_gated_with_every_instruction_set() {
    // One pass over the terms and several; a rest of rows, of columns and of lanes.
    for size in [[13, 300, 2 * 101], [9, 700, 2 * 50], [2, 4, 2]] {
        assert_is_gated(size, bf16::from_f32);
        assert_is_gated(size, byte);
    }
}

/// More terms than are rounded at a time, and a rest of rows, of columns and of lanes.
const SIZE: [usize; 3] = [13, 700, 101];

#[test]
fn instruction_sets_agree() {
    let factors = Factors::new(SIZE, bf16::from_f32);
    let product = factors.product();
    assert_sets_agree(|| Whole(&product), 1e-3);
}

#[test]
fn products_of_bytes_are_their_formula_with_every_instruction_set() {
    let [rows, terms, columns] = SIZE;
    let factors = Factors::new(SIZE, byte);
    let product = factors.product();
    // Each pass has a scale of its own, a row.
    let mut expected = vec![0.0; rows * columns];
    for row in 0..rows {
        let input = &factors.input[row * terms..][..terms];
        for column in 0..columns {
            let mut sum = f64::from(factors.bias[column]);
            for [first, words] in passes::<i8>(terms) {
                let of = first..first + 4 * words;
                let scale = input[of.clone()]
                    .iter()
                    .fold(0.0_f32, |most, x| most.max(x.abs()));
                let scale = scale / 127.0;
                let products = of.map(|term| {
                    let rounded = to_byte((input[term] * (1.0 / scale)).round_ties_even());
                    i32::from(rounded) * i32::from(factors.weight[term * columns + column])
                });
                sum += f64::from(products.sum::<i32>())
                    * f64::from(scale)
                    * f64::from(factors.scales[column]);
            }
            expected[row * columns + column] = sum;
        }
    }
    for (set, found) in dispatch_each(|| Whole(&product)) {
        for (found, expected) in found.iter().zip(&expected) {
            let difference = (f64::from(*found) - expected).abs();
            assert!(
                difference < 1e-5 * (1.0 + expected.abs()),
                "{set}: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn what_is_not_finite_is_not_finite_in_the_output() {
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for place in [0, 5, 699] {
            let mut factors = Factors::new([2, 700, 5], byte);
            factors.input[place] = number;
            let product = factors.product();
            for (set, found) in dispatch_each(|| Whole(&product)) {
                let (broken, whole) = found.split_at(5);
                assert!(broken.iter().all(|x| !x.is_finite()), "{set}: {broken:?}");
                assert!(whole.iter().all(|x| x.is_finite()), "{set}: {whole:?}");
            }
        }
    }
}
