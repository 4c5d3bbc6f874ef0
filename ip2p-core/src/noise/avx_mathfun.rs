//! The logarithm, sine and cosine that PyTorch's AVX2 kernels use, to the bit, a number at a time.
//!
//! PyTorch has them from `avx_mathfun.h` (Giovanni Garberoglio, 2012, after Julien Pommier's `sse_mathfun.h`; zlib
//! licence), which has the polynomials from the Cephes library. The header multiplies and adds in two steps, of which
//! GCC makes one that rounds once wherever it can; [`f32::mul_add`] stands where it does. Without the last one of the
//! sine, for instance, 8628 of a draw's 2²⁰ values have other last bits than PyTorch's.

use std::f32::consts::FRAC_1_SQRT_2;

/// The natural logarithm of a positive, normal number.
pub(super) fn log(x: f32) -> f32 {
    const P: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_84e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_4e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    // ln 2 in two parts, of which the larger has few digits.
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const EXPONENT: u32 = 0x7f80_0000;

    let bits = x.to_bits();
    // x = mantissa · 2^exponent with the mantissa in [0.5, 1), then in [√½, √2) less 1.
    let mantissa = f32::from_bits((bits & !EXPONENT) | 0.5_f32.to_bits());
    let exponent = (bits >> 23) as f32 - 126.0;
    let (x, exponent) = if mantissa < FRAC_1_SQRT_2 {
        (mantissa - 1.0 + mantissa, exponent - 1.0)
    } else {
        (mantissa - 1.0, exponent)
    };

    let z = x * x;
    let y = P[1..].iter().fold(P[0], |y, &p| y.mul_add(x, p)) * x;
    let y = y.mul_add(z, exponent * LN_2_LOW);
    let y = (-0.5_f32).mul_add(z, y);
    exponent.mul_add(LN_2_HIGH, x + y)
}

/// The sine and cosine of a number of `[0, 8192)`.
pub(super) fn sin_cos(x: f32) -> (f32, f32) {
    // π/4 in three parts, of which the larger ones have few digits.
    const MINUS_FRAC_PI_4: [f32; 3] = [-0.785_156_25, -2.418_756_5e-4, -3.774_895e-8];
    const SIN: [f32; 3] = [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1];
    const COS: [f32; 3] = [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2];
    const FRAC_4_PI: f32 = 4.0 * std::f32::consts::FRAC_1_PI;

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the octant is meant, and the number is not negative"
    )]
    let octant = ((x * FRAC_4_PI) as u32 + 1) & !1;
    let x = MINUS_FRAC_PI_4
        .iter()
        .fold(x, |x, &part| (octant as f32).mul_add(part, x));

    let z = x * x;
    let cos = COS[1..].iter().fold(COS[0], |y, &p| y.mul_add(z, p)) * z;
    let cos = cos.mul_add(z, -(0.5 * z)) + 1.0;
    let sin = SIN[1..].iter().fold(SIN[0], |y, &p| y.mul_add(z, p)) * z;
    let sin = sin.mul_add(x, x);

    // In every second quadrant sine and cosine change places; in half of them the sign turns.
    let (sin, cos) = if octant & 2 == 0 {
        (sin, cos)
    } else {
        (cos, sin)
    };
    let turn = |value: f32, turned: bool| if turned { -value } else { value };
    (
        turn(sin, octant & 4 != 0),
        turn(cos, octant.wrapping_sub(2) & 4 == 0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of `[0, 1)` with 24 bits, as the generator draws them.
    fn uniforms() -> impl Iterator<Item = f32> {
        (0..1 << 24)
            .step_by(97)
            .map(|bits| bits as f32 / (1 << 24) as f32)
    }

    #[test]
    fn the_logarithm_is_right_to_two_units_in_the_last_place() {
        for x in uniforms().map(|x| 1.0 - x) {
            let exact = f64::from(x).ln();
            let error = (f64::from(log(x)) - exact).abs();
            assert!(
                error <= 2.0 * f64::from(f32::EPSILON) * exact.abs(),
                "{x}: {error}"
            );
        }
    }

    #[test]
    fn sine_and_cosine_are_right_to_seven_digits() {
        for x in uniforms().map(|x| x * std::f32::consts::TAU) {
            let (sin, cos) = sin_cos(x);
            let (exact_sin, exact_cos) = f64::from(x).sin_cos();
            assert!((f64::from(sin) - exact_sin).abs() < 1.2e-7, "{x}");
            assert!((f64::from(cos) - exact_cos).abs() < 1.2e-7, "{x}");
        }
    }
}
