//! The noise is PyTorch's, bit for bit.

use ip2p_core::{NoiseGenerator, NoiseKind};
use ip2p_testing::Golden;

/// Asserts that two draws have the same bits, and says where they first differ.
fn assert_same_bits(actual: &[f32], expected: &[f32], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}: how many values");
    let differing = |(actual, expected): &(&f32, &f32)| actual.to_bits() != expected.to_bits();
    let pairs = || actual.iter().zip(expected);
    if let Some(place) = pairs().position(|pair| differing(&pair)) {
        panic!(
            "{what}: {} of {} values differ, first at {place}: {:?} instead of {:?}",
            pairs().filter(differing).count(),
            actual.len(),
            actual[place],
            expected[place],
        );
    }
}

/// The sum of the values' bits, and the sum weighted by place, from 1: what stands for a long draw in the fixture.
fn sums(values: &[f32]) -> Vec<i64> {
    let bits = || values.iter().map(|value| u64::from(value.to_bits()));
    let plain = bits().fold(0, u64::wrapping_add);
    let by_place = (1..)
        .zip(bits())
        .fold(0_u64, |sum, (place, bits): (u64, _)| {
            sum.wrapping_add(bits.wrapping_mul(place))
        });
    [plain, by_place].map(u64::cast_signed).to_vec()
}

fn check(kind: NoiseKind, fixture: &str) {
    let golden = Golden::open(fixture);
    let mut draws = 0;
    for name in golden.names() {
        let parts: Vec<_> = name.split('/').collect();
        let [seed, len, part] = parts[..] else {
            continue;
        };
        let values = NoiseGenerator::new(kind, seed.parse().expect("a seed"))
            .normal(len.parse().expect("a length"));
        match part {
            "values" => assert_same_bits(&values, &golden.floats(&name), &name),
            "head" => assert_same_bits(&values[..64], &golden.floats(&name), &name),
            "tail" => assert_same_bits(&values[values.len() - 64..], &golden.floats(&name), &name),
            "sums" => assert_eq!(sums(&values), golden.ints(&name), "{name}"),
            other => panic!("{name}: no comparison for {other}"),
        }
        draws += usize::from(part == "values" || part == "sums");
    }
    assert_eq!(draws, 66, "draws compared: 6 seeds, 11 lengths");

    let mut generator = NoiseGenerator::new(kind, 7);
    let mixed: Vec<_> = golden
        .ints("mixed/lengths")
        .into_iter()
        .flat_map(|len| generator.normal(len.try_into().expect("a length")))
        .collect();
    assert_same_bits(&mixed, &golden.floats("mixed/values"), "mixed");
}

#[test]
fn torch_cpu_noise_is_that_of_torch() {
    check(NoiseKind::TorchCpu, "noise/torch_cpu");
}

#[test]
fn torch_cuda_noise_follows_the_kernel_and_curand() {
    check(NoiseKind::TorchCuda, "noise/torch_cuda");
}

/// The first values of seed 0, as others have them: made by a GPU (test data of bokutotu/zenu at `1b3df10`,
/// `zenu-matrix/src/nn/batch_norm.rs`, `y_grad`), and imitated in double precision (the example in the head of
/// AUTOMATIC1111's `modules/rng_philox.py` at `5ef669d`).
#[test]
fn torch_cuda_noise_is_that_of_a_gpu_and_of_the_web_ui_to_six_digits() {
    let gpu: &[f32] = &[
        -0.924_662_4,
        -0.425_344_23,
        -2.643_845_8,
        0.145_183_86,
        -0.120_866_4,
        -0.579_725_74,
        -0.622_851,
        -0.328_386_9,
        -1.074_541_9,
        -0.363_143_95,
        -1.671_050_4,
        2.265_504_8,
        0.311_684_8,
        -0.184_189_1,
        1.286_642_7,
        1.181_952_7,
    ];
    let web_ui: &[f32] = &[
        -0.924_662_6,
        -0.425_344_14,
        -2.643_845_8,
        0.145_183_88,
        -0.120_866_48,
        -0.579_725_6,
        -0.622_851_2,
        -0.328_387_08,
        -1.074_542_3,
        -0.363_144_07,
        -1.671_050_7,
        2.265_505,
    ];
    for expected in [gpu, web_ui] {
        let values = NoiseGenerator::new(NoiseKind::TorchCuda, 0).normal(expected.len());
        for (value, expected) in values.iter().zip(expected) {
            assert!(
                (value - expected).abs() < 1e-6,
                "{value} instead of {expected}"
            );
        }
    }
}
