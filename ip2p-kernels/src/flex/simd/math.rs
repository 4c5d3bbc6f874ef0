//! Elementary functions of vectors.

use super::Simd;

/// e to each lane.
///
/// Error under 1 ulp with fused multiplies; the exponent is split off (Cody and Waite), the rest is Cephes' polynomial of degree 7 (`expf.c`).
/// 0 below -104, infinite above 88.73, NaN of NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // ln 2 in 9 bits, so that its multiples are exact, and what is left of it.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const COEFFICIENTS: [f32; 5] = [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ];
    // The second argument is kept where it is NaN.
    let x = simd.min(simd.splat(89.0), simd.max(simd.splat(-104.0), x));
    let exponent = simd.round(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    let rest = simd.mul_add(exponent, simd.splat(-LN_2_HIGH), x);
    let rest = simd.mul_add(exponent, simd.splat(-LN_2_LOW), rest);
    let mut sum = simd.splat(1.987_569_1e-4);
    for coefficient in COEFFICIENTS {
        sum = simd.mul_add(sum, rest, simd.splat(coefficient));
    }
    let sum = simd.mul_add(sum, simd.mul(rest, rest), rest);
    simd.scale(simd.add(sum, simd.splat(1.0)), exponent)
}

/// `x · sigmoid(slope · x)`, as one division.
#[inline(always)]
fn sigmoid_gated<S: Simd>(simd: S, x: S::Vector, slope: f32) -> S::Vector {
    let power = exp(simd, simd.mul(x, simd.splat(-slope)));
    simd.div(x, simd.add(power, simd.splat(1.0)))
}

/// `x · sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    sigmoid_gated(simd, x, 1.0)
}

/// The slope of [`silu`]: `s · (1 + x · (1 − s))` with `s = sigmoid(x)`.
#[cfg(feature = "autodiff")]
#[inline(always)]
pub(crate) fn silu_slope<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let one = simd.splat(1.0);
    let power = exp(simd, simd.sub(simd.splat(0.0), x));
    let sigmoid = simd.div(one, simd.add(power, one));
    let rest = simd.mul_add(x, simd.sub(one, sigmoid), one);
    simd.mul(sigmoid, rest)
}

/// `x · sigmoid(1.702 x)`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
pub(crate) fn quick_gelu<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    sigmoid_gated(simd, x, crate::QUICK_GELU_SLOPE as f32)
}

/// `x · Φ(x)`, Φ the normal distribution.
///
/// Absolute error under 3e-7 up to |x| = 6. The tail is `Φ(-t) = exp(-t² / 2) · Q(w)` with `w = 1 / (1 + 0.35 t)`, the form of Abramowitz and Stegun 7.1.26;
/// Q, of degree 9, was fitted to 3.2e-8 relative over 0 to 14.5 (iteratively reweighted least squares), where Φ falls under the least
/// `f32`. Unlike `1 + erf`, this has nothing to cancel, so the far negative tail keeps its digits.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    const COEFFICIENTS: [f32; 8] = [
        0.144_030_91,
        -0.255_839,
        0.159_319_7,
        -0.023_212_353,
        0.105_552_5,
        0.119_821_29,
        0.139_863_52,
        0.139_621_3,
    ];
    let one = simd.splat(1.0);
    let t = simd.abs(x);
    let w = simd.div(one, simd.mul_add(t, simd.splat(0.35), one));
    let mut sum = simd.splat(-0.029_157_886);
    for coefficient in COEFFICIENTS {
        sum = simd.mul_add(sum, w, simd.splat(coefficient));
    }
    let density = exp(simd, simd.mul(simd.mul(t, simd.splat(-0.5)), t));
    let tail = simd.mul(simd.mul(sum, w), density);
    let distribution = simd.where_negative(x, tail, simd.sub(one, tail));
    simd.mul(x, distribution)
}

