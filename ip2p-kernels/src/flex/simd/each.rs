//! Every instruction set that this CPU has, for tests.

use super::Kernel;
#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::{Avx512, Avx512Bf16};
#[cfg(target_arch = "aarch64")]
use super::neon::{Neon, NeonDot};
use super::portable::Portable;

/// Runs a kernel with each instruction set that this CPU has, named.
pub(crate) fn dispatch_each<K: Kernel>(kernel: impl Fn() -> K) -> Vec<(&'static str, K::Output)> {
    let mut outputs = vec![("portable", kernel().run(Portable))];
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = Avx2::detect() {
            outputs.push(("avx2", simd.run(kernel())));
        }
        if let Some(simd) = Avx512::detect() {
            outputs.push(("avx512", simd.run(kernel())));
        }
        if let Some(simd) = Avx512Bf16::detect() {
            outputs.push(("avx512-bf16", simd.run(kernel())));
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        if let Some(simd) = Neon::detect() {
            outputs.push(("neon", simd.run(kernel())));
        }
        if let Some(simd) = NeonDot::detect() {
            outputs.push(("neon-bf16", simd.run(kernel())));
        }
    }
    outputs
}

/// Asserts that a kernel gives the same numbers with each instruction set that this CPU has, up to `tolerance`.
pub(crate) fn assert_sets_agree<K: Kernel<Output = Vec<f32>>>(
    kernel: impl Fn() -> K,
    tolerance: f32,
) {
    let mut results = dispatch_each(kernel).into_iter();
    let (_, portable) = results.next().expect("the portable one always runs");
    assert!(portable.iter().all(|number| number.is_finite()));
    for (set, result) in results {
        for (number, portable) in result.iter().zip(&portable) {
            let difference = (number - portable).abs();
            assert!(difference < tolerance, "{set}: {number}, not {portable}");
        }
    }
}
