//! Every instruction set that this CPU has, for tests.

use super::Kernel;
#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::{Avx512, Avx512Bf16};
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
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
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
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

/// Nothing.
struct Nothing;

impl Kernel for Nothing {
    type Output = ();

    #[inline(always)]
    fn run<S: super::Simd>(self, _: S) {}
}

#[test]
fn the_best_instruction_set_is_the_one_that_is_said_to_be_here() {
    let sets = dispatch_each(|| Nothing);
    let (best, ()) = sets.last().expect("the portable one always runs");
    // Said where the CPU is known, as an emulated one is: what is not found there would not be tested.
    if let Ok(said) = std::env::var("IP2P_TEST_SIMD") {
        assert_eq!(*best, said);
    }
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