/// 2 to each lane; of more than 127, 2 to the power of 127.
///
/// Relative error under 1e-7 from -126 to 127, 0 below -150. Degree 6, fitted to 1.9e-9 relative over ±½ (iteratively reweighted least squares).
#[inline(always)]
pub(crate) fn exp2<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    const COEFFICIENTS: [f32; 6] = [
        1.339_993_1e-3,
        9.618_489e-3,
        5.550_328_6e-2,
        0.240_226_46,
        std::f32::consts::LN_2,
        1.0,
    ];
    exp2_with(simd, x, 1.534_581_2e-4, COEFFICIENTS)
}

/// As [`Simd::exp2_pair`], for any instruction set: relative error under 8e-5 before rounding. Degree 3, fitted as [`exp2`] is.
#[inline(always)]
pub(super) fn exp2_pair<S: Simd>(simd: S, first: S::Vector, second: S::Vector) -> S::Words {
    const COEFFICIENTS: [f32; 3] = [0.242_611_13, 0.693_261, 0.999_928_07];
    let mut powers = [first, second];
    for power in &mut powers {
        let x = simd.mul_add(*power, simd.splat(1.0 / 128.0), simd.splat(-127.0));
        *power = exp2_with(simd, x, 5.517_167e-2, COEFFICIENTS);
    }
    simd.pair(powers[0], powers[1])
}

#[inline(always)]
fn exp2_with<S: Simd, const DEGREE: usize>(
    simd: S,
    x: S::Vector,
    highest: f32,
    coefficients: [f32; DEGREE],
) -> S::Vector {
    let x = simd.min(simd.splat(127.0), simd.max(simd.splat(-150.0), x));
    let exponent = simd.round(x);
    let rest = simd.sub(x, exponent);
    let mut sum = simd.splat(highest);
    for coefficient in coefficients {
        sum = simd.mul_add(sum, rest, simd.splat(coefficient));
    }
    simd.scale(sum, exponent)
}

#[cfg(test)]
mod tests {
    use burn::tensor::bf16;

    use super::super::{Kernel, MAX_LANES, PAIR_ONE, dispatch_each, map};
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Name {
        Exp,
        Exp2,
        Gelu,
        Silu,
    }

