//! Noise that is a fixed function of position and seed.

#![expect(
    clippy::cast_possible_truncation,
    reason = "cells are numbered from the floor of small numbers"
)]
#![expect(clippy::cast_sign_loss, reason = "cell numbers are hashed as bits")]

use super::canvas::Point;

/// A number in `[0, 1)` for a cell.
pub(super) fn hash(x: i32, y: i32, seed: u32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x9e37_79b1)
        ^ (y as u32).wrapping_mul(0x85eb_ca77)
        ^ seed.wrapping_mul(0xc2b2_ae3d);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    h ^= h >> 15;
    (h >> 8) as f32 / 16_777_216.0
}

/// Smooth noise in `[0, 1)` with one knot a unit.
pub(super) fn noise(at: Point, seed: u32) -> f32 {
    let floor = [at[0].floor(), at[1].floor()];
    let [x, y] = [floor[0] as i32, floor[1] as i32];
    let [u, v] = [at[0] - floor[0], at[1] - floor[1]].map(|t| t * t * (3.0 - 2.0 * t));
    let row = |y| {
        let (a, b) = (hash(x, y, seed), hash(x + 1, y, seed));
        a + (b - a) * u
    };
    let (a, b) = (row(y), row(y + 1));
    a + (b - a) * v
}

/// The fine grain of all surfaces, in `[-1, 1]`.
pub(super) fn grain(at: Point, seed: u32) -> f32 {
    noise([at[0] * 48.0, at[1] * 48.0], seed ^ 0x77) * 2.0 - 1.0
}