    /// A function of each of these numbers.
    struct Of<'a>(Name, &'a [f32]);

    impl Kernel for Of<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let Self(name, numbers) = self;
            let mut result = vec![0.0; numbers.len()];
            let (source, target) = ([numbers.as_ptr()], result.as_mut_ptr());
            // SAFETY: both are of that length.
            unsafe {
                map(
                    simd,
                    source,
                    target,
                    numbers.len(),
                    #[inline(always)]
                    |[x]| match name {
                        Name::Exp => exp(simd, x),
                        Name::Exp2 => exp2(simd, x),
                        Name::Gelu => gelu(simd, x),
                        Name::Silu => silu(simd, x),
                    },
                );
            }
            result
        }
    }

    /// The largest of `error(x, f(x))` over numbers from `first` to `last`, with the instruction set.
    fn largest_errors(
        name: Name,
        [first, last]: [f32; 2],
        error: impl Fn(f64, f64) -> f64,
    ) -> Vec<(&'static str, f64)> {
        const COUNT: u16 = 50_001;
        let numbers: Vec<f32> = (0..COUNT)
            .map(|index| first + (last - first) * f32::from(index) / f32::from(COUNT - 1))
            .collect();
        dispatch_each(|| Of(name, &numbers))
            .into_iter()
            .map(|(set, results)| {
                let errors = numbers
                    .iter()
                    .zip(results)
                    .map(|(&x, y)| error(f64::from(x), f64::from(y)));
                (set, errors.fold(0.0, f64::max))
            })
            .collect()
    }

    #[test]
    fn exp_is_within_two_ulp() {
        // 1 ulp is at most 2^-23 of the number.
        let relative = |x: f64, y: f64| (y / x.exp() - 1.0).abs() * f64::from(1 << 23);
        for (set, error) in largest_errors(Name::Exp, [-87.0, 88.7], relative) {
            assert!(error < 2.0, "{set}: {error}");
        }
    }

    #[test]
    fn exp_of_little_is_subnormal_and_then_zero() {
        let absolute = |x: f64, y: f64| (y - x.exp()).abs();
        for (set, error) in largest_errors(Name::Exp, [-200.0, -87.0], absolute) {
            assert!(error < 3e-45, "{set}: {error:e}");
        }
    }

    #[test]
    fn exp2_is_within_two_ulp() {
        let relative = |x: f64, y: f64| (y / x.exp2() - 1.0).abs() * f64::from(1 << 23);
        for (set, error) in largest_errors(Name::Exp2, [-126.0, 0.0], relative) {
            assert!(error < 2.0, "{set}: {error}");
        }
    }

    /// The powers of each of these numbers, and of the number after it.
    struct PairsOf<'a>(&'a [f32]);

    impl Kernel for PairsOf<'_> {
        type Output = Vec<[f64; 2]>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let mut powers = Vec::new();
            for numbers in self.0.windows(S::LANES + 1).step_by(S::LANES) {
                let mut words = [0; MAX_LANES];
                // SAFETY: there is one number more than lanes, and `LANES` is at most `MAX_LANES`.
                unsafe {
                    let (first, second) = (
                        simd.load(numbers.as_ptr()),
                        simd.load(numbers[1..].as_ptr()),
                    );
                    simd.store_words(words.as_mut_ptr(), simd.exp2_pair(first, second));
                }
                powers.extend(words[..S::LANES].iter().map(|&word: &u32| {
                    let [a, b, c, d] = word.to_le_bytes();
                    [[a, b], [c, d]].map(|bytes| bf16::from_le_bytes(bytes).to_f64())
                }));
            }
            powers
        }
    }

    #[test]
    fn powers_of_pairs_are_within_bf16() {
        let numbers: Vec<f32> = (0..64_001_u16)
            .map(|index| 128.0 + 0.5 * f32::from(index))
            .collect();
        for (set, powers) in dispatch_each(|| PairsOf(&numbers)) {
            assert_eq!(powers.len(), 64_000, "{set}");
            for (pair, numbers) in powers.iter().zip(numbers.windows(2)) {
                for (power, &number) in pair.iter().zip(numbers) {
                    let exact = f64::from((number - PAIR_ONE) / 128.0).exp2();
                    let error = (power / exact - 1.0).abs();
                    assert!(error < 7e-3, "{set}: {power:e} of {number}");
                }
            }
        }
    }

    #[test]
    fn what_is_out_of_range_of_pairs_is_nothing_or_far_too_much() {
        let numbers = [
            f32::NEG_INFINITY,
            -1e30,
            -128.0,
            40_000.0,
            1e30,
            f32::INFINITY,
        ];
        let nothing = numbers.map(|number| number < 0.0);
        // As many as a vector has at most, and one more.
        let numbers: Vec<f32> = numbers.into_iter().cycle().take(MAX_LANES + 1).collect();
        for (set, powers) in dispatch_each(|| PairsOf(&numbers)) {
            for (pair, nothing) in powers.iter().zip(nothing.into_iter().cycle()) {
                let [power, _] = *pair;
                let right = if nothing {
                    power.abs() < 1e-38
                } else {
                    power.is_nan() || power > 1e38
                };
                assert!(right, "{set}: {powers:?}");
            }
        }
    }

    #[test]
    fn gelu_keeps_its_digits_in_the_tail() {
        // Φ(-t) of a tail lies between these (Gordon 1941).
        let outside = |x: f64, y: f64| {
            let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
            let [low, high] = [x * x / (1.0 + x * x), 1.0].map(|factor| -density * factor);
            (y / high - 1.0).max(low / y - 1.0)
        };
        for (set, error) in largest_errors(Name::Gelu, [-12.0, -2.0], outside) {
            assert!(error < 1e-5, "{set}: {error:e}");
        }
    }

    #[test]
    fn silu_is_its_formula() {
        let absolute = |x: f64, y: f64| (y - x / (1.0 + (-x).exp())).abs();
        for (set, error) in largest_errors(Name::Silu, [-20.0, 8.0], absolute) {
            assert!(error < 1e-6, "{set}: {error:e}");
        }
    }
}
